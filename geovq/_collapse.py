"""Trainings that end well by their loss and yet came to nothing: a warning that says what to do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from geovq.errors import TrainingWarning
from geovq.evaluation.distortion import mean_image_bce
from geovq.evaluation.rate import marginal_bits_per_token, perplexities
from geovq.models.vae import gaussian_kl
from geovq.training import in_batches

if TYPE_CHECKING:
    from geovq.models import VAE, VQVAE
    from geovq.models.likelihood import Likelihood
    from geovq.params import Budget, TrainAR, TrainVAE, TrainVQVAE

__all__ = ["check_prior", "check_vae", "check_vqvae"]

LEAST_NATS = 0.05  # of an image in its latents; a trained VAE's are tens
FARTHEST = 1e4  # standard deviations of the prior, that a latent is from 0
LEAST_SHARE = 0.05  # of the codes in use, by perplexity
WORSE = 1.01  # than what needs no network: so many times its nats
ENOUGH = 10_000  # images for a mean


def check_vae(vae: VAE, loss: float, train: Tensor, validation: Tensor, params: TrainVAE) -> None:
    """Warn where a VAE is worse than the mean image, or its latents say nothing of the images."""
    mean, log_variance = in_batches(vae.encode, validation)
    nats = gaussian_kl(mean, log_variance).sum(1).mean().item()
    farthest = mean.abs().max().item()
    _check_loss("VAE", loss, train, validation, vae.likelihood, params)
    if nats < LEAST_NATS and params.kl_weight:
        _warn(
            f"the VAE's latents hold {nats:.2g} nats of an image, next to nothing; lower "
            f"{params.key('kl_weight')} = {params.kl_weight}, or raise {params.key('max_steps')} = "
            f"{params.max_steps}"
        )
    if farthest > FARTHEST:
        _warn(
            f"a latent of the VAE is {farthest:.2g} standard deviations from 0; lower "
            f"{params.key('learning_rate')} = {params.learning_rate}, or raise "
            f"{params.key('kl_weight')} = {params.kl_weight}"
        )


def check_vqvae(
    vqvae: VQVAE, bce: float, train: Tensor, validation: Tensor, params: TrainVQVAE
) -> None:
    """Warn where a VQ-VAE is worse than the mean image, or most images have the same few codes."""
    (tokens,) = in_batches(vqvae.encode, validation)
    used = perplexities(tokens.numpy(), vqvae.vocabulary)
    # As many codes as there are, or as the images could show; of one there is always one.
    possible = np.minimum(vqvae.vocabulary, len(validation))
    share = np.mean((used - 1) / np.maximum(possible - 1, 1))
    _check_loss("VQ-VAE", bce, train, validation, vqvae.likelihood, params)
    if share < LEAST_SHARE:
        _warn(
            f"the VQ-VAE's codebook collapsed: its codes are used as if there were "
            f"{used.mean():.1f} of {possible.max()}; raise {params.key('warmup_steps')} = "
            f"{params.warmup_steps}, or lower {params.key('learning_rate')} = "
            f"{params.learning_rate} or {params.key('codes')} = {params.codes}"
        )


def _check_loss(
    name: str,
    loss: float,
    train: Tensor,
    validation: Tensor,
    likelihood: Likelihood,
    params: Budget,
) -> None:
    some = train[:: -(-len(train) // ENOUGH)]
    alone = mean_image_bce(some, validation, likelihood)
    if loss > WORSE * alone:
        _warn(
            f"the {name} is worse than the mean of all images, {loss:.4g} against {alone:.4g} "
            f"nats an image; raise {params.key('max_steps')} = {params.max_steps}, or lower "
            f"{params.key('learning_rate')} = {params.learning_rate}"
        )


def check_prior(
    nats: float, train: Tensor, validation: Tensor, vocabulary: Sequence[int], params: TrainAR
) -> None:
    """Warn where a prior's code length is above that of the codes' frequencies alone."""
    bits = marginal_bits_per_token(train.numpy(), validation.numpy(), vocabulary)
    alone = bits * math.log(2) * len(vocabulary)
    if nats > WORSE * alone:
        _warn(
            f"the prior needs {nats:.3f} nats an image, more than the frequencies of the codes "
            f"alone, {alone:.3f}; raise {params.key('max_steps')} = {params.max_steps}, or change "
            f"{params.key('learning_rate')} = {params.learning_rate}"
        )


def _warn(message: str) -> None:
    warnings.warn(message, TrainingWarning, stacklevel=4)
