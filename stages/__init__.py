"""The pipeline's stages, each run as `python -m stages.NAME`: read params, call geovq, write outs.

Importing this package sets the process up, before torch and its like are loaded.
"""

import os

# Idle OpenMP threads must sleep: spinning ones starve the other runtimes on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
