"""Rows of the results table: the data's constants, the VAE, and any tokeniser with its prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geovq.batches import best_device, in_batches
from geovq.evaluation import distortion, rate, semantics
from geovq.evaluation.frechet import Frechet
from geovq.models.classifier import Classifier
from geovq.models.likelihood import Likelihood
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.tokenizer import Tokenizer

__all__ = ["Judge", "Score", "score_data", "score_tokenizer", "score_vae"]

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
        "pixel_entropy": distortion.least_bce(test, likelihood),
        "mean_image_bce": distortion.mean_image_bce(train, test, likelihood),
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
        "psnr": distortion.psnr(pixels, test),
        "recognition": judge.recognition(pixels),
        "frechet_reconstructions": judge.frechet(pixels),
        "frechet_prior": judge.frechet(samples),
    }


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
    vocabulary = tokenizer.vocabulary
    train_codes, test_codes = train_tokens.numpy(), test_tokens.numpy()
    (logits,) = in_batches(tokenizer.decode, test_tokens)
    (log_probabilities,) = in_batches(prior, test_tokens)
    code_length = -log_probabilities.double().sum(1).mean().item()
    independent = rate.draw_independent(train_codes, vocabulary, len(test), seed)

    def drawn(tokens: Tensor) -> Tensor:
        return in_batches(lambda t: tokenizer.decode(t).sigmoid(), tokens)[0]

    def samples(temperature: float) -> float | None:
        generator = torch.Generator(best_device()).manual_seed(seed)
        tokens = prior.sample(len(test), temperature=temperature, generator=generator)
        return judge.frechet(drawn(tokens))

    sampled = {temperature: samples(temperature) for temperature in {*temperatures, 1.0}}
    pixels = logits.sigmoid()
    bce = distortion.bce(logits, test, tokenizer.likelihood)
    labels = None if judge.labels is None else judge.labels.numpy()
    return {
        "bits_per_image": rate.bits_per_image(vocabulary),
        "bce": bce,
        "code_length": code_length,
        "total": bce + code_length,
        "ar_bits_per_token": code_length / math.log(2) / len(vocabulary),
        "marginal_bits_per_token": rate.marginal_bits_per_token(
            train_codes, test_codes, vocabulary
        ),
        "codes_used": rate.codes_used(test_codes, vocabulary),
        "perplexity": rate.perplexity(test_codes, vocabulary),
        "purity": None if labels is None else semantics.purity(test_codes[:, 0], labels),
        "nmi": None if labels is None else semantics.nmi(test_codes[:, 0], labels),
        "psnr": distortion.psnr(pixels, test),
        "recognition": judge.recognition(pixels),
        "frechet_reconstructions": judge.frechet(pixels),
        "frechet_samples": sampled[1.0],
        "frechet_samples_at": {f"{t:g}": sampled[t] for t in temperatures},
        "frechet_independent": judge.frechet(drawn(torch.from_numpy(independent))),
    }
