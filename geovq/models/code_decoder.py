"""Tokens → images: code vectors and a decoder, both of which may be trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from geovq.models.vae import VAE, bernoulli_nll, decoder

if TYPE_CHECKING:
    from geovq.quantizer import GeodesicQuantizer

__all__ = ["CodeDecoder"]


class CodeDecoder(nn.Module):
    """An image is decoded from the sum of its tokens' vectors.

    Parameters
    ----------
    image_shape : (int, int)
    latent_dim : int
        D.
    hidden : sequence of int
        Of the encoder that the decoder mirrors.
    vocabulary : sequence of int
        Codes at each position, (T,).
    candidates : int
        Codes that `search` tries at each position.
    """

    scale: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        hidden: Sequence[int],
        vocabulary: Sequence[int],
        candidates: int = 0,
    ) -> None:
        super().__init__()
        height, width = image_shape
        self.config: dict[str, Any] = {
            "image_shape": list(image_shape),
            "latent_dim": latent_dim,
            "hidden": list(hidden),
            "vocabulary": list(vocabulary),
            "candidates": candidates,
        }
        self.candidates = candidates
        self.register_buffer("scale", torch.ones(latent_dim))
        self.codebooks = nn.ParameterList(torch.zeros(k, latent_dim) for k in vocabulary)
        self.decoder = decoder(latent_dim, hidden, (height, width))

    @classmethod
    def of(cls, vae: VAE, quantizer: GeodesicQuantizer, candidates: int = 0) -> CodeDecoder:
        """The decoder of a VAE, and the codes that a quantiser made of its latents."""
        made = cls(**vae.config, vocabulary=quantizer.vocabulary, candidates=candidates)
        made.decoder.load_state_dict(vae.decoder.state_dict())
        made.scale.copy_(torch.from_numpy(quantizer.scale_))
        for own, vectors in zip(made.codebooks, quantizer.codebooks(), strict=True):
            own.data.copy_(torch.from_numpy(vectors))
        return made

    def latents(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T) → (N, D)."""
        parts = [vectors[tokens[:, t]] for t, vectors in enumerate(self.codebooks)]
        return torch.stack(parts).sum(0)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T) → logits (N, H, W)."""
        return self.decoder(self.latents(tokens))

    @torch.no_grad()
    def search(self, tokens: Tensor, images: Tensor, means: Tensor) -> Tensor:
        """Better tokens: at each position but the first, the code that lowers bce most.

        One sweep of iterated conditional modes (Besag 1986,
        https://doi.org/10.1111/j.2517-6161.1986.tb01412.x). Only the `candidates` codes that bring
        the latent nearest to the posterior mean are decoded. The first token, which carries the
        partition, stays.

        Parameters
        ----------
        tokens : Tensor of shape (N, T), int64
        images : Tensor of shape (N, H, W)
        means : Tensor of shape (N, D)
            Posterior means.

        Returns
        -------
        Tensor of shape (N, T), int64
        """
        tokens, rows = tokens.clone(), torch.arange(len(tokens), device=tokens.device)
        for t in range(1, tokens.shape[1] if self.candidates else 0):
            vectors = self.codebooks[t]
            others = self.latents(tokens) - vectors[tokens[:, t]]
            gaps = torch.cdist((means - others) * self.scale, vectors * self.scale)
            gaps[rows, tokens[:, t]] = -1  # what there is stays among the candidates
            tried = gaps.topk(min(self.candidates, len(vectors)), largest=False).indices
            logits = self.decoder((others[:, None] + vectors[tried]).flatten(0, 1))
            repeated = images.repeat_interleave(tried.shape[1], 0)
            best = bernoulli_nll(logits, repeated).view(tried.shape).argmin(1)
            tokens[:, t] = tried[rows, best]
        return tokens

    def prototypes(self) -> Tensor:
        """Logits (K, H, W) of the first position's codes, all other positions left out."""
        return self.decoder(self.codebooks[0])

    def forward(self, tokens: Tensor, images: Tensor) -> Tensor:
        """−log p(x | code) of each image, (N,), in nats."""
        return bernoulli_nll(self.decode(tokens), images)
