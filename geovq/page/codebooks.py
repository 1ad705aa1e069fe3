"""The codebooks that the explorer shows: pictures of codes, and which codes are neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from geovq.batches import in_batches
from geovq.models.networks import cell_grid
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.page.content import Codebook
from geovq.paths import PointGraph
from geovq.quantizer import GeodesicQuantizer, sample_cells
from geovq.tokenizer import Tokenizer

__all__ = ["Quantized", "codebooks"]


@dataclass(frozen=True)
class Quantized:
    """Training latents as tokenisers saw them when they made codes.

    Attributes
    ----------
    points : ndarray of shape (N, D)
        In the coordinates in which neighbours are searched.
    layout : {'residual', 'product', 'grid'}
    chunks : sequence of T ndarrays
        Dimensions of each position.
    grid : (int, int), optional
        Rows and columns of cells, if positions are parts of the image.
    """

    points: np.ndarray
    layout: str
    chunks: Sequence[np.ndarray]
    grid: tuple[int, int] | None

    @classmethod
    def by_quantizer(cls, quantizer: GeodesicQuantizer, vae: VAE, means: np.ndarray) -> Quantized:
        """Posterior means (N, D) of a VAE, as a quantiser saw them."""
        grid = _grid(vae, quantizer.layout, quantizer.tokens)
        return cls(means * quantizer.scale_, quantizer.layout, quantizer.chunks_, grid)

    @classmethod
    def by_vqvae(cls, model: VQVAE, images: Tensor) -> Quantized:
        """What a VQ-VAE's encoder makes of images (N, H, W)."""
        (latents,) = in_batches(model.encoder, images)
        layout, positions = model.config["layout"], len(model.vocabulary)
        dimensions = np.arange(latents.shape[1])
        chunks = [dimensions] if layout == "residual" else np.split(dimensions, positions)
        return cls(latents.numpy(), layout, chunks, _grid(model, layout, positions))


def codebooks(
    tokenizers: Mapping[str, Tokenizer],
    quantized: Quantized,
    tokens: Mapping[str, Mapping[str, np.ndarray]],
    neighbors: int,
    seed: int,
) -> dict[str, list[Codebook]]:
    """Codebooks of tokenisers that made their codes of the same latents, as `Content` has them.

    Neighbours are counted on the graph that the codes were made of: of whole latents, of a
    product's chunks, or of the same sample of cells that `GeodesicQuantizer` clusters. Edges join
    the nearest points by straight distance whatever the metric (Fisher, pull-back, smoothed), which
    says only how long they are; to count them it is not needed.

    Further residual tokens are left out: they correct what the first leaves over, and decoded
    alone they show little.

    Parameters
    ----------
    tokenizers : mapping
    quantized : Quantized
    tokens : mapping of str to mapping
        Of each tokeniser, `train` (N, T) and `test` (M, T), integers.
    neighbors : int
        k of the graphs.
    seed : int
        The quantisers' `random_state`.
    """
    positions = range(len(quantized.chunks))
    shared = {
        "residual": [slice(0, 1)],
        "product": [slice(t, t + 1) for t in positions],
        "grid": [slice(0, len(positions))],
    }[quantized.layout]
    found: dict[str, list[Codebook]] = {name: [] for name in tokenizers}
    for part in shared:
        points = np.stack([quantized.points[:, chunk] for chunk in quantized.chunks[part]], 1)
        points = points.reshape(-1, points.shape[2])
        rows = np.arange(len(points))
        if quantized.layout == "grid":
            rows = sample_cells(len(points), seed)
        graph = PointGraph.of(points[rows], neighbors)
        for name, tokenizer in tokenizers.items():
            prototypes = tokenizer.prototypes(part.start).detach().sigmoid().cpu().numpy()
            codes = tokens[name]["train"][:, part].reshape(-1)[rows]
            edges = graph.shared_edges(codes, len(prototypes))
            found[name].append(
                Codebook(prototypes, tokens[name]["test"][:, part], edges, quantized.grid)
            )
    return found


def _grid(model: VAE | VQVAE, layout: str, positions: int) -> tuple[int, int] | None:
    """Cells of the image, if the positions of that layout are those."""
    sizes = {name: model.config[name] for name in ("architecture", "image_shape", "hidden")}
    grid = cell_grid(**sizes) if layout == "grid" else None
    return grid if grid and grid[0] * grid[1] == positions else None
