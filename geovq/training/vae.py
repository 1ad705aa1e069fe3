"""The VAE: bce and KL, with a weight of the KL or a target for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from geovq.batches import in_batches
from geovq.models.vae import VAE
from geovq.params.sections import TrainVAE
from geovq.training import loop
from geovq.training.failures import check_loss, warn
from geovq.training.kl_target import Targeted
from geovq.training.loop import Log
from geovq.weights import initial_weights

__all__ = ["Reached", "check_vae", "train_vae"]

OFF = 0.03  # of a target for the KL
LEAST_NATS = 0.05  # of an image in its latents; a trained VAE's are tens
FARTHEST = 1e4  # standard deviations of the prior, that a latent is from 0


class Reached(NamedTuple):
    """What a VAE came to on the validation split, in nats an image.

    Attributes
    ----------
    bce, kl : float
    kl_weight : float
        β, given or found.
    """

    bce: float
    kl: float
    kl_weight: float

    @property
    def negative_elbo(self) -> float:
        """The negative ELBO: bce + KL, whatever was minimised."""
        return self.bce + self.kl


def train_vae(
    train: Tensor,
    validation: Tensor,
    params: TrainVAE,
    seed: int,
    log: Log | None = None,
    checkpoints: Path | None = None,
    *,
    rate: float | None = None,
) -> tuple[VAE, Reached]:
    """Minimise bce + β · KL: with β = `kl_weight`, or so that the KL meets `kl_target`.

    β = 1 is the negative ELBO. Other β (https://openreview.net/forum?id=Sy2fzU9gl) give latents
    that keep more or less of the image; 0 gives an autoencoder. Codes decode best from latents that
    hold about as much as they do, so that a target is the rule, for which `Targeted` finds β.

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
    rate : float, optional
        Of the codes that are to follow, in nats an image, where the target depends on it.

    Returns
    -------
    vae : VAE
        With its best weights on the validation split.
    reached : Reached

    Raises
    ------
    InputError
        The target depends on the rate, and none is given.
    """
    network = params.model_dump(include={"latent_dim", "hidden", "architecture", "likelihood"})
    with initial_weights(seed):
        vae = VAE(train.shape[1:], **network)
    target = params.target(rate)
    run = partial(loop.fit, seed=seed, log=log, checkpoints=checkpoints, title="VAE")
    if params.kl_weight is not None:
        weight = params.kl_weight

        def loss(batch: Tensor, generator: torch.Generator) -> Tensor:
            bce, kl = vae(batch, generator)
            return bce + weight * kl

        run(vae, loss, [train], [validation], params)
    else:
        assert target is not None
        targeted = Targeted(vae, target)
        run(targeted, targeted, [train], [validation], params)
        weight = targeted.log_weight.exp().item()
    reached = Reached(*_terms(vae, validation, seed), weight)
    check_vae(vae, reached, train, validation, params, target)
    return vae, reached


@torch.no_grad()
def _terms(vae: VAE, images: Tensor, seed: int) -> tuple[float, float]:
    """Means of bce and KL, with the noise of the loop's own look at the validation split."""
    device = next(vae.parameters()).device
    noise = torch.Generator(device).manual_seed(seed)
    found = [vae(batch.to(device), noise) for batch in images.split(1000)]
    bce, kl = (torch.cat(part).cpu().double().mean().item() for part in zip(*found, strict=True))
    return bce, kl


def check_vae(
    vae: VAE,
    reached: Reached,
    train: Tensor,
    validation: Tensor,
    params: TrainVAE,
    target: float | None = None,
) -> None:
    """Warn where a VAE is worse than the mean image, its latents say nothing of the images, or they
    do not hold what they should.
    """
    mean, _ = in_batches(vae.encode, validation)
    farthest, nats = mean.abs().max().item(), reached.kl
    loss = reached.bce + (params.kl_weight or 0) * nats
    check_loss("VAE", loss, train, validation, vae.likelihood, params)
    if target is not None and abs(nats / target - 1) > OFF:
        warn(
            f"the VAE's latents hold {nats:.4g} nats of an image, where "
            f"{params.key('kl_target')} = {params.kl_target} wants {target:.4g}; raise "
            f"{params.key('max_steps')} = {params.max_steps} or {params.key('patience')} = "
            f"{params.patience}, or change the target"
        )
    if nats < LEAST_NATS and params.kl_weight:
        warn(
            f"the VAE's latents hold {nats:.2g} nats of an image, next to nothing; lower "
            f"{params.key('kl_weight')} = {params.kl_weight}, or raise {params.key('max_steps')} = "
            f"{params.max_steps}"
        )
    if farthest > FARTHEST:
        warn(
            f"a latent of the VAE is {farthest:.2g} standard deviations from 0; lower "
            f"{params.key('learning_rate')} = {params.learning_rate}, or "
            + (
                f"lower {params.key('kl_target')} = {params.kl_target}"
                if params.kl_weight is None
                else f"raise {params.key('kl_weight')} = {params.kl_weight}"
            )
        )
