"""The pipeline's stages, each run as `python -m stages.NAME`: read params, call geovq, write outs.

Importing this package sets the process up, before torch and its like are loaded.
"""

import os

# Idle OpenMP threads must soon sleep. Left to themselves they spin, and on a core that something
# else wants that makes training many times slower; without any spin, waking costs a third.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
