"""A VAE whose latents hold so many nats: the weight of its KL is found as training goes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geovq.models.vae import VAE

__all__ = ["Targeted"]

GAIN = 0.01  # of log β a step, where the KL is off by all of its target
MEMORY = 0.98  # of the running mean of the batches' KL


class Targeted(nn.Module):
    """A VAE that minimises bce subject to KL = target, and the multiplier of that constraint.

    After each batch log β grows by `GAIN` times (KL / target − 1). That is the integral part of
    ControlVAE's controller (https://arxiv.org/abs/2004.05988), which holds the KL at a set point,
    on the logarithm of β, as GECO (https://arxiv.org/abs/1810.00597) moves its multiplier: β then
    stays positive, and moves as fast whether a few nats are wanted or hundreds. What has to meet
    the target is the KL of unseen images: training's own is multiplied by how they compared when
    last validated.

    Models of several β compare by bce + (1 + β) times the distance of the KL from its target: an
    exact penalty, for the slope of bce against KL at the target is −β.

    Parameters
    ----------
    vae : VAE
    target : float
        Nats an image.
    """

    log_weight: Tensor
    training_kl: Tensor
    ratio: Tensor
    seen: Tensor

    def __init__(self, vae: VAE, target: float) -> None:
        super().__init__()
        self.vae, self.target = vae, target
        self.config = {**vae.config, "kl_target": target}
        self.register_buffer("log_weight", torch.tensor(0.0))
        self.register_buffer("training_kl", torch.tensor(0.0))
        self.register_buffer("ratio", torch.tensor(1.0))  # of unseen images' KL to training's
        self.register_buffer("seen", torch.zeros(2))  # KL of unseen images, and their number

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What is minimised in training, and what models compare by in evaluation, (N,)."""
        bce, kl = self.vae(images, generator)
        if self.training:
            loss = bce + self.log_weight.exp() * kl
            self._move(kl.detach().mean())
            return loss
        self.seen += torch.stack([kl.sum(), kl.new_tensor(len(kl))])
        return bce + (1 + self.log_weight.exp()) * (kl.mean() - self.target).abs()

    @torch.no_grad()
    def _move(self, kl: Tensor) -> None:
        known = self.training_kl > 0
        if self.seen[1] > 0:
            if known:
                self.ratio.copy_(self.seen[0] / self.seen[1] / self.training_kl)
            self.seen.zero_()
        self.training_kl.copy_(torch.where(known, self.training_kl.lerp(kl, 1 - MEMORY), kl))
        self.log_weight += GAIN * (kl * self.ratio / self.target - 1).clamp(-1, 1)
