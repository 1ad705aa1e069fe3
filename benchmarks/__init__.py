"""Timings, as ratios within one run; each prints its table."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
