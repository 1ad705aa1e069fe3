"""K medoids of a graph: the start, the assignment, and Lloyd steps that never raise the objective.

The objective is Σ_i w_i d(x_i, c(i)): the distance along the graph from each node to its nearest
centre. No N×N matrix is ever built; memory is O(kN).
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from geovq.clustering.neighbors import nearest_neighbors
from geovq.threads import safe_after_fork

__all__ = ["assign", "candidates", "euclidean_start", "first_of_ties", "lloyd", "snapped"]

TRIED = 8  # nodes tried as the new medoid of a cell
CANDIDATES = 1_000  # nodes tried as centres by a swap, or more:
CANDIDATES_A_CENTER = 16
MOST_FOR_START = 20_000  # nodes on which the Euclidean start is computed
OPTIONS = 16  # nodes nearest to a start, among which one is nearly always free
BLOCK = 2**20  # edges looked at once


def assign(matrix: sparse.csr_matrix, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centre of every node along the graph: one multi-source Dijkstra run.

    Parameters
    ----------
    matrix : csr_matrix of shape (N, N)
        Symmetric edge lengths.
    centers : ndarray of shape (K,)
        Distinct nodes.

    Returns
    -------
    labels : ndarray of shape (N,), int64
        Position in `centers`.
    distances : ndarray of shape (N,)
        Infinite, with label 0, where no centre can be reached.
    """
    # The matrix is symmetric already: directed=True spares a copy of it.
    distances, _, sources = dijkstra(
        matrix, directed=True, indices=centers, min_only=True, return_predecessors=True
    )
    position = np.zeros(matrix.shape[0] + 1, dtype=np.int64)
    position[centers] = np.arange(len(centers))
    return position[np.where(np.isinf(distances), centers[0], sources)], distances


