"""Compilation that is kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on its first call, without the GIL.

    The result is kept beside the module or in the user's cache, or, where neither can be written
    (a shared install, no home), in this process alone.
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder
        return njit(nogil=True)(function)
