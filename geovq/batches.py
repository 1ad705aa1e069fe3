"""Images as tensors, and functions over batches of them, without gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

__all__ = ["as_pixels", "best_device", "in_batches"]


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def as_pixels(images: np.ndarray) -> Tensor:
    """8-bit images (N, H, W) → float32 in [0, 1]."""
    return torch.from_numpy(images).float().div_(255)


@torch.no_grad()
def in_batches(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    *tensors: Tensor,
    size: int = 1000,
    title: str = "",
) -> list[Tensor]:
    """Apply a function to row batches, without gradients, and join each of its results.

    With a title there is a progress bar.
    """
    device = best_device()
    parts = []
    with tqdm(total=len(tensors[0]), desc=title, disable=not title) as bar:
        for rows in zip(*(tensor.split(size) for tensor in tensors), strict=True):
            result = function(*(row.to(device) for row in rows))
            parts.append(result if isinstance(result, tuple) else (result,))
            bar.update(len(rows[0]))
    return [torch.cat(column).cpu() for column in zip(*parts, strict=True)]
