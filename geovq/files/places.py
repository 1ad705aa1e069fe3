"""Where geovq may write: what is said of a path before any work is done."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from geovq.errors import InputError
from geovq.files.marks import MARK_FILE, folder_mark

__all__ = ["PathLike", "check_apart", "check_file", "check_folder", "check_growing"]

PathLike = str | os.PathLike[str]


def check_file(
    path: PathLike, suffix: str, replaceable: Callable[[Path], bool] | None = None
) -> Path:
    """See that a file may be written at `path`, before any work is done.

    Parameters
    ----------
    path : path-like
        Nothing is added to it, and `~` is not expanded.
    suffix : str
        That it has to end in.
    replaceable : callable, optional
        Whether a file that is there may be replaced. Any, by default.

    Raises
    ------
    InputError
        Another suffix; a folder, a link or anything else that is no plain file; a file that may
        not be replaced; or a place where nothing can be written.
    """
    allowed = f"a file name that ends in {suffix}"
    target = _checked(path, allowed)
    if target.suffix != suffix:
        raise InputError(f"{target}: allowed: {allowed}")
    mode = _mode(target)
    if mode and not stat.S_ISREG(mode):
        raise InputError(f"{target}: {_kind(mode)}; allowed: a new file, or a plain one to replace")
    if mode and replaceable is not None and not replaceable(target):
        raise InputError(
            f"{target}: a file that geovq did not write; allowed: a new file, or one of geovq's"
        )
    return target


def check_folder(path: PathLike, kind: str) -> Path:
    """See that a folder of this kind may be written at `path`, before any work is done.

    Parameters
    ----------
    path : path-like
    kind : str
        What its mark will say it is.

    Raises
    ------
    InputError
        A file or a link, a folder that geovq did not write or that holds anything else or is of
        another kind, one that the process stands in, or a place where nothing can be written.
    """
    allowed = f"a new folder, or a {kind} that geovq wrote, to be replaced"
    target = _checked(path, allowed)
    mode = _mode(target)
    if not mode:
        return target
    if not stat.S_ISDIR(mode):
        raise InputError(f"{target}: {_kind(mode)}; allowed: {allowed}")
    if Path.cwd().is_relative_to(os.path.realpath(target)):
        raise InputError(f"{target}: the working directory is in it; allowed: {allowed}")
    entries = sorted(entry.name for entry in target.iterdir())
    if not entries:
        return target
    mark = folder_mark(target)
    if mark is None:
        raise InputError(
            f"{target}: a folder that holds {entries[0]} and no mark of geovq; allowed: {allowed}"
        )
    if mark.kind != kind:
        raise InputError(f"{target}: a geovq {mark.kind}; allowed: {allowed}")
    for name in sorted(set(entries) - {MARK_FILE, *mark.files}):
        raise InputError(
            f"{target}: a folder that holds {name}, which geovq did not write; allowed: {allowed}"
        )
    return target


def check_apart(output: PathLike, *inputs: PathLike) -> None:
    """Refuse an output that is, contains, or lies in an input.

    Raises
    ------
    InputError
        It does.
    """
    written = Path(os.path.realpath(output))
    for path in inputs:
        read = Path(os.path.realpath(path))
        if written.is_relative_to(read) or read.is_relative_to(written):
            where = (
                "the same as" if written == read else "in" if read in written.parents else "over"
            )
            raise InputError(f"{output}: {where} the input {path}; allowed: a place apart from it")


def check_growing(path: PathLike, kind: str) -> Path:
    """See that `path` is a folder of this kind to which files are added, or may become one.

    Arguments and what raises are as in `check_folder`.
    """
    target = Path(path)
    mark = folder_mark(target)
    return target if mark is not None and mark.kind == kind else check_folder(path, kind)


def _checked(path: PathLike, allowed: str) -> Path:
    """A path whose place can be written in, as far as can be told."""
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(f"path = {text!r}; allowed: {allowed}")
    target = Path(text)
    if text.startswith("~"):
        raise InputError(f"{text}: `~` is not expanded; allowed: Path(...).expanduser()")
    _mode(target)  # too long a name, a file in place of a folder
    above = next((p for p in target.absolute().parents if _mode(p)), target)
    if not above.is_dir():
        raise InputError(f"{target}: {above} is no folder; allowed: {allowed}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{target}: nothing can be written in {above}; allowed: {allowed}")
    return target


def _mode(path: Path) -> int:
    """Type and permissions, of a link itself; 0 where there is nothing."""
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0
    except NotADirectoryError:
        raise InputError(
            f"{path}: a path through what is no folder; allowed: one of folders"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; allowed: another path") from None


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a file" if stat.S_ISREG(mode) else "a device, a pipe or a socket"
