"""Images ↔ tokens, whatever is inside: the prior and the evaluation see only this."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from geovq.models import VAE, CodeDecoder
from geovq.quantizer import GeodesicQuantizer

__all__ = ["PostHocTokenizer", "Tokenizer"]


class Tokenizer(Protocol):
    """What every tokeniser offers; `geovq.models.VQVAE` is one as it stands."""

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""

    def encode(self, images: Tensor) -> Tensor:
        """Pixels (N, H, W) in [0, 1] → tokens (N, T), int64."""

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T) → Bernoulli logits (N, H, W)."""

    def prototypes(self) -> Tensor:
        """Logits (K, H, W) of the first position's codes, all other positions left out."""


class PostHocTokenizer:
    """A trained VAE and a quantiser of its latents.

    Parameters
    ----------
    vae : VAE
    quantizer : GeodesicQuantizer
        Fitted on the VAE's posterior means.
    code_decoder : CodeDecoder, optional
        Refined codes and decoder; the quantiser's codes and the VAE's decoder by default.
    """

    def __init__(
        self,
        vae: VAE,
        quantizer: GeodesicQuantizer,
        code_decoder: CodeDecoder | None = None,
    ) -> None:
        self.vae = vae
        self.quantizer = quantizer
        self.code_decoder = code_decoder

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""
        return self.quantizer.vocabulary

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Pixels (N, H, W) in [0, 1] → tokens (N, T), int64."""
        means, log_variances = self.vae.encode(images)
        tokens = self.encode_latents(means.cpu().numpy(), log_variances.cpu().numpy())
        tokens = tokens.to(images.device)
        if self.code_decoder is not None:
            tokens = self.code_decoder.search(tokens, images, means)
        return tokens

    def encode_latents(self, means: np.ndarray, log_variances: np.ndarray) -> Tensor:
        """Posteriors (N, D), (N, D) → tokens (N, T), int64, by the latents alone."""
        tokens = self.quantizer.encode(means, log_variances, self.decode_means)
        return torch.from_numpy(tokens)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T) → Bernoulli logits (N, H, W)."""
        if self.code_decoder is not None:
            return self.code_decoder.decode(tokens)
        return self._decode_latents(self.quantizer.decode(tokens.cpu().numpy()))

    @torch.no_grad()
    def prototypes(self) -> Tensor:
        """Logits (K, H, W) of the first position's codes, all other positions left out."""
        if self.code_decoder is not None:
            return self.code_decoder.prototypes()
        return self._decode_latents(self.quantizer.codebooks()[0])

    @torch.no_grad()
    def decode_means(self, latents: np.ndarray) -> np.ndarray:
        """Latents (M, D) → expected pixels (M, H·W): what the pull-back metric measures."""
        return self._decode_latents(latents).sigmoid().flatten(1).cpu().numpy()

    def _decode_latents(self, latents: np.ndarray) -> Tensor:
        device = next(self.vae.parameters()).device
        return self.vae.decode(torch.from_numpy(latents).float().to(device))
