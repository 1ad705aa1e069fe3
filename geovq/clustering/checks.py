"""Checks of arguments that the estimator and the quantiser share."""

from __future__ import annotations

import datetime
import numbers
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils import check_random_state

from geovq.clustering.lengths import CHUNK
from geovq.clustering.scales import largest
from geovq.errors import InputError
from geovq.files.reading import free_memory, gigabytes, plain

__all__ = [
    "check_flag",
    "check_integer",
    "check_jobs",
    "check_number",
    "check_numbers",
    "check_range",
    "check_rows",
    "check_seed",
    "check_spread",
    "checked_tokens",
    "dense",
]

LARGEST = 1e300  # magnitude of a coordinate; differences and sums of larger ones may overflow
UNUSUAL = 1e9  # times farther out than half of all rows: heavy tails do not reach this
HOPELESS = 1e18  # times: float64, of 16 digits, no longer sees anything else
COPIES = 3  # of points while neighbours are searched, the points themselves among them
NOISE = 1e-9  # spans and distances below this may be what rounding left of 0
NOT_NUMBERS: tuple[type, ...] = (str, bytes, bool, np.bool_, complex, np.complexfloating)
NOT_NUMBERS += (np.datetime64, np.timedelta64, datetime.date, datetime.time, datetime.timedelta)


def check_integer(name: str, value: Any, least: int | None = None, most: int | None = None) -> None:
    """Refuse all but an integer in range; True is none."""
    limits = [f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None)
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    low = least is not None and whole and value < least
    if not whole or low or (most is not None and value > most):
        allowed = "an integer" + (f" of {', '.join(limits)}" if limits else "")
        raise InputError(f"{name} = {value!r}; allowed: {allowed}")


def check_flag(name: str, value: Any) -> None:
    """Refuse all but True and False."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} = {value!r}; allowed: True, False")


def check_number(name: str, value: Any) -> None:
    """Refuse all but a finite number above 0."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (real and 0 < value < np.inf):
        raise InputError(f"{name} = {value!r}; allowed: above 0, finite")


def check_jobs(name: str, value: Any) -> None:
    """Refuse all but None and an integer other than 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral | None) or value == 0:
        raise InputError(f"{name} = {value!r}; allowed: None, or an integer other than 0")


def check_seed(name: str, value: Any) -> None:
    """Refuse all but None, an integer of 32 bits, and numpy's RandomState."""
    try:
        if isinstance(value, bool):
            raise ValueError
        check_random_state(value)
    except ValueError as error:
        raise InputError(
            f"{name} = {value!r}; allowed: None, an integer from 0 to 2**32 - 1, a RandomState"
        ) from error


def check_numbers(name: str, data: Any, kinds: str = "fiu") -> None:
    """Refuse arrays of anything but real numbers, and masked values.

    Parameters
    ----------
    name : str
    data : array-like or sparse matrix
        An array of objects passes if none of them is a text, a truth value, a complex number or a
        date: what they are is decided where they become numbers.
    kinds : str
        Of numpy's dtypes.
    """
    if np.ma.is_masked(data):
        raise InputError(f"{name} has masked values; allowed: none, for masks are not kept")
    if sparse.issparse(data):
        _check_structure(name, data)
    try:
        array: Any = data if sparse.issparse(data) else np.asarray(data)
    except ValueError as error:
        raise InputError(f"{name} is no array ({error}); allowed: real numbers") from error
    kind, bad = str(array.dtype), []
    if array.dtype.kind == "O":
        bad = [t for t in set(map(type, array.ravel())) if issubclass(t, NOT_NUMBERS)]
        kind += f" with values of type {bad[0].__name__}" if bad else ""
    if array.dtype.kind in kinds or (array.dtype.kind == "O" and not bad):
        return
    hints = {"b": " (astype(float), if 0 and 1 are meant)", "c": ". Complex data not supported"}
    hint = hints.get(array.dtype.kind, "")
    raise InputError(f"{name} has dtype {kind}; allowed: real numbers{hint}")


def _check_structure(name: str, matrix: Any) -> None:
    """Refuse a sparse matrix whose indices lead out of it: compiled code follows them."""
    try:
        if matrix.format in ("csr", "csc"):
            matrix.check_format(full_check=True)
        elif matrix.format == "coo":
            for axis, places in enumerate(matrix.coords):
                if len(places) and not 0 <= places.min() <= places.max() < matrix.shape[axis]:
                    raise ValueError(f"its indices go from {places.min()} to {places.max()}")
    except ValueError as error:
        raise InputError(f"{name} is no whole sparse matrix ({error})") from None


