"""A few images of every model side by side: what it makes of an image, and what it makes up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from geovq.batches import best_device, in_batches
from geovq.codec.tokenizer import Tokenizer
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.report.table import NAMES

__all__ = ["SHOWN", "pixels", "reconstructions", "samples", "spread"]

SHOWN = 12  # images a row


def spread(count: int) -> Tensor:
    """Rows of `SHOWN` of so many images, evenly spread; int64."""
    return torch.linspace(0, count - 1, SHOWN).long()


def pixels(decode: Callable[[Tensor], Tensor], codes: Tensor) -> np.ndarray:
    """Expected pixels (N, H, W) of tokens or latents."""
    return in_batches(lambda batch: decode(batch).sigmoid(), codes)[0].numpy()


def reconstructions(
    vae: VAE, tokenizers: Mapping[str, Tokenizer], tokens: Mapping[str, Tensor], images: Tensor
) -> dict[str, np.ndarray]:
    """Title → expected pixels (N, H, W): the originals, the VAE's and each tokeniser's.

    Parameters
    ----------
    vae : VAE
    tokenizers : mapping
        By their keys in `geovq.report.table.NAMES`.
    tokens : mapping of str to Tensor of shape (N, T), int64
    images : Tensor of shape (N, H, W)
    """
    rows = {
        "originals": images.numpy(),
        f"{NAMES['vae']}: decoded posterior means": pixels(
            lambda batch: vae.decode(vae.encode(batch)[0]), images
        ),
    }
    for name, tokenizer in tokenizers.items():
        rows[NAMES[name]] = pixels(tokenizer.decode, tokens[name])
    return rows


def samples(
    vae: VAE,
    tokenizers: Mapping[str, Tokenizer],
    priors: Mapping[str, Prior],
    temperatures: Sequence[float],
    seed: int,
) -> dict[str, np.ndarray]:
    """Title → expected pixels (SHOWN, H, W) of samples, each tokeniser's at every temperature."""
    device = best_device()
    generator = torch.Generator(device).manual_seed(seed)
    latents = torch.randn(SHOWN, vae.latent_dim, generator=generator, device=device)
    rows = {f"{NAMES['vae']}: its standard normal prior": pixels(vae.decode, latents)}
    for name, tokenizer in tokenizers.items():
        for temperature in temperatures:
            drawn = priors[name].sample(SHOWN, temperature=temperature, generator=generator)
            title = f"{NAMES[name]}: autoregressive prior, temperature {temperature:g}"
            rows[title] = pixels(tokenizer.decode, drawn)
    return rows
