"""Latents ↔ tokens: post-hoc vector quantisation of a trained VAE's posterior means."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from geovq.clustering.checks import (
    check_flag,
    check_integer,
    check_number,
    check_spread,
    checked_tokens,
)
from geovq.clustering.graph import MOST_SMOOTHING
from geovq.clustering.scales import largest
from geovq.errors import InputError
from geovq.quantization.codebook_file import SavedQuantizer
from geovq.quantization.counts import check_counts
from geovq.quantization.latent_metrics import METRICS, Decode, Latents, checked_latents
from geovq.quantization.layout import LAYOUTS, Layout, layout_of
from geovq.quantization.levels import (
    GeodesicCells,
    Level,
    NearestCells,
    VoteCells,
    cell_means,
    k_means,
)

__all__ = ["GeodesicQuantizer"]

MOST_TOKENS = 65_536


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
        As in `geovq.quantization.layout`; for `grid`, latents are T blocks of D/T dimensions, cell
        by cell.
    metric : {'precision', 'euclidean', 'fisher', 'pullback'}
        See `geovq.quantization.latent_metrics`.
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
    layout_ : Layout
        The layout as an object.
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

    @property
    def layout_(self) -> Layout:
        """How the codes of an image make up its latent."""
        check_is_fitted(self, "scale_")
        return layout_of(self.layout, self.tokens, len(self.scale_))

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
        layout = self.check(*latents.means.shape)
        latents = latents.each(lambda rows: layout.fitted_on(rows, self.random_state))
        self._check_counts(len(latents.means))  # of which that may be a sample
        check_spread("means", latents.means)
        metric = METRICS[self.metric]
        scale, chunks = metric.scale(latents), layout.chunks(lambda: latents.kl.mean(0))
        points, weights = self._scaled(latents, scale)
        unit = largest(points) or 1.0
        levels: list[Level] = []
        for position, (codes, chunk) in enumerate(zip(self.vocabulary, chunks, strict=False)):
            part, weight = points[:, chunk], None if weights is None else weights[:, chunk]
            level: Level
            edge_points = None
            if layout.clustered(position):
                edge_points = metric.edge_points(latents, chunk, decode)
                level = self._partition(codes, part, weight, edge_points)
            else:
                level = NearestCells.fit(part, codes, self.random_state, weight)
            tokens = level.encode(part, weight, edge_points)
            # Cell means under the very rule that unseen latents will meet.
            level.vectors = cell_means(part, tokens, level.vectors, weight)
            points = layout.rest(points, level.vectors[tokens])
            levels.append(level)
            distinct = len(np.unique(np.round(level.vectors / unit, 12), axis=0))
            if distinct < codes:
                warnings.warn(
                    f"codes = {codes}, but position {position} has {distinct} distinct codes, for "
                    "its latents have no more to tell apart: ask for fewer codes or tokens",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        # What holds of one block holds of every one.
        offsets = len(scale) * np.arange(layout.blocks)
        self.scale_ = np.tile(scale, layout.blocks)
        self.chunks_ = [offset + chunk for offset in offsets for chunk in chunks]
        self.levels_ = levels * layout.blocks
        return self

    def encode(
        self,
        means: ArrayLike,
        log_variances: ArrayLike | None = None,
        decode: Decode | None = None,
    ) -> np.ndarray:
        """Latents → tokens (N, T), int64; arguments as in `fit`."""
        check_is_fitted(self)
        latents, layout = checked_latents(means, log_variances, len(self.scale_)), self.layout_
        points, weights = self._scaled(latents, self.scale_)
        tokens = np.empty((len(points), self.tokens), dtype=np.int64)
        for position, (level, chunk) in enumerate(zip(self.levels_, self.chunks_, strict=True)):
            edge_points = None
            if level.needs_edges:
                edge_points = METRICS[self.metric].edge_points(latents, chunk, decode)
            weight = None if weights is None else weights[:, chunk]
            tokens[:, position] = level.encode(points[:, chunk], weight, edge_points)
            points = layout.rest(points, level.vectors[tokens[:, position]])
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
        from geovq.clustering.geodesic_kmeans import (
            GeodesicKMeans,  # late: who only decodes does without
        )

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

    def _scaled(self, latents: Latents, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Points to quantise, and what a weighted metric weighs them with; both (N, D)."""
        points = latents.means * scale
        if not METRICS[self.metric].weighted:
            return points, None
        return points, 1 / (latents.variances * scale**2)

    def check(self, n: int, dimensions: int) -> Layout:
        """See whether `fit` would take n latents of so many dimensions, before there are any.

        Returns
        -------
        Layout
            That they would have.

        Raises
        ------
        InputError
            A parameter has a value that is not allowed, or does not fit these sizes.
        """
        allowed = {
            "layout": tuple(LAYOUTS),
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
        layout = layout_of(self.layout, self.tokens, dimensions)
        if not layout.decodable and self.metric == "pullback":
            raise InputError(f"metric = 'pullback'; allowed with layout {self.layout}: the others")
        self._check_counts(n)
        if self.smoothing and self.metric in ("fisher", "pullback"):
            raise InputError(f"smoothing = {self.smoothing}; allowed with metric {self.metric}: 0")
        return layout

    def _check_counts(self, n: int) -> None:
        check_counts(n, self.codes, self.first_codes, self.neighbors)
