"""Neighbours that were found elsewhere, as UMAP and scanpy have them, and the graph of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from geovq.clustering.checks import check_numbers
from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import Graph, nearest_pairs, symmetric, tell_joins
from geovq.clustering.lengths import measured
from geovq.errors import InputError

__all__ = ["check_neighbors", "given_graph", "others_given"]

FORM = "a pair of indices (N, k) and distances (N, k), as UMAP's precomputed_knn begins"
SAMPLE = 1_000  # edges that are measured again
UNLIKE = 0.01  # relative difference, at the median, above which they were measured otherwise


def check_neighbors(neighbors: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and distances of given neighbours, (N, k) int64 and float64.

    Parameters
    ----------
    neighbors : sequence of two or three
        The third, UMAP's index for searches, is not needed.
    count : int
        N.

    Raises
    ------
    InputError
        They are no such pair, of another shape, no numbers, or out of range.
    """
    if not isinstance(neighbors, Sequence) or len(neighbors) not in (2, 3):
        raise InputError(f"neighbors: {type(neighbors).__name__}; allowed: {FORM}")
    found = []
    for name, part, kinds in zip(("indices", "distances"), neighbors, ("iu", "fiu"), strict=False):
        if sparse.issparse(part) or np.asarray(part).dtype.kind not in "fiu":
            raise InputError(f"neighbors: {name} are no array of numbers; allowed: {FORM}")
        check_numbers(f"neighbors: {name}", part)
        array = np.asarray(part)
        if array.dtype.kind not in kinds:
            raise InputError(
                f"neighbors: {name} of dtype {array.dtype}; allowed: integers, and then distances "
                "(kneighbors gives them the other way round)"
            )
        if array.ndim != 2 or len(array) != count or not array.shape[1]:
            raise InputError(f"neighbors: {name} of shape {array.shape}; allowed: ({count}, k)")
        found.append(array)
    indices, distances = found[0].astype(np.int64), found[1].astype(np.float64)
    if indices.shape != distances.shape:
        raise InputError(
            f"neighbors: distances of shape {distances.shape}; allowed: {indices.shape}, that of "
            "indices"
        )
    if indices.min() < 0 or indices.max() >= count:
        raise InputError(
            f"neighbors: indices from {indices.min()} to {indices.max()}; allowed: 0 to {count - 1}"
        )
    if not np.isfinite(distances).all() or distances.min() < 0:
        bad = distances[~(np.isfinite(distances) & (distances >= 0))][0]
        raise InputError(f"neighbors: a distance is {bad}; allowed: finite, at least 0")
    return indices, distances


def others_given(indices: np.ndarray) -> int:
    """How many others the rows of (N, k) name at most; a point may be its own neighbour."""
    return int((indices != np.arange(len(indices))[:, None]).sum(1).max())


def given_graph(
    geometry: Geometry, row_nodes: np.ndarray, indices: np.ndarray, distances: np.ndarray
) -> Graph:
    """Join two nodes when either is given as the other's neighbour; then join the components.

    Parameters
    ----------
    geometry : Geometry
        Of the nodes: measures the joins, and unseen points.
    row_nodes : ndarray of shape (N,)
        Node of each row, −1 for those that are none.
    indices, distances : ndarray of shape (N, k)
        Of the rows. Of several distances between two nodes the shortest counts.

    Warns
    -----
    UserWarning
        The graph had several components; or the distances are not those of the geometry.
    """
    ends = np.repeat(row_nodes, indices.shape[1]), row_nodes[indices.ravel()]
    kept = (ends[0] >= 0) & (ends[1] >= 0) & (ends[0] != ends[1])
    a, b, lengths = ends[0][kept], ends[1][kept], distances.ravel()[kept]
    _tell_unlike(geometry, a, b, lengths)
    n = len(geometry.points)
    graph = symmetric(sparse.coo_matrix((lengths, (a, b)), shape=(n, n)), geometry.power)
    count, component = connected_components(graph, directed=False)
    if count == 1:
        return Graph(graph, 1, np.empty(0))
    a, b = nearest_pairs(geometry.points, component, geometry.order).T
    joins = geometry.lengths(geometry.edge_points, a, geometry.edge_points, b)
    edges = graph.tocoo()
    rows, columns = np.concatenate([edges.row, a, b]), np.concatenate([edges.col, b, a])
    lengths = np.concatenate([edges.data, joins, joins])
    graph = sparse.csr_matrix((lengths, (rows, columns)), shape=(n, n))
    tell_joins("graph of the given neighbours", int(count), joins, graph, stacklevel=5)
    return Graph(graph, int(count), joins)


def _tell_unlike(geometry: Geometry, a: np.ndarray, b: np.ndarray, lengths: np.ndarray) -> None:
    """Warn of distances that are not those by which unseen points will be measured."""
    some = np.unique(np.linspace(0, len(a) - 1, min(SAMPLE, len(a))).astype(np.int64))
    rows = geometry.edge_points
    own = measured(geometry.length, rows, a[some], rows, b[some])
    ratios = lengths[some][own > 0] / own[own > 0]
    if len(ratios) and np.median(np.abs(ratios - 1)) > UNLIKE:
        warnings.warn(
            f"neighbors: distances are {np.median(ratios):.3g} times those by the metric, at the "
            f"median of {len(ratios)} edges; unseen points are measured by the metric",
            stacklevel=5,
        )
