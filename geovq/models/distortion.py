"""Distortion: how far a reconstruction is from its image."""

from __future__ import annotations

import torch
from torch import Tensor

from geovq.models.likelihood import Likelihood

__all__ = ["distortion", "least_distortion", "mean_image_distortion", "psnr"]

EDGE = 1e-6  # what was never seen in training may still be seen


@torch.no_grad()
def distortion(logits: Tensor, images: Tensor, likelihood: Likelihood) -> float:
    """Mean −log p(x | decoded code), in nats per image; logits and images (N, H, W)."""
    return likelihood(logits.double(), images.double()).mean().item()


def least_distortion(images: Tensor, likelihood: Likelihood) -> float:
    """The least distortion that there can be, in nats an image: Bernoulli's pixel entropy."""
    return likelihood.least(images.double()).mean().item()


def mean_image_distortion(train: Tensor, test: Tensor, likelihood: Likelihood) -> float:
    """`distortion` of the mean training image, with the scales that suit it best, in nats.

    They are found on about as many training images as there are test images.
    """
    logits = train.double().mean(0).clamp(EDGE, 1 - EDGE).logit()
    some = train[:: -(-len(train) // len(test))]
    calibrated = likelihood.calibrated(logits.float().expand(some.shape), some)
    return distortion(logits.expand(test.shape), test, calibrated)


def psnr(pixels: Tensor, images: Tensor) -> float:
    """Mean over images of −10 log10(mean squared error), in dB, for pixels in [0, 1]."""
    errors = (pixels.double() - images.double()).square().flatten(1).mean(1)
    return (-10 * errors.clamp_min(1e-12).log10()).mean().item()
