"""What the page shows, as plain arrays: M test images of H × W pixels, decoded pixels in [0, 1].

Images in colour have a last axis of 3 more than is said here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geovq.errors import InputError
from geovq.report.table import Scores

__all__ = ["Codebook", "Content", "TokenSteps", "Way"]


@dataclass(frozen=True)
class Codebook:
    """The codes of one position, or those that the P cells of a grid share.

    Attributes
    ----------
    prototypes : ndarray of shape (K, H, W)
        Each code, decoded alone.
    codes : ndarray of shape (M, P), integers from 0 to K - 1
        Of the test images.
    shared_edges : ndarray of shape (K, K), integers
        Edges of the graph of training latents between two codes, as `PointGraph.shared_edges`.
    grid : (int, int), optional
        Rows and columns of cells, if the P positions are parts of the image, row by row.
    """

    prototypes: np.ndarray
    codes: np.ndarray
    shared_edges: np.ndarray
    grid: tuple[int, int] | None = None


@dataclass(frozen=True)
class TokenSteps:
    """Images decoded from their first 1, 2, ..., T tokens.

    Attributes
    ----------
    bits : ndarray of shape (T,)
        Rate of so many tokens.
    bce : ndarray of shape (T,)
        Mean over all test images, in nats.
    frames : ndarray of shape (n, T, H, W)
        A few test images.
    frame_bce : ndarray of shape (n, T)
        Of each frame, in nats.
    """

    bits: np.ndarray
    bce: np.ndarray
    frames: np.ndarray
    frame_bce: np.ndarray


@dataclass(frozen=True)
class Way:
    """Two ways between two test images, decoded at F equally distant places.

    Attributes
    ----------
    start, end : int
        Rows of the test images.
    straight, geodesic : ndarray of shape (F, H, W)
    between : int
        Training images that the geodesic passes through.
    """

    start: int
    end: int
    straight: np.ndarray
    geodesic: np.ndarray
    between: int


@dataclass(frozen=True)
class Content:
    """Everything on the page; tokenisers have the keys they have in `scores`.

    Attributes
    ----------
    scores : mapping
        Rows of `metrics/evaluate.json`.
    test_images : ndarray of shape (M, H, W), uint8
    test_labels : ndarray of shape (M,), integers, or None
    reconstructions, samples : mapping of str to ndarray of shape (n, H, W)
        By title. The first row of the reconstructions are the originals.
    shown : ndarray of shape (n,), integers
        Rows of the test images that are reconstructed and decoded token by token.
    codebooks : mapping of str to sequence of Codebook
        The first position's of residual tokens, one for each position of a product, or the one
        that all cells share.
    steps : mapping of str to TokenSteps
    ways : sequence of Way
    curves : mapping
        Panels of training curves, as `geovq.report.figures.curves` takes them.
    neighbors : int
        k of the graph.
    params : mapping of str to object
        What the run was asked for, by the full names of parameters.
    """

    scores: Scores
    test_images: np.ndarray
    test_labels: np.ndarray | None
    reconstructions: Mapping[str, np.ndarray]
    samples: Mapping[str, np.ndarray]
    shown: np.ndarray
    codebooks: Mapping[str, Sequence[Codebook]]
    steps: Mapping[str, TokenSteps]
    ways: Sequence[Way]
    curves: Mapping[str, Mapping[str, Sequence[np.ndarray]]]
    neighbors: int
    params: Mapping[str, object]

    def __post_init__(self) -> None:
        count = len(self.test_images)
        for name, books in self.codebooks.items():
            for i, book in enumerate(books):
                if book.codes.ndim != 2 or len(book.codes) != count:
                    raise InputError(
                        f"codebooks[{name!r}][{i}].codes of shape {book.codes.shape}; "
                        f"allowed: ({count}, P), a row for each test image"
                    )
        if self.test_labels is not None and self.test_labels.shape != (count,):
            raise InputError(
                f"test_labels of shape {self.test_labels.shape}; allowed: ({count},) or None"
            )
