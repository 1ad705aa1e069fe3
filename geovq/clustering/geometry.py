"""Where the neighbours of a point are searched, and how long the edges to them are.

A `Geometry` searches neighbours in one set of coordinates and measures edges in another (or the
same), so Fisher, pull-back, Fermat and smoothed lengths are all a choice of `edge_points`, `length`
and `power`, and the clustering never knows which.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from geovq.clustering.lengths import CHUNK, Length, edge_length, euclidean_length, measured, raised
from geovq.clustering.neighbors import is_exact, nearest_neighbors
from geovq.errors import InputError

__all__ = ["CHUNK", "Geometry", "Length", "edge_length", "euclidean_length", "nearest_center"]


@dataclass(frozen=True)
class Geometry:
    """Where neighbours are searched, and how long an edge is.

    Attributes
    ----------
    points : ndarray of shape (N, F)
        Distinct rows; neighbours are searched among them.
    neighbors : int
        k.
    edge_points : ndarray of shape (N, G)
        Coordinates in which edges are measured.
    length : callable
        (M, G) and (M, G) paired rows → (M,) lengths, at least 0.
    power : float
        Edges are `length ** power` long: for powers above 1 paths follow the density (Fermat
        distances, https://arxiv.org/abs/1810.09398).
    half_smoothed : ndarray of shape (N, G), optional
        Edge coordinates before the last smoothing step, from which unseen points get theirs.
    order : {2, 1, inf}
        Of the Minkowski distance by which neighbours are near.
    """

    points: np.ndarray
    neighbors: int
    edge_points: np.ndarray
    length: Length = euclidean_length
    power: float = 1.0
    half_smoothed: np.ndarray | None = None
    order: float = 2.0

    @cached_property
    def indices(self) -> np.ndarray:
        """The k nearest other points of each point, (N, k) int32, nearest first."""
        found = nearest_neighbors(self.points, self.points, self.neighbors + 1, self.order)
        # A point is its own nearest neighbour, unless rounding says otherwise.
        others = found != np.arange(len(found))[:, None]
        others[others.all(1), -1] = False
        return found[others].astype(np.int32).reshape(len(found), found.shape[1] - 1)

    @cached_property
    def _measured_elsewhere(self) -> bool:
        same = self.edge_points is self.points or np.array_equal(self.edge_points, self.points)
        return self.half_smoothed is None and not same

    def recall(self, sample: int = 1000) -> float:
        """Share of true neighbours among `indices`, on a sample; 1 where the search is exact."""
        n = len(self.points)
        if self.order != 2 or is_exact(n, n):
            return 1.0
        some = np.linspace(0, n - 1, sample).astype(np.int64)
        true = nearest_neighbors(self.points, self.points[some], self.neighbors + 1, exact=True)
        found = np.column_stack([some, self.indices[some]])
        return float(np.mean([np.isin(t, f).mean() for t, f in zip(true, found, strict=True)]))

    def lengths(self, a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Edge lengths of the pairs (a[i], b[j]), float64, finite and at least 0.

        Raises
        ------
        InputError
            `length` returned something else, or a power of it overflows.
        """
        return raised(measured(self.length, a, i, b, j), self.power)

    def attach(
        self, queries: np.ndarray, edge_points: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edges from unseen points to their nearest points.

        Parameters
        ----------
        queries : ndarray of shape (M, F)
        edge_points : ndarray of shape (M, G), optional
            The queries, by default.

        Returns
        -------
        indices : ndarray of shape (M, k + 1), int64
            Nearest first.
        lengths : ndarray of shape (M, k + 1)
        """
        indices = nearest_neighbors(self.points, queries, self.neighbors + 1, self.order)
        if self.half_smoothed is not None:  # the last smoothing step, from the training points
            edge_points = self.half_smoothed[indices].mean(1)
        elif edge_points is None:
            if self._measured_elsewhere:
                raise InputError("edge_points = None; allowed: (M, G), as the geometry has others")
            edge_points = queries
        rows = np.repeat(np.arange(len(queries)), indices.shape[1])
        lengths = self.lengths(edge_points, rows, self.edge_points, indices.ravel())
        return indices, lengths.reshape(indices.shape)

    def enter(
        self, queries: np.ndarray, edge_points: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `attach`, but from a query that is a training point all others are infinitely far.

        Otherwise a way round over others, of the same length, could lead to another centre.
        """
        indices, lengths = self.attach(queries, edge_points)
        own = None if self.half_smoothed is not None else edge_points
        for start in range(0, len(queries), CHUNK):
            part = slice(start, start + CHUNK)
            row, column = np.nonzero(self.points[indices[part], 0] == queries[part, :1])
            row += start
            node = indices[row, column]
            same = (self.points[node] == queries[row]).all(1)
            if own is not None:
                same &= (self.edge_points[node] == own[row]).all(1)
            lengths[row[same]] = np.inf
            lengths[row[same], column[same]] = 0
        return indices, lengths

    def nearest(
        self,
        labels: np.ndarray,
        distances: np.ndarray,
        queries: np.ndarray,
        edge_points: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """`nearest_center` of unseen points, as `enter` joins them to the graph."""
        return nearest_center(*self.enter(queries, edge_points), labels, distances)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything `restore` needs but the length, which is code."""
        named = {
            "points": self.points,
            "neighbors": np.array(self.neighbors),
            "power": np.array(self.power),
        }
        if self.edge_points is not self.points:
            named["edge_points"] = self.edge_points
        if self.half_smoothed is not None:
            named["half_smoothed"] = self.half_smoothed
        if self.order != 2:
            named["order"] = np.array(self.order)
        return named

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray], length: Length) -> Geometry:
        """Rebuild from `arrays`."""
        return cls(
            points=arrays["points"],
            neighbors=int(arrays["neighbors"]),
            edge_points=arrays.get("edge_points", arrays["points"]),
            length=length,
            power=float(arrays["power"]),
            half_smoothed=arrays.get("half_smoothed"),
            order=float(arrays.get("order", 2.0)),
        )


def nearest_center(
    indices: np.ndarray, lengths: np.ndarray, labels: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Label and distance of the centre that the shortest way leads to; of several, the first.

    Parameters
    ----------
    indices, lengths : ndarray of shape (M, k)
        Edges to nodes.
    labels, distances : ndarray of shape (N,)
        Of the nodes.

    Returns
    -------
    labels : ndarray of shape (M,), int64
    distances : ndarray of shape (M,)
    """
    ways = lengths + distances[indices]
    least = ways.min(1)
    shortest = np.where(ways == least[:, None], labels[indices], np.iinfo(labels.dtype).max)
    return shortest.min(1), least
