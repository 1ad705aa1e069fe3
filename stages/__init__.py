"""The pipeline's stages, each run as `python -m stages.NAME`: read params, call geovq, write outs.

Importing this package sets the process up, before torch and its like are loaded.
"""

import sys

from geovq._signals import exit_on_signals
from geovq._threads import sleep_when_idle

sleep_when_idle()
if sys.argv[0] == "-m":  # Python's word while it looks for the module to run
    exit_on_signals()
