"""Nearest neighbours, exact or nearly, and the rows that are copies of one another.

faiss searches in float32. Neighbours that float32 cannot tell apart are ranked in float64; where
it cannot even tell which points are near (groups far apart, points much denser than the whole is
wide), the search is repeated around such a query, and what is then still unsure, or has but few
features, goes to a k-d tree.
So neither the scale nor the origin of the points matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from geovq.clustering.scales import exponent, largest
from geovq.threads import safe_after_fork

__all__ = ["distinct_rows", "is_exact", "nearest_neighbors"]

FLAT_SEARCH = 1_000_000_000  # query-point pairs up to which the exact search is affordable
CHUNK = 8_192  # queries the approximate search handles at once, so that its lists stay small
MORE = 32  # candidates ranked in float64, beyond twice the number wanted
RANKED_AT_ONCE = 2**21  # coordinates
ROUNDING = 2.0**-24  # relative, of float32
TOLERATED = 1e-3  # relative error of a distance by float32, as long as it decides between ties only
TIED = 1e-13  # relative difference of distances that rounding alone may make
# Points are scaled so that their largest coordinate is about 2**40. float32 then has room for the
# squares of 2**50, and for those of 1e-31 of that coordinate.
LARGEST, FARTHEST = 40, 2.0**50
FEW_FEATURES = 8  # up to which a k-d tree settles what is unsure faster than another search
WORTH_REPEATING = 0.25  # share of its queries that a search around one of them has to settle


def is_exact(points: int, queries: int) -> bool:
    """Whether `nearest_neighbors` searches so many points for so many queries exactly."""
    return points * queries <= FLAT_SEARCH


def nearest_neighbors(
    base: np.ndarray, queries: np.ndarray, k: int, order: float = 2.0, exact: bool = False
) -> np.ndarray:
    """Indices of the k nearest rows of `base` for each query, nearest first.

    Exact up to `FLAT_SEARCH` pairs, of equally near rows the first ones (any of them, where there
    are dozens); an inverted-file index above (faiss).

    Parameters
    ----------
    base : ndarray of shape (N, F)
    queries : ndarray of shape (M, F)
    k : int
    order : {2, 1, inf}
        Of the Minkowski distance; orders other than 2 are searched exactly, with a k-d tree.
    exact : bool
        However many pairs there are.

    Returns
    -------
    ndarray of shape (M, min(k, N)), int64
    """
    k = int(min(k, len(base)))
    base, queries = _in_range(base, queries)
    if order != 2:
        return _by_tree(base, queries, k, order)
    # Centred, for a common offset would cost digits of float32.
    center = base.mean(0, dtype=np.float64).astype(base.dtype)
    found, sure = _around(center, base, queries, k, exact)
    left, settled = np.flatnonzero(~sure), float(base.shape[1] > FEW_FEATURES)
    while len(left) and settled > WORTH_REPEATING:
        part, sure = _around(queries[left[len(left) // 2]], base, queries[left], k, exact)
        found[left[sure]] = part[sure]
        left, settled = left[~sure], float(sure.mean())
    if len(left):
        found[left] = _by_tree(base, queries[left], k)
    return found


def _in_range(base: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both such that squares of the points neither over- nor underflow."""
    if power := exponent(base):
        itself = queries is base
        base = np.ldexp(base, power)
        with np.errstate(over="ignore"):
            queries = base if itself else np.ldexp(queries, power)
    far = 2.0**100 if queries.dtype == np.float32 else 2.0**400
    if queries is not base and largest(queries) > far:
        queries = np.clip(queries, -far, far)
    return base, queries


@dataclass(frozen=True)
class _Singles:
    """Points and queries in float32, less some centre and times `scale`, a power of two.

    `wanted` are the queries; those in `far` are too far off for float32, and put at the centre.
    """

    rows: np.ndarray
    wanted: np.ndarray
    far: np.ndarray
    scale: float

    @classmethod
    def around(cls, center: np.ndarray, base: np.ndarray, queries: np.ndarray) -> _Singles:
        shifted = base - center
        scale = 2.0 ** (LARGEST - int(np.frexp(largest(shifted))[1]))
        shifted *= scale
        rows = wanted = np.ascontiguousarray(shifted, dtype=np.float32)
        far = np.zeros(len(queries), bool)
        if queries is not base:
            with np.errstate(over="ignore"):
                shifted = (queries - center) * scale
            far = ~(np.abs(shifted) < FARTHEST).all(1)
            shifted[far] = 0
            wanted = np.ascontiguousarray(shifted, dtype=np.float32)
        return cls(rows, wanted, far, scale)


