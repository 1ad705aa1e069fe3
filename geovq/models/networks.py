"""Encoders and decoders: what the VAE, the VQ-VAE and the code decoder are built of.

================ ================================ =============================================
architecture     `hidden`                         latents
================ ================================ =============================================
mlp              sizes of the hidden layers       one vector
conv             channels; each entry halves      a grid, cell by cell: D/T channels of the first
                 height and width                 cell, then of the next (T cells, row by row)
================ ================================ =============================================

The decoder is the encoder mirrored; GELU between layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from geovq.errors import InputError

__all__ = ["cell_grid", "check_images", "decoder", "encoder"]


def check_images(images: Tensor, image_shape: Sequence[int]) -> None:
    """Raise `InputError` unless images are (N, H, W) of that height and width."""
    height, width = image_shape
    if images.ndim != 3 or tuple(images.shape[1:]) != (height, width):
        raise InputError(
            f"images of shape {tuple(images.shape)}; this model was trained on "
            f"(N, {height}, {width})"
        )


def encoder(
    architecture: str, image_shape: Sequence[int], hidden: Sequence[int], dim: int, parts: int
) -> nn.Sequential:
    """(N, H, W) → (N, parts · dim): `parts` latents (mean and log-variance, say) one after another.

    Raises
    ------
    InputError
        `dim` latents do not divide into the cells of a convolutional network.
    """
    height, width = image_shape
    if architecture == "mlp":
        layers = _perceptron([height * width, *hidden, parts * dim])
        return nn.Sequential(nn.Flatten(), *layers)
    sizes = _sizes(image_shape, hidden)
    channels = _channels(dim, sizes[-1])
    layers = [nn.Unflatten(1, (1, height))]
    for (before, after), size in zip(pairwise([1, *hidden]), sizes[:-1], strict=True):
        layers += [nn.Conv2d(before, after, _kernel(size), 2, 1), nn.GELU()]
    layers += [nn.Conv2d(hidden[-1], hidden[-1], 3, 1, 1), nn.GELU()]
    layers += [nn.Conv2d(hidden[-1], parts * channels, 1), _ToCells(parts)]
    return nn.Sequential(*layers)


def decoder(
    architecture: str, image_shape: Sequence[int], hidden: Sequence[int], dim: int
) -> nn.Sequential:
    """(N, dim) → Bernoulli logits (N, H, W)."""
    height, width = image_shape
    if architecture == "mlp":
        layers = _perceptron([dim, *reversed(hidden), height * width])
        return nn.Sequential(*layers, nn.Unflatten(1, (height, width)))
    sizes = _sizes(image_shape, hidden)
    channels = _channels(dim, sizes[-1])
    layers = [_ToGrid(sizes[-1]), nn.Conv2d(channels, hidden[-1], 3, 1, 1), nn.GELU()]
    steps = zip(pairwise([*reversed(hidden), 1]), reversed(sizes[:-1]), strict=True)
    for (before, after), size in steps:
        layers += [nn.ConvTranspose2d(before, after, _kernel(size), 2, 1), nn.GELU()]
    return nn.Sequential(*layers[:-1], nn.Flatten(1, 2))


def _perceptron(sizes: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.GELU()]
    return layers[:-1]


def _sizes(image_shape: Sequence[int], hidden: Sequence[int]) -> list[tuple[int, int]]:
    """(height, width) of the image and after each halving, rounded up."""
    height, width = image_shape
    sizes = [(height, width)]
    for _ in hidden:
        height, width = -(-height // 2), -(-width // 2)
        sizes.append((height, width))
    return sizes


def _kernel(size: tuple[int, int]) -> tuple[int, int]:
    """Kernel that halves this size with stride 2 and padding 1, and whose transpose undoes it."""
    height, width = (3 if side % 2 else 4 for side in size)
    return height, width


def _channels(dim: int, grid: tuple[int, int]) -> int:
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
    return None if architecture == "mlp" else _sizes(image_shape, hidden)[-1]


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
