"""What the explorer shows of models: codes as neighbours, images token by token, ways decoded."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from geovq.batches import in_batches
from geovq.clustering.paths import PointGraph, resample
from geovq.codec.tokenizer import Tokenizer
from geovq.models.distortion import distortion
from geovq.models.vae import VAE
from geovq.report.examples import pixels
from geovq.report.page.content import TokenSteps, Way

__all__ = ["choose_pairs", "decode_ways", "token_by_token"]

FRAMES = 11  # of each way
EACH = 3  # pairs of one class, and of two


@torch.no_grad()
def token_by_token(
    tokenizer: Tokenizer, tokens: Tensor, images: Tensor, shown: Tensor
) -> TokenSteps:
    """Decode the first 1, 2, ..., T tokens.

    Parameters
    ----------
    tokenizer : Tokenizer
    tokens : Tensor of shape (M, T), int64
    images : Tensor of shape (M, H, W)
        What the tokens are of.
    shown : Tensor of shape (n,), int64
        Rows whose frames are kept.
    """
    means, frames, frame_bce = [], [], []
    likelihood = tokenizer.likelihood
    for count in range(1, tokens.shape[1] + 1):
        (logits,) = in_batches(tokenizer.decode, tokens[:, :count])
        means.append(distortion(logits, images, likelihood))
        frames.append(logits[shown].sigmoid())
        frame_bce.append(likelihood(logits[shown].double(), images[shown].double()))
    return TokenSteps(
        np.log2(tokenizer.vocabulary).cumsum(),
        np.array(means),
        torch.stack(frames, 1).numpy(),
        torch.stack(frame_bce, 1).numpy(),
    )


def choose_pairs(labels: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """Rows of random pairs of `count` images, (pairs, 2): some of two classes, some of one.

    Without labels, or where every pair is of one kind, there are only as many of the other.
    """
    drawn = np.random.default_rng(seed).integers(count, size=(1000, 2))
    drawn = drawn[drawn[:, 0] != drawn[:, 1]]
    if labels is None:
        return drawn[: 2 * EACH]
    same = labels[drawn[:, 0]] == labels[drawn[:, 1]]
    return np.concatenate([drawn[~same][:EACH], drawn[same][:EACH]])


def decode_ways(
    vae: VAE, graph: PointGraph, scale: np.ndarray, means: np.ndarray, pairs: np.ndarray
) -> list[Way]:
    """Decode the straight line and the geodesic between each pair of images.

    Parameters
    ----------
    vae : VAE
    graph : PointGraph
        Of the latents times `scale`.
    scale : ndarray of shape (D,)
    means : ndarray of shape (M, D)
        Latents of the images.
    pairs : ndarray of shape (P, 2), integers
    """
    starts, ends = means[pairs.T] * scale
    geodesics = graph.shortest_paths(starts, ends)
    found = []
    for (start, end), *ends_of, geodesic in zip(pairs, starts, ends, geodesics, strict=True):
        lines = [resample(line, FRAMES) for line in (np.stack(ends_of), geodesic)]
        latents = torch.from_numpy(np.concatenate(lines) / scale).float()
        straight, bent = np.split(pixels(vae.decode, latents), 2)
        found.append(Way(int(start), int(end), straight, bent, len(geodesic) - 2))
    return found
