"""What a fitted `GeodesicKMeans` says: of unseen points, and of ways between those it has seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from geovq._checks import check_integer, check_numbers, check_rows
from geovq.errors import InputError
from geovq.geometry import Geometry, nearest_center
from geovq.graph import padded_rows, symmetric, way_back
from geovq.lengths import METRICS, Length, raised

__all__ = ["FLOATS", "FittedKMeans"]

FLOATS = (np.float64, np.float32)


class FittedKMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """`predict`, `transform`, `score` and `path`; the attributes are those of `GeodesicKMeans`."""

    metric: str | Length
    edge_power: float
    geometry_: Geometry
    graph_: sparse.csr_matrix
    medoid_indices_: np.ndarray
    node_rows_: np.ndarray
    row_nodes_: np.ndarray
    node_medoids_: np.ndarray
    node_labels_: np.ndarray
    node_distances_: np.ndarray

    def predict(self, X: ArrayLike, *, edge_points: np.ndarray | None = None) -> np.ndarray:
        """Cluster of unseen points: argmin over neighbours j of length(x, x_j) + d(x_j, centre).

        Of several centres equally far, the first. What equals a training point gets its label, and
        so does the graph of `fit` as a whole.

        Parameters
        ----------
        X : array-like of shape (M, F), or sparse matrix of shape (M, N)
            Points; or with metric 'precomputed' the lengths of edges to training points.
        edge_points : ndarray of shape (M, G), optional
            As in `fit`; needed if it was given there.

        Returns
        -------
        ndarray of shape (M,), int64
        """
        return self._nearest(*self._attach(X, edge_points))[0]

    def transform(self, X: ArrayLike, *, edge_points: np.ndarray | None = None) -> np.ndarray:
        """Geodesic distance of points to each centre, (M, K); arguments as in `predict`.

        Takes one Dijkstra run a centre.
        """
        indices, lengths = self._attach(X, edge_points)
        distances = np.empty((len(indices), len(self.medoid_indices_)))
        for column, center in enumerate(self.node_medoids_):
            to_center = dijkstra(self.graph_, directed=True, indices=center)
            distances[:, column] = (lengths + to_center[indices]).min(1)
        return distances

    def score(
        self,
        X: ArrayLike,
        y: None = None,
        sample_weight: ArrayLike | None = None,
        *,
        edge_points: np.ndarray | None = None,
    ) -> float:
        """Minus the objective on X; arguments as in `predict`."""
        _, distances = self._nearest(*self._attach(X, edge_points))
        weights = _check_sample_weight(sample_weight, distances[:, None], dtype=np.float64)
        return -float(weights @ distances)

    def path(self, start: int, end: int) -> np.ndarray:
        """Training points along the shortest path between two of them, both ends included.

        Parameters
        ----------
        start, end : int
            Rows of the training data, from 0.

        Returns
        -------
        ndarray of shape (L,), int64
            Rows of the training data.

        Raises
        ------
        InputError
            No such row, or one of weight 0.
        """
        check_is_fitted(self)
        for name, row in (("start", start), ("end", end)):
            check_integer(name, row, 0, len(self.row_nodes_) - 1)
        source, target = self.row_nodes_[start], self.row_nodes_[end]
        if min(source, target) < 0:
            raise InputError(f"start = {start}, end = {end}; allowed: points of positive weight")
        _, before = dijkstra(self.graph_, directed=True, indices=source, return_predecessors=True)
        return self.node_rows_[way_back(before, source, target)]

    @property
    def _precomputed(self) -> bool:
        return isinstance(self.metric, str) and self.metric == "precomputed"

    @property
    def _n_features_out(self) -> int:
        return len(self.medoid_indices_)

    def _coordinates(
        self, data: np.ndarray, edge_points: np.ndarray | None, width: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Where neighbours of points are searched, and where edges are measured if elsewhere."""
        if edge_points is not None:
            edge_points = check_rows("edge_points", edge_points, len(data), width)
        if isinstance(self.metric, str):
            metric = METRICS[self.metric]
            data = metric.prepare(data, "X")
            if edge_points is not None:
                edge_points = metric.prepare(edge_points, "edge_points")
        return data, edge_points

    def _attach(
        self, X: ArrayLike, edge_points: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edges from unseen points to nodes: indices and lengths, both (M, k)."""
        check_is_fitted(self)
        check_numbers("X", X)
        if not self._precomputed:
            data = validate_data(self, X, dtype=FLOATS, reset=False)
            width = self.geometry_.edge_points.shape[1]
            return self.geometry_.enter(*self._coordinates(data, edge_points, width))
        edges = validate_data(self, X, dtype=np.float64, accept_sparse="csr", reset=False)
        if self._is_training_graph(edges):
            return np.arange(edges.shape[0])[:, None], np.zeros((edges.shape[0], 1))
        edges = sparse.csr_matrix(edges, copy=True)
        if edges.nnz and edges.data.min() < 0:
            raise InputError(f"an edge is {edges.data.min():g} long; allowed: at least 0")
        edges.data = raised(edges.data, float(self.edge_power))
        return padded_rows(edges)

    def _is_training_graph(self, edges: sparse.csr_matrix | np.ndarray) -> bool:
        """Whether these are the very edges of `fit`, so that each row is a node."""
        if edges.shape != self.graph_.shape:
            return False
        graph = symmetric(edges, float(self.edge_power))
        names = ("indptr", "indices", "data")
        return all(np.array_equal(getattr(graph, n), getattr(self.graph_, n)) for n in names)

    def _nearest(self, indices: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Label and distance of the centre that the shortest way leads to, both (M,)."""
        return nearest_center(indices, lengths, self.node_labels_, self.node_distances_)