def dense(name: str, data: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """A sparse matrix as the array it stands for: neighbours are searched among whole rows.

    Raises
    ------
    InputError
        The array, with the copies that a search makes of it, does not fit into memory.
    """
    if not sparse.issparse(data):
        return data
    needed, free = COPIES * data.shape[0] * data.shape[1] * data.dtype.itemsize, free_memory()
    if needed > free:
        raise InputError(
            f"{name} is sparse, of shape {data.shape}: as an array, in which neighbours are "
            f"searched, it takes {gigabytes(needed)}, and {gigabytes(free)} are free; allowed: "
            "what fits: TruncatedSVD of scikit-learn makes columns fewer"
        )
    return data.toarray()


def check_rows(
    name: str, data: Any, rows: int | None = None, width: int | None = None
) -> np.ndarray:
    """Finite rows of real numbers, (N, G) floats; of so many rows, and so wide, if told.

    Raises
    ------
    InputError
        They are not.
    """
    check_numbers(name, data)
    array = plain(data, name)
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    fits = array.ndim == 2 and rows in (None, len(array)) and width in (None, array.shape[1])
    if not fits:
        shape = f"({'N' if rows is None else rows}, {'D' if width is None else width})"
        raise InputError(f"{name} of shape {array.shape}; allowed: {shape}")
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise InputError(f"{name} of shape {array.shape} holds {bad}; allowed: finite numbers")
    return array


def check_range(name: str, array: np.ndarray, least: float, most: float) -> None:
    """Refuse arrays with numbers out of range."""
    bad = array[(array < least) | (array > most)]
    if len(bad):
        raise InputError(f"{name} holds {bad[0]:g}; allowed: {least:g} to {most:g}")


def checked_tokens(tokens: ArrayLike, codes: list[int]) -> np.ndarray:
    """Tokens (N, T): integers, at each position one of so many codes.

    Raises
    ------
    InputError
        They are not.
    """
    check_numbers("tokens", tokens, "iu")
    found = np.asarray(tokens)
    if found.ndim != 2 or found.shape[1] != len(codes):
        raise InputError(f"tokens of shape {found.shape}; allowed: (N, {len(codes)})")
    for position, (column, most) in enumerate(zip(found.T, codes, strict=True)):
        bad = column[(column < 0) | (column >= most)]
        if len(bad):
            raise InputError(f"tokens: {bad[0]} at position {position}; allowed: 0 to {most - 1}")
    return found


def check_spread(name: str, points: np.ndarray) -> None:
    """Refuse points of which float64 sees but a few rows or columns, and warn of rows far out.

    Both are what fill values (9.97e36, 1e20, …) and numbers in very different units look like.

    Parameters
    ----------
    name : str
    points : ndarray of shape (N, F), finite

    Raises
    ------
    InputError
        A number above 1e300; a row 1e18 times farther out than half of all rows; a column that
        spans 1e18 times less than another (and more than 1e-9).

    Warns
    -----
    UserWarning
        A row is 1e9 times farther out than half of all rows.
    """
    if (most := largest(points)) > LARGEST:
        raise InputError(f"{name} has numbers up to {most:.3g}; allowed: up to {LARGEST:g}")
    middle = np.median(points[:: max(len(points) // 10_000, 1)].astype(np.float64), axis=0)
    distances, spans = np.empty(len(points)), np.zeros(points.shape[1])
    for start in range(0, len(points), CHUNK):
        gaps = np.abs(points[start : start + CHUNK] - middle)
        distances[start : start + CHUNK] = gaps.max(1)
        spans = np.maximum(spans, gaps.max(0))
    # Copies say nothing of how far apart points are, nor does what rounding leaves between them.
    apart = distances[distances > 0]
    usual = max(float(np.median(apart)) if len(apart) else 0, NOISE, 1e-7 * largest(middle))
    far = np.flatnonzero(distances > UNUSUAL * usual)
    if len(far):
        said = (
            f"{name}: {len(far)} of {len(points)} rows, the first of them {far[0]}, are up to "
            f"{distances.max() / usual:.2g} times farther out than half of all rows: fill values?"
        )
        if distances.max() > HOPELESS * usual:
            raise InputError(f"{said} Allowed: {HOPELESS:g} times, for float64 has 16 digits")
        warnings.warn(f"{said} Leave them out, or replace them", stacklevel=3)
    wide, meant = spans.argmax(), np.flatnonzero(spans > NOISE)
    if len(meant) and spans[wide] / HOPELESS > spans[meant].min():
        lost = meant[spans[meant].argmin()]
        raise InputError(
            f"{name}: beside column {wide}, which spans {spans[wide]:.2g}, float64 loses column "
            f"{lost}, which spans {spans[lost]:.2g}; allowed: spans within {HOPELESS:g} of each "
            "other: scale the columns"
        )
