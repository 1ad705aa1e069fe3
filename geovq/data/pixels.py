"""Images that somebody hands in: made 8 bits deep, or refused with what would put them right.

Only what can be read in one way is taken. A float in [0, 255], channels that come first, a mask of
0 and 1 are probably meant otherwise: an error or a warning says so.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike

from geovq.errors import InputError
from geovq.files.reading import plain

__all__ = ["as_8_bit", "as_colour", "channels_last"]

SIDE = 8  # pixels, at least
FIRST = "--channels first (in Python channels='first')"
DARK = 32  # of 255: images without anything brighter are probably of fewer bits


def as_8_bit(images: ArrayLike, name: str = "images", *, fitting: bool = True) -> np.ndarray:
    """Images as uint8; floats in [0, 1] are rounded to 8 bits, truth values are black and white.

    Parameters
    ----------
    images : array-like of shape (N, H, W) or (N, H, W, 3), uint8, float or bool
    name : str
        For error messages.
    fitting : bool
        Whether a model is to be fitted to them. Of images that are encoded only, and may be few,
        nothing is guessed from their number, and nearly black ones are not refused.

    Returns
    -------
    ndarray of the same shape, uint8

    Raises
    ------
    InputError
        Another shape or type, sides below 8, floats outside [0, 1], masked values; or no value
        above 1 of 255, as of masks that are 0 and 1; or a last axis so long that it must be N.

    Warns
    -----
    UserWarning
        No value is above 31 of 255, or the last axis is so long that it may be N.
    """
    array = plain(images, name)
    where = f"{name} of shape {array.shape}, {array.dtype}"
    shaped = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
    if not shaped or len(array) == 0 or min(array.shape[1:3]) < SIDE:
        raise InputError(
            f"{where}; allowed: grey (N, H, W) or colour (N, H, W, 3), with H and W at least {SIDE}"
            f"{_shape_hint(array.shape)}"
        )
    if fitting and array.ndim == 3:
        _check_order(where, *array.shape)
    if array.dtype == bool:
        return np.where(array, np.uint8(255), np.uint8(0))
    if np.issubdtype(array.dtype, np.floating):
        pixels = _rounded(array, where)
    elif array.dtype == np.uint8:
        pixels = array
    else:
        raise InputError(f"{where}; allowed: uint8, or floats in [0, 1]{_integer_hint(array)}")
    brightest = int(pixels.max())
    if 0 < brightest < DARK:
        once = "divided by 255 twice?" if pixels is not array else f"× {255 // brightest}?"
        text = f"{where}: no value above {brightest} of 255, so nearly black ({once})"
        if fitting and brightest == 1:
            raise InputError(f"{text}; allowed: 255 for white, or floats up to 1")
        warnings.warn(f"{text}; white is 255, or 1 as a float", stacklevel=2)
    return pixels


def channels_last(images: ArrayLike, name: str, channels: str) -> np.ndarray:
    """Images as `as_8_bit` takes them, whose channels may come first.

    Parameters
    ----------
    images : array-like of shape (N, 3, H, W) or (N, 1, H, W) with channels first
    name : str
        For error messages.
    channels : {'last', 'first'}
        With the former, images stay as they are.

    Returns
    -------
    ndarray of shape (N, H, W, 3) or (N, H, W)

    Raises
    ------
    InputError
        Another shape, or no such place of the channels.
    """
    if channels not in ("last", "first"):
        raise InputError(f"channels = {channels!r}; allowed: 'last', 'first'")
    array = plain(images, name)
    if channels == "last":
        return array
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        last = "; these come last" if array.ndim == 4 and array.shape[3] == 3 else ""
        raise InputError(
            f"{name} of shape {array.shape}, {array.dtype}; allowed with channels first: grey "
            f"(N, 1, H, W) or colour (N, 3, H, W){last}"
        )
    return array[:, 0] if array.shape[1] == 1 else np.moveaxis(array, 1, -1)


def _check_order(where: str, count: int, height: int, width: int) -> None:
    """Whether (N, H, W) might be (H, W, N)."""
    how = "np.moveaxis(images, -1, 0)"
    if width >= 64 * max(count, height):
        raise InputError(f"{where}; allowed: (N, H, W), and here the last axis must be N: {how}")
    if width >= 4 * max(count, height):
        warnings.warn(f"{where}, read as (N, H, W); if the last axis is N: {how}", stacklevel=3)


def _rounded(images: np.ndarray, where: str) -> np.ndarray:
    finite = np.isfinite(images)
    if not finite.all():
        raise InputError(f"{where}: {(~finite).sum()} values are NaN or infinite")
    low, high = images.min(), images.max()
    if low < 0 or high > 1:
        if low >= -0.1 and high <= 1.1:
            hint = "images.clip(0, 1)"
        elif low >= -1 and high <= 1:
            hint = "(images + 1) / 2"
        elif low < 0:
            hint = "undo what made them negative"
        else:
            hint = f"images / {255 if 16 < high <= 255 else 'the largest value there can be'}"
        raise InputError(
            f"{where}: values in [{low:g}, {high:g}]; allowed: floats in [0, 1], or uint8; {hint}"
        )
    return np.rint(images * np.float32(255)).astype(np.uint8)


def _shape_hint(shape: tuple[int, ...]) -> str:
    """What to do with an array of images that is shaped in another common way."""
    hint = ""
    match shape:
        case (_, _, _, 1 | 2):
            hint = "images[..., 0] is grey"
        case (_, _, _, 4):
            hint = "images[..., :3] is without alpha"
        case (_, 1, _, _):
            hint = f"images[:, 0] is grey, or {FIRST}"
        case (_, 3, _, _):
            hint = f"channels come last: np.moveaxis(images[:, :3], 1, -1), or {FIRST}"
        case (_, 4, _, _):
            hint = "channels come last: np.moveaxis(images[:, :3], 1, -1)"
        case (_, _, 3 | 4):
            hint = "one picture? images[None]"
        case (height, pixels):
            if height == pixels:
                hint = "one picture? images[None]"
            elif (side := math.isqrt(pixels)) ** 2 == pixels and side >= SIDE:
                hint = f"flattened? images.reshape(-1, {side}, {side})"
            elif (side := math.isqrt(pixels // 3)) ** 2 * 3 == pixels and side >= SIDE:
                hint = f"flattened? images.reshape(-1, {side}, {side}, 3)"
            elif min(height, pixels) >= SIDE:
                hint = "flattened? images.reshape(-1, H, W); one picture? images[None]"
    return f"; {hint}" if hint else ""


def _integer_hint(images: np.ndarray) -> str:
    if images.dtype.kind not in "iu":
        return ""
    low, high = images.min(), images.max()
    how = "images / the largest value there can be"
    if 0 <= low <= high <= 1:
        how = "images.astype(bool)"
    elif 0 <= low <= high <= 255:
        how = "images.astype('uint8')"
    return f"; values in [{low}, {high}]: {how}"


def as_colour(images: np.ndarray) -> np.ndarray:
    """Grey images (N, H, W) as colour ones of three equal channels, (N, H, W, 3)."""
    return np.repeat(images[..., None], 3, axis=3)
