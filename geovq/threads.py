"""How a process that geovq starts treats its threads, and how a forked one does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["safe_after_fork", "sleep_when_idle"]

_forked = False


def sleep_when_idle() -> None:
    """Let idle OpenMP threads soon sleep; to be called before torch and its like are loaded.

    Left to themselves they spin, and on a core that something else wants that makes training many
    times slower; without any spin, waking costs a third.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _note_the_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_the_fork)


@contextmanager
def safe_after_fork() -> Iterator[None]:
    """Use one OpenMP thread inside, if this process was forked.

    The threads of the parent do not come along, and GNU's OpenMP, which faiss and scikit-learn
    share, would wait for them for ever. To be entered after these are imported.
    """
    if not _forked:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
