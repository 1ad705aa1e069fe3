"""One picture: looked at before it is decoded, then turned as it is meant to be seen."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geovq.errors import InputError
from geovq.files.reading import one_line, open_regular

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["pixels", "stored_size"]

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
MANY, DENSEST = 4_000_000, 2000  # pixels in all, and a byte: a blank A4 page as PNG has 1,225
DEEP = re.compile(r";16[BLN]")  # in how Pillow decodes 16 bits a channel, of which it keeps 8


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """A picture whose pixels are not read yet; whatever Pillow raises at it names the file."""
    from PIL import Image, UnidentifiedImageError

    with open_regular(path, "picture") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(stream, formats=FORMATS) as picture:
                yield picture
        except InputError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise InputError(
                f"{path}: more pixels than can be meant; allowed: {Image.MAX_IMAGE_PIXELS:,}"
            ) from None
        except UnidentifiedImageError:
            raise InputError(
                f"{path}: not a whole picture (nothing in it begins a {', '.join(FORMATS)})"
            ) from None
        # Decoders raise what comes: struct.error, SyntaxError, EOFError, MemoryError, OSError, ...
        except Exception as error:
            raise InputError(f"{path}: not a whole picture ({one_line(error)})") from None


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height as they are stored, before any turn, of a picture that can be read.

    Raises
    ------
    InputError
        The file is no picture, claims more pixels than there can be in it, has several frames,
        transparency, or more than 8 bits a channel.
    """
    with _opened(path) as picture:
        (width, height), size = picture.size, path.stat().st_size
        if width * height > max(MANY, DENSEST * size):
            raise InputError(
                f"{path}: {width} × {height} pixels in {size} bytes; allowed: {DENSEST} a byte"
            )
        if getattr(picture, "is_animated", False) and picture.format != "MPO":  # a photograph
            raise InputError(f"{path}: a picture of several frames; allowed: one")
        if picture.mode not in MODES:
            raise InputError(
                f"{path}: pixels of kind {picture.mode}; allowed: 8-bit grey or colour"
            )
        if DEEP.search(str(picture.tile)):
            raise InputError(f"{path}: 16 bits a channel; allowed: 8-bit grey or colour")
        if picture.mode in ("1", "L", "RGB") and "transparency" in picture.info:
            raise InputError(f"{path}: a picture with a transparent colour; allowed: without")
        if picture.format == "PNG":  # its checksums, which decoding does not compare
            picture.verify()
        return width, height


def pixels(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """A picture that `stored_size` has passed, as it is meant to be seen.

    Parameters
    ----------
    path : Path
    size : (int, int), optional
        Width and height: resized until it covers them, its middle is cut out.

    Returns
    -------
    ndarray of shape (H, W), or (H, W, 3) if its channels differ anywhere; uint8

    Raises
    ------
    InputError
        It is not whole, or pixels of it are transparent.
    """
    from PIL import Image, ImageOps

    with _opened(path) as picture:
        ImageOps.exif_transpose(picture, in_place=True)
        grey = picture.mode in ("1", "L")
        whole = np.asarray(picture.convert("L" if grey else "RGBA"))
    if not grey:
        colour, alpha = whole[..., :3], whole[..., 3]
        if alpha.min() < 255:
            raise InputError(f"{path}: a picture with transparent pixels; allowed: without")
        whole = colour if (colour != colour[..., :1]).any() else colour[..., 0]
    return whole if size is None else np.asarray(ImageOps.fit(Image.fromarray(whole), size))