def _around(
    center: np.ndarray, base: np.ndarray, queries: np.ndarray, k: int, exact: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours by float32 around a centre, (M, k), and whether they are sure, (M,)."""
    singles = _Singles.around(center, base, queries)
    rows, wanted, sure = singles.rows, singles.wanted, ~singles.far
    radius = float(_sizes(rows).max())
    if not exact and not is_exact(len(base), len(queries)):
        found, distances = _by_lists(rows, wanted, k)
        error = _rounding(wanted, distances)
        return found, sure & (error < TOLERATED * np.minimum(distances, radius))
    found, squares = _exact(rows, wanted, min(k + 1, len(base)))
    # x² − 2xy + y² loses what digits |x| and |y| have beyond the distance.
    reach = 2 * _sizes(wanted) + np.sqrt(squares[:, -1])
    error = ROUNDING * (4 + rows.shape[1] ** 0.5) * reach**2
    close = np.flatnonzero((np.diff(squares, axis=1) <= 2 * error[:, None]).any(1) & sure)
    found = found[:, :k]
    if rows.shape[1] <= FEW_FEATURES:
        sure[close] = False
    elif len(close):
        # (x − y)² loses less, and nothing depends on what other queries there are.
        wide, squares = _direct(rows, wanted[close], min(2 * k + MORE, len(base)))
        found[close], nearer, widest = _ranked(base, queries[close], wide, k)
        last, distances = nearer * singles.scale, np.sqrt(squares[:, -1])
        error = _rounding(wanted[close], distances)
        sure[close] = wide.shape[1] == len(base)
        sure[close] |= last < distances - error
        # Where all the others are as far as the last, any of them will do.
        tied = widest <= nearer * (1 + TIED)
        sure[close] |= tied & (error < TOLERATED * np.minimum(last, radius))
    return found, sure


def _sizes(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("nf,nf->n", rows, rows))


def _rounding(wanted: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """How wrong float32 may have distances of which the differences are taken first, (M,)."""
    coordinates = 2 * (2 * _sizes(wanted) + distances)
    return ROUNDING * (coordinates + (4 + wanted.shape[1] ** 0.5) * distances)


def _exact(rows: np.ndarray, wanted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and squared distances, (M, k), by way of x² − 2xy + y²."""
    import faiss

    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    with _small_blocks(), safe_after_fork():
        squares, found = index.search(wanted, k)
    return found, squares


def _direct(rows: np.ndarray, wanted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The same by way of (x − y)², which is slower: lists are read so, and one holds all rows."""
    import faiss

    whole = faiss.IndexFlatL2(rows.shape[1])
    whole.add(rows[:1])
    index = faiss.IndexIVFFlat(whole, rows.shape[1], 1)
    index.is_trained = True
    with safe_after_fork():
        index.add(rows)
        squares, found = index.search(wanted, k)
    return found, squares


def _by_lists(rows: np.ndarray, wanted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Search by inverted lists: indices (M, k), and the distance of the last of them (M,)."""
    import faiss

    lists = int(1.5 * len(rows) ** 0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], lists)
    found, farthest = np.empty((len(wanted), k), np.int64), np.empty(len(wanted), np.float32)
    with _small_blocks(), safe_after_fork():
        index.train(rows)
        index.add(rows)
        index.nprobe = 32
        for start in range(0, len(wanted), CHUNK):
            part = slice(start, start + CHUNK)
            squares, found[part] = index.search(wanted[part], k)
            farthest[part] = np.sqrt(squares[:, -1])
    short = (found < 0).any(1)  # the probed lists held fewer than k points
    if short.any():
        found[short], squares = _exact(rows, wanted[short], k)
        farthest[short] = np.sqrt(squares[:, -1])
    return found, farthest


def _by_tree(base: np.ndarray, queries: np.ndarray, k: int, order: float = 2.0) -> np.ndarray:
    from scipy.spatial import KDTree

    wide = np.arange(1, min(2 * k + MORE, len(base)) + 1)
    found = np.asarray(KDTree(base).query(queries, wide, p=order, workers=-1)[1])
    return _ranked(base, queries, found, k, order)[0]


def _ranked(
    base: np.ndarray, queries: np.ndarray, found: np.ndarray, k: int, order: float = 2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k nearest of some candidates (M, C), by float64.

    Also how far the last of them, and the last of the candidates, is from its query, both (M,).
    """
    nearest = np.empty((len(queries), k), np.int64)
    last, widest = np.empty((2, len(queries)))
    step = max(RANKED_AT_ONCE // (found.shape[1] * base.shape[1]), 1)
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        gaps = base[found[part]].astype(np.float64) - queries[part, None]
        distances = np.linalg.norm(gaps, order, axis=2)
        first = np.lexsort((found[part], distances))[:, :k]
        nearest[part] = np.take_along_axis(found[part], first, 1)
        last[part] = np.take_along_axis(distances, first[:, -1:], 1)[:, 0]
        widest[part] = distances.max(1)
    return nearest, last, widest


@contextmanager
def _small_blocks() -> Iterator[None]:
    """Let faiss hold the distances of fewer queries at once: 4 MB instead of 16, no slower."""
    import faiss

    usual = faiss.cvar.distance_compute_blas_query_bs
    faiss.cvar.distance_compute_blas_query_bs = 1_024
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_query_bs = usual


def distinct_rows(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of (N, F), sorted: index of the first of each, and which one every row is."""
    order = np.lexsort(points.T[::-1])
    new = np.zeros(len(points), bool)
    new[:1] = True
    for column in points.T:
        ordered = column[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    inverse = np.empty_like(order)
    inverse[order] = np.cumsum(new) - 1
    return order[new], inverse
