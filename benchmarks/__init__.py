"""Timings, as ratios within one run; each prints its table."""

import stages  # noqa: F401  (sets OpenMP up, before torch is loaded)
