"""The VQ-VAE, end to end: a warm-up, k-means codes, then all together."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geovq.batches import in_batches
from geovq.models.vqvae import VQVAE
from geovq.params.sections import Budget, TrainVAE, TrainVQVAE
from geovq.quantization.rate import perplexities
from geovq.training import loop
from geovq.training.failures import check_loss, warn
from geovq.training.loop import Log
from geovq.weights import initial_weights

__all__ = ["check_vqvae", "train_vqvae"]

LEAST_SHARE = 0.05  # of the codes in use, by perplexity


def train_vqvae(
    train: Tensor,
    validation: Tensor,
    params: TrainVQVAE,
    network: TrainVAE,
    seed: int,
    log: Log | None = None,
    checkpoints: Path | None = None,
) -> tuple[VQVAE, float]:
    """Minimise bce and the codebook's terms; arguments and result are those of
    `geovq.training.vae.train_vae`.

    The first `warmup_steps` are not quantised; then k-means places the codes.

    Parameters
    ----------
    params : TrainVQVAE
    network : TrainVAE
        Its `hidden`, `latent_dim`, `architecture` and `likelihood` are those of the VQ-VAE.

    Returns
    -------
    vqvae : VQVAE
    bce : float
        On the validation split, in nats per image.
    """
    with initial_weights(seed):
        vqvae = VQVAE(
            train.shape[1:],
            network.latent_dim,
            network.hidden,
            params.vocabulary,
            params.layout,
            params.commitment,
            params.codebook_update,
            architecture=network.architecture,
            likelihood=network.likelihood,
        )

    def loss(batch: Tensor, generator: torch.Generator, quantized: bool) -> Tensor:
        reconstruction, penalty = vqvae(batch, quantized=quantized)
        # The codebook's terms grow with the latents' scale: weights are chosen by bce alone.
        return reconstruction + penalty if vqvae.training else reconstruction

    def stage(quantized: bool, budget: Budget, title: str, log: Log | None = None) -> float:
        run = partial(loop.fit, seed=seed, log=log, checkpoints=checkpoints)
        own = partial(loss, quantized=quantized)
        return run(vqvae, own, [train], [validation], budget, title=title)

    warmup = {"max_steps": params.warmup_steps, "schedule": "constant"}
    stage(False, params.model_copy(update=warmup), "VQ-VAE, not yet quantised")
    vqvae.place_codes(train, seed, params.batch_size)
    rest = params.model_copy(update={"max_steps": params.max_steps - params.warmup_steps})
    best = stage(True, rest, "VQ-VAE", log)
    check_vqvae(vqvae, best, train, validation, params)
    return vqvae, best


def check_vqvae(
    vqvae: VQVAE, bce: float, train: Tensor, validation: Tensor, params: TrainVQVAE
) -> None:
    """Warn where a VQ-VAE is worse than the mean image, or most images have the same few codes."""
    (tokens,) = in_batches(vqvae.encode, validation)
    used = perplexities(tokens.numpy(), vqvae.vocabulary)
    # As many codes as there are, or as the images could show; of one there is always one.
    possible = np.minimum(vqvae.vocabulary, len(validation))
    share = np.mean((used - 1) / np.maximum(possible - 1, 1))
    check_loss("VQ-VAE", bce, train, validation, vqvae.likelihood, params)
    if share < LEAST_SHARE:
        warn(
            f"the VQ-VAE's codebook collapsed: its codes are used as if there were "
            f"{used.mean():.1f} of {possible.max()}; raise {params.key('warmup_steps')} = "
            f"{params.warmup_steps}, or lower {params.key('learning_rate')} = "
            f"{params.learning_rate} or {params.key('codes')} = {params.codes}"
        )
