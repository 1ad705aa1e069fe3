"""Trainings that end well by their loss and yet came to nothing: a warning that says what to do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from geovq.errors import TrainingWarning
from geovq.evaluation.rate import marginal_bits_per_token, perplexities
from geovq.models.vae import gaussian_kl
from geovq.training import in_batches

if TYPE_CHECKING:
    from geovq.models import VAE, VQVAE
    from geovq.params import TrainAR, TrainVAE, TrainVQVAE

__all__ = ["check_codes", "check_latents", "check_prior"]

LEAST_NATS = 0.05  # of an image in its latents; a trained VAE's are tens
MOST = 1e4  # standard deviations of the prior, that a latent is from 0
LEAST_SHARE = 0.05  # of the codes in use, by perplexity
LOSS = 1.01  # of the prior against the frequencies of the codes: above, it is worse


def check_latents(vae: VAE, images: Tensor, params: TrainVAE) -> None:
    """Warn where latents say nothing of the images, or lie where none should."""
    mean, log_variance = in_batches(vae.encode, images)
    nats = gaussian_kl(mean, log_variance).sum(1).mean().item()
    farthest = mean.abs().max().item()
    if nats < LEAST_NATS and params.kl_weight:
        _warn(
            f"the VAE's latents hold {nats:.2g} nats of an image: they collapsed to the prior; "
            f"lower {params.key('kl_weight')} = {params.kl_weight}"
        )
    if farthest > MOST:
        _warn(
            f"a latent of the VAE is {farthest:.2g} standard deviations from 0; lower "
            f"{params.key('learning_rate')} = {params.learning_rate}, or raise "
            f"{params.key('kl_weight')} = {params.kl_weight}"
        )


def check_codes(vqvae: VQVAE, images: Tensor, params: TrainVQVAE) -> None:
    """Warn where most images have the same few codes."""
    (tokens,) = in_batches(vqvae.encode, images)
    used = perplexities(tokens.numpy(), vqvae.vocabulary)
    # As many codes as there are, or as the images could show; of one there is always one.
    possible = np.minimum(vqvae.vocabulary, len(images))
    share = np.mean((used - 1) / np.maximum(possible - 1, 1))
    if share < LEAST_SHARE:
        _warn(
            f"the VQ-VAE's codebook collapsed: its codes are used as if there were "
            f"{used.mean():.1f} of {possible.max()}; raise {params.key('warmup_steps')} = "
            f"{params.warmup_steps}, or lower {params.key('learning_rate')} = "
            f"{params.learning_rate} or {params.key('codes')}"
        )


def check_prior(
    nats: float, train: Tensor, validation: Tensor, vocabulary: Sequence[int], params: TrainAR
) -> None:
    """Warn where a prior's code length is above that of the codes' frequencies alone."""
    bits = marginal_bits_per_token(train.numpy(), validation.numpy(), vocabulary)
    alone = bits * math.log(2) * len(vocabulary)
    if nats > LOSS * alone:
        _warn(
            f"the prior needs {nats:.3f} nats an image, more than the frequencies of the codes "
            f"alone, {alone:.3f}; raise {params.key('max_steps')} = {params.max_steps}, or change "
            f"{params.key('learning_rate')} = {params.learning_rate}"
        )


def _warn(message: str) -> None:
    warnings.warn(message, TrainingWarning, stacklevel=4)
