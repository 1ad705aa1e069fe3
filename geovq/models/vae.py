"""The continuous VAE (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geovq.models.layers import check_images
from geovq.models.likelihood import likelihood_of
from geovq.models.networks import decoder, encoder

__all__ = ["VAE", "gaussian_kl"]


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each dimension, in nats: ½(μ² + σ² − log σ² − 1)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)


class VAE(nn.Module):
    """Gaussian posterior, standard normal prior, and a likelihood of the pixels.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
    latent_dim : int
        D.
    hidden : sequence of int
    architecture : {'mlp', 'conv', 'conv_mlp'}
        With `hidden`, as in `geovq.models.networks`.
    likelihood : {'bernoulli', 'logistic'}
        As in `geovq.models.likelihood`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 20,
        hidden: Sequence[int] = (512, 512),
        architecture: str = "mlp",
        likelihood: str = "bernoulli",
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.latent_dim = latent_dim
        self.config: dict[str, Any] = {
            "image_shape": list(image_shape),
            "latent_dim": latent_dim,
            "hidden": list(hidden),
            "architecture": architecture,
            "likelihood": likelihood,
        }
        self.encoder = encoder(architecture, image_shape, hidden, latent_dim, parts=2)
        self.decoder = decoder(architecture, image_shape, hidden, latent_dim)
        self.likelihood = likelihood_of(likelihood, image_shape)

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
            −log p(x | z), whatever the likelihood, and KL, in nats; their sum is the negative
            ELBO.
        """
        mean, log_variance = self.encode(images)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        latents = mean + noise * (0.5 * log_variance).exp()
        return self.likelihood(self.decode(latents), images), gaussian_kl(mean, log_variance).sum(1)
