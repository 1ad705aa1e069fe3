"""How networks are trained and codes refined: initial weights, loss, budget."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geovq._collapse import check_prior, check_vae, check_vqvae
from geovq.evaluation.rate import marginals
from geovq.fingerprint import fingerprint
from geovq.models import VAE, VQVAE, Classifier, CodeDecoder, Prior
from geovq.models.networks import initial_weights
from geovq.params import Budget, Refine, TrainAR, TrainClassifier, TrainVAE, TrainVQVAE
from geovq.training import Log, best_device, fit, in_batches

__all__ = [
    "choose_tokens",
    "refine",
    "search",
    "train_classifier",
    "train_prior",
    "train_vae",
    "train_vqvae",
]


def train_vae(
    train: Tensor,
    validation: Tensor,
    params: TrainVAE,
    seed: int,
    log: Log | None = None,
    checkpoints: Path | None = None,
) -> tuple[VAE, float]:
    """Minimise bce + β · KL with β = `kl_weight`: the negative ELBO, if β is 1.

    Other β (https://openreview.net/forum?id=Sy2fzU9gl) give latents that keep more or less of the
    image; 0 gives an autoencoder.

    Parameters
    ----------
    train, validation : Tensor of shape (N, H, W)
        Pixels in [0, 1].
    params : TrainVAE
    seed : int
        Of the weights, the batches and the posterior samples.
    log : callable, optional
        As in `geovq.training.fit`.
    checkpoints : Path, optional
        Folder where what training has come to is kept, so that it can be resumed.

    Returns
    -------
    vae : VAE
        With its best weights on the validation split.
    loss : float
        There, in nats per image.
    """
    network = params.model_dump(include={"latent_dim", "hidden", "architecture", "likelihood"})
    with initial_weights(seed):
        vae = VAE(train.shape[1:], **network)

    def loss(batch: Tensor, generator: torch.Generator) -> Tensor:
        bce, kl = vae(batch, generator)
        return bce + params.kl_weight * kl

    run = partial(fit, seed=seed, log=log, checkpoints=checkpoints)
    best = run(vae, loss, [train], [validation], params, title="VAE")
    check_vae(vae, best, train, validation, params)
    return vae, best


def train_vqvae(
    train: Tensor,
    validation: Tensor,
    params: TrainVQVAE,
    network: TrainVAE,
    seed: int,
    log: Log | None = None,
    checkpoints: Path | None = None,
) -> tuple[VQVAE, float]:
    """Minimise bce and the codebook's terms; arguments and result as in `train_vae`.

    The first `warmup_steps` are not quantised; then k-means places the codes.

    Parameters
    ----------
    params : TrainVQVAE
    network : TrainVAE
        Its `hidden`, `latent_dim`, `architecture` and `likelihood` are those of the VQ-VAE.

    Returns
    -------
    vqvae : VQVAE
    bce : float
        On the validation split, in nats per image.
    """
    with initial_weights(seed):
        vqvae = VQVAE(
            train.shape[1:],
            network.latent_dim,
            network.hidden,
            params.vocabulary,
            params.layout,
            params.commitment,
            params.codebook_update,
            architecture=network.architecture,
            likelihood=network.likelihood,
        )

    def loss(batch: Tensor, generator: torch.Generator) -> Tensor:
        reconstruction, penalty = vqvae(batch)
        # The codebook's terms grow with the latents' scale: weights are chosen by bce alone.
        return reconstruction + penalty if vqvae.training else reconstruction

    def stage(budget: Budget, title: str, log: Log | None = None) -> float:
        run = partial(fit, seed=seed, log=log, checkpoints=checkpoints)
        return run(vqvae, loss, [train], [validation], budget, title=title)

    vqvae.quantizing = False
    warmup = {"max_steps": params.warmup_steps, "schedule": "constant"}
    stage(params.model_copy(update=warmup), "VQ-VAE, not yet quantised")
    vqvae.quantizing = True
    vqvae.place_codes(train, seed)
    rest = params.model_copy(update={"max_steps": params.max_steps - params.warmup_steps})
    best = stage(rest, "VQ-VAE", log)
    check_vqvae(vqvae, best, train, validation, params)
    return vqvae, best


def train_classifier(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    params: TrainClassifier,
    seed: int,
    checkpoints: Path | None = None,
) -> Classifier:
    """Minimise the cross-entropy.

    Parameters
    ----------
    train, validation : pair of Tensor
        Pixels (N, H, W) in [0, 1], and labels (N,), int64. There are as many classes as the
        highest label of both tells; one without a training image is merely never recognised.
    params : TrainClassifier
    seed : int
        Of the weights and the batches.
    checkpoints : Path, optional
        As in `train_vae`.
    """
    classes = int(max(train[1].max(), validation[1].max())) + 1
    with initial_weights(seed):
        classifier = Classifier(train[0].shape[1:], classes)

    def loss(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return F.cross_entropy(classifier(images), labels, reduction="none")

    run = partial(fit, seed=seed, checkpoints=checkpoints)
    run(classifier, loss, train, validation, params, title="classifier")
    return classifier


def train_prior(
    train: Tensor,
    validation: Tensor,
    vocabulary: Sequence[int],
    params: TrainAR,
    seed: int,
    log: Log | None = None,
    title: str = "prior",
    vectors: Tensor | None = None,
    checkpoints: Path | None = None,
) -> tuple[Prior, float]:
    """Minimise the code length −log p(tokens).

    Parameters
    ----------
    train, validation : Tensor of shape (N, T), int64
        Tokens.
    vocabulary : sequence of int of length T
        Codes at each position.
    params : TrainAR
    seed : int
        Of the weights and the batches.
    log, title
        As in `geovq.training.fit`.
    vectors : Tensor of shape (Σ K_t, D), optional
        Of the codes, as `geovq.tokenizer.code_vectors` gives them; cell `mlp` needs them.
    checkpoints : Path, optional
        As in `train_vae`.

    Returns
    -------
    prior : Prior
        With its best weights on the validation split.
    code_length : float
        There, in nats per image.
    """
    p, latent_dim = params, 0 if vectors is None else vectors.shape[1]
    codebook = "" if vectors is None else fingerprint([vectors.numpy()])
    sizes = p.embed_dim, p.hidden_dim, p.context, p.layers, latent_dim
    with initial_weights(seed):
        prior = Prior(vocabulary, p.cell, *sizes, codebook)
    if vectors is not None and p.cell == "mlp":
        latents = vectors[train + prior.offsets].sum(1)
        prior.see(vectors / latents.std(0).square().mean().sqrt())  # whatever the latents' scale

    def code_length(batch: Tensor, generator: torch.Generator) -> Tensor:
        return -prior(batch).sum(1)

    run = partial(fit, seed=seed, log=log, checkpoints=checkpoints)
    best = run(prior, code_length, [train], [validation], p, title=title)
    check_prior(best, train, validation, vocabulary, p)
    return prior, best


def refine(
    model: CodeDecoder,
    tokens: tuple[Tensor, Tensor],
    images: tuple[Tensor, Tensor],
    params: Refine,
    seed: int,
    checkpoints: Path | None = None,
) -> dict[str, float]:
    """Fit code vectors to a frozen decoder, then the decoder to the frozen codes, in place.

    Tokens stay as they are, and so does the encoder: the codes remain post-hoc. What the
    likelihood has to learn is part of the decoder.

    Parameters
    ----------
    model : CodeDecoder
    tokens : pair of Tensor of shape (N, T)
        Of the training and the validation images.
    images : pair of Tensor of shape (N, H, W)
        Their pixels in [0, 1].
    params : Refine
    seed : int
        Of the batches.
    checkpoints : Path, optional
        As in `train_vae`.

    Returns
    -------
    dict
        Validation bce before, with refined `codes`, and with the tuned `decoder` too, in nats.
    """
    splits = [tokens[0], images[0]], [tokens[1], images[1]]

    def bce() -> float:
        return in_batches(model, *splits[1])[0].double().mean().item()

    model.to(best_device())
    found = {"cell_means": bce()}
    for name, parts in (
        ("codes", [model.codebooks]),
        ("decoder", [model.decoder, model.likelihood]),
    ):
        budget, title = getattr(params, name), f"refining the {name}"
        _fit_parts(model, parts, *splits, budget, seed, title, checkpoints)
        found[name] = bce()
    return found


def _fit_parts(
    model: CodeDecoder,
    parts: Sequence[nn.Module],
    train: Sequence[Tensor],
    validation: Sequence[Tensor],
    budget: Budget,
    seed: int,
    title: str,
    checkpoints: Path | None,
) -> None:
    """Fit parts of a model to the tokens and images of each split, all else frozen."""

    def loss(tokens: Tensor, images: Tensor, generator: torch.Generator) -> Tensor:
        return model(tokens, images)

    model.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
    if budget.max_steps:
        run = partial(fit, seed=seed, tuning=True, checkpoints=checkpoints)
        run(model, loss, train, validation, budget, title=title)


def choose_tokens(
    model: CodeDecoder,
    train: tuple[Tensor, Tensor, Tensor],
    validation: tuple[Tensor, Tensor, Tensor],
    params: Refine,
    seed: int,
    checkpoints: Path | None = None,
) -> tuple[Tensor, Tensor]:
    """Search the tokens; then tune a decoder to them, the search keeping the one it had.

    Parameters
    ----------
    model : CodeDecoder
        Its `lengths` are set, and where `params.decoder_again` has steps, so is `again`.
    train, validation : tuple of Tensor
        Tokens (N, T), pixels (N, H, W) in [0, 1] and posterior means (N, D).
    params : Refine
    seed : int
        Of the batches.
    checkpoints : Path, optional
        As in `train_vae`.

    Returns
    -------
    pair of Tensor of shape (N, T), int64
        Tokens of the training and the validation images.
    """
    tokens = search(model, *train)
    (unseen,) = in_batches(model.search, *validation, title="validation tokens")
    if params.decoder_again.max_steps:
        splits = [tokens, train[1]], [unseen, validation[1]]
        parts, title = [model.part_ways()], "tuning the decoder again"
        _fit_parts(model, parts, *splits, params.decoder_again, seed, title, checkpoints)
    return tokens, unseen


def search(model: CodeDecoder, tokens: Tensor, images: Tensor, means: Tensor) -> Tensor:
    """Choose training tokens by what they decode to, and by their code length if that has a weight.

    Each sweep counts lengths by the frequencies of the tokens before it; the model keeps them, so
    that `model.search` does the same to other images.

    Parameters
    ----------
    model : CodeDecoder
        Its `lengths` are set.
    tokens : Tensor of shape (N, T), int64
    images : Tensor of shape (N, H, W)
    means : Tensor of shape (N, D)
        Posterior means.

    Returns
    -------
    Tensor of shape (N, T), int64
    """
    for number, lengths in enumerate(model.lengths):
        for row, p in zip(lengths, marginals(tokens.numpy(), model.vocabulary), strict=True):
            row[: len(p)] = -torch.from_numpy(p).log()
        sweep, title = partial(model.sweep, number=number), f"choosing tokens, sweep {number + 1}"
        (tokens,) = in_batches(sweep, tokens, images, means, title=title)
    return tokens
