"""Images ↔ tokens, whatever is inside: the prior and the evaluation see only this."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from geovq.batches import best_device, in_batches
from geovq.errors import InputError
from geovq.files.fingerprint import fingerprint
from geovq.models.code_decoder import CodeDecoder
from geovq.models.likelihood import Bernoulli, Likelihood
from geovq.models.vae import VAE
from geovq.quantization.layout import Layout
from geovq.quantization.quantizer import GeodesicQuantizer

__all__ = [
    "Autoencoder",
    "EndToEnd",
    "PostHocTokenizer",
    "Tokenizer",
    "check_codebook",
    "code_vectors",
    "ready",
]


class Tokenizer(Protocol):
    """What every tokeniser offers; `geovq.models.vqvae.VQVAE` is one as it stands.

    Images and logits are (N, H, W) if grey, (N, H, W, 3) if not.
    """

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""

    @property
    def likelihood(self) -> Likelihood:
        """What its logits say of an image."""

    @property
    def layout(self) -> Layout:
        """How the codes of an image make up its latent."""

    def encode(self, images: Tensor) -> Tensor:
        """Pixels (N, H, W) in [0, 1] → tokens (N, T), int64."""

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, t) of the first t ≤ T positions → logits (N, H, W).

        The latent is the sum of what the tokens add; positions that are left out add nothing, but
        on a grid the mean of their codes.
        """

    def vectors(self, position: int) -> Tensor:
        """What each code of a position adds to the latent, (K, D)."""

    def prototypes(self, position: int = 0) -> Tensor:
        """Logits (K, H, W) of a position's codes.

        Each alone, without all other positions; on a grid, each in every cell.
        """

    def to(self, device: torch.device) -> Any:
        """Move the networks, in place."""


class EndToEnd(Tokenizer, Protocol):
    """A tokeniser that is one network, whose encoder gives what its layout then quantises."""

    encoder: nn.Module
    config: dict[str, Any]


class Autoencoder(Protocol):
    """What `PostHocTokenizer` asks of a VAE; `geovq.models.vae.VAE` is one as it stands.

    Tensors are float32, on the device of the codec. Without an attribute `likelihood` of
    `geovq.models.likelihood`, logits are taken for Bernoulli's.
    """

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (N, H, W) in [0, 1] → means and log-variances of the posteriors, (N, D) each."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, D) → logits (N, H, W)."""


def ready(vae: Autoencoder) -> Autoencoder:
    """Put a VAE where it is used; a module's dropout and the like are switched off."""
    return vae.to(best_device()).eval() if isinstance(vae, nn.Module) else vae


