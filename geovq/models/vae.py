"""The continuous VAE (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geovq.models.networks import check_images, decoder, encoder

__all__ = ["VAE", "bernoulli_nll", "gaussian_kl"]


def bernoulli_nll(logits: Tensor, images: Tensor) -> Tensor:
    """−Σ_pixels [x log p + (1 − x) log(1 − p)] with p = sigmoid(logits), in nats.

    Parameters
    ----------
    logits, images : Tensor of shape (N, H, W)

    Returns
    -------
    Tensor of shape (N,)
    """
    # log(1 + e^l) − x·l, summed by two contiguous reductions: faster than the fused loss on a CPU.
    return (F.softplus(logits) - images * logits).flatten(1).sum(1)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each dimension, in nats: ½(μ² + σ² − log σ² − 1)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)


class VAE(nn.Module):
    """Gaussian posterior, standard normal prior, Bernoulli likelihood on grey pixels.

    Parameters
    ----------
    image_shape : (int, int)
    latent_dim : int
        D.
    hidden : sequence of int
    architecture : {'mlp', 'conv'}
        With `hidden`, as in `geovq.models.networks`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 20,
        hidden: Sequence[int] = (512, 512),
        architecture: str = "mlp",
    ) -> None:
        super().__init__()
        height, width = image_shape
        self.image_shape = (height, width)
        self.latent_dim = latent_dim
        self.config: dict[str, Any] = {
            "image_shape": list(image_shape),
            "latent_dim": latent_dim,
            "hidden": list(hidden),
            "architecture": architecture,
        }
        self.encoder = encoder(architecture, image_shape, hidden, latent_dim, parts=2)
        self.decoder = decoder(architecture, image_shape, hidden, latent_dim)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each image.

        Returns
        -------
        mean, log_variance : Tensor of shape (N, D)

        Raises
        ------
        InputError
            Images of another size than the model was built for.
        """
        check_images(images, self.image_shape)
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latents: Tensor) -> Tensor:
        """(N, D) → logits (N, H, W)."""
        return self.decoder(latents)

    def forward(
        self, images: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """The two terms of the negative ELBO, with one posterior sample an image.

        Returns
        -------
        bce, kl : Tensor of shape (N,)
            In nats; their sum is the negative ELBO.
        """
        mean, log_variance = self.encode(images)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        latents = mean + noise * (0.5 * log_variance).exp()
        return bernoulli_nll(self.decode(latents), images), gaussian_kl(mean, log_variance).sum(1)
