"""Images ↔ tokens, whatever is inside: the prior and the evaluation see only this."""

from __future__ import annotations

from functools import cached_property
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
        """Tokens (N, t) of the first t ≤ T positions → Bernoulli logits (N, H, W).

        Positions that are left out add nothing to the latent; with a grid, their cells hold the
        mean of the codes.
        """

    def prototypes(self) -> Tensor:
        """Logits (K, H, W) of the first position's codes.

        Each alone, all other positions left out; with a grid, each in every cell.
        """


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
        self._refined = code_decoder

    @cached_property
    def code_decoder(self) -> CodeDecoder:
        """What decodes the tokens."""
        if self._refined is not None:
            return self._refined
        return CodeDecoder.of(self.vae, self.quantizer).to(self._device)

    @property
    def _device(self) -> torch.device:
        return next(self.vae.parameters()).device

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""
        return self.quantizer.vocabulary

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Pixels (N, H, W) in [0, 1] → tokens (N, T), int64."""
        means, log_variances = self.vae.encode(images)
        tokens = self.encode_latents(means.cpu().numpy(), log_variances.cpu().numpy())
        return self.code_decoder.search(tokens.to(images.device), images, means)

    def encode_latents(self, means: np.ndarray, log_variances: np.ndarray) -> Tensor:
        """Posteriors (N, D), (N, D) → tokens (N, T), int64, by the latents alone."""
        tokens = self.quantizer.encode(means, log_variances, self.decode_means)
        return torch.from_numpy(tokens)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, t) → Bernoulli logits (N, H, W), as in `Tokenizer`."""
        return self.code_decoder.decode(tokens)

    @torch.no_grad()
    def prototypes(self) -> Tensor:
        """Logits (K, H, W) of the first position's codes, as in `Tokenizer`."""
        return self.code_decoder.prototypes()

    @torch.no_grad()
    def decode_means(self, latents: np.ndarray) -> np.ndarray:
        """Latents (M, D) → expected pixels (M, H·W): what the pull-back metric measures."""
        logits = self.vae.decode(torch.from_numpy(latents).float().to(self._device))
        return logits.sigmoid().flatten(1).cpu().numpy()
