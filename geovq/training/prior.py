"""The prior: code length of the tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from geovq.files.fingerprint import fingerprint
from geovq.models.prior import Prior
from geovq.params.sections import TrainAR
from geovq.quantization.rate import marginal_bits_per_token
from geovq.training import loop
from geovq.training.failures import WORSE, warn
from geovq.training.loop import Log
from geovq.weights import initial_weights

__all__ = ["check_prior", "train_prior"]


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

    def code_length(batch: Tensor, generator: torch.Generator) -> Tensor:
        return -prior(batch).sum(1)

    run = partial(loop.fit, seed=seed, log=log, checkpoints=checkpoints)
    best = run(prior, code_length, [train], [validation], p, title=title)
    check_prior(best, train, validation, vocabulary, p)
    return prior, best


def check_prior(
    nats: float, train: Tensor, validation: Tensor, vocabulary: Sequence[int], params: TrainAR
) -> None:
    """Warn where a prior's code length is above that of the codes' frequencies alone."""
    bits = marginal_bits_per_token(train.numpy(), validation.numpy(), vocabulary)
    alone = bits * math.log(2) * len(vocabulary)
    if nats > WORSE * alone:
        warn(
            f"the prior needs {nats:.3f} nats an image, more than the frequencies of the codes "
            f"alone, {alone:.3f}; raise {params.key('max_steps')} = {params.max_steps}, or change "
            f"{params.key('learning_rate')} = {params.learning_rate}"
        )
