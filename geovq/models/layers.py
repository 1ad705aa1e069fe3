"""What several networks share: layers, and checks of sizes and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from geovq.errors import InputError

__all__ = [
    "Move",
    "channels_first",
    "check_images",
    "check_size",
    "colours",
    "perceptron",
]

MOST_NUMBERS = 2**30  # in one array: 4 GiB, and training holds five of them


def check_size(what: str, *sizes: int) -> None:
    """Raise `InputError` before numbers are allocated that hardly any machine could hold.

    Parameters
    ----------
    what : str
        For the message.
    *sizes : int
        Of an array.
    """
    if min(sizes) < 0 or math.prod(sizes) > MOST_NUMBERS:
        raise InputError(
            f"{what} of {' × '.join(f'{size:,}' for size in sizes)}; allowed: at most "
            f"{MOST_NUMBERS:,} numbers"
        )


def check_images(images: Tensor, image_shape: Sequence[int]) -> None:
    """Raise `InputError` unless images are N of that shape."""
    if tuple(images.shape[1:]) != tuple(image_shape):
        raise InputError(
            f"images of shape {tuple(images.shape)}; this model was trained on "
            f"(N, {', '.join(map(str, image_shape))})"
        )


def colours(image_shape: Sequence[int]) -> int:
    """Channels of an image: 1 of a grey one, (H, W); 3 of one in colour, (H, W, 3)."""
    return image_shape[2] if len(image_shape) == 3 else 1


def channels_first(image_shape: Sequence[int]) -> nn.Module:
    """A layer (N, H, W) → (N, 1, H, W), or (N, H, W, 3) → (N, 3, H, W)."""
    if len(image_shape) == 3:
        return Move(-1, 1)
    return nn.Unflatten(1, (1, image_shape[0]))


def perceptron(sizes: Sequence[int]) -> list[nn.Module]:
    """Linear layers from size to size, GELU between them."""
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        check_size("weights between two layers", size_in, size_out)
        layers += [nn.Linear(size_in, size_out), nn.GELU()]
    return layers[:-1]


class Move(nn.Module):
    """One axis to another place."""

    def __init__(self, source: int, destination: int) -> None:
        super().__init__()
        self.source, self.destination = source, destination

    def forward(self, tensor: Tensor) -> Tensor:
        return tensor.movedim(self.source, self.destination)
