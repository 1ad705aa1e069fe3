"""Folders of pictures: read them as one array, write an array as PNG files."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from geovq.data.pictures import pixels, stored_size
from geovq.data.pixels import SIDE, as_colour
from geovq.data.survey import SUFFIXES, survey
from geovq.errors import InputError
from geovq.files.reading import free_memory, gigabytes
from geovq.files.writing import new_folder

__all__ = [
    "KIND",
    "RECURSIVE",
    "SIZE",
    "SUFFIXES",
    "Pictures",
    "checked_size",
    "load_folder",
    "load_pictures",
    "save_folder",
]

KIND = "folder of pictures"  # in its mark
LARGEST = 10_000  # pixels of a side that pictures are brought to
# Options by which more can be read, as messages name them.
SIZE = "--size WIDTHxHEIGHT (in Python size=(width, height))"
RECURSIVE = "--recursive (in Python recursive=True)"


class Pictures(NamedTuple):
    """The pictures of a folder.

    Attributes
    ----------
    images : ndarray of shape (N, H, W), or of (N, H, W, 3) if any picture has colour; uint8
    names : list of str of length N
        Of the files below the folder, without suffix: `a`, or `cat/a`.
    labels : ndarray of shape (N,), int64, or None
        Places in `classes`.
    classes : list of str
        Sub-folders that the pictures lie in, sorted.
    """

    images: np.ndarray
    names: list[str]
    labels: np.ndarray | None
    classes: list[str]


def load_folder(
    folder: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    recursive: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """Read the images (N, H, W) or (N, H, W, 3), uint8, and the N names of `load_pictures`."""
    return _load(folder, size, recursive)[:2]


def load_pictures(
    folder: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    recursive: bool = False,
) -> Pictures:
    """Read the pictures of a folder, sorted by name and turned as their EXIF data says.

    Their suffix is .png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp or .gif. A folder without any, but
    with sub-folders that have some, is read as torchvision's `ImageFolder` reads it: sub-folders
    are classes, sorted by name and numbered from 0. Hidden files and those that systems leave
    behind are passed over. What else is passed over is told: files of other kinds, and pictures
    farther down.

    Parameters
    ----------
    folder : path-like
    size : int or (int, int), optional
        Width and height, or both at once, as Pillow has them. Every picture is brought to it by
        `PIL.ImageOps.fit`: resized until it covers the size, and its middle cut out.
    recursive : bool
        Whether pictures are read from all sub-folders, however deep; the class of one is the first
        sub-folder on the way to it. There are no classes if some lie in the folder itself.

    Returns
    -------
    Pictures

    Raises
    ------
    InputError
        There is no picture, or more pictures would be passed over than read; two have one name; one
        is no regular file, cannot be read, has transparency, several frames or more than 8 bits a
        channel, or, without `size`, differs in size; the message names the file. Or all do not fit
        into memory, or the size is none.

    Warns
    -----
    UserWarning
        Something that is not hidden is passed over.
    """
    return _load(folder, size, recursive)


def _load(
    folder: str | os.PathLike[str], size: int | tuple[int, int] | None, recursive: bool
) -> Pictures:
    fitted, found = checked_size(size), survey(Path(folder), recursive)
    files, kinds = found.files, f"files *{', *'.join(SUFFIXES)}"
    deeper = f"; {RECURSIVE} reads sub-folders to any depth" if found.below else ""
    if found.pictures > len(files):
        raise InputError(
            f"{folder}: {len(files)} pictures to read, but {found}; allowed: a folder of pictures, "
            f"{kinds}, none of them in sub-folders{deeper}"
        )
    if not files:
        raise InputError(f"{folder}: no picture in it; allowed: {kinds}")
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
    classes, labels = np.unique([name.partition("/")[0] for name in names], return_inverse=True)
    in_classes = all("/" in name for name in names)
    if str(found):
        where = " in its sub-folders" if in_classes else " in the folder itself"
        warnings.warn(
            f"{folder}: {len(files)} pictures read; passed over {found}; only {kinds}"
            f"{'' if recursive else where} are read{deeper}",
            stacklevel=3,
        )
    (name, most), *_ = Counter(names).most_common(1)
    if most > 1:
        raise InputError(f"{folder}: {most} pictures are called {name}; allowed: one")
    _check_sizes(folder, files, fitted)
    images = _read(files, fitted)
    return Pictures(images, names, *((labels, classes.tolist()) if in_classes else (None, [])))


def checked_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Width and height of pictures, of which one may stand for both.

    Raises
    ------
    InputError
        They are no such.
    """
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else size
    whole = isinstance(sides, tuple | list) and all(type(side) is int for side in sides)
    if whole and len(sides) == 2 and min(sides) >= SIDE and max(sides) <= LARGEST:
        return sides[0], sides[1]
    raise InputError(
        f"size = {size!r}; allowed: a side, or width and height, of {SIDE} to {LARGEST:,} pixels"
    )


def _check_sizes(
    folder: str | os.PathLike[str], files: Sequence[Path], size: tuple[int, int] | None
) -> None:
    """Look at every picture before the first is decoded; sides may yet be swapped by a turn."""
    first = stored_size(files[0])
    each = size or first
    needed = 3 * each[0] * each[1] * len(files)
    if needed > free_memory():
        raise InputError(
            f"{folder}: {len(files)} pictures of {_text(each)} pixels take "
            f"{gigabytes(needed)}; allowed: at most {gigabytes(free_memory())}, what is free"
        )
    for path in tqdm(files, desc="looking", mininterval=1):
        stored = stored_size(path)
        if size is None and sorted(stored) != sorted(first):
            raise _differs(path, stored, files[0], first)


def _read(files: Sequence[Path], size: tuple[int, int] | None) -> np.ndarray:
    first = pixels(files[0], size)
    images = np.empty((len(files), *first.shape), np.uint8)
    for i, path in enumerate(tqdm(files, desc="reading", mininterval=1)):
        image = pixels(path, size)
        if image.shape[:2] != first.shape[:2]:
            raise _differs(path, image.shape[1::-1], files[0], first.shape[1::-1])
        if image.ndim > images.ndim - 1:  # the first with colour
            images = as_colour(images)
        images[i] = image if image.ndim == images.ndim - 1 else image[..., None]
    return images


def _differs(path: Path, size: tuple[int, ...], other: Path, others: tuple[int, ...]) -> InputError:
    return InputError(
        f"{path}: {_text(size)} pixels, but {other.name} has {_text(others)}; allowed: one size; "
        f"{SIZE} brings all to one"
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
