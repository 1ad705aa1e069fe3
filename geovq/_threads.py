"""How a process that geovq starts treats its threads."""

import os

__all__ = ["sleep_when_idle"]


def sleep_when_idle() -> None:
    """Let idle OpenMP threads soon sleep; to be called before torch and its like are loaded.

    Left to themselves they spin, and on a core that something else wants that makes training many
    times slower; without any spin, waking costs a third.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
