"""Images: a data set's name → training, validation and test splits of 8-bit images.

They are grey, (N, H, W), or in colour, (N, H, W, 3); the former stands for both.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from geovq.data.arrays import as_labels
from geovq.data.idx import SETS, load_set
from geovq.data.pixels import as_8_bit
from geovq.data.splits import Images, Split
from geovq.errors import InputError
from geovq.files.store import load_npz

__all__ = ["SPLITS", "held_out", "load_images", "rows_of_splits"]

SIDE = 28
SPLITS = ("train", "validation", "test")
PATCH, STRIDE = 32, 8  # of photographs, in pixels
BANDS = {"train": (0, 0.7), "validation": (0.7, 0.8), "test": (0.8, 1)}  # of their width


def load_images(
    dataset: str,
    *,
    root: str | os.PathLike[str] = "data/raw",
    file: str | os.PathLike[str] | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> Images:
    """Load a data set and split it, stratified by label where there are labels.

    A test set that the data set brings is kept as it is. Copies of one image stay together, and
    a training image that also stands in the test set is left out, so that no image is in two
    splits. Every class has an image in the training split, as `held_out` sees to.

    Parameters
    ----------
    dataset : {'digits', 'photographs', 'mnist', 'fashion_mnist', 'kmnist', 'npz'}
        The first two come with scikit-learn and need no download: `digits` (8×8, upsampled to
        28×28) and `photographs`, patches of 32×32 pixels in colour out of two photographs, which
        are their labels. Their splits are bands of the photographs, whatever the fractions: the
        left 70% to train, then 10% for validation, the right 20% to test. A patch lies wholly in
        its band, so no pixel of a test patch was seen in training, but patches of one band overlap.
        The next three are `geovq.data.idx.load_set`'s; `npz` is a file of one's own.
    root : path-like
        torchvision's root folder; files that are absent are downloaded into it, over https only.
    file : path-like, optional
        For `npz`: arrays `images` as `geovq.data.pixels.as_8_bit` takes them, and optionally
        `labels` (N,), integers or text, renumbered from 0. Floats are rounded to 8 bits. It may
        bring its own splits: arrays `train`, `test` and `validation` of row numbers, from 0. Of the
        first two, one that is absent is all that no other names; validation is cut off from
        training where it is absent. Images that a later of the three splits has too are left out
        of an earlier one.
    validation_fraction, test_fraction : float
        Of the images outside the test set, and of all images.
    seed : int

    Returns
    -------
    Images

    Raises
    ------
    InputError
        Files are absent and cannot be downloaded, or the user's arrays are not as said above.
    """
    test = None
    if dataset == "photographs":
        return _photographs(seed)
    if dataset in SETS:
        pool, test = (Split(*load_set(dataset, Path(root), part)) for part in ("train", "t10k"))
    elif dataset == "digits":
        pool = _digits()
    elif dataset == "npz" and file is not None:
        pool, named = _npz(file)
        if "validation" in named:
            return Images(*(pool[named[name]] for name in SPLITS))
        if named:
            pool, test = pool[named["train"]], pool[named["test"]]
    else:
        known = ", ".join(["digits", "photographs", *SETS, "npz (with its file)"])
        raise InputError(f"dataset = {dataset!r}; allowed: {known}")
    if test is None:
        pool, test = _divide(pool, test_fraction, seed)
    else:
        pool = pool[~_in(pool.images, test.images)]
    train, validation = _divide(pool, validation_fraction, seed)
    return Images(train, validation, test)


def _in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which images equal one of the others, (N,) bool."""
    known = {image.tobytes() for image in others}
    return np.array([image.tobytes() in known for image in images], bool)


