"""Encoders and decoders: what the VAE, the VQ-VAE and the code decoder are built of.

================ ================================ =============================================
architecture     `hidden`                         latents
================ ================================ =============================================
mlp              sizes of the hidden layers       one vector
conv             channels; each entry halves      a grid, cell by cell: D/T channels of the first
                 height and width                 cell, then of the next (T cells, row by row)
conv_mlp         channels as in conv, and last    one vector
                 the size of a hidden layer
================ ================================ =============================================

The decoder is the encoder mirrored; GELU between layers. Images are (N, H, W) or (N, H, W, 3):
channels come last everywhere but between convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from geovq.errors import InputError
from geovq.models.layers import Move, channels_first, check_size, colours, perceptron

__all__ = ["cell_grid", "decoder", "encoder"]


def encoder(
    architecture: str, image_shape: Sequence[int], hidden: Sequence[int], dim: int, parts: int
) -> nn.Sequential:
    """Images → (N, parts · dim): `parts` latents (mean and log-variance, say) one after another.

    Raises
    ------
    InputError
        `dim` latents do not divide into the cells of a grid, or `conv_mlp` has no convolution.
    """
    if architecture == "mlp":
        layers = perceptron([math.prod(image_shape), *hidden, parts * dim])
        return nn.Sequential(nn.Flatten(), *layers)
    channels, dense = _divide(architecture, hidden)
    sizes = _sizes(image_shape, channels)
    layers = [channels_first(image_shape)]
    steps = zip(pairwise([colours(image_shape), *channels]), sizes[:-1], strict=True)
    for (before, after), size in steps:
        check_size("weights of a convolution", before, after, *_kernel(size))
        layers += [nn.Conv2d(before, after, _kernel(size), 2, 1), nn.GELU()]
    if architecture == "conv_mlp":
        flat = channels[-1] * math.prod(sizes[-1])
        return nn.Sequential(*layers, nn.Flatten(), *perceptron([flat, *dense, parts * dim]))
    layers += [nn.Conv2d(channels[-1], channels[-1], 3, 1, 1), nn.GELU()]
    layers += [nn.Conv2d(channels[-1], parts * _depth(dim, sizes[-1]), 1), _ToCells(parts)]
    return nn.Sequential(*layers)


def decoder(
    architecture: str, image_shape: Sequence[int], hidden: Sequence[int], dim: int
) -> nn.Sequential:
    """(N, dim) → logits of the images' shape."""
    if architecture == "mlp":
        layers = perceptron([dim, *reversed(hidden), math.prod(image_shape)])
        return nn.Sequential(*layers, nn.Unflatten(1, tuple(image_shape)))
    channels, dense = _divide(architecture, hidden)
    sizes = _sizes(image_shape, channels)
    if architecture == "conv_mlp":
        grid = (channels[-1], *sizes[-1])
        layers = [*perceptron([dim, *dense, math.prod(grid)]), nn.GELU(), nn.Unflatten(1, grid)]
    else:
        depth = _depth(dim, sizes[-1])
        layers = [_ToGrid(sizes[-1]), nn.Conv2d(depth, channels[-1], 3, 1, 1), nn.GELU()]
    channels_out = [*reversed(channels), colours(image_shape)]
    steps = zip(pairwise(channels_out), reversed(sizes[:-1]), strict=True)
    for (before, after), size in steps:
        layers += [nn.ConvTranspose2d(before, after, _kernel(size), 2, 1), nn.GELU()]
    last = Move(1, -1) if len(image_shape) == 3 else nn.Flatten(1, 2)
    return nn.Sequential(*layers[:-1], last)


def _divide(architecture: str, hidden: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Channels of the convolutions, and sizes of the hidden layers behind them."""
    if architecture == "conv":
        return hidden, []
    if len(hidden) < 2:
        raise InputError(
            f"hidden = {list(hidden)}; allowed with architecture conv_mlp: channels of at least "
            "one convolution, and the size of a hidden layer"
        )
    return hidden[:-1], hidden[-1:]


def _sizes(image_shape: Sequence[int], hidden: Sequence[int]) -> list[tuple[int, int]]:
    """(height, width) of the image and after each halving, rounded up."""
    height, width = image_shape[:2]
    sizes = [(height, width)]
    for _ in hidden:
        height, width = -(-height // 2), -(-width // 2)
        sizes.append((height, width))
    return sizes


def _kernel(size: tuple[int, int]) -> tuple[int, int]:
    """Kernel that halves this size with stride 2 and padding 1, and whose transpose undoes it."""
    height, width = (3 if side % 2 else 4 for side in size)
    return height, width


def _depth(dim: int, grid: tuple[int, int]) -> int:
    """Channels of each of the grid's cells."""
    cells = grid[0] * grid[1]
    if dim % cells:
        raise InputError(
            f"latent_dim = {dim}; allowed with architecture conv: multiples of its "
            f"{grid[0]} × {grid[1]} = {cells} cells"
        )
    return dim // cells


def cell_grid(
    architecture: str, image_shape: Sequence[int], hidden: Sequence[int]
) -> tuple[int, int] | None:
    """Rows and columns of cells that the latents are a grid of; None where they are one vector."""
    return _sizes(image_shape, hidden)[-1] if architecture == "conv" else None


class _ToCells(nn.Module):
    """(N, parts · C, h, w) → (N, parts · h · w · C)."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, grid: Tensor) -> Tensor:
        return grid.flatten(2).unflatten(1, (self.parts, -1)).transpose(2, 3).flatten(1)


class _ToGrid(nn.Module):
    """(N, h · w · C) → (N, C, h, w)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, cells: Tensor) -> Tensor:
        height, width = self.size
        return cells.unflatten(1, (height * width, -1)).transpose(1, 2).unflatten(2, self.size)
