"""Where the neighbours of a point are searched, and how long the edges to them are.

A `Geometry` searches neighbours in one set of coordinates and measures edges in another (or the
same), so Fisher, pull-back, Fermat and smoothed lengths are all a choice of `edge_points`, `length`
and `power`, and the clustering never knows which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from geovq.neighbors import is_exact, nearest_neighbors

__all__ = ["CHUNK", "Geometry", "Length", "euclidean_length"]

Length = Callable[[np.ndarray, np.ndarray], np.ndarray]

CHUNK = 8_192  # rows handled at once, so that temporary arrays stay small


def euclidean_length(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """‖a_i − b_i‖ of paired rows, (M, F) and (M, F) → (M,)."""
    return np.linalg.norm(a - b, axis=1)


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
    """

    points: np.ndarray
    neighbors: int
    edge_points: np.ndarray
    length: Length = euclidean_length
    power: float = 1.0
    half_smoothed: np.ndarray | None = None

    @cached_property
    def indices(self) -> np.ndarray:
        """The k nearest other points of each point, (N, k) int32, nearest first."""
        found = nearest_neighbors(self.points, self.points, self.neighbors + 1)
        # A point is its own nearest neighbour, unless rounding says otherwise.
        others = found != np.arange(len(found))[:, None]
        others[others.all(1), -1] = False
        return found[others].astype(np.int32).reshape(len(found), found.shape[1] - 1)

    def recall(self, sample: int = 1000) -> float:
        """Share of true neighbours among `indices`, on a sample; 1 where the search is exact."""
        n = len(self.points)
        if is_exact(n, n):
            return 1.0
        some = np.linspace(0, n - 1, sample).astype(np.int64)
        true = nearest_neighbors(self.points, self.points[some], self.neighbors + 1)
        found = np.column_stack([some, self.indices[some]])
        return float(np.mean([np.isin(t, f).mean() for t, f in zip(true, found, strict=True)]))

    def lengths(self, a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Edge lengths of the pairs (a[i], b[j]), float64."""
        lengths = np.empty(len(i))
        for start in range(0, len(i), CHUNK):
            part = slice(start, start + CHUNK)
            rows_a, rows_b = a[i[part]].astype(np.float64), b[j[part]].astype(np.float64)
            lengths[part] = self.length(rows_a, rows_b)
        return lengths**self.power

    def attach(
        self, queries: np.ndarray, edge_points: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edges from unseen points to their nearest points.

        A query that is a training point gets exactly the coordinates it had in training.

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
        indices = nearest_neighbors(self.points, queries, self.neighbors + 1)
        if self.half_smoothed is not None:  # the last smoothing step, from the training points
            edge_points = self.half_smoothed[indices].mean(1)
        elif edge_points is None:
            edge_points = queries
        rows = np.repeat(np.arange(len(queries)), indices.shape[1])
        lengths = self.lengths(edge_points, rows, self.edge_points, indices.ravel())
        return indices, lengths.reshape(indices.shape)

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
        )
