"""The one place where geovq writes: what it makes is whole or absent, and nobody else's is touched.

A file or folder is made under a temporary name beside its place, flushed to the disk, and renamed
when it is complete. What it replaces stands until then and is put back if the last step fails;
where the system can, the two change places in one step, so that even a kill leaves one of them.
A folder is replaced only if its mark, `geovq.json`, says that geovq wrote it and nothing else is in
it; nothing is ever removed recursively. Temporary names begin with `.geovq-partial-` and are locked
by the process that writes; the next write beside them takes away what a killed process has left.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from geovq.errors import WriteError
from geovq.files.marks import MARK_FILE, folder_mark, mark_text, seal
from geovq.files.places import PathLike, check_file, check_folder

try:
    import fcntl
except ImportError:  # no locks there: leftovers stay, for their writer may be alive
    fcntl = None  # type: ignore[assignment]

__all__ = ["PARTIAL", "discard", "new_file", "new_folder", "sweep"]

PARTIAL = ".geovq-partial-"  # temporary names; DVC is told to ignore them
MANY = 100  # files of a folder, flushed all together


@contextmanager
def new_file(
    path: PathLike, suffix: str, replaceable: Callable[[Path], bool] | None = None
) -> Iterator[BinaryIO]:
    """Give a binary stream whose content is the file `path` once the block ends without error.

    The stream can be read and sought too. Missing folders above are made. Arguments and what
    raises are as in `geovq.files.places.check_file`.

    Raises
    ------
    WriteError
        The system refused; what was there is as it was.
    """
    target = check_file(path, suffix, replaceable)
    with _told(target), _folder_for(target) as folder:
        partial, stream = _claimed(folder, _new_stream)
        with stream:
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                os.replace(partial, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(partial)
                raise
        _sync_folder(folder)


@contextmanager
def new_folder(path: PathLike, kind: str) -> Iterator[Path]:
    """Give a temporary folder that is the folder `path` once the block ends without error.

    The block makes plain files in it, no folders. Its mark, with the hash of each file, is added.
    Arguments and what raises are as in `geovq.files.places.check_folder`.

    Raises
    ------
    WriteError
        The system refused; what was there is as it was.
    """
    target = check_folder(path, kind)
    with _told(target), _folder_for(target) as folder, ExitStack() as stack:
        partial, opened = _claimed(folder, _OpenFolder)
        try:
            stack.callback(opened.close)
            _write_mark(partial, "partial")
            yield partial
            names = sorted(entry.name for entry in partial.iterdir() if entry.name != MARK_FILE)
            files = {name: _hash(partial / name, sync=len(names) < MANY) for name in names}
            if len(names) >= MANY:
                os.sync()  # one by one, thousands take most of the time
            _write_mark(partial, kind, files=files)
            _sync_folder(partial)
            check_folder(target, kind)  # again: much may have happened since
            replaced = _put(partial, target)
        except BaseException:
            with suppress(OSError):
                _remove(partial)
            raise
        if replaced is not None:
            with suppress(OSError):  # the next sweep tries again
                _remove(replaced)
        _sync_folder(folder)


def discard(path: PathLike, kind: str, suffix: str) -> None:
    """Remove a folder of this kind: its files of this suffix, and itself if that was all."""
    folder, mark = Path(path), folder_mark(path)
    if mark is None or mark.kind != kind:
        return
    sweep(folder)
    for entry in list(os.scandir(folder)):
        if entry.name.endswith(suffix) and entry.is_file(follow_symlinks=False):
            os.unlink(entry)
    if os.listdir(folder) == [MARK_FILE]:
        os.unlink(folder / MARK_FILE)
        folder.rmdir()


def sweep(folder: PathLike) -> None:
    """Take away what killed processes have left in a folder: partial files and folders, no other.

    Those of a process that is alive are locked, and stay.
    """
    if fcntl is None:
        return
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(PARTIAL) and not entry.is_symlink():
                with suppress(OSError):
                    _remove_unlocked(Path(entry.path))


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Turn what the system says into one line that names the target."""
    try:
        yield
    except OSError as error:
        reason = error.reason if isinstance(error, WriteError) else (error.strerror or str(error))
        raise WriteError(target, reason) from error


@contextmanager
def _folder_for(target: Path) -> Iterator[Path]:
    """The folder above, made if need be; what was made goes again if the block fails."""
    folder = target.parent
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        yield folder
    except BaseException:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        raise


def _put(partial: Path, target: Path) -> Path | None:
    """Rename a folder to its place; where it replaces one, give that one's new name."""
    if not target.exists() or not any(target.iterdir()):
        os.rename(partial, target)
        return None
    if _exchange(partial, target):
        return partial
    aside = target.with_name(f"{target.name[:200]}.before-{secrets.token_hex(4)}")
    try:
        os.rename(target, aside)  # not hidden: after a kill right here it is all there is
        os.rename(partial, target)
    except BaseException:
        if not target.exists() and aside.exists():
            os.rename(aside, target)
        raise
    return aside


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names in one step; false where the system or disk cannot."""
    if os.name != "posix":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    if sys.platform == "darwin":
        done = libc.renamex_np(*names, 2)  # RENAME_SWAP
    elif hasattr(libc, "renameat2"):
        done = libc.renameat2(-100, names[0], -100, names[1], 2)  # AT_FDCWD, RENAME_EXCHANGE
    else:
        return False
    if done and (number := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(number, os.strerror(number))
    return done == 0


def _remove(folder: Path) -> None:
    """Remove a folder of ours: the files that it says it holds, and itself if that was all."""
    mark = folder_mark(folder)
    if mark is None:
        sweep(folder)  # the mark itself may be half written
    else:
        partial = mark.kind == "partial"
        names = [entry.name for entry in folder.iterdir()] if partial else [*mark.files, MARK_FILE]
        for name in sorted(names, key=lambda name: name == MARK_FILE):  # the mark goes last
            with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                os.unlink(folder / name)
    folder.rmdir()


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            _remove(path)
        elif stat.S_ISREG(mode):
            os.unlink(path)
    finally:
        os.close(descriptor)


Made = TypeVar("Made", bound="BinaryIO | _OpenFolder")


class _OpenFolder:
    """A new folder, open as long as it is locked."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        try:
            self.descriptor = os.open(path, os.O_RDONLY)
        except BaseException:
            path.rmdir()
            raise

    def fileno(self) -> int:
        return self.descriptor

    def close(self) -> None:
        os.close(self.descriptor)


def _new_stream(path: Path) -> BinaryIO:
    return open(path, "x+b")


def _claimed(folder: Path, make: Callable[[Path], Made]) -> tuple[Path, Made]:
    """Make something under a temporary name, locked for as long as the process has it open."""
    for _ in range(100):
        path = folder / f"{PARTIAL}{secrets.token_hex(8)}"
        made = make(path)
        if fcntl is not None:
            with suppress(OSError):  # a disk without locks has no sweep either
                fcntl.flock(made.fileno(), fcntl.LOCK_EX)
        if path.exists():
            return path, made
        made.close()  # swept away before it was locked
    raise OSError(f"{folder}: temporary files vanish")


def _write_mark(folder: Path, kind: str, **more: Any) -> None:
    with new_file(folder / MARK_FILE, ".json") as stream:
        stream.write(mark_text(kind, **more).encode() + b"\n")
        seal(stream)


def _hash(path: Path, *, sync: bool) -> str:
    with open(path, "rb") as stream:
        if sync:
            os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Flush names to the disk; some cannot, and what was written is whole all the same."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
