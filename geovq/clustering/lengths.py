"""How long an edge is: the metrics known by name, and what is demanded of any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geovq.clustering.scales import exponent
from geovq.errors import InputError

__all__ = [
    "CHUNK",
    "METRICS",
    "Length",
    "Metric",
    "edge_length",
    "euclidean_length",
    "measured",
    "raised",
]

Length = Callable[[np.ndarray, np.ndarray], np.ndarray]

CHUNK = 8_192  # rows handled at once, so that temporary arrays stay small
ROUNDED = 1e-9  # of the longest edge: what may be below 0 by rounding
FEWEST = 1e-15  # the same where all edges are about 0, as are those of 1 - cosine between copies
FORM = (
    "a callable that takes paired rows, (M, G) and (M, G), and returns M lengths, such as "
    "lambda a, b: np.abs(a - b).sum(1)"
)


def euclidean_length(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """‖a_i − b_i‖ of paired rows, (M, F) and (M, F) → (M,)."""
    gaps = a - b
    if (power := exponent(gaps)) == 0:
        return np.linalg.norm(gaps, axis=1)
    return np.ldexp(np.linalg.norm(np.ldexp(gaps, power), axis=1), -power)


def _manhattan_length(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a - b).sum(1)


def _chebyshev_length(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a - b).max(1)


def _half_square(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 − cos of the angle between rows of length 1, without the rounding of cos."""
    return ((a - b) ** 2).sum(1) / 2


def _directions(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; NaN for those without a direction."""
    with np.errstate(invalid="ignore"):
        scaled = rows / np.abs(rows).max(1, keepdims=True)
        return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def _centred_directions(rows: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        scaled = rows / np.abs(rows).max(1, keepdims=True)
    gaps = scaled - scaled.mean(1, keepdims=True)
    gaps[np.abs(gaps).max(1) < 1e-15 * rows.shape[1]] = 0  # what rounding left of equal numbers
    return _directions(gaps)


@dataclass(frozen=True)
class Metric:
    """A metric known by name.

    Attributes
    ----------
    length : callable
        Paired rows → lengths, of coordinates that `prepare` gave.
    order : {2, 1, inf}
        Of the Minkowski distance between those coordinates that has the same neighbours.
    directions : callable, optional
        (N, F) → (N, F): what is compared instead of the points, for metrics of directions.
    """

    length: Length
    order: float = 2.0
    directions: Callable[[np.ndarray], np.ndarray] | None = None

    def prepare(self, rows: np.ndarray, name: str) -> np.ndarray:
        """Coordinates in which neighbours are searched and edges measured; the rows, as a rule.

        Raises
        ------
        InputError
            A row of `name` has no direction, and the metric needs one.
        """
        if self.directions is None:
            return rows
        found = self.directions(rows.astype(np.float64))
        bad = np.flatnonzero(np.isnan(found).any(1))
        if len(bad):
            raise InputError(
                f"{name}: row {bad[0]} is {rows[bad[0], 0] + 0.0:g} everywhere; allowed with "
                "metric 'cosine': no row of zeros, with 'correlation': none of equal numbers"
            )
        return found


METRICS = {
    "euclidean": Metric(euclidean_length),
    "manhattan": Metric(_manhattan_length, order=1.0),
    "chebyshev": Metric(_chebyshev_length, order=np.inf),
    "cosine": Metric(_half_square, directions=_directions),
    "correlation": Metric(_half_square, directions=_centred_directions),
}


def edge_length(metric: str | Length) -> Length:
    """Lengths by a metric of `GeodesicKMeans`: one known by name, or itself."""
    return metric if callable(metric) else METRICS[metric].length


def measured(
    length: Length, a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray
) -> np.ndarray:
    """Lengths of the pairs (a[i], b[j]): float64, finite, at least 0.

    Raises
    ------
    InputError
        The metric returned anything else. What is below 0 by rounding counts as 0.
    """
    lengths = np.empty(len(i))
    # One pair first: a metric that returns one number whatever it gets, or one for each
    # coordinate, is caught even where the number is right by chance.
    for start, stop in [(0, 1), *((s, s + CHUNK) for s in range(0, len(i), CHUNK))]:
        part = slice(start, stop)
        rows_a, rows_b = a[i[part]].astype(np.float64), b[j[part]].astype(np.float64)
        if len(rows_a):
            lengths[part] = _returned(length, rows_a, rows_b)
    least = lengths.min(initial=0)
    if not np.isfinite(lengths).all():
        bad = lengths[~np.isfinite(lengths)][0]
        raise InputError(f"metric returned {bad}; allowed: finite lengths of at least 0")
    if least < -max(ROUNDED * lengths.max(initial=0), FEWEST):
        raise InputError(f"metric returned {least:g}; allowed: lengths of at least 0")
    return np.maximum(lengths, 0, out=lengths)


def _returned(length: Length, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What a metric says of some pairs, if these are as many numbers."""
    try:
        found = np.asarray(length(a, b))
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(f"metric failed for {len(a)} pairs ({error}); allowed: {FORM}") from error
    if found.shape != (len(a),):
        raise InputError(
            f"metric returned shape {found.shape} for {len(a)} pairs of rows; allowed: {FORM}"
        )
    if found.dtype.kind not in "fiu":
        raise InputError(f"metric returned dtype {found.dtype}; allowed: real numbers")
    return found


def raised(lengths: np.ndarray, power: float) -> np.ndarray:
    """Lengths to a power.

    Raises
    ------
    InputError
        One overflows.
    """
    with np.errstate(over="ignore", under="ignore"):
        found = lengths**power
    if not np.isfinite(found).all():
        raise InputError(
            f"edge_power = {power:g}: edges up to {lengths.max():.3g} long overflow; allowed: a "
            "lower power, or data on a smaller scale"
        )
    return found
