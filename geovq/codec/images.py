"""Images as PyTorch has them, in tensors, data sets and loaders → one array."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler
from tqdm.auto import tqdm

from geovq.data.pixels import channels_last
from geovq.errors import InputError
from geovq.files.reading import free_memory, gigabytes, plain

__all__ = ["as_array"]


def as_array(images: Any, channels: str | None, *, fitting: bool) -> np.ndarray:
    """Images for `geovq.data.pixels.as_8_bit`, whatever holds them.

    Parameters
    ----------
    images : array-like, Tensor, Dataset or DataLoader
        Items of a data set, and batches of a loader, are images, or tuples that begin with them.
    channels : {'last', 'first'}, optional
        By default last; of what comes from PyTorch, wherever the shape allows them to be.
    fitting : bool
        If not, their order matters, and a loader that shuffles is warned of.

    Returns
    -------
    ndarray of shape (N, H, W) or (N, H, W, 3)
        Or of any other that is no shape of images.

    Raises
    ------
    InputError
        Items are no images or differ in shape, all do not fit into memory, or the channels are not
        where they are said to be.

    Warns
    -----
    UserWarning
        A loader shuffles.
    """
    known = isinstance(images, Tensor | Dataset | DataLoader)
    if isinstance(images, DataLoader):
        if not fitting and isinstance(images.sampler, RandomSampler):
            warnings.warn(
                "images: a DataLoader that shuffles; rows are in its order: shuffle=False keeps "
                "that of the data set",
                stacklevel=4,
            )
        with torch.random.fork_rng(devices=[]):  # each pass over a loader draws a seed
            images = _joined(images, "batch", fitting)
    elif isinstance(images, Dataset):
        images = _joined(_items(images), "item", fitting)
    elif isinstance(images, Tensor):
        images = _plain(images)
    if channels is None:
        shape = tuple(images.shape) if known else ()
        first = len(shape) == 4 and shape[1] in (1, 3) and shape[3] != 3
        channels = "first" if first else "last"
    return channels_last(images, "images", channels)


def _items(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, IterableDataset):
        yield from dataset
        return
    count = len(dataset)
    for i in range(count):
        item = dataset[i]
        if i == 0 and (needed := count * _image(item, "item 0").nbytes) > free_memory():
            raise InputError(
                f"images: {count} items take {gigabytes(needed)}; allowed: at most "
                f"{gigabytes(free_memory())}, what is free"
            )
        yield item


def _joined(parts: Iterable[Any], what: str, progress: bool) -> np.ndarray:
    """One array of all parts, which are alike in shape but for the length of batches."""
    found: list[np.ndarray] = []
    skipped = int(what == "batch")  # axes, in which they may differ
    for i, part in enumerate(tqdm(parts, "reading", mininterval=1, disable=not progress)):
        image = _image(part, f"{what} {i}")
        if found and image.shape[skipped:] != found[0].shape[skipped:]:
            raise InputError(
                f"images: {what} {i} of shape {image.shape}, but {what} 0 of {found[0].shape}; "
                "allowed: one shape; torchvision's Resize and CenterCrop bring all to one"
            )
        found.append(image)
    if not found:
        raise InputError("images: nothing in the data set; allowed: images")
    return np.concatenate(found) if skipped else np.stack(found)


def _image(part: Any, where: str) -> np.ndarray:
    """The image of an item, or the images of a batch."""
    if isinstance(part, tuple | list) and len(part):
        part = part[0]
    array = _plain(part) if isinstance(part, Tensor) else plain(part, f"images: {where}")
    if array.ndim < 2 or array.dtype.kind not in "biuf":
        raise InputError(
            f"images: {where} is a {type(part).__name__} of shape {array.shape}, {array.dtype}; "
            "allowed: an image, or a tuple that begins with one"
        )
    return array


def _plain(images: Tensor) -> np.ndarray:
    images = images.detach().cpu()
    return (images.float() if images.dtype == torch.bfloat16 else images).numpy()
