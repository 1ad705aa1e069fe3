"""Images as tensors, functions over batches of them without gradients, and the device for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from geovq.errors import InputError

__all__ = ["Device", "as_pixels", "best_device", "checked_device", "in_batches", "on_device"]

Device = str | torch.device

_chosen: ContextVar[torch.device | None] = ContextVar("device", default=None)


def best_device() -> torch.device:
    """That of the block of `on_device` around; else CUDA where there is one, else the CPU."""
    return _chosen.get() or torch.device("cuda" if torch.cuda.is_available() else "cpu")


def checked_device(device: Device | None) -> torch.device:
    """A device that is there; the best one for None.

    Parameters
    ----------
    device : str, torch.device or None
        `cpu`, `cuda`, `cuda:1`, `mps`, ...

    Raises
    ------
    InputError
        This machine, or this PyTorch, has no such device.
    """
    if device is None:
        return best_device()
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    try:
        found = torch.device(device) if isinstance(device, str | torch.device) else None
    except RuntimeError:
        found = None
    if found is None or (found.index or 0) >= counts.get(found.type, 0):
        allowed = ", ".join(kind for kind, count in counts.items() if count)
        raise InputError(f"device = {str(device)!r}; allowed on this machine: {allowed}")
    return found


@contextmanager
def on_device(device: Device | None) -> Iterator[None]:
    """Let `best_device` be this one inside the block, in this thread; None changes nothing.

    Raises
    ------
    InputError
        As in `checked_device`.
    """
    token = _chosen.set(checked_device(device))
    try:
        yield
    finally:
        _chosen.reset(token)


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
