"""Nearest neighbours, exact or nearly, and the rows that are copies of one another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["distinct_rows", "is_exact", "nearest_neighbors"]

FLAT_SEARCH = 1_000_000_000  # query-point pairs up to which the exact search is affordable
CHUNK = 8_192  # queries the approximate search handles at once, so that its lists stay small


def is_exact(points: int, queries: int) -> bool:
    """Whether `nearest_neighbors` searches so many points for so many queries exactly."""
    return points * queries <= FLAT_SEARCH


def nearest_neighbors(base: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k nearest rows of `base` for each query, nearest first.

    Exact up to `FLAT_SEARCH` pairs, an inverted-file index above (faiss).

    Parameters
    ----------
    base : ndarray of shape (N, F)
    queries : ndarray of shape (M, F)
    k : int

    Returns
    -------
    ndarray of shape (M, min(k, N)), int64
    """
    import faiss

    # Centred, for faiss computes in float32 and a common offset would cost digits.
    center = base.mean(0, dtype=np.float64).astype(base.dtype)
    rows = np.ascontiguousarray(base - center, dtype=np.float32)
    wanted = rows
    if queries is not base:
        wanted = np.ascontiguousarray(queries - center, dtype=np.float32)
    k = min(k, len(rows))
    if is_exact(len(rows), len(wanted)):
        return _exact(rows, wanted, k)
    lists = int(1.5 * len(rows) ** 0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], lists)
    with _small_blocks():
        index.train(rows)
        index.add(rows)
        index.nprobe = 32
        found = np.empty((len(wanted), k), np.int64)
        for start in range(0, len(wanted), CHUNK):
            part = slice(start, start + CHUNK)
            found[part] = index.search(wanted[part], k)[1]
    short = (found < 0).any(1)  # the probed lists held fewer than k points
    if short.any():
        found[short] = _exact(rows, wanted[short], k)
    return found


def _exact(rows: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    import faiss

    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    with _small_blocks():
        return index.search(wanted, k)[1]


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
