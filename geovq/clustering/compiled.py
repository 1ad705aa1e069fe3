"""Compilation that is kept on disk, if it can be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pickle import UnpicklingError
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

__all__ = ["compiled"]


Cache: Any = FunctionCache


class _Kept(Cache):
    """numba's cache, of which nothing is demanded: a full disk or a damaged file stops nobody."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with suppress(OSError, EOFError, UnpicklingError):
            return super().load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, EOFError, UnpicklingError):
            super().save_overload(sig, data)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on its first call, without the GIL.

    The result is kept beside the module or in the user's cache, or, where neither can be written
    (a shared install, no home), in this process alone.
    """
    dispatcher: Any = njit(nogil=True)(function)
    with suppress(RuntimeError):  # numba found no folder
        dispatcher._cache = _Kept(function)  # as `cache=True` does
    return dispatcher
