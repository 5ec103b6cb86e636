"""`python -m pgrunbook` is the command line."""

import signal
import sys

try:
    from pgrunbook.cli import main
    from pgrunbook.errors import FAILED
except KeyboardInterrupt:
    # The libraries take a second to load.
    sys.exit("Stopped: nothing was begun")

try:
    code = main()
except KeyboardInterrupt:
    # What there is to say is said: somebody was impatient.
    code = FAILED
# All is done and told: a second Ctrl-C must not change how it ended.
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
sys.exit(code)
