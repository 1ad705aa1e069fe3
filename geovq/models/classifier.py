"""A small CNN that names images: the judge behind `recognition` and the Fréchet distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from geovq.models.layers import channels_first, check_images, check_size, colours

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """Two convolutions, a 64-d feature layer, and a linear head.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
    classes : int
    """

    def __init__(self, image_shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"image_shape": list(image_shape), "classes": classes}
        self.image_shape = tuple(image_shape)
        self.channels_first = channels_first(image_shape)
        height, width = image_shape[:2]
        check_size("weights of the classifier", 32 * (height // 4) * (width // 4), 64)
        self.body = nn.Sequential(
            nn.Conv2d(colours(image_shape), 16, 3, padding=1),
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
        """Images → (N, 64)."""
        check_images(images, self.image_shape)
        return self.body(self.channels_first(images))

    def forward(self, images: Tensor) -> Tensor:
        """Images → class logits (N, C)."""
        return self.head(self.features(images))
