"""What a fitted `GeodesicKMeans` says: of unseen points, and of ways between those it has seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from geovq.errors import InputError
from geovq.geometry import Geometry, Length
from geovq.graph import padded_rows

__all__ = ["FLOATS", "FittedKMeans"]

FLOATS = (np.float64, np.float32)


class FittedKMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """`predict`, `transform`, `score` and `path`; the attributes are those of `GeodesicKMeans`."""

    metric: str | Length
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

        Training points get their `labels_` back.

        Parameters
        ----------
        X : array-like of shape (M, F), or sparse matrix of shape (M, N)
            Points; or with metric 'precomputed' the lengths of edges to training points.
        edge_points : ndarray of shape (M, G), optional
            As in `fit`.

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

    def score(self, X: ArrayLike, y: None = None, sample_weight: ArrayLike | None = None) -> float:
        """Minus the objective on X."""
        _, distances = self._nearest(*self._attach(X, None))
        weights = _check_sample_weight(sample_weight, distances[:, None], dtype=np.float64)
        return -float(weights @ distances)

    def path(self, start: int, end: int) -> np.ndarray:
        """Training points along the shortest path between two of them, both ends included.

        Parameters
        ----------
        start, end : int
            Rows of the training data.

        Returns
        -------
        ndarray of shape (L,), int64
            Rows of the training data.
        """
        check_is_fitted(self)
        source, target = self.row_nodes_[start], self.row_nodes_[end]
        if min(source, target) < 0:
            raise InputError(f"start = {start}, end = {end}; allowed: points of positive weight")
        _, before = dijkstra(self.graph_, directed=True, indices=source, return_predecessors=True)
        nodes = [target]
        while nodes[-1] != source:
            nodes.append(before[nodes[-1]])
        return self.node_rows_[nodes[::-1]]

    @property
    def _precomputed(self) -> bool:
        return isinstance(self.metric, str) and self.metric == "precomputed"

    @property
    def _n_features_out(self) -> int:
        return len(self.medoid_indices_)

    def _attach(
        self, X: ArrayLike, edge_points: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edges from unseen points to nodes: indices and lengths, both (M, k)."""
        check_is_fitted(self)
        if not self._precomputed:
            return self.geometry_.attach(
                validate_data(self, X, dtype=FLOATS, reset=False), edge_points
            )
        edges = validate_data(self, X, dtype=FLOATS, accept_sparse="csr", reset=False)
        return padded_rows(sparse.csr_matrix(edges))

    def _nearest(self, indices: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Label and distance of the centre that the shortest way leads to, both (M,)."""
        ways = lengths + self.node_distances_[indices]
        rows, best = np.arange(len(ways)), ways.argmin(1)
        return self.node_labels_[indices[rows, best]], ways[rows, best]
