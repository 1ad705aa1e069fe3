"""What has to hold of a graph, or the compiled loop would write past its arrays or never end."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from geovq.errors import InputError

__all__ = ["check_graph", "check_weights"]


def _demand(condition: bool, name: str, allowed: str) -> None:
    if not condition:
        raise InputError(f"{name}; allowed: {allowed}")


def _are_nodes(nodes: np.ndarray, n: int) -> bool:
    inside = len(nodes) == 0 or (nodes.min() >= 0 and nodes.max() < n)
    return nodes.ndim == 1 and nodes.dtype.kind == "i" and bool(inside)


def check_graph(matrix: sparse.csr_matrix, centers: np.ndarray) -> None:
    """See that the compiled loop will not leave its arrays, and that it will end.

    Raises
    ------
    InputError
        Anything but a connected, symmetric graph in CSR form, whose lengths are finite, at least
        0, and of finite sum, and some distinct nodes of it.
    """
    n, pointers, ends, lengths = matrix.shape[0], matrix.indptr, matrix.indices, matrix.data
    _demand(matrix.shape == (n, n) and n > 0, f"graph of shape {matrix.shape}", "(N, N)")
    whole = len(pointers) == n + 1 and pointers[0] == 0
    whole = whole and pointers[-1] == len(ends) == len(lengths)
    _demand(whole and bool((np.diff(pointers) >= 0).all()), "graph: indptr", "rows in order")
    _demand(_are_nodes(ends, n), "graph: indices", f"0 to {n - 1}")
    with np.errstate(over="ignore", invalid="ignore"):
        total, least = lengths.sum(), lengths.min(initial=0)
    usable = lengths.dtype == np.float64 and least >= 0 and total < np.inf
    _demand(bool(usable), f"graph: lengths from {least:g}, {total:g} in sum", "at least 0, finite")
    back = matrix.T.tocsr()
    same = (back.indptr == pointers).all()
    if same and not matrix.has_sorted_indices:
        matrix = matrix.sorted_indices()
    same = same and (back.indices == matrix.indices).all() and (back.data == matrix.data).all()
    _demand(bool(same), "graph: edges of one direction", "each both ways, of one length")
    count = connected_components(matrix, directed=False)[0]
    _demand(count == 1, f"graph: {count} components", "1")
    distinct = _are_nodes(centers, n) and len(np.unique(centers)) == len(centers) > 0
    _demand(distinct, f"centers = {centers}", f"distinct nodes, 0 to {n - 1}")


def check_weights(matrix: sparse.csr_matrix, weights: np.ndarray, candidates: np.ndarray) -> None:
    """See that the compiled loop is given a weight for each node, and nodes as candidates.

    Raises
    ------
    InputError
        Anything else, or a sum of weighted distances could overflow.
    """
    n = matrix.shape[0]
    shaped = weights.shape == (n,) and weights.dtype == np.float64
    _demand(shaped, f"weights of shape {weights.shape}, {weights.dtype}", f"({n},), float64")
    with np.errstate(over="ignore", invalid="ignore"):
        least, most = weights.min(), weights.sum() * matrix.data.sum()
    usable = least >= 0 and most < np.inf
    _demand(bool(usable), f"weights from {least:g}", "at least 0, finite times all lengths")
    _demand(_are_nodes(candidates, n), "candidates", f"nodes, 0 to {n - 1}")
