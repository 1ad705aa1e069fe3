"""The codebooks that the explorer shows: pictures of codes, and which codes are neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from geovq.batches import in_batches
from geovq.clustering.paths import PointGraph
from geovq.codec.tokenizer import EndToEnd, Tokenizer
from geovq.models.networks import cell_grid
from geovq.models.vae import VAE
from geovq.quantization.layout import Layout
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.report.page.content import Codebook

__all__ = ["Quantized", "codebooks"]


@dataclass(frozen=True)
class Quantized:
    """Training latents as tokenisers saw them when they made codes.

    Attributes
    ----------
    points : ndarray of shape (N, D)
        In the coordinates in which neighbours are searched.
    layout : Layout
    chunks : sequence of T ndarrays
        Dimensions of each position.
    grid : (int, int), optional
        Rows and columns of cells, if positions are parts of the image.
    """

    points: np.ndarray
    layout: Layout
    chunks: Sequence[np.ndarray]
    grid: tuple[int, int] | None

    @classmethod
    def by_quantizer(cls, quantizer: GeodesicQuantizer, vae: VAE, means: np.ndarray) -> Quantized:
        """Posterior means (N, D) of a VAE, as a quantiser saw them."""
        layout = quantizer.layout_
        return cls(means * quantizer.scale_, layout, quantizer.chunks_, _cells(vae, layout))

    @classmethod
    def by_network(cls, model: EndToEnd, images: Tensor) -> Quantized:
        """What the encoder of an end-to-end tokeniser makes of images (N, H, W)."""
        (latents,) = in_batches(model.encoder, images)
        layout, dimensions = model.layout, np.arange(latents.shape[1])
        parts = [layout.part(slice(t, t + 1)) for t in range(layout.positions)]
        chunks = [dimensions[part] for part in parts]
        return cls(latents.numpy(), layout, chunks, _cells(model, layout))


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

    Which positions are worth looking at, the layout says.

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
    layout = quantized.layout
    found: dict[str, list[Codebook]] = {name: [] for name in tokenizers}
    for part in layout.shown:
        seen = np.concatenate([quantized.points[:, chunk] for chunk in quantized.chunks[part]], 1)
        graph = PointGraph.of(layout.fitted_on(seen, seed), neighbors)
        for name, tokenizer in tokenizers.items():
            prototypes = tokenizer.prototypes(part.start).detach().sigmoid().cpu().numpy()
            codes = layout.fitted_on(tokens[name]["train"][:, part], seed).reshape(-1)
            edges = graph.shared_edges(codes, len(prototypes))
            found[name].append(
                Codebook(prototypes, tokens[name]["test"][:, part], edges, quantized.grid)
            )
    return found


def _cells(model: VAE | EndToEnd, layout: Layout) -> tuple[int, int] | None:
    """Rows and columns of the image's cells, if positions are those."""
    sizes = {name: model.config[name] for name in ("architecture", "image_shape", "hidden")}
    return layout.cells(cell_grid(**sizes))
