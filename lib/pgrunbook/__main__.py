"""`python -m pgrunbook` is the command line."""

import sys

from pgrunbook.cli import main

sys.exit(main())
