"""What a fitted `GeodesicKMeans` says of points beyond their label, and its graph for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from geovq.clustering.checks import check_number

if TYPE_CHECKING:
    import networkx

__all__ = ["BeyondLabels", "relative_distances", "softmin"]

LEAST = np.finfo(np.float64).tiny  # of a temperature: then the nearest centre has it all


def softmin(distances: np.ndarray, temperature: float) -> np.ndarray:
    """exp(−d / temperature), each row divided by its sum; (M, K) → (M, K)."""
    with np.errstate(over="ignore"):  # far beyond all that has a share
        farther = (distances - distances.min(1, keepdims=True)) / max(temperature, LEAST)
    shares = np.exp(-farther)
    return shares / shares.sum(1, keepdims=True)


def relative_distances(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Distances over the median distance in their cluster; those of 0 are left out of it, and stay.

    Parameters
    ----------
    distances : ndarray of shape (N,)
    labels : ndarray of shape (N,), integers
    """
    found, off = np.zeros(len(distances)), distances > 0
    for label in np.unique(labels[off]):
        rows = off & (labels == label)
        found[rows] = distances[rows] / np.median(distances[rows])
    return found


class BeyondLabels:
    """Methods of `GeodesicKMeans` that need no more than what was fitted."""

    if TYPE_CHECKING:
        distances_: np.ndarray
        labels_: np.ndarray
        node_rows_: np.ndarray
        node_labels_: np.ndarray
        node_distances_: np.ndarray
        node_medoids_: np.ndarray
        graph_: sparse.csr_matrix

        def transform(self, X: ArrayLike, *, edge_points: np.ndarray | None = None) -> np.ndarray:
            """Geodesic distance to each centre."""

        def _nearest(
            self, X: ArrayLike, edge_points: np.ndarray | None
        ) -> tuple[np.ndarray, np.ndarray]: ...

    def predict_proba(
        self,
        X: ArrayLike,
        *,
        temperature: float | None = None,
        edge_points: np.ndarray | None = None,
    ) -> np.ndarray:
        """Share of each cluster in a point: exp(−d(x, c_k) / τ) over the sum of all K of these.

        d is the geodesic distance, as `transform` gives it. Rows sum to 1, and the largest entry,
        of equal ones the first, is that of `predict`. They are the posteriors of K clusters of
        equal weight in which the density falls with the distance as exp(−d / τ): a reading of the
        distances, not calibrated to anything.

        Parameters
        ----------
        X, edge_points
            As in `predict`.
        temperature : float, optional
            τ, in the unit of the distances. By default the mean distance of the nodes, which are
            the distinct training points, to their centre: the likeliest τ if these distances are
            exponential.

        Returns
        -------
        ndarray of shape (M, K)

        Raises
        ------
        InputError
            As in `predict`; or the temperature is not above 0 and finite.
        """
        check_is_fitted(self)
        if temperature is None:
            temperature = float(self.node_distances_.mean())
        else:
            check_number("temperature", temperature)
        return softmin(self.transform(X, edge_points=edge_points), temperature)

    def score_samples(self, X: ArrayLike, *, edge_points: np.ndarray | None = None) -> np.ndarray:
        """Minus the geodesic distance to the nearest centre, (M,): the higher, the more normal.

        Arguments are as in `predict`.
        """
        return -self._nearest(X, edge_points)[1]

    @property
    def outlier_score_(self) -> np.ndarray:
        """How far training points are out, (N,): 1 is the middle of a cluster, 0 its centre.

        The relative distance of Tan, Steinbach and Kumar (Introduction to Data Mining, 2005,
        chapter 10): a point's distance to its centre over the median distance in its cluster, so
        that wide clusters are not all outliers. Points at the centre itself are not counted; one
        so far from all others that it became a centre has 0, and is told by its small cluster.
        """
        check_is_fitted(self)
        return relative_distances(self.distances_, self.labels_)

    def to_networkx(self) -> networkx.Graph:
        """Give the k-NN graph as an undirected `networkx.Graph`.

        A node is called by its training point, the row in X; of copies, the first. It has a
        `cluster`, the `distance` to its centre, and says whether it `is_center`. An edge has its
        length as `weight`.

        Raises
        ------
        ImportError
            networkx is not installed.
        """
        check_is_fitted(self)
        try:
            import networkx
        except ImportError as error:
            raise ImportError(
                "networkx is not installed; to_networkx needs: pip install networkx"
            ) from error
        rows = self.node_rows_.tolist()
        centers = np.isin(np.arange(len(rows)), self.node_medoids_)
        columns: dict[str, Any] = {
            "cluster": self.node_labels_,
            "distance": self.node_distances_,
            "is_center": centers,
        }
        lists = (column.tolist() for column in columns.values())
        graph = networkx.Graph()
        for row, *values in zip(rows, *lists, strict=True):
            graph.add_node(row, **dict(zip(columns, values, strict=True)))
        edges = sparse.triu(self.graph_).tocoo()
        ends = (self.node_rows_[edges.row].tolist(), self.node_rows_[edges.col].tolist())
        graph.add_weighted_edges_from(zip(*ends, edges.data.tolist(), strict=True))
        return graph
