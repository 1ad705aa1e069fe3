"""The VAE: negative ELBO, with a weight of its KL."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from geovq.batches import in_batches
from geovq.models.vae import VAE, gaussian_kl
from geovq.params.sections import TrainVAE
from geovq.training import loop
from geovq.training.failures import check_loss, warn
from geovq.training.loop import Log
from geovq.weights import initial_weights

__all__ = ["check_vae", "train_vae"]

LEAST_NATS = 0.05  # of an image in its latents; a trained VAE's are tens
FARTHEST = 1e4  # standard deviations of the prior, that a latent is from 0


def train_vae(
    train: Tensor,
    validation: Tensor,
    params: TrainVAE,
    seed: int,
    log: Log | None = None,
    checkpoints: Path | None = None,
) -> tuple[VAE, float]:
    """Minimise bce + β · KL with β = `kl_weight`: the negative ELBO, if β is 1.

    Other β (https://openreview.net/forum?id=Sy2fzU9gl) give latents that keep more or less of the
    image; 0 gives an autoencoder.

    Parameters
    ----------
    train, validation : Tensor of shape (N, H, W)
        Pixels in [0, 1].
    params : TrainVAE
    seed : int
        Of the weights, the batches and the posterior samples.
    log : callable, optional
        As in `geovq.training.loop.fit`.
    checkpoints : Path, optional
        Folder where what training has come to is kept, so that it can be resumed.

    Returns
    -------
    vae : VAE
        With its best weights on the validation split.
    loss : float
        There, in nats per image.
    """
    network = params.model_dump(include={"latent_dim", "hidden", "architecture", "likelihood"})
    with initial_weights(seed):
        vae = VAE(train.shape[1:], **network)

    def loss(batch: Tensor, generator: torch.Generator) -> Tensor:
        bce, kl = vae(batch, generator)
        return bce + params.kl_weight * kl

    run = partial(loop.fit, seed=seed, log=log, checkpoints=checkpoints)
    best = run(vae, loss, [train], [validation], params, title="VAE")
    check_vae(vae, best, train, validation, params)
    return vae, best


def check_vae(vae: VAE, loss: float, train: Tensor, validation: Tensor, params: TrainVAE) -> None:
    """Warn where a VAE is worse than the mean image, or its latents say nothing of the images."""
    mean, log_variance = in_batches(vae.encode, validation)
    nats = gaussian_kl(mean, log_variance).sum(1).mean().item()
    farthest = mean.abs().max().item()
    check_loss("VAE", loss, train, validation, vae.likelihood, params)
    if nats < LEAST_NATS and params.kl_weight:
        warn(
            f"the VAE's latents hold {nats:.2g} nats of an image, next to nothing; lower "
            f"{params.key('kl_weight')} = {params.kl_weight}, or raise {params.key('max_steps')} = "
            f"{params.max_steps}"
        )
    if farthest > FARTHEST:
        warn(
            f"a latent of the VAE is {farthest:.2g} standard deviations from 0; lower "
            f"{params.key('learning_rate')} = {params.learning_rate}, or raise "
            f"{params.key('kl_weight')} = {params.kl_weight}"
        )
