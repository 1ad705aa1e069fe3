"""Geodesic k-means: clusters by distance along the k-NN graph.

The objective is Σ_i w_i d(x_i, c(i)), the distance along the graph from each point to its nearest
centre, where centres are nodes (medoids). No N×N matrix is ever built: assigning all points to K
centres is one multi-source Dijkstra run, and memory is O(kN).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from geovq._swaps import improve
from geovq.errors import InputError
from geovq.graph import (
    Geometry,
    Length,
    build_graph,
    euclidean_length,
    nearest_neighbors,
    smooth,
)

__all__ = ["GeodesicKMeans", "assign"]

CANDIDATES = 8  # nodes tried as the new medoid of a cell
ALL_CANDIDATES = 16_000  # up to so many points, every one is a candidate for a swap,
MOST_CANDIDATES = 3_000  # and of more, so many
ROUNDS = 2  # times every candidate is tried
MOST_FOR_START = 20_000  # points on which the Euclidean start is computed


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


class GeodesicKMeans(ClusterMixin, BaseEstimator):
    """K-means with distances measured along the k-NN graph.

    Starts at the Euclidean k-means centres snapped to their nearest nodes. FasterPAM swaps then
    trade centres for candidates (every point, or of more than 16,000 the 3,000 that most points
    have among their neighbours). Lloyd steps finish: every cell tries the nodes nearest to its
    mean as its medoid, by distances inside the cell. The objective never rises.

    Parameters
    ----------
    n_clusters : int
    n_neighbors : int
        k of the graph.
    metric : 'euclidean' or callable
        Edge lengths: a callable takes paired rows (M, G), (M, G) and returns (M,) lengths.
    edge_power : float
        An edge is length ** edge_power long (Fermat distances for powers above 1).
    smoothing : int
        Edges are measured on points averaged this many times over their neighbours, and whitened.
    max_iter : int
    random_state : int, RandomState or None
        Of the Euclidean start.
    n_jobs : int or None
        Threads that measure candidates; the result does not depend on it.

    Attributes
    ----------
    medoid_indices_ : ndarray of shape (K,), int64
        The training points that are centres.
    cluster_centers_ : ndarray of shape (K, F)
    labels_ : ndarray of shape (N,), int64
    distances_ : ndarray of shape (N,)
        Geodesic distance of each training point to its centre.
    inertia_ : float
        Their sum: the objective.
    n_iter_ : int
    n_components_ : int
        Of the graph, before its components were joined.
    geometry_ : Geometry
        Of the N' distinct training points: the nodes.
    graph_ : Graph
        Over the nodes.
    node_labels_, node_distances_ : ndarray of shape (N',)
        `labels_` and `distances_` of the nodes.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_neighbors: int = 10,
        metric: str | Length = "euclidean",
        edge_power: float = 1.0,
        smoothing: int = 0,
        max_iter: int = 100,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.edge_power = edge_power
        self.smoothing = smoothing
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self, X: ArrayLike, y: None = None, edge_points: np.ndarray | None = None
    ) -> GeodesicKMeans:
        """Cluster the rows of X.

        Parameters
        ----------
        X : array-like of shape (N, F)
            Neighbours are searched among these.
        y : None
            Ignored.
        edge_points : ndarray of shape (N, G), optional
            Coordinates in which edges are measured; X by default.

        Raises
        ------
        ValueError
            Fewer distinct points than clusters, or not more points than neighbours.
        """
        data: np.ndarray = validate_data(self, X, dtype=[np.float64, np.float32])
        if self.n_neighbors >= len(data):
            raise InputError(
                f"n_neighbors = {self.n_neighbors}; allowed: fewer than n_samples = {len(data)}"
            )
        # Copies of a point would fill each other's neighbour lists: one node with their weight.
        rows = np.ascontiguousarray(data) + 0.0  # −0 and 0 have different bytes
        _, first, inverse, weights = np.unique(
            rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel(),
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        if self.n_clusters > len(first):
            raise InputError(
                f"n_clusters = {self.n_clusters}; "
                f"allowed: at most the number of distinct points, {len(first)}"
            )
        points = data[first]
        geometry = Geometry(
            points,
            min(self.n_neighbors, len(points) - 1),
            points if edge_points is None else edge_points[first],
            euclidean_length if isinstance(self.metric, str) else self.metric,
            self.edge_power,
        )
        self.geometry_ = smooth(geometry, self.smoothing) if self.smoothing else geometry
        self.graph_ = build_graph(self.geometry_)
        self.n_components_ = self.graph_.n_components
        # Smoothing moves the points themselves; any other edge coordinates need not be a space
        # in which means are sensible.
        space = self.geometry_.edge_points if self.smoothing else points
        centers = self._start(space, weights)
        centers = improve(
            self.graph_.matrix,
            weights.astype(np.float64),
            centers,
            self._candidates(),
            ROUNDS,
            effective_n_jobs(self.n_jobs),
        )
        labels, distances, centers = self._lloyd(space, weights, centers)
        self.node_labels_, self.node_distances_ = labels, distances
        self.medoid_indices_ = first[centers]
        self.cluster_centers_ = data[self.medoid_indices_]
        self.labels_ = labels[inverse.ravel()]
        self.distances_ = distances[inverse.ravel()]
        self.inertia_ = float(self.distances_.sum())
        return self

    def predict(self, X: ArrayLike, edge_points: np.ndarray | None = None) -> np.ndarray:
        """Cluster of unseen points: argmin over neighbours j of length(x, x_j) + d(x_j, centre).

        Training points get their `labels_` back.

        Parameters
        ----------
        X : array-like of shape (M, F)
        edge_points : ndarray of shape (M, G), optional
            As in `fit`.

        Returns
        -------
        ndarray of shape (M,), int64
        """
        check_is_fitted(self)
        data: np.ndarray = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        indices, lengths = self.geometry_.attach(data, edge_points)
        best = (lengths + self.node_distances_[indices]).argmin(1)
        return self.node_labels_[indices[np.arange(len(data)), best]]

    def _candidates(self) -> np.ndarray:
        """Nodes that may become centres by a swap: all, or of many those that most points know."""
        n = len(self.geometry_.points)
        if n <= ALL_CANDIDATES:
            return np.arange(n)
        known = np.bincount(self.geometry_.indices.ravel(), minlength=n)
        return np.sort(np.argsort(-known, kind="stable")[:MOST_CANDIDATES])

    def _start(self, space: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Euclidean k-means centres, each snapped to the nearest node still free."""
        from sklearn.cluster import KMeans

        random = check_random_state(self.random_state)
        seed = random.randint(2**31 - 1)
        some = np.arange(len(space))
        if len(some) > MOST_FOR_START:
            some = random.choice(len(space), MOST_FOR_START, replace=False)
        kmeans = KMeans(self.n_clusters, n_init=1, random_state=seed)
        means = kmeans.fit(space[some], sample_weight=weights[some]).cluster_centers_
        nearest = nearest_neighbors(space, means, self.n_clusters)
        taken: dict[int, None] = {}
        for options in nearest:
            taken[next(int(node) for node in options if int(node) not in taken)] = None
        return np.array(list(taken))

    def _lloyd(
        self, space: np.ndarray, weights: np.ndarray, centers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        matrix = self.graph_.matrix
        labels, distances = assign(matrix, centers)
        objective = weights @ distances
        for iteration in range(1, self.max_iter + 1):
            self.n_iter_ = iteration
            tried = self._better_medoids(space, weights, centers, labels, distances)
            found, lengths = assign(matrix, tried)
            if weights @ lengths >= objective * (1 - 1e-9):
                break
            centers, labels, distances = tried, found, lengths
            objective = weights @ distances
        return labels, distances, centers

    def _better_medoids(
        self,
        space: np.ndarray,
        weights: np.ndarray,
        centers: np.ndarray,
        labels: np.ndarray,
        distances: np.ndarray,
    ) -> np.ndarray:
        """Best medoid of each cell among the nodes nearest to its mean, by paths inside the cell.

        Cells are cut apart, so one Dijkstra run measures one candidate of every cell at once.
        """
        k = len(centers)
        total = np.bincount(labels, weights, k)
        one_hot = sparse.csr_matrix((weights, (labels, np.arange(len(labels)))))
        means = (one_hot @ space) / total[:, None]
        offsets = np.linalg.norm(space - means[labels], axis=1)
        order = np.lexsort((offsets, labels))
        sizes = np.bincount(labels, minlength=k)
        starts = np.cumsum(sizes) - sizes

        edges = self.graph_.matrix.tocoo()
        inside = labels[edges.row] == labels[edges.col]
        cells = sparse.csr_matrix(
            (edges.data[inside], (edges.row[inside], edges.col[inside])), shape=edges.shape
        )
        best, costs = centers.copy(), np.bincount(labels, weights * distances, k)
        for rank in range(min(CANDIDATES, sizes.max())):
            tried = order[starts + np.minimum(rank, sizes - 1)]
            cost = np.bincount(labels, weights * assign(cells, tried)[1], k)
            better = cost < costs
            best[better], costs[better] = tried[better], cost[better]
        return best
