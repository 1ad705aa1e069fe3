"""Distortion: how far a reconstruction is from its image."""

from __future__ import annotations

import torch
from torch import Tensor

from geovq.models.vae import bernoulli_nll

__all__ = ["bce", "pixel_entropy", "psnr"]


def bce(logits: Tensor, images: Tensor) -> float:
    """Mean −log p(x | decoded code), in nats per image; both arguments (N, H, W)."""
    return bernoulli_nll(logits.double(), images.double()).mean().item()


def pixel_entropy(images: Tensor) -> float:
    """Mean Σ_pixels H(x): the least `bce` that any reconstruction could reach, in nats."""
    x = images.double()
    return -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).flatten(1).sum(1).mean().item()


def psnr(pixels: Tensor, images: Tensor) -> float:
    """Mean over images of −10 log10(mean squared error), in dB, for pixels in [0, 1]."""
    errors = (pixels.double() - images.double()).square().flatten(1).mean(1)
    return (-10 * errors.clamp_min(1e-12).log10()).mean().item()