class PostHocTokenizer:
    """A trained VAE and a quantiser of its latents.

    Parameters
    ----------
    vae : Autoencoder
        On the device of `geovq.batches.best_device`, if it has one.
    quantizer : GeodesicQuantizer
        Fitted on the VAE's posterior means.
    code_decoder : CodeDecoder, optional
        Refined codes and decoder; the quantiser's codes and the VAE's decoder by default.

    Raises
    ------
    InputError
        The code decoder was made from another VAE or another codebook.
    """

    def __init__(
        self,
        vae: Autoencoder,
        quantizer: GeodesicQuantizer,
        code_decoder: CodeDecoder | None = None,
    ) -> None:
        if code_decoder is not None and isinstance(vae, VAE):
            made_from, origins = (
                code_decoder.config["made_from"],
                CodeDecoder.origins(vae, quantizer),
            )
            for what, mine, its in zip(("VAE", "codebook"), origins, made_from, strict=True):
                if mine != its:
                    raise InputError(
                        f"code_decoder: made from the {what} {its}, not from this one, {mine}; "
                        "allowed: parts of one model"
                    )
        self.vae = vae
        self.quantizer = quantizer
        self.code_decoder = code_decoder

    @classmethod
    def fit(
        cls,
        vae: Autoencoder,
        quantizer: GeodesicQuantizer,
        means: np.ndarray,
        log_variances: np.ndarray,
    ) -> PostHocTokenizer:
        """Fit a quantiser to the posteriors (N, D), (N, D) of a VAE's training images."""
        tokenizer = cls(vae, quantizer)
        quantizer.fit(means, log_variances, tokenizer.decode_means)
        return tokenizer

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""
        return self.quantizer.vocabulary

    @property
    def likelihood(self) -> Likelihood:
        """The refined decoder's, or the VAE's, or Bernoulli's."""
        found = getattr(self.code_decoder or self.vae, "likelihood", None)
        return found if isinstance(found, Likelihood) else Bernoulli()

    @property
    def layout(self) -> Layout:
        """The quantiser's."""
        return self.quantizer.layout_

    def encode(self, images: Tensor, title: str = "") -> Tensor:
        """Pixels (N, H, W) in [0, 1] → tokens (N, T), int64, however many images there are.

        With a title there is a progress bar.
        """
        means, log_variances = in_batches(self.vae.encode, images, title=title)
        tokens = self.encode_latents(means.numpy(), log_variances.numpy())
        if self.code_decoder is not None:
            (tokens,) = in_batches(
                self.code_decoder.search, tokens, images, means, title=title and "search"
            )
        return tokens.to(images.device)

    def encode_latents(self, means: np.ndarray, log_variances: np.ndarray) -> Tensor:
        """Posteriors (N, D), (N, D) → tokens (N, T), int64, by the latents alone."""
        tokens = self.quantizer.encode(means, log_variances, self.decode_means)
        return torch.from_numpy(tokens)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, t) → logits (N, H, W), as in `Tokenizer`."""
        if self.code_decoder is not None:
            return self.code_decoder.decode(tokens)
        books, given = self._codebooks, self.layout.given(tokens)
        parts = [vectors[tokens[:, t]] for t, vectors in enumerate(books[:given])]
        parts += [mean.expand_as(parts[0]) for mean in self.layout.left_out(books[given:])]
        return self.vae.decode(torch.stack(parts).sum(0))

    def vectors(self, position: int) -> Tensor:
        """What each code of a position adds to the latent, (K, D)."""
        if self.code_decoder is not None:
            return self.code_decoder.vectors(position)
        return self._codebooks[position]

    @torch.no_grad()
    def prototypes(self, position: int = 0) -> Tensor:
        """Logits (K, H, W) of a position's codes, as in `Tokenizer`."""
        if self.code_decoder is not None:
            return self.code_decoder.prototypes(position)
        alike = self._codebooks[self.layout.sharing(position)]
        return self.vae.decode(torch.stack(alike).sum(0))

    def to(self, device: torch.device) -> PostHocTokenizer:
        """Move the networks, in place; a VAE that is no module stays where it is."""
        for part in (self.vae, self.code_decoder):
            if isinstance(part, nn.Module):
                part.to(device)
        vars(self).pop("_codebooks", None)  # made anew, there
        return self

    @cached_property
    def _codebooks(self) -> list[Tensor]:
        """Codes (K_t, D) of each position."""
        device = best_device()
        return [torch.from_numpy(v).float().to(device) for v in self.quantizer.codebooks()]

    def decode_means(self, latents: np.ndarray) -> np.ndarray:
        """Latents (M, D) → expected pixels, a row each: what the pull-back metric measures."""
        (logits,) = in_batches(self.vae.decode, torch.from_numpy(latents).float())
        return logits.sigmoid().flatten(1).numpy()


@torch.no_grad()
def code_vectors(tokenizer: Tokenizer) -> Tensor:
    """What each code adds to the latent, (Σ K_t, D) on the CPU, the first position's first."""
    positions = range(len(tokenizer.vocabulary))
    return torch.cat([tokenizer.vectors(position).cpu() for position in positions])


def check_codebook(of: str, codebook: str, vectors: np.ndarray) -> None:
    """Refuse a prior, or tokens, of other codes than these.

    Parameters
    ----------
    of : str
        What they are of, for the message.
    codebook : str
        The fingerprint that it carries; empty for one that knows nothing of its codes.
    vectors : ndarray of shape (Σ K_t, D)
        As `code_vectors` gives them.

    Raises
    ------
    InputError
        It was made for another codebook.
    """
    if codebook and codebook != (own := fingerprint([vectors])):
        raise InputError(f"{of}: of another model, whose codebook is {codebook}; allowed: of {own}")
