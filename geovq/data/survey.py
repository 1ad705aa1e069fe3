"""What there is in a folder: pictures to read, and what is passed over; no file is opened."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from geovq.errors import InputError

__all__ = ["SUFFIXES", "Found", "survey"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
UNREAD = (".apng", ".arw", ".avif", ".cr2", ".cr3", ".dib", ".dng", ".heic", ".heif", ".ico",
          ".j2k", ".jfif", ".jp2", ".jpe", ".jxl", ".nef", ".orf", ".pbm", ".pcx", ".pgm", ".pnm",
          ".ppm", ".psd", ".raw", ".svg", ".tga", ".xcf")  # fmt: skip
QUIET = ("desktop.ini", "geovq.json", "thumbs.db")  # beside whatever begins with a dot
FOLDERS = 1000  # below the one that is read, looked into at most


class Found(NamedTuple):
    """What there is in a folder.

    Attributes
    ----------
    files : list of Path
        Pictures to read.
    below : Counter
        Pictures that are passed over, by the sub-folder they lie in.
    others : Counter
        Files of other kinds, by suffix.
    """

    files: list[Path]
    below: Counter[str]
    others: Counter[str]

    @property
    def pictures(self) -> int:
        """Pictures that are passed over."""
        return self.below.total() + sum(self.others[suffix] for suffix in UNREAD)

    def __str__(self) -> str:
        """All that is passed over."""
        parts = []
        if self.below:
            parts.append(f"{self.below.total()} in sub-folders ({_some(self.below)})")
        if self.others:
            parts.append(f"{self.others.total()} of other kinds ({_some(self.others)})")
        return " and ".join(parts)


def _some(names: Counter[str]) -> str:
    most = [name for name, _ in names.most_common(5)]
    return ", ".join(most if len(names) <= 5 else [*most, f"{len(names) - 5} more"])


def survey(folder: Path, recursive: bool) -> Found:
    """Find the pictures of a folder, or of its sub-folders if it has none itself.

    Parameters
    ----------
    folder : Path
    recursive : bool
        Whether they are those of all sub-folders, however deep.

    Raises
    ------
    InputError
        A folder cannot be read.
    """
    found = Found([], Counter(), Counter())
    left, seen = _sort(folder, found), {folder.resolve()}
    if recursive or not found.files:
        waiting, left = left, []
        while waiting:
            path = waiting.pop(0)
            if (place := path.resolve()) in seen:  # a link may lead back up
                continue
            seen.add(place)
            inside = _sort(path, found)
            if recursive:
                waiting[:0] = inside
            else:
                left += inside
    for path in left:
        if count := _pictures_below(path):
            found.below[path.relative_to(folder).as_posix()] = count
    return found


def _sort(folder: Path, found: Found) -> list[Path]:
    """Add a folder's files to what was found; its sub-folders are returned."""
    try:
        entries = sorted(path for path in folder.iterdir() if _shown(path.name))
    except OSError as error:
        raise InputError(f"{folder}: no folder that can be read ({error.strerror})") from None
    folders = []
    for path in entries:
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            found.files.append(path)
        elif path.is_dir():
            folders.append(path)
        else:
            found.others[suffix or "no suffix"] += 1
    return folders


def _shown(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in QUIET


def _pictures_below(folder: Path) -> int:
    count = 0
    for _, folders, names in islice(os.walk(folder), FOLDERS):
        folders[:] = filter(_shown, folders)
        suffixes = (os.path.splitext(name)[1].lower() for name in names if _shown(name))
        count += sum(suffix in (*SUFFIXES, *UNREAD) for suffix in suffixes)
    return count
