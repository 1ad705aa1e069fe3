"""A small CNN that names images: the judge behind `recognition` and the Fréchet distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from geovq.models.networks import check_images

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """Two convolutions, a 64-d feature layer, and a linear head.

    Parameters
    ----------
    image_shape : (int, int)
    classes : int
    """

    def __init__(self, image_shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"image_shape": list(image_shape), "classes": classes}
        height, width = image_shape
        self.image_shape = (height, width)
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), 64),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, classes)

    def features(self, images: Tensor) -> Tensor:
        """(N, H, W) → (N, 64)."""
        check_images(images, self.image_shape)
        return self.body(images[:, None])

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W) → class logits (N, C)."""
        return self.head(self.features(images))
