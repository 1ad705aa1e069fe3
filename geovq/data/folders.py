"""Folders of pictures: read them as one array, write an array as PNG files."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from geovq.data.pictures import pixels, stored_size
from geovq.data.pixels import as_colour
from geovq.errors import InputError
from geovq.files.reading import free_memory, gigabytes
from geovq.files.writing import new_folder

__all__ = ["KIND", "SUFFIXES", "load_folder", "save_folder"]

KIND = "folder of pictures"  # in its mark
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
UNREAD = (".apng", ".arw", ".avif", ".cr2", ".cr3", ".dib", ".dng", ".heic", ".heif", ".ico",
          ".j2k", ".jfif", ".jp2", ".jpe", ".jxl", ".nef", ".orf", ".pbm", ".pcx", ".pgm", ".pnm",
          ".ppm", ".psd", ".raw", ".svg", ".tga", ".xcf")  # fmt: skip
QUIET = ("desktop.ini", "geovq.json", "thumbs.db")  # beside whatever begins with a dot
FOLDERS = 1000  # below the one that is read, looked into at most


def load_folder(folder: str | os.PathLike[str]) -> tuple[np.ndarray, list[str]]:
    """Read the pictures of a folder, sorted by name and turned as their EXIF data says.

    Their suffix is .png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp or .gif. Hidden files and
    those that systems leave behind are passed over. What else is passed over is told: files of
    other kinds, and sub-folders with pictures in them.

    Returns
    -------
    images : ndarray of shape (N, H, W), or of (N, H, W, 3) if any picture has colour; uint8
    names : list of str of length N
        Of the files, without suffix.

    Raises
    ------
    InputError
        There is no picture, or more pictures would be passed over than read; two have one name; one
        is no regular file, cannot be read, has transparency, several frames or more than 8 bits a
        channel, or differs in size; the message names the file. Or all do not fit into memory.

    Warns
    -----
    UserWarning
        Something that is not hidden is passed over.
    """
    found = _survey(Path(folder))
    files = found.files
    if found.pictures > len(files):
        raise InputError(
            f"{folder}: {len(files)} pictures to read, but {found}; allowed: a folder of pictures, "
            f"files *{', *'.join(SUFFIXES)}, none of them in sub-folders"
        )
    if not files:
        raise InputError(f"{folder}: no picture in it; allowed: files *{', *'.join(SUFFIXES)}")
    if str(found):
        warnings.warn(
            f"{folder}: {len(files)} pictures read; passed over {found}; only files "
            f"*{', *'.join(SUFFIXES)} in the folder itself are read",
            stacklevel=2,
        )
    (name, most), *_ = Counter(path.stem for path in files).most_common(1)
    if most > 1:
        raise InputError(f"{folder}: {most} pictures are called {name}; allowed: one")
    _check_sizes(files)
    return _read(files), [path.stem for path in files]


class _Found(NamedTuple):
    """What there is in a folder."""

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


def _survey(folder: Path) -> _Found:
    """Sort a folder's entries; no file is opened."""
    try:
        entries = sorted(path for path in folder.iterdir() if _shown(path.name))
    except OSError as error:
        raise InputError(f"{folder}: no folder that can be read ({error.strerror})") from None
    found = _Found([], Counter(), Counter())
    for path in entries:
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            found.files.append(path)
        elif not path.is_dir():
            found.others[suffix or "no suffix"] += 1
        elif count := _pictures_below(path):
            found.below[path.name] = count
    return found


def _shown(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in QUIET


def _pictures_below(folder: Path) -> int:
    count = 0
    for _, folders, names in islice(os.walk(folder), FOLDERS):
        folders[:] = filter(_shown, folders)
        suffixes = (os.path.splitext(name)[1].lower() for name in names if _shown(name))
        count += sum(suffix in (*SUFFIXES, *UNREAD) for suffix in suffixes)
    return count


def _check_sizes(files: Sequence[Path]) -> None:
    """Look at every picture before the first is decoded; sides may yet be swapped by a turn."""
    first = stored_size(files[0])
    needed = 3 * first[0] * first[1] * len(files)
    if needed > free_memory():
        raise InputError(
            f"{files[0].parent}: {len(files)} pictures of {_text(first)} pixels take "
            f"{gigabytes(needed)}; allowed: at most {gigabytes(free_memory())}, what is free"
        )
    for path in tqdm(files, desc="looking", mininterval=1):
        size = stored_size(path)
        if sorted(size) != sorted(first):
            raise _differs(path, size, files[0], first)


def _read(files: Sequence[Path]) -> np.ndarray:
    first = pixels(files[0])
    images = np.empty((len(files), *first.shape), np.uint8)
    for i, path in enumerate(tqdm(files, desc="reading", mininterval=1)):
        image = pixels(path)
        if image.shape[:2] != first.shape[:2]:
            raise _differs(path, image.shape[1::-1], files[0], first.shape[1::-1])
        if image.ndim > images.ndim - 1:  # the first with colour
            images = as_colour(images)
        images[i] = image if image.ndim == images.ndim - 1 else image[..., None]
    return images


def _differs(path: Path, size: tuple[int, ...], other: Path, others: tuple[int, ...]) -> InputError:
    return InputError(
        f"{path}: {_text(size)} pixels, but {other.name} has {_text(others)}; allowed: one size"
    )


def _text(size: tuple[int, ...]) -> str:
    return f"{size[0]} × {size[1]}"


def save_folder(
    folder: str | os.PathLike[str], images: np.ndarray, names: Sequence[str] | None = None
) -> None:
    """Write each image as NAME.png into a folder that is there when it is whole.

    Parameters
    ----------
    folder : path-like
        New, or of pictures that geovq wrote, which is replaced.
    images : ndarray of shape (N, H, W) or (N, H, W, 3), uint8
    names : sequence of str of length N, optional
        Numbers by default.

    Raises
    ------
    InputError
        The folder holds anything else, or names are not N different ones.
    WriteError
        The system refused to write; what was there is as it was.
    """
    from PIL import Image

    if names is None:
        names = [f"{i:0{len(str(len(images) - 1))}}" for i in range(len(images))]
    # The last part only: a name out of a file must not lead elsewhere.
    names = [Path(name).name for name in names]
    if len(set(names)) != len(images) or len(names) != len(images) or not all(names):
        raise InputError(f"names = {len(set(names))} different; allowed: {len(images)}")
    with new_folder(folder, KIND) as partial:
        for name, image in tqdm(zip(names, images, strict=True), "writing", len(images)):
            Image.fromarray(image).save(partial / f"{name}.png")
