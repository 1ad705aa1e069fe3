"""Rows of the results table: the data's constants, the VAE, and any tokeniser with its prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from geovq.batches import best_device, in_batches, on_device
from geovq.codec.tokenizer import Tokenizer
from geovq.data.arrays import as_latents
from geovq.evaluation import semantics
from geovq.evaluation.frechet import Frechet
from geovq.models.classifier import Classifier
from geovq.models.distortion import distortion, least_distortion, mean_image_distortion, psnr
from geovq.models.likelihood import Likelihood
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.quantization import rate

if TYPE_CHECKING:
    from geovq.codec.codec import Codec

__all__ = [
    "Judge",
    "Score",
    "score_codec",
    "score_codes",
    "score_data",
    "score_tokenizer",
    "score_vae",
]

Score = dict[str, float | int | str | dict[str, float | None] | None]


@dataclass
class Judge:
    """What the classifier says of images; without labels to learn from it says nothing (None).

    Parameters
    ----------
    classifier : Classifier or None
    test : Tensor of shape (N, H, W)
        The reference of the Fréchet distances.
    labels : Tensor of shape (N,) or None
        Of the test images.
    """

    classifier: Classifier | None
    test: Tensor
    labels: Tensor | None

    def __post_init__(self) -> None:
        self._frechet = None if self.classifier is None else Frechet(self.classifier, self.test)

    def recognition(self, pixels: Tensor) -> float | None:
        """Accuracy of the classifier on reconstructions of the test images, in order."""
        if self.classifier is None or self.labels is None:
            return None
        (logits,) = in_batches(self.classifier, pixels)
        return (logits.argmax(1) == self.labels).double().mean().item()

    def frechet(self, pixels: Tensor) -> float | None:
        """Fréchet distance to the test images."""
        return None if self._frechet is None else self._frechet(pixels)


def score_data(
    name: str, train: Tensor, test: Tensor, judge: Judge, likelihood: Likelihood
) -> Score:
    """Constants of a data set, and the ceilings and floors of the judge.

    `pixel_entropy` is the least bce there is: 0 under the logistic likelihood.

    Parameters
    ----------
    name : str
    train, test : Tensor of shape (N, H, W)
    judge : Judge
    likelihood : Likelihood
        Of the models, on any device.
    """
    return {
        "dataset": name,
        "test_images": len(test),
        "pixel_entropy": least_distortion(test, likelihood),
        "mean_image_bce": mean_image_distortion(train, test, likelihood),
        "frechet_floor": judge.frechet(train[: len(test)]),
        "recognition": judge.recognition(test),
    }


def score_vae(vae: VAE, test: Tensor, judge: Judge, seed: int) -> Score:
    """The continuous VAE: `total` is its negative ELBO, with one posterior sample an image."""
    device = best_device()
    noise = torch.Generator(device).manual_seed(seed)
    bce, kl = in_batches(lambda images: vae(images, noise), test)
    logits, _ = in_batches(lambda images: (vae.decode(vae.encode(images)[0]), images), test)
    prior = torch.randn(len(test), vae.latent_dim, generator=noise, device=device)
    (samples,) = in_batches(lambda z: vae.decode(z).sigmoid(), prior)
    pixels = logits.sigmoid()
    return {
        "total": (bce + kl).double().mean().item(),
        "bce": bce.double().mean().item(),
        "kl": kl.double().mean().item(),
        "psnr": psnr(pixels, test),
        "recognition": judge.recognition(pixels),
        "frechet_reconstructions": judge.frechet(pixels),
        "frechet_prior": judge.frechet(samples),
    }


def score_codes(
    tokenizer: Tokenizer,
    prior: Prior | None,
    images: Tensor,
    tokens: Tensor,
    logits: Tensor,
    labels: np.ndarray | None,
    train_tokens: Tensor | None = None,
) -> Score:
    """What images say of a tokeniser without a judge; None where something is missing for it.

    Parameters
    ----------
    tokenizer : Tokenizer
    prior : Prior or None
    images : Tensor of shape (N, H, W)
    tokens : Tensor of shape (N, T), int64
        Theirs.
    logits : Tensor of shape (N, H, W)
        What these decode to.
    labels : ndarray of shape (N,) or None
    train_tokens : Tensor of shape (M, T), int64, optional
        For the marginal.
    """
    bce = distortion(logits, images, tokenizer.likelihood)
    return {
        **_score_rate(tokenizer.vocabulary, prior, tokens, labels, train_tokens, bce=bce),
        "psnr": psnr(logits.sigmoid(), images),
    }


def _score_rate(
    vocabulary: Sequence[int],
    prior: Prior | None,
    tokens: Tensor,
    labels: np.ndarray | None,
    train_tokens: Tensor | None = None,
    **distorted: float,
) -> Score:
    """Rate, use and meaning of codes, beside one figure of distortion."""
    codes = tokens.numpy()
    nats = None if prior is None else -in_batches(prior, tokens)[0].double().sum(1).mean().item()
    bits = None if nats is None else nats / math.log(2) / len(vocabulary)
    marginal = None
    if train_tokens is not None:
        marginal = rate.marginal_bits_per_token(train_tokens.numpy(), codes, vocabulary)
    total = None if nats is None or "bce" not in distorted else distorted["bce"] + nats
    return {
        "bits_per_image": rate.bits_per_image(vocabulary),
        **distorted,
        "code_length": nats,
        "total": total,
        "ar_bits_per_token": bits,
        "marginal_bits_per_token": marginal,
        "codes_used": rate.codes_used(codes, vocabulary),
        "perplexity": rate.perplexity(codes, vocabulary),
        "purity": None if labels is None else semantics.purity(codes[:, 0], labels),
        "nmi": None if labels is None else semantics.nmi(codes[:, 0], labels),
    }


def score_codec(
    codec: Codec,
    data: ArrayLike,
    log_variances: ArrayLike | None = None,
    labels: np.ndarray | None = None,
) -> Score:
    """A codec on images, or on latents, that it was not fitted to.

    Parameters
    ----------
    codec : Codec
    data : array-like
        Images as `Codec.encode` takes them; posterior means (N, D) for a codec of latents.
    log_variances : array-like of shape (N, D), optional
        Of latents.
    labels : ndarray of shape (N,), optional

    Returns
    -------
    dict
        `bits_per_image`; `bce` and `psnr`, or the `squared_error` of latents; what the prior says,
        `code_length`, `total` (both in nats) and `ar_bits_per_token`; `codes_used`, `perplexity`;
        and, of the first token, `purity` and `nmi` with the labels.

    Raises
    ------
    InputError
        The data are not of the shape that the codec was fitted on.
    """
    with on_device(codec.device):
        if codec.tokenizer is not None:
            images, tokens = codec.pixels(data), torch.from_numpy(codec.encode(data))
            (logits,) = in_batches(codec.tokenizer.decode, tokens)
            return score_codes(codec.tokenizer, codec.prior, images, tokens, logits, labels)
        means, _ = as_latents(data, log_variances, fitting=False)
        codes = codec.encode_latents(data, log_variances)
        error = float(np.square(codec.decode_latents(codes) - means).sum(1).mean())
        tokens = torch.from_numpy(codes)
        return _score_rate(codec.vocabulary, codec.prior, tokens, labels, squared_error=error)


def score_tokenizer(
    tokenizer: Tokenizer,
    prior: Prior,
    test: Tensor,
    train_tokens: Tensor,
    test_tokens: Tensor,
    judge: Judge,
    *,
    temperatures: Sequence[float],
    seed: int,
) -> Score:
    """A tokeniser with its prior: `total` = `bce` + code length, an upper bound on −log p(x).

    Parameters
    ----------
    tokenizer : Tokenizer
    prior : Prior
        Trained on `train_tokens`.
    test : Tensor of shape (N, H, W)
    train_tokens, test_tokens : Tensor of shape (·, T), int64
    judge : Judge
    temperatures : sequence of float
        Of the samples in `frechet_samples_at`; `frechet_samples` is at temperature 1.
    seed : int
        Of the samples.
    """
    independent = rate.draw_independent(train_tokens.numpy(), tokenizer.vocabulary, len(test), seed)

    def drawn(tokens: Tensor) -> Tensor:
        return in_batches(lambda t: tokenizer.decode(t).sigmoid(), tokens)[0]

    def samples(temperature: float) -> float | None:
        generator = torch.Generator(best_device()).manual_seed(seed)
        tokens = prior.sample(len(test), temperature=temperature, generator=generator)
        return judge.frechet(drawn(tokens))

    labels = None if judge.labels is None else judge.labels.numpy()
    (logits,) = in_batches(tokenizer.decode, test_tokens)
    pixels = logits.sigmoid()
    sampled = {temperature: samples(temperature) for temperature in {*temperatures, 1.0}}
    return {
        **score_codes(tokenizer, prior, test, test_tokens, logits, labels, train_tokens),
        "recognition": judge.recognition(pixels),
        "frechet_reconstructions": judge.frechet(pixels),
        "frechet_samples": sampled[1.0],
        "frechet_samples_at": {f"{t:g}": sampled[t] for t in temperatures},
        "frechet_independent": judge.frechet(drawn(torch.from_numpy(independent))),
    }
