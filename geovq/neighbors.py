"""Nearest neighbours, exact or nearly, and the rows that are copies of one another."""

from __future__ import annotations

import numpy as np

__all__ = ["distinct_rows", "is_exact", "nearest_neighbors"]

FLAT_SEARCH = 4_000_000_000  # query-point pairs up to which the exact search is affordable


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
    center = base.mean(0, dtype=np.float64)
    rows, wanted = (np.ascontiguousarray(x - center, dtype=np.float32) for x in (base, queries))
    k = min(k, len(rows))
    exact = faiss.IndexFlatL2(rows.shape[1])
    exact.add(rows)
    if is_exact(len(rows), len(wanted)):
        return exact.search(wanted, k)[1]
    lists = int(1.5 * len(rows) ** 0.5)
    inverted = faiss.IndexIVFFlat(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], lists)
    inverted.train(rows)
    inverted.add(rows)
    inverted.nprobe = 32
    found = inverted.search(wanted, k)[1]
    short = (found < 0).any(1)  # the probed lists held fewer than k points
    found[short] = exact.search(wanted[short], k)[1]
    return found


def distinct_rows(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of (N, F): index of the first of each, and which one every row is."""
    rows = np.ascontiguousarray(points) + points.dtype.type(0)  # −0 and 0 have different bytes
    _, first, inverse = np.unique(
        rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel(),
        return_index=True,
        return_inverse=True,
    )
    return first, inverse.ravel()
