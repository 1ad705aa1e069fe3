"""One level of a codebook: a partition of points, and the rule that encodes unseen ones.

Points are (N, F) rows already scaled; `weights` (N, F) are the precisions of a weighted metric, or
None.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from geovq.clustering.geometry import CHUNK, Geometry, Length
from geovq.clustering.neighbors import nearest_neighbors
from geovq.clustering.saved import SavedArrays
from geovq.clustering.scales import exponent
from geovq.threads import safe_after_fork

__all__ = [
    "LEVELS",
    "GeodesicCells",
    "Level",
    "NearestCells",
    "VoteCells",
    "cell_means",
    "k_means",
    "majority",
]


def cell_means(
    points: np.ndarray,
    labels: np.ndarray,
    fallback: np.ndarray,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """(Weighted) mean of each cell, (K, F); an empty cell keeps its row of `fallback`."""
    mass = np.ones_like(points) if weights is None else weights
    total, sums = np.zeros((2, *fallback.shape))
    np.add.at(total, labels, mass)
    np.add.at(sums, labels, mass * points)
    return np.where(total > 0, sums / np.where(total > 0, total, 1), fallback)


def majority(votes: np.ndarray, codes: int) -> np.ndarray:
    """Most frequent code of each row; of equally frequent ones, that whose votes come earlier.

    Parameters
    ----------
    votes : ndarray of shape (N, k), int64
        The nearest neighbour's first.
    codes : int

    Returns
    -------
    ndarray of shape (N,), int64
    """
    k = votes.shape[1]
    # Tie-breakers that together weigh less than one vote.
    ballots = 1 + (k - np.arange(k)) / (k * (k + 1))
    found = np.empty(len(votes), dtype=np.int64)
    for start in range(0, len(votes), CHUNK):
        part = votes[start : start + CHUNK]
        count = np.zeros((len(part), codes))
        np.add.at(count, (np.arange(len(part))[:, None], part), ballots)
        found[start : start + CHUNK] = count.argmax(1)
    return found


def _nearest(points: np.ndarray, vectors: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """argmin_c Σ_d w_d (x_d − c_d)², (N,) int64."""
    if weights is None:
        return nearest_neighbors(vectors, points, 1)[:, 0]
    # Σ w x² is the same for every code; a common offset would cost digits.
    origin = vectors.mean(0)
    points, vectors = points - origin, vectors - origin
    return (weights @ vectors.T**2 - 2 * (weights * points) @ vectors.T).argmin(1)


def k_means(
    points: np.ndarray, codes: int, seed: int, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean k-means, or with `weights` its precision-weighted form.

    Returns
    -------
    labels : ndarray of shape (N,), int64
    vectors : ndarray of shape (codes, F)
    """
    from sklearn.cluster import KMeans

    power = exponent(points)
    kmeans = KMeans(codes, n_init=3, random_state=seed)
    with warnings.catch_warnings(), safe_after_fork():
        # Fewer distinct points than codes: codes are then equal, as the quantiser says.
        warnings.simplefilter("ignore", ConvergenceWarning)
        kmeans.fit(np.ldexp(points, power) if power else points)
    labels, vectors = kmeans.labels_.astype(np.int64), np.ldexp(kmeans.cluster_centers_, -power)
    for _ in range(50 if weights is not None else 0):
        vectors = cell_means(points, labels, vectors, weights)
        found = _nearest(points, vectors, weights)
        if (found == labels).all():
            break
        labels = found
    return labels, vectors


