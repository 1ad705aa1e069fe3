"""The prior: code length of the tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geovq.files.fingerprint import fingerprint
from geovq.models.prior import Prior
from geovq.params.sections import TrainAR
from geovq.quantization.rate import marginal_bits_per_token, marginals
from geovq.training import loop
from geovq.training.failures import warn
from geovq.training.loop import Log
from geovq.weights import initial_weights

__all__ = ["check_prior", "train_prior"]

HELPS = 0.9995  # of what needs no network, at most


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

    It begins with what the frequencies of each position's codes alone make of it, and keeps the
    best that it comes to on the validation split: there it never costs more than no memory.

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
        As in `geovq.training.loop.fit`.
    vectors : Tensor of shape (Σ K_t, D), optional
        Of the codes, as `geovq.codec.tokenizer.code_vectors` gives them; cell `mlp` needs them.
    checkpoints : Path, optional
        As in `geovq.training.vae.train_vae`.

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
    frequencies = np.concatenate(marginals(train.numpy(), vocabulary))
    prior.begin_with(torch.from_numpy(frequencies))

    def code_length(batch: Tensor, generator: torch.Generator) -> Tensor:
        return -prior(batch).sum(1)

    run = partial(loop.fit, seed=seed, log=log, checkpoints=checkpoints)
    best = run(prior, code_length, [train], [validation], p, title=title, tuning=True)
    check_prior(best, train, validation, vocabulary, p)
    return prior, best


def check_prior(
    nats: float, train: Tensor, validation: Tensor, vocabulary: Sequence[int], params: TrainAR
) -> None:
    """Warn where a prior knows no more of unseen tokens than the frequencies of the codes do."""
    bits = marginal_bits_per_token(train.numpy(), validation.numpy(), vocabulary)
    alone = bits * math.log(2) * len(vocabulary)
    if len(vocabulary) > 1 and nats > HELPS * alone:
        warn(
            f"the prior learnt nothing from {len(train)} images that holds for others: it is as "
            f"good as the frequencies of the codes, {alone:.3f} nats an image; it needs more "
            "images or fewer codes, or another "
            f"{params.key('learning_rate')} = {params.learning_rate}"
        )
