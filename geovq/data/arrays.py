"""Latents and labels that somebody hands in; what is probably meant otherwise is told."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from geovq.errors import InputError
from geovq.files.reading import plain

__all__ = ["as_labels", "as_latents", "as_points"]

LOG_VARIANCE = 50  # at most, and at least its negative: no more than exp can bear being squared
WIDE = 1000  # times the median of the other columns


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
    array = plain(points, name)
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
    array = plain(labels, name)
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
