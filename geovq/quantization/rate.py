"""Rate: what the tokens cost, and how evenly the codebook is used."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = [
    "bits_per_image",
    "codes_used",
    "counts_by_position",
    "draw_independent",
    "marginal_bits_per_token",
    "marginals",
    "perplexities",
    "perplexity",
]


def bits_per_image(vocabulary: Sequence[int]) -> float:
    """Σ_t log2 K_t: what an image costs without any model of its tokens."""
    return sum(math.log2(codes) for codes in vocabulary)


def counts_by_position(tokens: np.ndarray, vocabulary: Sequence[int]) -> list[np.ndarray]:
    """How often each code occurs at each position: tokens (N, T) → T arrays (K_t,)."""
    return [
        np.bincount(tokens[:, t], minlength=codes).astype(np.float64)
        for t, codes in enumerate(vocabulary)
    ]


def codes_used(tokens: np.ndarray, vocabulary: Sequence[int]) -> float:
    """Codes that occur at all, mean over positions."""
    return float(np.mean([(c > 0).sum() for c in counts_by_position(tokens, vocabulary)]))


def perplexities(tokens: np.ndarray, vocabulary: Sequence[int]) -> np.ndarray:
    """Exp of the entropy of each position's codes, (T,)."""
    entropies = []
    for counts in counts_by_position(tokens, vocabulary):
        p = counts[counts > 0] / counts.sum()
        entropies.append(-(p * np.log(p)).sum())
    return np.exp(entropies)


def perplexity(tokens: np.ndarray, vocabulary: Sequence[int]) -> float:
    """Exp of the entropy of a position's codes, mean over positions."""
    return float(perplexities(tokens, vocabulary).mean())


def marginals(train: np.ndarray, vocabulary: Sequence[int]) -> list[np.ndarray]:
    """Probability of each code at each position, add-one smoothed so that none is zero.

    Tokens (N, T) → T arrays (K_t,).
    """
    return [(c + 1) / (c + 1).sum() for c in counts_by_position(train, vocabulary)]


def marginal_bits_per_token(
    train: np.ndarray, test: np.ndarray, vocabulary: Sequence[int]
) -> float:
    """Bits per held-out token under the training split's marginal of its position.

    What a prior pays that knows each position's frequencies and nothing of dependence; an
    autoregressive prior has to pay less. It is a held-out cross-entropy like the prior's own
    bits, so the two compare on a small test set too, where the plug-in entropy is too low.

    Parameters
    ----------
    train, test : ndarray of shape (N, T), int64
    vocabulary : sequence of int of length T
    """
    bits = [-np.log2(p[test[:, t]]).mean() for t, p in enumerate(marginals(train, vocabulary))]
    return float(np.mean(bits))


def draw_independent(
    train: np.ndarray, vocabulary: Sequence[int], count: int, seed: int
) -> np.ndarray:
    """Tokens drawn independently from the training split's marginals, (count, T) int64."""
    random = np.random.default_rng(seed)
    columns = [random.choice(len(p), count, p=p) for p in marginals(train, vocabulary)]
    return np.stack(columns, axis=1)
