"""Ways through a point cloud: shortest paths on its k-NN graph, and frames along a way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from geovq.clustering.checks import check_rows
from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import build_graph, smooth, way_back
from geovq.clustering.neighbors import distinct_rows
from geovq.errors import InputError

__all__ = ["PointGraph", "resample"]


@dataclass(frozen=True)
class PointGraph:
    """The k-NN graph of the distinct points of a cloud.

    Attributes
    ----------
    geometry : Geometry
    matrix : csr_matrix of shape (nodes, nodes)
        Symmetric edge lengths.
    rows : ndarray of shape (nodes,), int64
        The first row of the cloud that is at each node.
    """

    geometry: Geometry
    matrix: sparse.csr_matrix
    rows: np.ndarray

    @classmethod
    def of(
        cls,
        points: np.ndarray,
        neighbors: int,
        smoothing: int = 0,
        edge_power: float = 1.0,
        whiten: bool = True,
    ) -> Self:
        """Build the graph.

        Parameters
        ----------
        points : ndarray of shape (N, D)
        neighbors : int
            k; at most the number of distinct points less one is used.
        smoothing, edge_power, whiten
            As in `GeodesicKMeans`.

        Warns
        -----
        UserWarning
            The graph had several components, which were joined.
        """
        points = check_rows("points", points)
        rows = distinct_rows(points)[0]
        nodes = points[rows].astype(np.float64)
        geometry = Geometry(nodes, min(neighbors, len(nodes) - 1), nodes, power=edge_power)
        geometry = smooth(geometry, smoothing, whiten) if smoothing else geometry
        return cls(geometry, build_graph(geometry).matrix, rows)

    def shortest_paths(self, starts: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
        """Shortest ways from starts to ends.

        The first and the last step are edges to and from nearest neighbours.

        Parameters
        ----------
        starts, ends : ndarray of shape (M, D)
            Any places; they need not be points of the graph.

        Returns
        -------
        list of M ndarrays of shape (L, D)
            Both ends included.
        """
        width = self.geometry.points.shape[1]
        starts = check_rows("starts", starts, None, width)
        ends = check_rows("ends", ends, len(starts), width)
        inner = self.matrix.tocoo()
        # Nothing leads to a start nor away from an end: no path can pass through those of another.
        n, m = self.matrix.shape[0], len(starts)
        (first, first_steps), (last, last_steps) = map(self.geometry.attach, (starts, ends))
        own = np.arange(m).repeat(first.shape[1])
        edges = [
            (inner.row, inner.col, inner.data),
            (n + own, first.ravel(), first_steps.ravel()),
            (last.ravel(), n + m + own, last_steps.ravel()),
        ]
        rows, columns, lengths = (np.concatenate(part) for part in zip(*edges, strict=True))
        graph = sparse.csr_matrix((lengths, (rows, columns)), (n + 2 * m, n + 2 * m))
        places = np.concatenate([self.geometry.points, starts, ends])
        paths = []
        for i in range(m):  # one at a time: predecessors of all would fill the memory
            _, (before,) = dijkstra(graph, directed=True, indices=[n + i], return_predecessors=True)
            paths.append(places[way_back(before, n + i, n + m + i)])
        return paths

    def shared_edges(self, codes: np.ndarray, count: int) -> np.ndarray:
        """How many edges of the graph join two codes.

        Parameters
        ----------
        codes : ndarray of shape (N,), integers from 0 to count - 1
            Of every point of the cloud.
        count : int
            K.

        Returns
        -------
        ndarray of shape (K, K), int64
            Symmetric; the diagonal counts edges within a code.
        """
        low, high = codes.min(), codes.max()
        if low < 0 or high >= count:
            raise InputError(f"codes from {low} to {high}; allowed: 0 to count - 1 = {count - 1}")
        upper = sparse.triu(self.matrix, format="coo")
        pairs = codes[self.rows[upper.row]] * count + codes[self.rows[upper.col]]
        table = np.bincount(pairs, minlength=count**2).reshape(count, count)
        return table + table.T - np.diag(table.diagonal())


def resample(path: np.ndarray, count: int) -> np.ndarray:
    """Points at equal distances along a polyline (L, D), its ends included; (count, D)."""
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1)))
    at = np.linspace(0, along[-1], count)
    return np.column_stack([np.interp(at, along, column) for column in path.T])
