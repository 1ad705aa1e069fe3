"""Folders of pictures: read them as one array, write an array as PNG files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from geovq.data import as_colour
from geovq.errors import InputError
from geovq.writing import new_folder

__all__ = ["KIND", "SUFFIXES", "load_folder", "save_folder"]

KIND = "folder of pictures"  # in its mark
SUFFIXES = (".png", ".jpg", ".jpeg")


def load_folder(folder: str | os.PathLike[str]) -> tuple[np.ndarray, list[str]]:
    """Read the pictures of a folder, sorted by name; other files are passed over.

    Returns
    -------
    images : ndarray of shape (N, H, W), or of (N, H, W, 3) if any picture has colour; uint8
    names : list of str of length N
        Of the files, without suffix.

    Raises
    ------
    InputError
        There is no picture, two have one name, or one cannot be read, has transparency or more
        than 8 bits a channel, or differs in size; the message names the file.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{folder}: no picture in it; allowed: files *{', *'.join(SUFFIXES)}")
    (name, most), *_ = Counter(path.stem for path in files).most_common(1)
    if most > 1:
        raise InputError(f"{folder}: {most} pictures are called {name}; allowed: one")
    first = _pixels(files[0])
    images = np.empty((len(files), *first.shape), np.uint8)
    for i, path in enumerate(tqdm(files, desc="reading", mininterval=1)):
        image = _pixels(path)
        if image.shape[:2] != first.shape[:2]:
            raise InputError(
                f"{path}: {_size(image)} pixels, but {files[0].name} has {_size(first)}; "
                "allowed: one size"
            )
        if image.ndim > images.ndim - 1:  # the first with colour
            images = as_colour(images)
        images[i] = image if image.ndim == images.ndim - 1 else image[..., None]
    return images, [path.stem for path in files]


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} × {image.shape[0]}"


def _pixels(path: Path) -> np.ndarray:
    """One picture as (H, W) uint8, or (H, W, 3) if its channels differ anywhere."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.mode in ("1", "L"):
                return np.asarray(picture.convert("L"))
            if picture.mode not in ("LA", "P", "PA", "RGB", "RGBA"):
                raise InputError(
                    f"{path}: pixels of kind {picture.mode}; allowed: 8-bit grey or colour"
                )
            whole = np.asarray(picture.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path}: not a whole picture ({error})") from None
    colour, alpha = whole[..., :3], whole[..., 3]
    if alpha.min() < 255:
        raise InputError(f"{path}: a picture with transparent pixels; allowed: without")
    return colour if (colour != colour[..., :1]).any() else colour[..., 0]


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
