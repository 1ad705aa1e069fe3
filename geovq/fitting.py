"""How a `Codec` is fitted: the stages of the pipeline one after another, on one's own data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from geovq.batches import as_pixels, best_device, in_batches
from geovq.data import held_out
from geovq.errors import InputError
from geovq.evaluation.distortion import bce
from geovq.evaluation.rate import bits_per_image
from geovq.models.code_decoder import CodeDecoder
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.quantizer import GeodesicQuantizer
from geovq.settings import Settings
from geovq.tokenizer import Autoencoder, PostHocTokenizer, code_vectors
from geovq.training.prior import train_prior
from geovq.training.refinement import choose_tokens, refine
from geovq.training.vae import train_vae

__all__ = ["Parts", "fit_images", "fit_latents", "ready"]

Pair = tuple[Tensor, Tensor]  # training and validation rows


class Parts(NamedTuple):
    """What a codec is made of."""

    quantizer: GeodesicQuantizer
    tokenizer: PostHocTokenizer | None
    prior: Prior | None
    info: dict[str, Any]


def fit_images(
    images: np.ndarray,
    vae: Autoencoder | None,
    chosen: Settings,
    checkpoints: Path | None = None,
) -> Parts:
    """Train a VAE if there is none, quantise its latents, refine the codes, train the prior.

    Parameters
    ----------
    images : ndarray of shape (N, H, W) or (N, H, W, 3), uint8
    vae : Autoencoder, optional
    chosen : Settings
        Without `train_vae` if there is a VAE, and without `refine` if it is not ours.
    checkpoints : Path, optional
        Folder for what training has come to.
    """
    inside = held_out(images, chosen.validation_fraction, chosen.seed)
    pixels = as_pixels(images[~inside]), as_pixels(images[inside])
    figures, seed = {}, chosen.seed
    if chosen.train_vae is not None:
        vae, figures["vae_loss"] = train_vae(
            *pixels, chosen.train_vae, seed, checkpoints=checkpoints
        )
    assert vae is not None
    _check(ready(vae), pixels[0][:2])
    quantizer = _quantizer(chosen)
    tokenizer = PostHocTokenizer(vae, quantizer)
    means, log_variances = in_batches(vae.encode, pixels[0])
    quantizer.fit(means.numpy(), log_variances.numpy(), tokenizer.decode_means)
    tokens = tokenizer.encode(pixels[0]), tokenizer.encode(pixels[1])
    if chosen.refine is not None and isinstance(vae, VAE):
        model = CodeDecoder.of(vae, quantizer, **chosen.refine.search)
        refine(model, tokens, pixels, chosen.refine, seed, checkpoints)
        tokenizer = PostHocTokenizer(vae, quantizer, model)
        rows = (
            (tokens[0], pixels[0], means),
            (tokens[1], pixels[1], in_batches(vae.encode, pixels[1])[0]),
        )
        tokens = choose_tokens(model, *rows, chosen.refine, seed, checkpoints)
    (logits,) = in_batches(tokenizer.decode, tokens[1])
    figures["bce"] = bce(logits, pixels[1], tokenizer.likelihood)
    vectors = code_vectors(tokenizer)
    prior = _prior(tokens, quantizer, vectors, chosen, figures, checkpoints)
    if prior is not None:
        figures["total"] = figures["bce"] + figures["code_length"]
    info = _info(quantizer, tokens, figures, chosen) | {
        "image_size": list(images.shape[1:]),
        "vae": "geovq" if isinstance(vae, VAE) else "own",
    }
    return Parts(quantizer, tokenizer, prior, info)


def fit_latents(
    means: np.ndarray,
    log_variances: np.ndarray | None,
    chosen: Settings,
    checkpoints: Path | None = None,
) -> Parts:
    """Quantise latents and train the prior of their tokens.

    Parameters
    ----------
    means : ndarray of shape (N, D)
    log_variances : ndarray of shape (N, D), optional
    chosen : Settings
        Without `train_vae` and `refine`.
    checkpoints : Path, optional
        As in `fit_images`.
    """
    inside = held_out(means, chosen.validation_fraction, chosen.seed)
    train, validation = (
        (means[rows], None if log_variances is None else log_variances[rows])
        for rows in (~inside, inside)
    )
    quantizer = _quantizer(chosen).fit(*train)
    tokens = (
        torch.from_numpy(quantizer.encode(*train)),
        torch.from_numpy(quantizer.encode(*validation)),
    )
    errors = quantizer.decode(tokens[1].numpy()) - validation[0]
    figures = {"squared_error": float((errors**2).sum(1).mean())}
    vectors = torch.from_numpy(np.concatenate(quantizer.codebooks())).float()
    prior = _prior(tokens, quantizer, vectors, chosen, figures, checkpoints)
    info = _info(quantizer, tokens, figures, chosen)
    return Parts(quantizer, None, prior, info)


def ready(vae: Autoencoder) -> Autoencoder:
    """Put a VAE where it is used; a module's dropout and the like are switched off."""
    return vae.to(best_device()).eval() if isinstance(vae, nn.Module) else vae


def _check(vae: Autoencoder, images: Tensor) -> None:
    """See on a few images that a VAE of the user's keeps to the protocol."""
    n, device = len(images), best_device()
    with torch.no_grad():
        found = vae.encode(images.to(device))
        if not isinstance(found, tuple) or len(found) != 2:
            raise InputError(f"vae.encode gives {type(found).__name__}; allowed: a tuple of two")
        means, log_variances = found
        if means.ndim != 2 or means.shape != log_variances.shape or len(means) != n:
            raise InputError(
                f"vae.encode of {n} images: shapes {tuple(means.shape)}, "
                f"{tuple(log_variances.shape)}; allowed: ({n}, D) both"
            )
        logits = vae.decode(means)
    if logits.shape != images.shape:
        raise InputError(
            f"vae.decode of {n} latents: shape {tuple(logits.shape)}; "
            f"allowed: logits {tuple(images.shape)}"
        )


def _quantizer(chosen: Settings) -> GeodesicQuantizer:
    return GeodesicQuantizer(**chosen.geodesic_quantize.model_dump(), random_state=chosen.seed)


def _prior(
    tokens: Pair,
    quantizer: GeodesicQuantizer,
    vectors: Tensor,
    chosen: Settings,
    figures: dict[str, float],
    checkpoints: Path | None,
) -> Prior | None:
    """Train the prior, if one is wanted, and note its code length."""
    if chosen.train_ar is None:
        return None
    prior, nats = train_prior(
        *tokens,
        quantizer.vocabulary,
        chosen.train_ar,
        chosen.seed,
        vectors=vectors,
        checkpoints=checkpoints,
    )
    figures |= {"code_length": nats, "code_length_bits": nats / math.log(2)}
    return prior


def _info(
    quantizer: GeodesicQuantizer, tokens: Pair, figures: dict[str, float], chosen: Settings
) -> dict[str, Any]:
    """What there is to know about a codec of latents, in plain values."""
    return {
        "image_size": None,
        "latent_dim": len(quantizer.scale_),
        "vocabulary": list(quantizer.vocabulary),
        "bits_per_image": bits_per_image(quantizer.vocabulary),
        "vae": None,
        "refined": chosen.refine is not None,
        "prior": chosen.train_ar is not None,
        "training_rows": len(tokens[0]),
        "validation_rows": len(tokens[1]),
        "validation": figures,
        "settings": chosen.model_dump(),
    }