class Level(Protocol):
    """What every level offers.

    Attributes
    ----------
    vectors : ndarray of shape (K, F)
        The codes.
    needs_edges : bool
        Whether `encode` measures edges, and so may want `edge_points`.
    """

    vectors: np.ndarray
    needs_edges: ClassVar[bool]

    def encode(
        self,
        points: np.ndarray,
        weights: np.ndarray | None = None,
        edge_points: np.ndarray | None = None,
    ) -> np.ndarray:
        """(N, F) → codes (N,), int64; `edge_points` (N, G) are where edges are measured."""

    def arrays(self) -> dict[str, np.ndarray]:
        """All there is to save."""

    @classmethod
    def restore(cls, saved: SavedArrays, width: int, length: Length) -> Self:
        """Out of the arrays that were saved, for points of `width` features.

        Raises
        ------
        InputError
            An array is absent or not as it should be.
        """


@dataclass
class NearestCells:
    """A point has the code of the nearest vector."""

    vectors: np.ndarray
    needs_edges: ClassVar[bool] = False

    @classmethod
    def fit(cls, points: np.ndarray, codes: int, seed: int, weights: np.ndarray | None) -> Self:
        """Place the codes by k-means."""
        return cls(k_means(points, codes, seed, weights)[1])

    def encode(
        self,
        points: np.ndarray,
        weights: np.ndarray | None = None,
        edge_points: np.ndarray | None = None,
    ) -> np.ndarray:
        """(N, F) → codes (N,), int64."""
        return _nearest(points, self.vectors, weights)

    def arrays(self) -> dict[str, np.ndarray]:
        """All there is to save."""
        return {"vectors": self.vectors}

    @classmethod
    def restore(cls, saved: SavedArrays, width: int, length: Length) -> Self:
        """As in `Level`."""
        return cls(saved.numbers("vectors", None, width))


@dataclass
class VoteCells:
    """A point has the code of the majority of its k nearest training points.

    Of codes with equally many votes, the one whose voters are nearer wins.
    """

    vectors: np.ndarray
    points: np.ndarray
    labels: np.ndarray
    neighbors: int
    needs_edges: ClassVar[bool] = False

    def encode(
        self,
        points: np.ndarray,
        weights: np.ndarray | None = None,
        edge_points: np.ndarray | None = None,
    ) -> np.ndarray:
        """(N, F) → codes (N,), int64."""
        voters = nearest_neighbors(self.points, points, self.neighbors)
        return majority(self.labels[voters], len(self.vectors))

    def arrays(self) -> dict[str, np.ndarray]:
        """All there is to save."""
        return dict(vars(self))

    @classmethod
    def restore(cls, saved: SavedArrays, width: int, length: Length) -> Self:
        """As in `Level`."""
        vectors = saved.numbers("vectors", None, width)
        points = saved.numbers("points", None, width)
        labels = saved.rows("labels", len(points), len(vectors))
        return cls(vectors, points, labels, int(saved.number("neighbors", 1, len(points))))


@dataclass
class GeodesicCells:
    """A point has the code of the centre it reaches by the shortest path."""

    vectors: np.ndarray
    geometry: Geometry
    labels: np.ndarray
    distances: np.ndarray
    needs_edges: ClassVar[bool] = True

    def encode(
        self,
        points: np.ndarray,
        weights: np.ndarray | None = None,
        edge_points: np.ndarray | None = None,
    ) -> np.ndarray:
        """(N, F) → codes (N,), int64: argmin_j length(x, x_j) + d(x_j, centre of x_j)."""
        return self.geometry.nearest(self.labels, self.distances, points, edge_points)[0]

    def arrays(self) -> dict[str, np.ndarray]:
        """All there is to save."""
        return {
            "vectors": self.vectors,
            "labels": self.labels,
            "distances": self.distances,
            **self.geometry.arrays(),
        }

    @classmethod
    def restore(cls, saved: SavedArrays, width: int, length: Length) -> Self:
        """As in `Level`."""
        vectors = saved.numbers("vectors", None, width)
        points = saved.numbers("points", None, width)
        labels = saved.rows("labels", len(points), len(vectors))
        distances = saved.numbers("distances", len(points))
        return cls(vectors, saved.geometry(length), labels, distances)


LEVELS: tuple[type[Level], ...] = (NearestCells, VoteCells, GeodesicCells)
