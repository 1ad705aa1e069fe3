"""Arrays that somebody hands in: images, latents, labels; what is probably meant otherwise is told.

Only what can be read in one way is taken. Whatever else there is, a float in [0, 255], channels
that come first, a mask of 0 and 1, ends in an error or a warning that says how to put it right.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike

from geovq._reading import one_line
from geovq.errors import InputError

__all__ = ["as_8_bit", "as_colour", "as_labels", "as_latents", "as_points"]

SIDE = 8  # pixels, at least
DARK = 32  # of 255: images without anything brighter are probably of fewer bits
LOG_VARIANCE = 50  # at most, and at least its negative: no more than exp can bear being squared
WIDE = 1000  # times the median of the other columns


def _plain(value: ArrayLike, name: str) -> np.ndarray:
    """As an array, and nothing lost on the way."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise InputError(
            f"{name}: {np.ma.getmaskarray(value).sum()} values are masked; allowed: none: fill "
            "them, or leave their rows out"
        )
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: {one_line(error)}; allowed: an array of numbers") from None


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
        No value is above 31 of 255.
    """
    array = _plain(images, name)
    where = f"{name} of shape {array.shape}, {array.dtype}"
    shaped = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
    if not shaped or len(array) == 0 or min(array.shape[1:3]) < SIDE:
        raise InputError(
            f"{where}; allowed: grey (N, H, W) or colour (N, H, W, 3), with H and W at least {SIDE}"
            f"{_shape_hint(array.shape)}"
        )
    if fitting and array.ndim == 3 and array.shape[2] >= 4 * max(array.shape[:2]):
        raise InputError(
            f"{where}; allowed: (N, H, W), and here the last axis seems to be N: "
            "np.moveaxis(images, -1, 0)"
        )
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
            hint = "images[:, 0] is grey"
        case (_, 3 | 4, _, _):
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


def as_points(points: ArrayLike, name: str = "points") -> np.ndarray:
    """Rows of numbers as float64.

    Parameters
    ----------
    points : array-like of shape (N, D), integer or float
    name : str
        For error messages.

    Returns
    -------
    ndarray of shape (N, D), float64

    Raises
    ------
    InputError
        Another shape or type (truth values, complex, text, times, objects), masked values, or NaN.
    """
    array = _plain(points, name)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} of dtype {array.dtype}; allowed: integers or floats")
    if array.ndim != 2 or 0 in array.shape:
        more = f"; {name}.reshape(len({name}), -1)" if array.ndim > 2 else ""
        raise InputError(f"{name} of shape {array.shape}; allowed: (N, D){more}")
    with np.errstate(over="ignore"):  # what only a long double can hold becomes infinite
        array = np.asarray(array, np.float64)
    finite = np.isfinite(array)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InputError(
            f"{name}: {(~finite).sum()} values are NaN or infinite, the first in row {row}, column "
            f"{column}; allowed: finite numbers"
        )
    return array


def as_latents(
    means: ArrayLike, log_variances: ArrayLike | None = None, *, fitting: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Posterior means and log-variances as float64.

    Parameters
    ----------
    means : array-like of shape (N, D), integer or float
    log_variances : array-like of shape (N, D), optional
        Natural logarithms of variances.
    fitting : bool
        Whether a model is to be fitted to them; if not, nothing is guessed from few.

    Returns
    -------
    means, log_variances : ndarray of shape (N, D), float64
        The latter None if there were none.

    Raises
    ------
    InputError
        As from `as_points`; or the shapes differ, or a log-variance lies outside [-50, 50].

    Warns
    -----
    UserWarning
        All log-variances are above 0, as variances are; or few columns of the means are more than
        1,000 times as wide, or reach 1,000 times as far, as the median of the others.
    """
    points = as_points(means, "means")
    spread = None if log_variances is None else as_points(log_variances, "log_variances")
    if spread is not None:
        if spread.shape != points.shape:
            raise InputError(
                f"log_variances of shape {spread.shape}; allowed: {points.shape}, that of means"
            )
        low, high = spread.min(), spread.max()
        if max(-low, high) > LOG_VARIANCE:
            how = ": variances? np.log makes logarithms of them" if low > 0 else ""
            raise InputError(
                f"log_variances in [{low:g}, {high:g}]; allowed: [{-LOG_VARIANCE}, {LOG_VARIANCE}]"
                f"{how}"
            )
        if fitting and low > 0:
            warnings.warn(
                f"log_variances in [{low:g}, {high:g}], all above 0: if they are variances, take "
                "np.log of them, if standard deviations, twice that",
                stacklevel=2,
            )
    if fitting:
        _tell_wide_columns(points)
    return points, spread


def _tell_wide_columns(points: np.ndarray) -> None:
    """Warn of columns beside which distances see little else."""
    if points.shape[1] == 1:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = {"are": points.std(0), "reach": np.abs(points).max(0)}
    for verb, size in sizes.items():
        others = np.array([np.median(np.delete(size, column)) for column in range(len(size))])
        wide = np.flatnonzero((size > WIDE * others) & (others > 0))
        if 0 < len(wide) <= max(1, len(size) // 4):  # not: a few live columns among dead ones
            which = "column " if len(wide) == 1 else "columns "
            warnings.warn(
                f"means: {which}{', '.join(map(str, wide))} {verb} more than {WIDE} times as "
                f"{'wide' if verb == 'are' else 'far'} as the others' median, and distances see "
                "little else: bring columns to one scale, or leave out what is no latent",
                stacklevel=3,
            )
            return


def as_labels(labels: ArrayLike, count: int, name: str = "labels") -> np.ndarray:
    """Classes renumbered from 0, in their order.

    Parameters
    ----------
    labels : array-like of shape (N,), integer, bool or text
    count : int
        N, of the images.
    name : str
        For error messages.

    Returns
    -------
    ndarray of shape (N,), int64

    Raises
    ------
    InputError
        Another shape or type, or masked values.

    Warns
    -----
    UserWarning
        More than half as many classes as images.
    """
    array = _plain(labels, name)
    if array.shape != (count,) or array.dtype.kind not in "iubUS":
        raise InputError(
            f"{name} of shape {array.shape}, {array.dtype}; allowed: ({count},) integers or text"
            f"{_label_hint(array)}"
        )
    classes, numbers = np.unique(array, return_inverse=True)
    if 2 * len(classes) > count:
        warnings.warn(
            f"{name}: {len(classes)} classes for {count} images, too many to be learnt; if they "
            "number the images, leave them out",
            stacklevel=2,
        )
    return numbers.astype(np.int64)


def _label_hint(labels: np.ndarray) -> str:
    number = labels.dtype.kind in "biuf"
    if labels.ndim == 2 and labels.shape[1] == 1:
        return "; labels[:, 0]"
    if labels.ndim == 2 and number and ((labels != 0).sum(1) == 1).all():
        return "; one-hot? labels.argmax(1)"
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        return f"; {(~np.isfinite(labels)).sum()} are NaN or infinite"
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        return "; labels.astype(int)"
    return "; labels.astype(str)" if labels.dtype.kind == "O" else ""
