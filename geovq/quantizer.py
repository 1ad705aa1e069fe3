"""Latents ↔ tokens: post-hoc vector quantisation of a trained VAE's posterior means."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from geovq._checks import (
    check_flag,
    check_integer,
    check_number,
    check_spread,
    checked_tokens,
)
from geovq._saving import SavedQuantizer
from geovq._scales import largest
from geovq.errors import InputError
from geovq.graph import MOST_SMOOTHING
from geovq.latent_metrics import METRICS, Decode, Latents, checked_latents
from geovq.levels import GeodesicCells, Level, NearestCells, VoteCells, cell_means, k_means

__all__ = ["GeodesicQuantizer", "balanced_chunks", "sample_cells"]


MOST_TOKENS = 65_536
SAMPLE = 60_000  # cells that a shared codebook is fitted on


def balanced_chunks(kl: np.ndarray, chunks: int) -> list[np.ndarray]:
    """Cut D dimensions into equal chunks of nearly equal KL.

    The largest KL goes, one after another, to the chunk with the least so far that has room.

    Parameters
    ----------
    kl : ndarray of shape (D,)
        KL to the prior of each dimension, in nats.
    chunks : int
        A divisor of D.

    Returns
    -------
    list of ndarray of shape (D / chunks,), int64
    """
    members: list[list[int]] = [[] for _ in range(chunks)]
    for dimension in np.argsort(-kl, kind="stable"):
        free = [c for c in members if len(c) < len(kl) // chunks]
        min(free, key=lambda c: kl[c].sum()).append(int(dimension))
    return [np.sort(c) for c in members]


def sample_cells(n: int, seed: int) -> np.ndarray:
    """Rows of the cells that a shared codebook is fitted on: at most `SAMPLE` of n, in order."""
    if n <= SAMPLE:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))


class GeodesicQuantizer(SavedQuantizer, BaseEstimator):
    """Tokens for the latents of a VAE that is already trained.

    With the residual layout the first of T levels is a partition of the latents by
    `GeodesicKMeans`, the others are k-means on what is left over. With the product layout each of
    T chunks of dimensions is partitioned by `GeodesicKMeans`. With the grid layout the T cells of
    a spatial latent share one such partition, fitted on at most 60,000 cells. Codes are the means
    of their cells (never the medoids), and training latents are encoded by the same rule as unseen
    ones.

    Parameters
    ----------
    codes : int
        K, codes at each position.
    tokens : int
        T, positions. The rate is Σ_t log2 K_t bits an image.
    first_codes : int, optional
        Codes of the first residual level.
    layout : {'residual', 'product', 'grid'}
        For `grid`, latents are T blocks of D/T dimensions, cell by cell.
    metric : {'precision', 'euclidean', 'fisher', 'pullback'}
        See `geovq.latent_metrics`.
    neighbors : int
        k of the k-NN graph and of the vote.
    smoothing, whiten, edge_power
        As in `GeodesicKMeans`.
    assignment : {'vote', 'geodesic'}
        How latents get the code of a geodesic partition: by the majority of their k nearest
        training latents, or by the shortest path to a centre.
    clustering : {'geodesic', 'euclidean'}
        `euclidean` partitions by k-means instead, all else equal: the ablation. Its vote is the
        same; in place of the shortest path it takes the nearest code.
    random_state : int

    Attributes
    ----------
    chunks_ : list of ndarray
        Dimensions each level sees.
    levels_ : list of Level
    scale_ : ndarray of shape (D,)
        What latents are multiplied by before anything else.
    """

    def __init__(
        self,
        codes: int = 64,
        tokens: int = 1,
        *,
        first_codes: int | None = None,
        layout: str = "residual",
        metric: str = "precision",
        neighbors: int = 10,
        smoothing: int = 0,
        whiten: bool = True,
        edge_power: float = 1.0,
        assignment: str = "vote",
        clustering: str = "geodesic",
        random_state: int = 0,
    ) -> None:
        self.codes = codes
        self.tokens = tokens
        self.first_codes = first_codes
        self.layout = layout
        self.metric = metric
        self.neighbors = neighbors
        self.smoothing = smoothing
        self.whiten = whiten
        self.edge_power = edge_power
        self.assignment = assignment
        self.clustering = clustering
        self.random_state = random_state

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""
        return (self.first_codes or self.codes, *[self.codes] * (self.tokens - 1))

    def fit(
        self,
        means: ArrayLike,
        log_variances: ArrayLike | None = None,
        decode: Decode | None = None,
    ) -> GeodesicQuantizer:
        """Build the codebooks from the training latents.

        Parameters
        ----------
        means : array-like of shape (N, D)
            Posterior means: real numbers of at most 1e100.
        log_variances : array-like of shape (N, D), optional
            Of the posteriors, from -80 to 80. All metrics but `euclidean` need them, and so does
            the product layout, which balances its chunks by KL.
        decode : callable, optional
            (M, D) latents → (M, P) expected pixels. The pull-back metric needs it.

        Raises
        ------
        InputError
            A parameter has a value that is not allowed, or does not fit the data; the latents are
            not as said here, or are on scales so different that float64 loses most of them.

        Warns
        -----
        UserWarning
            The graph had several components, or some latents are a billion times farther out than
            half of all.
        ConvergenceWarning
            A position has fewer distinct codes than asked for, as the latents have no more.
        """
        latents = checked_latents(means, log_variances)
        self._check_parameters(*latents.means.shape)
        if self.layout == "grid":
            return self._fit_cells(latents)
        check_spread("means", latents.means)
        metric = METRICS[self.metric]
        self.scale_ = metric.scale(latents)
        self.chunks_ = [np.arange(latents.means.shape[1])] * self.tokens
        if self.layout == "product":
            kl = 0.5 * (latents.means**2 + latents.variances - np.log(latents.variances) - 1)
            self.chunks_ = balanced_chunks(kl.mean(0), self.tokens)
        points, weights = self._scaled(latents)
        unit = largest(points) or 1.0
        self.levels_: list[Level] = []
        for position, (codes, chunk) in enumerate(zip(self.vocabulary, self.chunks_, strict=True)):
            part, weight = points[:, chunk], None if weights is None else weights[:, chunk]
            level: Level
            edge_points = None
            if self._is_partition(position):
                edge_points = metric.edge_points(latents, chunk, decode)
                level = self._partition(codes, part, weight, edge_points)
            else:
                level = NearestCells.fit(part, codes, self.random_state, weight)
            tokens = level.encode(part, weight, edge_points)
            # Cell means under the very rule that unseen latents will meet.
            level.vectors = cell_means(part, tokens, level.vectors, weight)
            if self.layout == "residual":
                points = points - level.vectors[tokens]
            self.levels_.append(level)
            distinct = len(np.unique(np.round(level.vectors / unit, 12), axis=0))
            if distinct < codes:
                warnings.warn(
                    f"codes = {codes}, but position {position} has {distinct} distinct codes, for "
                    "its latents have no more to tell apart: ask for fewer codes or tokens",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        return self

    def _fit_cells(self, latents: Latents) -> GeodesicQuantizer:
        """One level for all T blocks of dimensions, fitted on a sample of them."""
        n = len(latents.means) * self.tokens
        rows = sample_cells(n, self.random_state)
        means, log_variances = latents.means.reshape(n, -1)[rows], latents.log_variances
        if log_variances is not None:
            log_variances = log_variances.reshape(n, -1)[rows]
        alone = clone(self).set_params(tokens=1, layout="residual").fit(means, log_variances)
        self.scale_ = np.tile(alone.scale_, self.tokens)
        self.chunks_ = np.split(np.arange(len(self.scale_)), self.tokens)
        self.levels_ = alone.levels_ * self.tokens
        return self

    def encode(
        self,
        means: ArrayLike,
        log_variances: ArrayLike | None = None,
        decode: Decode | None = None,
    ) -> np.ndarray:
        """Latents → tokens (N, T), int64; arguments as in `fit`."""
        check_is_fitted(self)
        latents = checked_latents(means, log_variances, len(self.scale_))
        points, weights = self._scaled(latents)
        tokens = np.empty((len(points), self.tokens), dtype=np.int64)
        for position, (level, chunk) in enumerate(zip(self.levels_, self.chunks_, strict=True)):
            edge_points = None
            if level.needs_edges:
                edge_points = METRICS[self.metric].edge_points(latents, chunk, decode)
            weight = None if weights is None else weights[:, chunk]
            tokens[:, position] = level.encode(points[:, chunk], weight, edge_points)
            if self.layout == "residual":
                points = points - level.vectors[tokens[:, position]]
        return tokens

    def decode(self, tokens: ArrayLike) -> np.ndarray:
        """Tokens (N, T) → latents (N, D): the sum of their codes.

        Raises
        ------
        InputError
            Tokens that are no integers, not T in a row, or not among the codes.
        """
        books = self.codebooks()
        tokens = checked_tokens(tokens, [len(book) for book in books])
        return np.sum([v[tokens[:, t]] for t, v in enumerate(books)], axis=0)

    def codebooks(self) -> list[np.ndarray]:
        """Codes (K_t, D) of each position; 0 in the dimensions that a chunk has not."""
        check_is_fitted(self)
        found = []
        for level, chunk in zip(self.levels_, self.chunks_, strict=True):
            vectors = np.zeros((len(level.vectors), len(self.scale_)))
            vectors[:, chunk] = level.vectors / self.scale_[chunk]
            found.append(vectors)
        return found

    def _is_partition(self, position: int) -> bool:
        return position == 0 or self.layout == "product"

    def _partition(
        self,
        codes: int,
        points: np.ndarray,
        weights: np.ndarray | None,
        edge_points: np.ndarray | None,
    ) -> Level:
        """Divide the points by geodesic or Euclidean k-means, with the rule for unseen ones."""
        if self.clustering == "euclidean":
            labels, vectors = k_means(points, codes, self.random_state, weights)
            if self.assignment == "geodesic":
                return NearestCells(vectors)
            return VoteCells(vectors, points, labels, self.neighbors)
        from geovq.geodesic_kmeans import GeodesicKMeans  # late: who only decodes does without

        kmeans = GeodesicKMeans(
            codes,
            n_neighbors=self.neighbors,
            metric=METRICS[self.metric].length,
            edge_power=self.edge_power,
            smoothing=self.smoothing,
            whiten=self.whiten,
            random_state=self.random_state,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X: ")  # said of the latents before
            warnings.simplefilter("ignore", ConvergenceWarning)  # said of the codes hereafter
            kmeans.fit(points, edge_points=edge_points)
        vectors = cell_means(points, kmeans.labels_, kmeans.cluster_centers_, weights)
        if self.assignment == "geodesic":
            return GeodesicCells(
                vectors, kmeans.geometry_, kmeans.node_labels_, kmeans.node_distances_
            )
        return VoteCells(vectors, points, kmeans.labels_, self.neighbors)

    def _scaled(self, latents: Latents) -> tuple[np.ndarray, np.ndarray | None]:
        """Points to quantise, and what a weighted metric weighs them with; both (N, D)."""
        points = latents.means * self.scale_
        if not METRICS[self.metric].weighted:
            return points, None
        return points, 1 / (latents.variances * self.scale_**2)

    def _check_parameters(self, n: int, dimensions: int) -> None:
        allowed = {
            "layout": ("residual", "product", "grid"),
            "metric": tuple(METRICS),
            "assignment": ("vote", "geodesic"),
            "clustering": ("geodesic", "euclidean"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(values)}")
        for name in ("codes", "first_codes", "neighbors"):
            if name != "first_codes" or self.first_codes is not None:
                check_integer(name, getattr(self, name))
        check_integer("tokens", self.tokens, most=MOST_TOKENS)
        check_integer("smoothing", self.smoothing, 0, MOST_SMOOTHING)
        check_integer("random_state", self.random_state, 0, 2**32 - 1)
        check_number("edge_power", self.edge_power)
        check_flag("whiten", self.whiten)
        if self.tokens < 1:
            raise InputError(f"tokens = {self.tokens}; allowed: at least 1")
        if self.layout != "residual" and dimensions % self.tokens:
            raise InputError(
                f"tokens = {self.tokens}: the {self.layout} layout cuts latent_dim = {dimensions} "
                "into that many equal chunks; allowed: its divisors"
            )
        if self.layout == "grid" and self.metric == "pullback":
            raise InputError("metric = 'pullback'; allowed with layout grid: the others")
        for name in ("codes", "first_codes"):
            value = getattr(self, name)
            if value is not None and not 2 <= value <= n:
                raise InputError(f"{name} = {value}; allowed: 2 to the number of latents, {n}")
        if not 1 <= self.neighbors < n:
            raise InputError(
                f"neighbors = {self.neighbors}; allowed: 1 to {n - 1}, fewer than the {n} latents"
            )
        if self.smoothing and self.metric in ("fisher", "pullback"):
            raise InputError(f"smoothing = {self.smoothing}; allowed with metric {self.metric}: 0")