def first_of_ties(
    matrix: sparse.csr_matrix, centers: np.ndarray, labels: np.ndarray, distances: np.ndarray
) -> np.ndarray:
    """Labels by which a node equally far from several centres belongs to the first of them.

    Which of them `assign` names depends on the order in which it happens to see the edges.

    Parameters
    ----------
    matrix, centers
        As in `assign`.
    labels, distances : ndarray of shape (N,)
        What it returned.

    Returns
    -------
    ndarray of shape (N,), int64
        A centre keeps its own label, whatever lies on it.
    """
    labels, n = labels.copy(), len(labels)
    # Edges at the ends of shortest ways, of which a node has several only if it is tied.
    before, after = [], []
    step = max(BLOCK * n // max(matrix.nnz, 1), 1)
    for start in range(0, n, step):
        counts = np.diff(matrix.indptr[start : start + step + 1])
        edges = slice(matrix.indptr[start], matrix.indptr[start] + counts.sum())
        rows, nodes = (
            np.repeat(np.arange(start, start + len(counts)), counts),
            matrix.indices[edges],
        )
        tight = distances[rows] + matrix.data[edges] == distances[nodes]
        before.append(rows[tight])
        after.append(nodes[tight])
    ends = np.concatenate(before), np.concatenate(after)
    ways = sparse.csr_matrix((np.ones(len(ends[0]), bool), ends), (n, n))
    changed = np.arange(n)
    while len(changed):
        onwards = ways[changed]
        offered = np.repeat(labels[changed], np.diff(onwards.indptr))
        better = offered < labels[onwards.indices]
        np.minimum.at(labels, onwards.indices[better], offered[better])
        changed = np.unique(onwards.indices[better]).astype(np.int64)
    labels[centers] = np.arange(len(centers))
    return labels


def euclidean_start(
    space: np.ndarray, weights: np.ndarray, k: int, random: np.random.RandomState
) -> np.ndarray:
    """Euclidean k-means centres, each snapped to the nearest node still free; (K,) int64.

    Parameters
    ----------
    space : ndarray of shape (N, G)
        Coordinates of the nodes.
    weights : ndarray of shape (N,)
    k : int
    random : RandomState
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    seed = random.randint(2**31 - 1)
    some = np.arange(len(space))
    if len(some) > MOST_FOR_START:
        some = random.choice(len(space), MOST_FOR_START, replace=False)
    kmeans = KMeans(k, n_init=1, random_state=seed)
    nodes = space[some]
    with warnings.catch_warnings(), safe_after_fork():
        # Smoothing can make points equal; centres that fall together are snapped apart below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        kmeans.fit(nodes, sample_weight=weights[some])
    return some[snapped(nodes, kmeans.cluster_centers_, k)]


def snapped(nodes: np.ndarray, starts: np.ndarray, k: int, order: float = 2.0) -> np.ndarray:
    """The nearest node still free of each of K places, (K, G) → (K,) int64.

    Parameters
    ----------
    nodes : ndarray of shape (N, G)
        At least K.
    starts : ndarray of shape (K, G)
    k : int
    order : {2, 1, inf}
        Of the Minkowski distance.
    """
    taken: dict[int, None] = {}
    nearest = nearest_neighbors(nodes, starts, min(OPTIONS, k), order)
    for start, options in zip(starts, nearest, strict=True):
        if taken.keys() >= set(options.tolist()):
            options = nearest_neighbors(nodes, start[None], k, order)[0]
        taken[next(node for node in options.tolist() if node not in taken)] = None
    return np.array(list(taken), np.int64)


def candidates(matrix: sparse.csr_matrix, k: int) -> np.ndarray:
    """Nodes that may become centres by a swap: of many, those with most edges; (C,) int64."""
    count = max(CANDIDATES, CANDIDATES_A_CENTER * k)
    return np.sort(np.argsort(-np.diff(matrix.indptr), kind="stable")[:count])


def lloyd(
    matrix: sparse.csr_matrix,
    space: np.ndarray,
    weights: np.ndarray,
    centers: np.ndarray,
    max_iter: int,
) -> tuple[np.ndarray, int]:
    """Move centres to better medoids of their cells until the objective falls no more.

    Parameters
    ----------
    matrix : csr_matrix of shape (N, N)
        Symmetric edge lengths.
    space : ndarray of shape (N, G)
        Coordinates in which cells have means.
    weights : ndarray of shape (N,)
    centers : ndarray of shape (K,)
    max_iter : int

    Returns
    -------
    centers : ndarray of shape (K,), int64
    iterations : int
    """
    labels, distances = assign(matrix, centers)
    objective = weights @ distances
    for iteration in range(1, max_iter + 1):
        tried = _better_medoids(matrix, space, weights, centers, labels, distances)
        if (tried == centers).all():
            return centers, iteration
        found, lengths = assign(matrix, tried)
        if weights @ lengths >= objective * (1 - 1e-9):
            return centers, iteration
        centers, labels, distances = tried, found, lengths
        objective = weights @ distances
    return centers, max_iter


def _better_medoids(
    matrix: sparse.csr_matrix,
    space: np.ndarray,
    weights: np.ndarray,
    centers: np.ndarray,
    labels: np.ndarray,
    distances: np.ndarray,
) -> np.ndarray:
    """Best medoid of each cell among the nodes nearest to its mean, by paths inside the cell.

    Cells are cut apart, so one Dijkstra run measures one candidate of every cell at once. A path
    that stays in its cell is no shorter than the geodesic, so what is better here is better.
    """
    k = len(centers)
    total = np.bincount(labels, weights, k)
    one_hot = sparse.csr_matrix((weights, (labels, np.arange(len(labels)))), shape=(k, len(labels)))
    means = ((one_hot @ space) / total[:, None]).astype(space.dtype)
    gaps = space - means[labels]
    order = np.lexsort((np.einsum("ng,ng->n", gaps, gaps), labels))
    sizes = np.bincount(labels, minlength=k)
    starts = np.cumsum(sizes) - sizes

    cell = labels.astype(np.int32)
    inside = np.repeat(cell, np.diff(matrix.indptr)) == cell[matrix.indices]
    indptr = np.append(0, np.cumsum(inside, dtype=matrix.indptr.dtype))[matrix.indptr]
    cells = sparse.csr_matrix((matrix.data[inside], matrix.indices[inside], indptr), matrix.shape)
    best, costs = centers.copy(), np.bincount(labels, weights * distances, k)
    for rank in range(min(TRIED, sizes.max())):
        tried = order[starts + np.minimum(rank, sizes - 1)]
        cost = np.bincount(labels, weights * assign(cells, tried)[1], k)
        better = cost < costs
        best[better], costs[better] = tried[better], cost[better]
    return best
