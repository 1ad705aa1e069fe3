"""Codes and decoder after the quantisation: fitted to each other, and tokens chosen anew."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from geovq.batches import best_device, in_batches
from geovq.models.code_decoder import CodeDecoder
from geovq.models.vae import VAE
from geovq.params.sections import Budget, Refine
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.quantization.rate import marginals
from geovq.training import loop
from geovq.training.loop import Watch

__all__ = [
    "Split",
    "alternate",
    "choose_tokens",
    "refine",
    "refined",
    "search",
    "tune_again",
]


class Split(NamedTuple):
    """Rows of one split.

    Attributes
    ----------
    tokens : Tensor of shape (N, T), int64
    images : Tensor of shape (N, H, W)
        Pixels in [0, 1].
    means : Tensor of shape (N, D)
        Posterior means.
    """

    tokens: Tensor
    images: Tensor
    means: Tensor


def refined(
    vae: VAE,
    quantizer: GeodesicQuantizer,
    train: Split,
    validation: Split,
    params: Refine,
    seed: int,
    checkpoints: Path | None = None,
    watch: Watch | None = None,
) -> tuple[CodeDecoder, tuple[Tensor, Tensor], dict[str, float]]:
    """All of the refinement: `refine`, `choose_tokens`, `alternate` and `tune_again`.

    Parameters
    ----------
    vae : VAE
    quantizer : GeodesicQuantizer
        Of its latents.
    train, validation : Split
        With the quantiser's tokens.
    params : Refine
    seed : int
        Of the batches.
    checkpoints : Path, optional
        As in `geovq.training.vae.train_vae`.
    watch : callable, optional
        Gives a training's title the `log` of `geovq.training.loop.fit`.

    Returns
    -------
    model : CodeDecoder
    tokens : pair of Tensor of shape (N, T), int64
        Of the training and the validation images.
    bce : dict
        As `refine` gives it, after the `search`, after `round_1` and so on, and the `final` one: on
        the validation split, in nats per image.
    """
    model = CodeDecoder.of(vae, quantizer, **params.search)
    pairs = (train.tokens, validation.tokens), (train.images, validation.images)
    found = refine(model, *pairs, params, seed, checkpoints, watch)
    tokens = choose_tokens(model, train, validation)
    found["search"] = _bce(model, tokens[1], validation)
    tokens, rounds = alternate(model, tokens, train, validation, params, seed, checkpoints, watch)
    found |= {f"round_{number}": bce for number, bce in enumerate(rounds, 1)}
    tune_again(model, tokens, train, validation, params, seed, checkpoints, watch)
    return model, tokens, {**found, "final": _bce(model, tokens[1], validation)}


def _bce(model: CodeDecoder, tokens: Tensor, split: Split) -> float:
    return in_batches(model, tokens, split.images)[0].double().mean().item()


def refine(
    model: CodeDecoder,
    tokens: tuple[Tensor, Tensor],
    images: tuple[Tensor, Tensor],
    params: Refine,
    seed: int,
    checkpoints: Path | None = None,
    watch: Watch | None = None,
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
        As in `geovq.training.vae.train_vae`.
    watch : callable, optional
        As in `refined`.

    Returns
    -------
    dict
        Validation bce before, with refined `codes`, and with the tuned `decoder` too, in nats.
    """
    splits = [tokens[0], images[0]], [tokens[1], images[1]]

    def validated() -> float:
        return in_batches(model, *splits[1])[0].double().mean().item()

    model.to(best_device())
    found = {"cell_means": validated()}
    for name, parts in (
        ("codes", [model.codebooks]),
        ("decoder", [model.decoder, model.likelihood]),
    ):
        budget, title = getattr(params, name), f"refining the {name}"
        _fit_parts(model, parts, *splits, budget, seed, title, checkpoints, watch)
        found[name] = validated()
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
    watch: Watch | None,
) -> None:
    """Fit parts of a model to the tokens and images of each split, all else frozen."""

    def loss(tokens: Tensor, images: Tensor, generator: torch.Generator) -> Tensor:
        return model(tokens, images)

    model.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
    if budget.max_steps:
        log = None if watch is None else watch(title)
        run = partial(loop.fit, seed=seed, log=log, tuning=True, checkpoints=checkpoints)
        run(model, loss, train, validation, budget, title=title)


