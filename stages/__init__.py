"""The pipeline's stages, each run as `python -m stages.NAME`: read params, call geovq, write outs.

Importing this package sets the process up, before torch and its like are loaded.
"""

from geovq._threads import sleep_when_idle

sleep_when_idle()
