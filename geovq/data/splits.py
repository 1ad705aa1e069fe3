"""Images in three splits: all that most stages know of a data set."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from geovq.files.store import load_npz

__all__ = ["Images", "Split"]


@dataclass(frozen=True)
class Split:
    """Images of one split.

    Attributes
    ----------
    images : ndarray of shape (N, H, W) or (N, H, W, 3), uint8
    labels : ndarray of shape (N,), int64, or None
    """

    images: np.ndarray
    labels: np.ndarray | None

    def __getitem__(self, index: np.ndarray) -> Split:
        """Select images by index or mask."""
        return Split(self.images[index], None if self.labels is None else self.labels[index])

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Images:
    """A data set in three splits that share no image."""

    train: Split
    validation: Split
    test: Split

    def arrays(self) -> dict[str, np.ndarray]:
        """Name the arrays for an npz file: `train_images`, `train_labels`, ..."""
        named = {}
        for name, split in vars(self).items():
            named[f"{name}_images"] = split.images
            if split.labels is not None:
                named[f"{name}_labels"] = split.labels
        return named

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Images:
        """Read the splits that `arrays` named."""
        needed = "train_images", "validation_images", "test_images"
        arrays = load_npz(path, *needed, kind="images")
        return cls(
            *(
                Split(arrays[f"{name}_images"], arrays.get(f"{name}_labels"))
                for name in ("train", "validation", "test")
            )
        )
