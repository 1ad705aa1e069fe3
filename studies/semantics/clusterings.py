"""Ways to cut points into K clusters without labels: geodesic k-means and its rivals.

Each is a frozen dataclass of its options; called with points (N, F), K and a seed it returns
labels (N,). Graphs join the same neighbours everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import eigsh

from geovq import GeodesicKMeans
from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import averaging, smooth
from geovq.quantization.latent_metrics import METRICS
from geovq.quantization.levels import k_means

NEIGHBORS = 10


class Clustering(Protocol):
    """Points (N, F), number of clusters and seed → labels (N,), int64."""

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray: ...


def options_of(clustering: Clustering) -> dict[str, Any]:
    """What identifies a clustering in a row of scores."""
    return {"clustering": clustering.name, **asdict(clustering)}


@dataclass(frozen=True)
class Geodesic:
    """Geodesic k-means; `whitened` says whether smoothed edges are measured after whitening."""

    edge_power: float = 1
    smoothing: int = 0
    neighbors: int = NEIGHBORS
    whitened: bool = True
    name: ClassVar[str] = "geodesic"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        k, power = self.neighbors, self.edge_power
        kmeans = GeodesicKMeans(codes, n_neighbors=k, edge_power=power, random_state=seed)
        return kmeans.set_params(smoothing=self.smoothing, whiten=self.whitened).fit(points).labels_


@dataclass(frozen=True)
class Decayed:
    """Geodesic k-means whose averages keep a share of the point itself, as in PageRank.

    The points come to rest at Σ_t a (1 − a)^t A^t x instead of moving on with every step. Gasteiger
    et al. 2019, https://arxiv.org/abs/1810.05997.
    """

    edge_power: float
    smoothing: int
    whitened: bool = True
    share: float = 0.05
    name: ClassVar[str] = "geodesic, decay"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        rows = averaged(points, NEIGHBORS, self.smoothing, self.share)
        rows = whiten(rows) if self.whitened else rows
        kmeans = GeodesicKMeans(codes, n_neighbors=NEIGHBORS, edge_power=self.edge_power)
        return kmeans.set_params(random_state=seed).fit(points, edge_points=rows).labels_


@dataclass(frozen=True)
class Iterated:
    """Geodesic k-means after half of the averages, on the graph of what they made of the points."""

    edge_power: float
    smoothing: int
    whitened: bool = True
    name: ClassVar[str] = "geodesic, iterated"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        raw = Geometry(points, NEIGHBORS, points)
        half = smooth(raw, self.smoothing // 2, self.whitened).edge_points
        rest = Geodesic(
            self.edge_power, self.smoothing - self.smoothing // 2, whitened=self.whitened
        )
        return rest(half, codes, seed)


@dataclass(frozen=True)
class Evened:
    """Geodesic k-means whose cells then give and take points, so that sizes even out.

    Points go to argmin_c d(x, c) + λ log p_c, where p_c is the share of cell c and λ the median
    distance times `weight`: steps towards a low mean distance minus λ times the entropy of the
    sizes. Shares follow slowly, or points would swing between cells.
    """

    edge_power: float
    smoothing: int
    whitened: bool = True
    weight: float = 1.0
    steps: int = 30
    name: ClassVar[str] = "geodesic, even cells"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        kmeans = GeodesicKMeans(codes, n_neighbors=NEIGHBORS, edge_power=self.edge_power)
        kmeans.set_params(smoothing=self.smoothing, whiten=self.whitened, random_state=seed)
        kmeans.fit(points)
        ways = dijkstra(kmeans.graph_, directed=True, indices=kmeans.node_medoids_)
        scale = self.weight * np.median(kmeans.node_distances_)
        labels = kmeans.node_labels_
        shares = np.bincount(labels, minlength=codes) / len(labels)
        for _ in range(self.steps):
            labels = (ways + scale * np.log(shares)[:, None]).argmin(0)
            found = np.bincount(labels, minlength=codes) / len(labels)
            shares = np.maximum(0.8 * shares + 0.2 * found, 1 / len(labels))
        return labels[kmeans.row_nodes_]


@dataclass(frozen=True)
class Fisher:
    """Geodesic k-means whose edges are Fisher's, between averages of means and of precisions.

    Called with the posteriors (N, 2 D): means, and precisions beside them. Neighbours are those of
    the means, as everywhere.
    """

    edge_power: float
    smoothing: int
    name: ClassVar[str] = "geodesic, Fisher"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        means, _ = np.hsplit(points, 2)
        kmeans = GeodesicKMeans(codes, n_neighbors=NEIGHBORS, edge_power=self.edge_power)
        kmeans.set_params(metric=METRICS["fisher"].length, random_state=seed)
        kmeans.set_params(smoothing=self.smoothing, whiten=False)
        return kmeans.fit(means, edge_points=points).labels_


@dataclass(frozen=True)
class KMeans:
    """Euclidean k-means."""

    name: ClassVar[str] = "k-means"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        return k_means(points, codes, seed)[0]


@dataclass(frozen=True)
class SmoothedKMeans:
    """Euclidean k-means in the coordinates in which smoothed geodesics measure their edges."""

    smoothing: int
    neighbors: int = NEIGHBORS
    name: ClassVar[str] = "k-means, smoothed"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        geometry = smooth(Geometry(points, self.neighbors, points), self.smoothing)
        return k_means(geometry.edge_points, codes, seed)[0]


@dataclass(frozen=True)
class Spectral:
    """K-means on the rows of the leading eigenvectors of D^-½ A D^-½, scaled to length 1.

    Ng, Jordan & Weiss 2001; A joins the same neighbours as ours.
    """

    vectors: int = 24
    neighbors: int = NEIGHBORS
    name: ClassVar[str] = "spectral"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        directed = _directed(points, self.neighbors)
        joined, n = directed.maximum(directed.T), len(points)
        scale = sparse.diags(1 / np.sqrt(np.asarray(joined.sum(1)).ravel()))
        start = np.random.default_rng(seed).random(n)
        matrix, wanted = scale @ joined @ scale, min(self.vectors, n - 1)
        rows = eigsh(matrix, k=wanted, which="LA", v0=start, tol=1e-4)[1]
        return k_means(rows / np.linalg.norm(rows, axis=1, keepdims=True), codes, seed)[0]


@dataclass(frozen=True)
class Leiden:
    """Communities of largest modularity, edges weighted by how many neighbours two points share.

    The weight is the Jaccard index of both neighbourhoods, each with its own point. Communities
    are as many as the resolution makes them: it is bisected until there are K, for at most `tries`
    runs; the nearest number found is what stands. Traag, Waltman & van Eck 2019,
    https://arxiv.org/abs/1810.08473.
    """

    neighbors: int = NEIGHBORS
    tries: int = 16
    name: ClassVar[str] = "Leiden"

    def __call__(self, points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        import igraph  # type: ignore[import-untyped]

        edges, weights = shared_neighbors(points, self.neighbors)
        graph = igraph.Graph(len(points), edges.tolist())

        def communities(resolution: float) -> np.ndarray:
            igraph.set_random_number_generator(random.Random(seed))
            options = {"weights": weights, "resolution": resolution}
            return np.array(graph.community_leiden("modularity", **options).membership)

        return _bisected(communities, codes, self.tries)


def shared_neighbors(points: np.ndarray, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (E, 2) that a k-NN graph joins, and the Jaccard index of their neighbourhoods (E,)."""
    around = _directed(points, neighbors) + sparse.eye_array(len(points), format="csr")
    joined = sparse.triu(around.maximum(around.T), 1, "coo")
    shared = np.asarray(around[joined.row].multiply(around[joined.col]).sum(1)).ravel()
    sizes = np.diff(around.indptr)
    weights = shared / (sizes[joined.row] + sizes[joined.col] - shared)
    return np.column_stack([joined.row, joined.col]), weights


