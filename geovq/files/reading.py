"""What readers of files share: nothing but files is opened, and only what fits is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from geovq.errors import InputError

__all__ = ["free_memory", "gigabytes", "one_line", "open_regular", "plain"]

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | os.PathLike[str], what: str) -> BinaryIO:
    """Open a regular file, or a link to one; a pipe would be waited for, a device never end.

    Parameters
    ----------
    path : path-like
    what : str
        The file should be, for error messages: "picture", say.

    Raises
    ------
    InputError
        It is absent, empty, of another kind, or may not be read.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            kind = KINDS.get(stat.S_IFMT(found.st_mode), "no file")
            raise InputError(f"{path}: not a whole {what} (it is {kind})")
        if not found.st_size:
            raise InputError(f"{path}: not a whole {what} (it is empty)")
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{os.fspath(path)!r}: no name of a file ({error})") from None


def plain(value: ArrayLike, name: str) -> np.ndarray:
    """What is handed in as an array, nothing lost on the way.

    A data frame whose columns are numbers, but may lack some (pandas' Int64 and Float64), is of
    floats, NaN where they do.

    Raises
    ------
    InputError
        It is no array, or values are masked.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise InputError(
            f"{name}: {np.ma.getmaskarray(value).sum()} values are masked; allowed: none: fill "
            "them, or leave their rows out"
        )
    try:
        array = np.asarray(value)
        # By what it can do: no library of data frames is imported, or asked for.
        if array.dtype == object and hasattr(value, "to_numpy"):
            kinds = {getattr(dtype, "kind", "O") for dtype in getattr(value, "dtypes", "O")}
            if kinds <= set("iuf"):
                return np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan))
        return array
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: {one_line(error)}; allowed: an array of numbers") from None


def free_memory() -> int:
    """Bytes that a process could have now; all there are, where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) << 10
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gigabytes(size: int) -> str:
    """A number of bytes, to be read."""
    return f"{size / 1e9:.3g} GB"


def one_line(error: BaseException) -> str:
    """What an error says, in one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "…"
