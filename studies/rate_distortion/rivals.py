"""What `studies.rate_distortion.run` compares: post-hoc codes as one type, and an FSQ autoencoder.

Two of the post-hoc codes need no clustering, so they show what geometry has to beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geovq.models.code_decoder import CodeDecoder
from geovq.models.likelihood import likelihood_of
from geovq.models.networks import decoder, encoder
from geovq.models.vqvae import VQVAE
from geovq.params.sections import Budget, TrainVAE
from geovq.quantization.latent_metrics import METRICS, Decode, Latents
from geovq.quantization.layout import Layout, Residual, balanced_chunks
from geovq.quantization.levels import NearestCells
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.training.loop import fit

LLOYD_STEPS = 300

Posteriors = dict[str, Latents]


@dataclass(frozen=True)
class Codes:
    """Codebooks of some latents, and the tokens of every split.

    Attributes
    ----------
    scale_ : ndarray of shape (D,)
        What latents are multiplied by before distances are taken.
    vectors : list of ndarray of shape (K_t, D)
        A latent is the sum of its tokens' vectors.
    tokens : dict of str to ndarray of shape (N, T)
    """

    scale_: np.ndarray
    vectors: list[np.ndarray]
    tokens: dict[str, np.ndarray]

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""
        return tuple(len(vectors) for vectors in self.vectors)

    @property
    def layout_(self) -> Layout:
        """For `CodeDecoder`: every position has its own vectors of D dimensions."""
        return Residual(len(self.vectors), len(self.scale_))

    def codebooks(self) -> list[np.ndarray]:
        """As those of a `GeodesicQuantizer`."""
        return self.vectors


def code_decoder_of(network: VQVAE, search: dict[str, Any]) -> CodeDecoder:
    """Codes and decoder of a residual VQ-VAE, whose tokens can then be searched."""
    same = ("image_shape", "latent_dim", "hidden", "architecture", "likelihood", "vocabulary")
    model = CodeDecoder(**{name: network.config[name] for name in same}, **search)
    for name in ("codebooks", "decoder", "likelihood"):
        getattr(model, name).load_state_dict(getattr(network, name).state_dict())
    return model


def residual_codes(latents: Posteriors, quantizer: GeodesicQuantizer, decode: Decode) -> Codes:
    """Fit a quantiser and encode every split."""
    quantizer.fit(latents["train"].means, latents["train"].log_variances, decode)
    found = {n: quantizer.encode(x.means, x.log_variances, decode) for n, x in latents.items()}
    return Codes(quantizer.scale_, quantizer.codebooks(), found)


def lloyd_max(values: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Levels (count,) of least mean squared error for sorted values, by Lloyd from quantiles.

    Lloyd 1957/1982, https://doi.org/10.1109/TIT.1982.1056489; Max 1960. On sorted values a cell is
    a range, so that a step costs `count` binary searches.

    Returns
    -------
    levels : ndarray of shape (count,), ascending
    error : float
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    levels = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(LLOYD_STEPS):
        inner = np.searchsorted(values, (levels[1:] + levels[:-1]) / 2)
        bounds = np.concatenate([[0], inner, [len(values)]])
        members = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(members, 1)
        moved = np.where(members > 0, means, levels)  # an empty cell keeps its level
        if (moved == levels).all():
            break
        levels = moved
    nearest = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, values)]
    return levels, float(((values - nearest) ** 2).mean())


def scalar_codes(latents: Posteriors, bits: int) -> Codes:
    """Every dimension on its own, 2^b_d levels each, Σ_d b_d = `bits`.

    Each further bit goes to the dimension whose precision-scaled error falls most by it.
    """
    scale = METRICS["precision"].scale(latents["train"])
    points = {name: x.means.astype(np.float64) * scale for name, x in latents.items()}
    columns = np.sort(points["train"], axis=0).T
    allotted = np.zeros(len(columns), dtype=np.int64)
    now = [lloyd_max(column, 1) for column in columns]
    then = [lloyd_max(column, 2) for column in columns]
    for _ in range(bits):
        d = int(np.argmax([a[1] - b[1] for a, b in zip(now, then, strict=True)]))
        allotted[d] += 1
        now[d], then[d] = then[d], lloyd_max(columns[d], 2 ** (int(allotted[d]) + 1))
    # The token search leaves the first position as it is: let that be the one of fewest bits.
    order = [int(d) for d in np.argsort(allotted, kind="stable") if allotted[d]]
    vectors = [np.zeros((len(now[d][0]), len(columns))) for d in order]
    tokens: dict[str, list[np.ndarray]] = {name: [] for name in points}
    for d, codebook in zip(order, vectors, strict=True):
        levels = now[d][0]
        codebook[:, d] = levels / scale[d]
        for name, x in points.items():
            tokens[name].append(np.searchsorted((levels[1:] + levels[:-1]) / 2, x[:, d]))
    rest = np.flatnonzero(allotted == 0)  # dimensions without a bit stay at their mean
    vectors[0][:, rest] = np.array([now[d][0][0] for d in rest]) / scale[rest]
    return Codes(scale, vectors, {name: np.stack(found, 1) for name, found in tokens.items()})


def random_codes(latents: Posteriors, codes: int, tokens: int, seed: int) -> Codes:
    """Codes drawn from the prior N(0, I), for T chunks of D/T dimensions; nothing is fitted."""
    train, random = latents["train"], np.random.default_rng(seed)
    scale = METRICS["precision"].scale(train)
    vectors, found = [], dict[str, list[np.ndarray]]()
    for chunk in balanced_chunks(train.kl.mean(0), tokens):
        codebook = np.zeros((codes, len(scale)))
        codebook[:, chunk] = random.standard_normal((codes, len(chunk)))
        vectors.append(codebook)
        level = NearestCells(codebook[:, chunk] * scale[chunk])
        for name, x in latents.items():
            found.setdefault(name, []).append(level.encode((x.means * scale)[:, chunk]))
    return Codes(scale, vectors, {name: np.stack(parts, 1) for name, parts in found.items()})


class FiniteScalar(nn.Module):
    """An autoencoder with finite scalar quantisation of its latents.

    Mentzer et al. 2024, https://arxiv.org/abs/2309.15505: each latent is squashed and rounded to
    one of a few levels, so that nothing is learnt but encoder and decoder. Latents are normalised
    over the batch first: a fresh encoder's are so small that all fall on one level, and on MNIST
    training was still there after 1,200 steps. Levels are symmetric about 0 (Parker et al. 2024,
    https://arxiv.org/abs/2411.19842), which did better in the same trial than levels that hold 0.

    Parameters
    ----------
    image_shape : (int, int)
    hidden : sequence of int
    tokens : int
        T, each of three latents with four levels: 64 codes.
    likelihood : {'bernoulli', 'logistic'}
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int],
        tokens: int,
        likelihood: str = "bernoulli",
    ) -> None:
        from vector_quantize_pytorch import FSQ  # type: ignore[import-untyped]

        super().__init__()
        levels = [4, 4, 4]
        width = len(levels) * tokens
        self.encoder = encoder("mlp", image_shape, hidden, width, parts=1)
        self.decoder = decoder("mlp", image_shape, hidden, width)
        self.likelihood = likelihood_of(likelihood, image_shape)
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.fsq = FSQ(
            levels, num_codebooks=tokens, keep_num_codebooks_dim=True, preserve_symmetry=True
        )
        self.vocabulary = (self.fsq.codebook_size,) * tokens

    def quantize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, W) → quantised latents (N, 3·T) and tokens (N, T)."""
        latents, tokens = self.fsq(self.norm(self.encoder(images))[:, None])
        return latents[:, 0], tokens[:, 0].long()

    def encode(self, images: Tensor) -> Tensor:
        """(N, H, W) → tokens (N, T), int64."""
        return self.quantize(images)[1]

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T) → logits (N, H, W)."""
        return self.decoder(self.fsq.indices_to_codes(tokens[:, None])[:, 0])

    def forward(self, images: Tensor) -> Tensor:
        """−log p(x | code) of each image, (N,), in nats."""
        return self.likelihood(self.decoder(self.quantize(images)[0]), images)


def train_finite_scalar(
    train: Tensor,
    validation: Tensor,
    tokens: int,
    budget: Budget,
    network: TrainVAE,
    seed: int,
) -> tuple[FiniteScalar, float]:
    """Minimise bce; returns the model and its bce on the validation split."""
    torch.manual_seed(seed)
    model = FiniteScalar(train.shape[1:], network.hidden, tokens, network.likelihood)

    def loss(images: Tensor, generator: Any) -> Tensor:
        return model(images)

    return model, fit(model, loss, [train], [validation], budget, seed=seed, title="FSQ")