def averaged(points: np.ndarray, neighbors: int, steps: int, share: float = 0) -> np.ndarray:
    """Points after each was replaced by the mean of itself and its neighbours, `steps` times.

    Each time the point as it was at first makes up a `share` of it.
    """
    average, first = averaging(Geometry(points, neighbors, points)), points.astype(np.float64)
    rows = first
    for _ in range(steps):
        rows = (1 - share) * (average @ rows) + share * first
    return rows


def whiten(rows: np.ndarray) -> np.ndarray:
    """Principal components of (N, F) points, each of variance 1."""
    from sklearn.decomposition import PCA

    return PCA(whiten=True).fit_transform(rows)


def _directed(points: np.ndarray, neighbors: int) -> sparse.csr_matrix:
    """(N, N), 1 where the column is one of the row's nearest."""
    indices = Geometry(points, neighbors, points).indices
    n, k = indices.shape
    return sparse.csr_matrix((np.ones(n * k), indices.ravel(), np.arange(n + 1) * k), (n, n))


def _bisected(communities: Callable[[float], np.ndarray], codes: int, tries: int) -> np.ndarray:
    """Labels of the resolution, searched on a logarithmic scale, whose number is nearest to K."""
    low, high, resolution = 0.0, np.inf, 1.0
    best: np.ndarray | None = None
    for _ in range(tries):
        labels = communities(resolution)
        count = int(labels.max()) + 1
        if best is None or abs(count - codes) < abs(best.max() + 1 - codes):
            best = labels
        if count == codes:
            break
        low, high = (resolution, high) if count < codes else (low, resolution)
        if low > 0 and high < np.inf:
            resolution = float(np.sqrt(low * high))
        else:
            resolution *= 4 if count < codes else 1 / 4
    assert best is not None
    return best.astype(np.int64)
