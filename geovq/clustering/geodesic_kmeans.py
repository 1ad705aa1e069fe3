"""Geodesic k-means: clusters by distance along the k-NN graph, as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import dijkstra
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from geovq.clustering.beyond_labels import BeyondLabels
from geovq.clustering.checks import (
    check_flag,
    check_integer,
    check_jobs,
    check_number,
    check_numbers,
    check_rows,
    check_seed,
    check_spread,
    dense,
)
from geovq.clustering.geometry import Geometry, nearest_center
from geovq.clustering.given import check_neighbors, given_graph, others_given
from geovq.clustering.graph import (
    MOST_SMOOTHING,
    as_graph,
    build_graph,
    edges_to_nodes,
    smooth,
    way_back,
)
from geovq.clustering.k_medoids import find_medoids
from geovq.clustering.kmeans_file import load_kmeans, save_kmeans
from geovq.clustering.lengths import METRICS, Length, edge_length
from geovq.clustering.medoids import assign, first_of_ties
from geovq.clustering.neighbors import distinct_rows
from geovq.clustering.saved import PathLike
from geovq.clustering.start import check_init, start_nodes
from geovq.errors import InputError

__all__ = ["GeodesicKMeans"]

FLOATS = (np.float64, np.float32)


class GeodesicKMeans(
    BeyondLabels, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator
):
    """K-means with distances measured along the k-NN graph.

    The objective is Σ_i w_i d(x_i, c(i)), where centres are points (medoids) and d is the length
    of the shortest path. Starts at the Euclidean k-means centres snapped to their nearest points.
    FasterPAM swaps then trade centres for candidates (the 1,000 points with most edges, or 16 a
    cluster). Lloyd steps finish: every cell tries the points nearest to its mean as its medoid.
    The objective never rises, no cell is ever empty, and memory is O(kN).

    Parameters
    ----------
    n_clusters : int
    n_neighbors : int
        k of the graph; fewer where there are not so many other points.
    metric : str or callable
        'euclidean', 'manhattan', 'chebyshev', 'cosine' or 'correlation' (1 minus these): neighbours
        are searched and edges measured alike, with a k-d tree and more slowly for the second and
        the third. A callable only measures edges, between Euclidean neighbours: it takes paired
        rows (M, G), (M, G) and returns (M,) lengths, finite and at least 0. With 'precomputed' X
        is a sparse (N, N) graph of edge lengths, connected; stored zeros are edges.
    edge_power : float
        An edge is length ** edge_power long (Fermat distances for powers above 1).
    smoothing : int
        Edges are measured on points averaged this many times over their neighbours; 0 with
        metrics of directions ('cosine', 'correlation') and with 'precomputed'.
    whiten : bool
        Those averages are whitened; nothing else is.
    init : {'k-means', 'random'} or array-like of shape (K,) or (K, F)
        Where centres start: at those of Euclidean k-means (with 'precomputed' as 'random'), at
        points drawn at random, at these rows of X, or at the points nearest to these centres.
    n_init : int
        Starts; the best result is kept. One, if `init` is an array.
    max_iter : int
        Lloyd steps at most.
    random_state : int, RandomState or None
        Of the start.
    n_jobs : int or None
        Threads that measure candidates; the result does not depend on it.
    verbose : bool or int
        Show progress when not 0.

    Attributes
    ----------
    medoid_indices_ : ndarray of shape (K,), int64
        The training points that are centres.
    cluster_centers_ : ndarray of shape (K, F)
        Those points; absent when X was a graph.
    labels_ : ndarray of shape (N,), int64
        Of several centres equally far, the first.
    distances_ : ndarray of shape (N,)
        Geodesic distance of each training point to its centre.
    outlier_score_ : ndarray of shape (N,)
        The same over the median distance in the cluster.
    inertia_ : float
        The weighted sum of the distances: the objective.
    n_iter_ : int
        Lloyd steps of the best start.
    n_components_ : int
        Of the graph, before its components were joined.
    recall_ : float
        Share of true neighbours that the search found, on a sample; 1 where it is exact, NaN where
        there was none.
    geometry_ : Geometry
        Of the N' distinct points of positive weight: the nodes.
    graph_ : csr_matrix of shape (N', N')
        Edge lengths.
    node_rows_ : ndarray of shape (N',), int64
        Training point of each node (the first, of copies).
    row_nodes_ : ndarray of shape (N,), int64
        Node of each training point; −1 for those of weight 0.
    node_medoids_ : ndarray of shape (K,), int64
        The nodes that are centres.
    node_labels_, node_distances_ : ndarray of shape (N',)
        `labels_` and `distances_` of the nodes.

    Examples
    --------
    >>> from geovq import GeodesicKMeans
    >>> from sklearn.datasets import make_swiss_roll
    >>> points, _ = make_swiss_roll(500, random_state=0)
    >>> GeodesicKMeans(4, random_state=0).fit_predict(points).shape
    (500,)
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_neighbors: int = 10,
        metric: str | Length = "euclidean",
        edge_power: float = 1.0,
        smoothing: int = 0,
        whiten: bool = True,
        init: str | ArrayLike = "k-means",
        n_init: int = 1,
        max_iter: int = 100,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool | int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.edge_power = edge_power
        self.smoothing = smoothing
        self.whiten = whiten
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: None = None,
        sample_weight: ArrayLike | None = None,
        *,
        edge_points: np.ndarray | None = None,
        neighbors: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> GeodesicKMeans:
        """Cluster the rows of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (N, F), or sparse matrix of shape (N, N)
            Points, among which neighbours are searched, sparse ones as the array that they stand
            for, which has to fit into memory; or a graph, with metric 'precomputed'.
        y : None
            Ignored.
        sample_weight : array-like of shape (N,), optional
            Of each point in the objective. A point of weight 0 is only predicted.
        edge_points : ndarray of shape (N, G), optional
            Coordinates in which edges are measured; X by default.
        neighbors : (indices, distances), both array-like of shape (N, k), optional
            Rows that are near to each row, and how far they are by `metric`, in place of a search
            with `n_neighbors`; a row may be its own neighbour. As UMAP's `precomputed_knn`, whose
            third part is not needed. Not with `smoothing`.

        Raises
        ------
        InputError
            A kind of ValueError: fewer points than clusters, a graph that is not connected, a
            parameter out of range, arrays of anything but real numbers, masked values; numbers
            above 1e300, rows or columns on scales so different that float64 loses all others, or
            edges so long or short that it cannot hold their sum.

        Warns
        -----
        UserWarning
            The graph had several components: how many, and how long the joins are. Or some rows
            are a billion times farther out than half of all: fill values? Or the distances of
            `neighbors` are not those by `metric`, by which unseen points are measured.
        RuntimeWarning
            `init` is an array, and `n_init` more than 1.
        ConvergenceWarning
            Fewer distinct points than clusters: each becomes one.
        """
        self._check_parameters()
        precomputed = self._precomputed
        if neighbors is not None and (precomputed or self.smoothing):
            raise InputError(
                "neighbors: given; allowed with metric 'precomputed' or smoothing above 0: None"
            )
        check_numbers("X", X)
        data = validate_data(self, X, dtype=FLOATS, accept_sparse="csr")
        data = data if precomputed else dense("X", data)
        given = None if neighbors is None else check_neighbors(neighbors, data.shape[0])
        if self.n_clusters > data.shape[0]:
            raise InputError(
                f"n_clusters = {self.n_clusters}; allowed: at most n_samples = {data.shape[0]}"
            )
        weights = self._weights(sample_weight, data)
        # A point of weight 0 is no node; copies of a point are one, of all their weight, or they
        # would fill each other's neighbour lists.
        used = np.arange(data.shape[0]) if precomputed else np.flatnonzero(weights)
        if precomputed:
            if edge_points is not None:
                raise InputError("edge_points: an array; allowed with metric 'precomputed': None")
            first = inverse = used
            masses, space = weights, None
            self.graph_, self.n_components_, self.recall_ = as_graph(data, self.edge_power), 1, 1.0
        else:
            points, measured = self._coordinates(data, edge_points)
            if points is data:
                check_spread("X", data)
            first, inverse = distinct_rows(points[used])
            masses, first = np.bincount(inverse, weights[used]), used[first]
        self.node_rows_, self.row_nodes_ = first, np.full(data.shape[0], -1)
        self.row_nodes_[used] = inverse
        if not precomputed:
            edge_rows = None if measured is None else measured[first]
            space = self._build(points[first], edge_rows, given)
        with np.errstate(over="ignore"):
            total, longest = weights.sum(), self.graph_.data.sum()
            if not total * longest < np.inf:
                raise InputError(
                    f"sample_weight sums to {total:.3g}, and the edges to {longest:.3g}; allowed: "
                    "a product of at most 1e+308"
                )
        if self.n_clusters > len(first):
            warnings.warn(
                f"n_clusters = {self.n_clusters}, but only {len(first)} distinct points: "
                f"{len(first)} clusters",
                ConvergenceWarning,
                stacklevel=2,
            )
        geometry = None if precomputed else self.geometry_
        start = start_nodes(self.init, self.row_nodes_, geometry, self.metric, data.shape[1])
        self.node_medoids_, self.n_iter_ = find_medoids(
            self.graph_,
            space,
            masses,
            int(min(self.n_clusters, len(first))),
            n_init=int(self.n_init) if isinstance(start, str) else 1,
            max_iter=int(self.max_iter),
            init=start,
            random=check_random_state(self.random_state),
            threads=effective_n_jobs(self.n_jobs),
            progress=bool(self.verbose),
        )
        labels, self.node_distances_ = assign(self.graph_, self.node_medoids_)
        self.node_labels_ = first_of_ties(
            self.graph_, self.node_medoids_, labels, self.node_distances_
        )
        self.medoid_indices_ = first[self.node_medoids_]
        self.labels_ = np.empty(data.shape[0], dtype=np.int64)
        self.distances_ = np.empty(data.shape[0])
        self.labels_[used] = self.node_labels_[inverse]
        self.distances_[used] = self.node_distances_[inverse]
        if not precomputed:
            self.cluster_centers_ = data[self.medoid_indices_]
            rest = np.flatnonzero(weights == 0)
            if len(rest):
                edges = None if measured is None else measured[rest]
                nodes = self.node_labels_, self.node_distances_
                found = self.geometry_.nearest(*nodes, points[rest], edges)
                self.labels_[rest], self.distances_[rest] = found
        self.inertia_ = float(weights @ self.distances_)
        return self

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
        return self._nearest(X, edge_points)[0]

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
        _, distances = self._nearest(X, edge_points)
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

    def save(self, path: PathLike) -> None:
        """Write parameters and what was fitted to one npz file, without pickle.

        Parameters
        ----------
        path : path-like
            Ends in `.npz`. A file that is there is replaced only if geovq wrote it.

        Raises
        ------
        InputError
            `random_state` is an object; allowed: an integer or None. Or the path has another
            suffix, or is that of a folder, a link, or a file of somebody else's.
        WriteError
            The system refused to write; what was there is as it was.
        """
        check_is_fitted(self)
        save_kmeans(path, self)

    @classmethod
    def load(cls, path: PathLike, *, metric: Length | None = None) -> Self:
        """Read what `save` wrote; a callable metric has to be given again.

        Raises
        ------
        InputError
            The file is absent, truncated or another kind of file, or the metric is missing.
        """
        return load_kmeans(path, cls, metric)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._precomputed
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags

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
        if self._precomputed:
            edges = validate_data(self, X, dtype=np.float64, accept_sparse="csr", reset=False)
            return edges_to_nodes(edges, self.graph_, float(self.edge_power))
        data = validate_data(self, X, dtype=FLOATS, accept_sparse="csr", reset=False)
        data = dense("X", data)
        width = self.geometry_.edge_points.shape[1]
        return self.geometry_.enter(*self._coordinates(data, edge_points, width))

    def _nearest(
        self, X: ArrayLike, edge_points: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Label and distance of the centre that the shortest way leads to, both (M,)."""
        edges = self._attach(X, edge_points)
        return nearest_center(*edges, self.node_labels_, self.node_distances_)

    @staticmethod
    def _weights(sample_weight: ArrayLike | None, data: np.ndarray) -> np.ndarray:
        if sample_weight is not None:
            check_numbers("sample_weight", sample_weight, "biuf")
        return _check_sample_weight(sample_weight, data, dtype=np.float64, ensure_non_negative=True)

    def _build(
        self,
        points: np.ndarray,
        edge_points: np.ndarray | None,
        given: tuple[np.ndarray, np.ndarray] | None,
    ) -> np.ndarray:
        """Build the graph; returns the coordinates in which cells have means."""
        k = self.n_neighbors if given is None else max(others_given(given[0]), 1)
        geometry = Geometry(
            points,
            int(min(k, len(points) - 1)),
            points if edge_points is None else edge_points,
            edge_length(self.metric),
            float(self.edge_power),
            order=2.0 if callable(self.metric) else METRICS[self.metric].order,
        )
        if self.smoothing:
            geometry = smooth(geometry, self.smoothing, self.whiten)
        self.geometry_ = geometry
        if given is None:
            graph, self.recall_ = build_graph(geometry), geometry.recall()
        else:
            graph, self.recall_ = given_graph(geometry, self.row_nodes_, *given), np.nan
        self.graph_, self.n_components_ = graph.matrix, graph.n_components
        # Smoothing moves the points themselves; any other edge coordinates need not be a space in
        # which means are sensible.
        return self.geometry_.edge_points if self.smoothing else points

    def _check_parameters(self) -> None:
        least = {"n_clusters": 1, "n_neighbors": 1, "n_init": 1, "max_iter": 0}
        for name, low in least.items():
            check_integer(name, getattr(self, name), low)
        check_integer("smoothing", self.smoothing, 0, MOST_SMOOTHING)
        check_number("edge_power", self.edge_power)
        check_flag("whiten", self.whiten)
        check_init(self.init, int(self.n_clusters), pairwise=self._precomputed)
        if not isinstance(self.init, str) and self.n_init > 1:
            warnings.warn(
                f"init is an array: one start instead of n_init = {self.n_init}",
                RuntimeWarning,
                stacklevel=3,
            )
        if not isinstance(self.verbose, bool | np.bool_):
            check_integer("verbose", self.verbose, 0)
        check_jobs("n_jobs", self.n_jobs)
        check_seed("random_state", self.random_state)
        named = (*METRICS, "precomputed")
        if not callable(self.metric) and not (
            isinstance(self.metric, str) and self.metric in named
        ):
            allowed = ", ".join(map(repr, named))
            raise InputError(f"metric = {self.metric!r}; allowed: {allowed}, or a callable")
        if self.smoothing and self.metric in ("cosine", "correlation", "precomputed"):
            raise InputError(
                f"smoothing = {self.smoothing}; allowed with metric {self.metric!r}: 0"
            )
