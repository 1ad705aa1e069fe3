"""The pipeline's stages, each run as `python -m stages.NAME`: read params, call geovq, write outs.

Importing this package sets the process up, before torch and its like are loaded.
"""

import sys

from geovq.process import ended_while_importing
from geovq.threads import sleep_when_idle
from stages._dvc import end_with_dvc

sleep_when_idle()
end_with_dvc()
sys.excepthook = ended_while_importing