def choose_tokens(model: CodeDecoder, train: Split, validation: Split) -> tuple[Tensor, Tensor]:
    """Search the tokens of both splits, from those that the quantiser gave.

    Parameters
    ----------
    model : CodeDecoder
        Its `lengths` are set.
    train, validation : Split

    Returns
    -------
    pair of Tensor of shape (N, T), int64
        Tokens of the training and the validation images.
    """
    tokens = search(model, *train)
    (unseen,) = in_batches(model.search, *validation, title="validation tokens")
    return tokens, unseen


def alternate(
    model: CodeDecoder,
    tokens: tuple[Tensor, Tensor],
    train: Split,
    validation: Split,
    params: Refine,
    seed: int,
    checkpoints: Path | None = None,
    watch: Watch | None = None,
) -> tuple[tuple[Tensor, Tensor], list[float]]:
    """Tune codes and decoder to the chosen tokens, choose tokens anew, and so on.

    A round counts only if it lowers bce + weighted code length of the validation images, whose
    tokens are chosen as those of any unseen image: by the final model, from what the quantiser
    gave. One that lowers it by less than the share `gain` of itself is the last, and so is one
    that does not.

    Parameters
    ----------
    model : CodeDecoder
        Is tuned in place.
    tokens : pair of Tensor of shape (N, T), int64
        As `choose_tokens` gives them.
    train, validation : Split
        With the quantiser's tokens.
    params : Refine
    seed, checkpoints, watch
        As in `refined`.

    Returns
    -------
    tokens : pair of Tensor of shape (N, T), int64
    bce : list of float
        Of the validation images after each round that counts, in nats per image.
    """

    def score(unseen: Tensor) -> float:
        nats = _bce(model, unseen, validation)
        return nats + model.rate_weight * in_batches(model.code_lengths, unseen)[0].mean().item()

    best, bces = score(tokens[1]), []
    for number in range(1, 1 + params.rounds * bool(params.round.max_steps)):
        before = deepcopy(model.state_dict())
        parts, title = [model.codebooks, model.decoder, model.likelihood], f"round {number}"
        splits = [tokens[0], train.images], [tokens[1], validation.images]
        _fit_parts(model, parts, *splits, params.round, seed, title, checkpoints, watch)
        chosen = choose_tokens(model, train, validation)
        reached = score(chosen[1])
        if reached >= best:
            model.load_state_dict(before)
            break
        gain, best, tokens = best - reached, reached, chosen
        bces.append(_bce(model, tokens[1], validation))
        if gain < params.gain * best:
            break
    return tokens, bces


def tune_again(
    model: CodeDecoder,
    tokens: tuple[Tensor, Tensor],
    train: Split,
    validation: Split,
    params: Refine,
    seed: int,
    checkpoints: Path | None = None,
    watch: Watch | None = None,
) -> None:
    """Tune a copy of the decoder to the tokens, which decodes; the search keeps the one it had.

    Nothing where `params.decoder_again` has no steps. Arguments are those of `alternate`.
    """
    if params.decoder_again.max_steps:
        splits = [tokens[0], train.images], [tokens[1], validation.images]
        parts, title = [model.part_ways()], "tuning the decoder again"
        again = params.decoder_again
        _fit_parts(model, parts, *splits, again, seed, title, checkpoints, watch)


def search(model: CodeDecoder, tokens: Tensor, images: Tensor, means: Tensor) -> Tensor:
    """Choose training tokens by what they decode to, and by their code length if that has a weight.

    Each step counts lengths by the frequencies of the tokens before it; the model keeps them, so
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
            row[: len(p)] = -torch.from_numpy(p).log().float()  # MPS has no float64
        step, title = partial(model.step, number=number), f"choosing tokens, step {number + 1}"
        (tokens,) = in_batches(step, tokens, images, means, title=title)
    return tokens