def _divide(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Cut off a stratified fraction; copies of one image fall on the same side."""
    inside = held_out(split.images, fraction, seed, split.labels)
    return split[~inside], split[inside]


def held_out(
    items: np.ndarray, fraction: float, seed: int, labels: np.ndarray | None = None
) -> np.ndarray:
    """Choose a fraction of the rows, stratified by label where there are labels.

    A class all of whose rows were chosen is given back, for what is not chosen is trained on, and a
    class is learnt there or nowhere; unless that is more than half of what was chosen, as of labels
    that number the rows.

    Parameters
    ----------
    items : ndarray of shape (N, ...)
        Images or latents; copies of one are all chosen, or none.
    fraction : float
    seed : int
    labels : ndarray of shape (N,), optional

    Returns
    -------
    ndarray of shape (N,), bool

    Raises
    ------
    InputError
        Too few distinct rows to choose from.
    """
    from sklearn.model_selection import train_test_split

    if not len(items):
        raise InputError("0 items: too few to split")
    rows = np.ascontiguousarray(items.reshape(len(items), -1))
    _, first, group = np.unique(
        rows.view(f"V{rows.shape[1] * rows.itemsize}").ravel(),
        return_index=True,
        return_inverse=True,
    )
    strata = None
    if labels is not None:
        known, index, counts = np.unique(labels[first], return_inverse=True, return_counts=True)
        # Too rare to stand on both sides of every cut: drawn with the largest class.
        index[counts[index] < 2 / min(fraction, 1 - fraction)] = counts.argmax()
        strata = known[index]
    try:
        _, cut = train_test_split(
            np.arange(len(first)), test_size=fraction, stratify=strata, random_state=seed
        )
    except ValueError as error:
        raise InputError(
            f"{len(items)} items, {len(first)} of them distinct: too few to split ({error})"
        ) from None
    group = group.ravel()
    chosen = np.isin(group, cut)
    if labels is not None:
        lost = np.isin(labels, np.setdiff1d(labels, labels[~chosen]))
        kept = chosen & ~np.isin(group, group[lost])
        if 2 * kept.sum() >= chosen.sum():
            return kept
    return chosen


def _digits() -> Split:
    import torch
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = torch.from_numpy(digits.images).float()[:, None] / 16
    large = torch.nn.functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear")
    images = (large[:, 0] * 255).round().to(torch.uint8).numpy()
    return Split(images, digits.target.astype(np.int64))


def _photographs(seed: int) -> Images:
    from sklearn.datasets import load_sample_images

    photographs = np.stack(load_sample_images().images)  # (2, height, width, 3)
    width, random = photographs.shape[2], np.random.default_rng(seed)
    splits = []
    for band in BANDS.values():
        left, right = (round(edge * width) for edge in band)
        windows = np.lib.stride_tricks.sliding_window_view(
            photographs[:, :, left:right], (PATCH, PATCH), axis=(1, 2)
        )[:, ::STRIDE, ::STRIDE]
        labels = np.repeat(np.arange(len(windows)), windows.shape[1] * windows.shape[2])
        patches = np.moveaxis(windows, 3, -1).reshape(-1, PATCH, PATCH, 3)
        order = random.permutation(len(labels))
        splits.append(Split(patches[order], labels[order]))
    return Images(*splits)


def _npz(file: str | os.PathLike[str]) -> tuple[Split, dict[str, np.ndarray]]:
    """All images of a file, and the rows of its own splits, if it has any."""
    arrays = load_npz(file, "images")
    images = as_8_bit(arrays["images"], f"{file}: images")
    labels = arrays.get("labels")
    if labels is not None:
        labels = as_labels(labels, len(images), f"{file}: labels")
    rows = rows_of_splits(file, arrays, images)
    if rows and labels is not None:
        used = np.concatenate(list(rows.values()))
        labels[used] = np.unique(labels[used], return_inverse=True)[1]
    return Split(images, labels), rows


def rows_of_splits(
    file: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], items: np.ndarray
) -> dict[str, np.ndarray]:
    """Rows of the splits that a file brings.

    Parameters
    ----------
    file : path-like
        Its name, for messages.
    arrays : mapping
        What it holds; `train`, `test` and `validation` are row numbers.
    items : ndarray of shape (N, ...)
        Images or latents.

    Returns
    -------
    dict of str to ndarray of int64
        `train`, `test` and perhaps `validation`; empty where the file names none of them.

    Raises
    ------
    InputError
        They are no row numbers of items, two share a row, or one of the first two has none.
    """
    named = {name: arrays[name] for name in SPLITS if name in arrays}
    if not named:
        return {}
    count, rest = len(items), np.ones(len(items), bool)
    for name, rows in named.items():
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
            mask = f"; np.flatnonzero({name})" if rows.dtype == bool else ""
            raise InputError(
                f"{file}: {name} of shape {rows.shape}, {rows.dtype}; allowed: row numbers{mask}"
            )
        if rows.min() < 0 or rows.max() >= count:
            raise InputError(
                f"{file}: {name} has rows {rows.min()} to {rows.max()}; allowed: 0 to {count - 1}, "
                "those of images"
            )
        if len(twice := _repeated(rows)):
            raise InputError(f"{file}: {name} has row {twice[0]} twice; allowed: once")
        rest[rows] = False
    for (name, rows), (other, others) in combinations(named.items(), 2):
        if len(both := np.intersect1d(rows, others)):
            raise InputError(
                f"{file}: {len(both)} rows are in both {name} and {other}, the first of them "
                f"{both[0]}; allowed: a row in one of them"
            )
    absent = [name for name in ("train", "test") if name not in named]
    if len(absent) == 2 or (absent and not rest.any()):
        raise InputError(
            f"{file}: rows for {', '.join(named)}, but none left for {' and '.join(absent)}; "
            "allowed: row numbers in train, in test, or in both"
        )
    found = {name: rows.astype(np.int64) for name, rows in named.items()}
    if absent:
        found[absent[0]] = np.flatnonzero(rest)
    elif rest.any():
        warnings.warn(
            f"{file}: {rest.sum()} of {count} images are in none of {', '.join(named)}, and left "
            "out",
            stacklevel=4,
        )
    return _apart(file, found, items)


def _repeated(rows: np.ndarray) -> np.ndarray:
    numbers, counts = np.unique(rows, return_counts=True)
    return numbers[counts > 1]


def _apart(
    file: str | os.PathLike[str], rows: dict[str, np.ndarray], items: np.ndarray
) -> dict[str, np.ndarray]:
    """Leave out of training, then of validation, what a later split has as well."""
    for name, later in (("train", ("validation", "test")), ("validation", ("test",))):
        others = [rows[other] for other in later if other in rows]
        if name not in rows or not others:
            continue
        copies = _in(items[rows[name]], items[np.concatenate(others)])
        if copies.any():
            warnings.warn(
                f"{file}: {copies.sum()} images of {name} are in a later split too, and left out "
                f"of {name}",
                stacklevel=5,
            )
        rows[name] = rows[name][~copies]
        if not len(rows[name]):
            raise InputError(f"{file}: {name} has no image that is in no later split")
    return rows
