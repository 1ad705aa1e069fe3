"""Fréchet distance between sets of images, in the features of a classifier of the same data.

The distance of the FID (Heusel et al. 2017, https://arxiv.org/abs/1706.08500) with another
extractor: the 64-d features of `geovq.models.classifier.Classifier`. Values compare only with
values of the same extractor, reference images and sample count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geovq.models.classifier import Classifier

__all__ = ["Frechet"]


class _Features(nn.Module):
    num_features = 64

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier.features(images)


class Frechet:
    """Distance to a set of reference images.

    Parameters
    ----------
    classifier : Classifier
    reference : Tensor of shape (N, H, W)
    """

    def __init__(self, classifier: Classifier, reference: Tensor) -> None:
        # Takes seconds to import, which everything else in this package should not pay.
        from torchmetrics.image.fid import FrechetInceptionDistance

        self._device = next(classifier.parameters()).device
        self._metric = FrechetInceptionDistance(
            feature=_Features(classifier), normalize=True, reset_real_features=False
        )
        self._metric.to(self._device)
        self._update(reference, real=True)

    def _update(self, images: Tensor, *, real: bool) -> None:
        for batch in images.split(1000):
            self._metric.update(batch.to(self._device), real=real)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> float:
        """‖μ − μ'‖² + tr(Σ + Σ' − 2(ΣΣ')^½) for images (N, H, W) in [0, 1]."""
        self._metric.reset()
        self._update(images, real=False)
        return self._metric.compute().item()
