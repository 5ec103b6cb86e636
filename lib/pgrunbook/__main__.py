"""`python -m pgrunbook` is the command line."""

import signal
import sys

from pgrunbook.cli import main

code = main()
# All is done and told: a second Ctrl-C, of somebody who was impatient, must not change how it ended.
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
sys.exit(code)
