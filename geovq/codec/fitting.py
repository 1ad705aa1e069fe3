"""How a `Codec` is fitted: the stages of the pipeline one after another, on one's own data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geovq.batches import as_pixels, best_device, in_batches
from geovq.codec.folder import about
from geovq.codec.settings import Settings
from geovq.codec.tokenizer import Autoencoder, PostHocTokenizer, code_vectors, ready
from geovq.data.sets import held_out
from geovq.errors import InputError
from geovq.models.distortion import distortion
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.training.loop import Watch
from geovq.training.prior import train_prior
from geovq.training.refinement import Split, refined
from geovq.training.vae import train_vae

__all__ = ["fit_images", "fit_latents"]

# What a `Codec` is made of.
Parts = tuple[GeodesicQuantizer, PostHocTokenizer | None, Prior | None, dict[str, Any]]


def fit_images(
    images: np.ndarray,
    vae: Autoencoder | None,
    chosen: Settings,
    checkpoints: Path | None = None,
    watch: Watch | None = None,
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
    watch : callable, optional
        Gives a training's title the `log` of `geovq.training.loop.fit`.
    """
    inside = held_out(images, chosen.validation_fraction, chosen.seed)
    pixels = as_pixels(images[~inside]), as_pixels(images[inside])
    figures: dict[str, float] = {}
    seed = chosen.seed
    quantizer = _quantizer(chosen)
    if chosen.train_vae is not None:
        quantizer.check(len(pixels[0]), chosen.train_vae.latent_dim)  # before hours of training
        rate, log = chosen.geodesic_quantize.rate, watch and watch("VAE")
        vae, reached = train_vae(*pixels, chosen.train_vae, seed, log, checkpoints, rate=rate)
        figures |= {"vae_loss": reached.negative_elbo, "vae_kl": reached.kl}
        figures["vae_kl_weight"] = reached.kl_weight
    assert vae is not None
    _check(ready(vae), pixels[0][:2])
    posteriors = [in_batches(vae.encode, part) for part in pixels]
    tokenizer = PostHocTokenizer.fit(vae, quantizer, *(part.numpy() for part in posteriors[0]))
    tokens = [tokenizer.encode_latents(*(p.numpy() for p in part)) for part in posteriors]
    if chosen.refine is not None and isinstance(vae, VAE):
        train, validation = (
            Split(codes, images, means)
            for codes, images, (means, _) in zip(tokens, pixels, posteriors, strict=True)
        )
        made = refined(vae, quantizer, train, validation, chosen.refine, seed, checkpoints, watch)
        model, tokens[:], _ = made
        tokenizer = PostHocTokenizer(vae, quantizer, model)
    (logits,) = in_batches(tokenizer.decode, tokens[1])
    figures["bce"] = distortion(logits, pixels[1], tokenizer.likelihood)
    prior = _prior(tokens, quantizer, code_vectors(tokenizer), chosen, figures, checkpoints, watch)
    if prior is not None:
        figures["total"] = figures["bce"] + figures["code_length"]
    own = "geovq" if isinstance(vae, VAE) else "own"
    info = _about(quantizer, tokens, figures, chosen, vae=own, image_size=images.shape[1:])
    return quantizer, tokenizer, prior, info


def fit_latents(
    means: np.ndarray,
    log_variances: np.ndarray | None,
    chosen: Settings,
    checkpoints: Path | None = None,
    watch: Watch | None = None,
) -> Parts:
    """Quantise latents and train the prior of their tokens.

    Parameters
    ----------
    means : ndarray of shape (N, D)
    log_variances : ndarray of shape (N, D), optional
    chosen : Settings
        Without `train_vae` and `refine`.
    checkpoints, watch : optional
        As in `fit_images`.
    """
    inside = held_out(means, chosen.validation_fraction, chosen.seed)
    train, validation = (
        (means[rows], None if log_variances is None else log_variances[rows])
        for rows in (~inside, inside)
    )
    quantizer = _quantizer(chosen).fit(*train)
    tokens = [torch.from_numpy(quantizer.encode(*part)) for part in (train, validation)]
    errors = quantizer.decode(tokens[1].numpy()) - validation[0]
    figures = {"squared_error": float((errors**2).sum(1).mean())}
    vectors = torch.from_numpy(np.concatenate(quantizer.codebooks())).float()
    prior = _prior(tokens, quantizer, vectors, chosen, figures, checkpoints, watch)
    return quantizer, None, prior, _about(quantizer, tokens, figures, chosen)


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
    tokens: Sequence[Tensor],
    quantizer: GeodesicQuantizer,
    vectors: Tensor,
    chosen: Settings,
    figures: dict[str, float],
    checkpoints: Path | None,
    watch: Watch | None,
) -> Prior | None:
    """Train the prior, if one is wanted, and note its code length."""
    if chosen.train_ar is None:
        return None
    prior, nats = train_prior(
        tokens[0],
        tokens[1],
        quantizer.vocabulary,
        chosen.train_ar,
        chosen.seed,
        watch and watch("prior"),
        vectors=vectors,
        checkpoints=checkpoints,
    )
    figures |= {"code_length": nats, "code_length_bits": nats / math.log(2)}
    return prior


def _about(
    quantizer: GeodesicQuantizer,
    tokens: Sequence[Tensor],
    figures: dict[str, float],
    chosen: Settings,
    **more: Any,
) -> dict[str, Any]:
    return about(
        latent_dim=len(quantizer.scale_),
        vocabulary=quantizer.vocabulary,
        refined=chosen.refine is not None,
        prior=chosen.train_ar is not None,
        rows=[len(part) for part in tokens],
        figures=figures,
        settings=chosen.model_dump(),
        **more,
    )
