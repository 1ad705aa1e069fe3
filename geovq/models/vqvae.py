"""VQ-VAE, the end-to-end baseline (van den Oord et al. 2017, https://arxiv.org/abs/1711.00937)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geovq.models.code_tables import CodeTables
from geovq.models.layers import check_images, check_size
from geovq.models.likelihood import likelihood_of
from geovq.models.networks import decoder, encoder
from geovq.quantization.layout import layout_of

__all__ = ["VQVAE"]


class Quantized(NamedTuple):
    """What `VQVAE.quantize` makes of latents.

    Attributes
    ----------
    tokens : Tensor of shape (N, T), int64
    latents : Tensor of shape (N, D)
        What the tokens' codes add up to.
    codebook_loss, commitment_loss : Tensor of shape (N,)
        Squared distances, summed over positions and dimensions.
    """

    tokens: Tensor
    latents: Tensor
    codebook_loss: Tensor
    commitment_loss: Tensor


class VQVAE(CodeTables):
    """The VAE's encoder and decoder with T codebooks between them.

    Loss of an image, in nats plus squared distances summed over dimensions (not averaged):
    −log p(x | z_q) + Σ_t ‖sg[r_t] − e_t‖² + β Σ_t ‖r_t − sg[e_t]‖², where r_t is what position t
    quantises (the residual of those before it, or the t-th chunk of dimensions) and e_t its
    nearest code. With `codebook_update='ema'` the middle term is replaced by moving averages of
    the cells' means (appendix A.1 of the paper).

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
    latent_dim : int
        D.
    hidden : sequence of int
    vocabulary : sequence of int of length T
        Codes at each position.
    layout : {'residual', 'product', 'grid'}
        As in `geovq.quantization.layout`, with chunks one after another; for architecture `conv`
        those of a grid are the cells of the network's.
    commitment : float
        β.
    codebook_update : {'gradient', 'ema'}
    decay : float
        Of the moving averages.
    architecture : {'mlp', 'conv', 'conv_mlp'}
        With `hidden`, as in `geovq.models.networks`.
    likelihood : {'bernoulli', 'logistic'}
        As in `geovq.models.likelihood`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        hidden: Sequence[int],
        vocabulary: Sequence[int],
        layout: str = "residual",
        commitment: float = 0.25,
        codebook_update: str = "gradient",
        decay: float = 0.99,
        architecture: str = "mlp",
        likelihood: str = "bernoulli",
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "image_shape": list(image_shape),
            "latent_dim": latent_dim,
            "hidden": list(hidden),
            "vocabulary": list(vocabulary),
            "layout": layout,
            "commitment": commitment,
            "codebook_update": codebook_update,
            "decay": decay,
            "architecture": architecture,
            "likelihood": likelihood,
        }
        self.image_shape = tuple(image_shape)
        self.vocabulary = tuple(vocabulary)
        self.layout = layout_of(layout, len(self.vocabulary), latent_dim)
        self.commitment = commitment
        self.ema = codebook_update == "ema"
        self.decay = decay
        self.encoder = encoder(architecture, image_shape, hidden, latent_dim, parts=1)
        self.decoder = decoder(architecture, image_shape, hidden, latent_dim)
        self.likelihood = likelihood_of(likelihood, image_shape)
        tables = [self.vocabulary[places.start] for places in self.layout.tables]
        check_size("code vectors", sum(tables), self.layout.width)
        self.codebooks = nn.ParameterList(
            nn.Parameter(torch.randn(codes, self.layout.width), requires_grad=not self.ema)
            for codes in tables
        )
        self.counts = nn.Module()  # of each code in a batch, moving averages
        for table, codes in enumerate(tables):
            self.counts.register_buffer(str(table), torch.ones(codes))

    def quantize(self, latents: Tensor) -> Quantized:
        """Nearest codes to latents (N, D), codebook by codebook."""
        tokens, quantized = [], torch.zeros_like(latents)
        codebook_total = commitment_total = latents.new_zeros(len(latents))
        rest = latents
        for table, places in enumerate(self.layout.tables):
            rows = len(latents), places.stop - places.start
            target = self._seen(rest, places)
            token, vectors, codebook_loss, commitment_loss = self._quantize_table(table, target)
            codebook_total = codebook_total + codebook_loss.view(rows).sum(1)
            commitment_total = commitment_total + commitment_loss.view(rows).sum(1)
            vectors = vectors.unflatten(0, rows).flatten(1)
            rest = self.layout.rest(rest, vectors.detach())
            tokens.append(token.view(rows))
            quantized = quantized + self._wide(vectors, places)
        return Quantized(torch.cat(tokens, 1), quantized, codebook_total, commitment_total)

    def _seen(self, rest: Tensor, places: slice) -> Tensor:
        """What positions that share a codebook see of (N, D): (N · positions, F)."""
        return rest[:, self.layout.part(places)].reshape(-1, self.layout.width)

    def _quantize_table(self, table: int, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens (N,), their codes (N, F), and the two losses (N,) of targets (N, F)."""
        codebook = self.codebooks[table]
        with torch.no_grad():
            token = torch.cdist(target, codebook).argmin(1)
            if self.ema and self.training:
                self._move(table, target, token)
        vectors = codebook[token]
        codebook_loss = (target.detach() - vectors).square().sum(1)
        commitment_loss = (target - vectors.detach()).square().sum(1)
        return token, vectors, codebook_loss, commitment_loss

    def _move(self, table: int, target: Tensor, token: Tensor) -> None:
        """One step of the codes towards the means of their cells."""
        codebook, counts = self.codebooks[table], self.counts.get_buffer(str(table))
        members = F.one_hot(token, len(codebook)).to(target.dtype)
        sums = codebook * counts[:, None]
        counts.lerp_(members.sum(0), 1 - self.decay)
        sums.lerp_(members.T @ target, 1 - self.decay)
        # A code that nothing chose keeps its place while its count fades.
        codebook.copy_(sums / counts.clamp_min(1e-5)[:, None])

    @torch.no_grad()
    def place_codes(
        self, images: Tensor, seed: int = 0, batch_size: int = 128, most: int = 20_000
    ) -> None:
        """Put each codebook's codes at the k-means centres of what they will quantise.

        Parameters
        ----------
        images : Tensor of shape (N, H, W)
            The first `most` are used. With fewer distinct images than codes, the codes left over
            are drawn from the images' own latents with a little noise.
        seed : int
        batch_size : int
            Images in a batch of the training that follows: what the moving counts begin at.
        most : int
        """
        from sklearn.cluster import KMeans

        latents = self.encoder(images[:most].to(self.codebooks[0].device))
        rest = latents
        for table, places in enumerate(self.layout.tables):
            codebook, target = self.codebooks[table], self._seen(rest, places)[:most]
            points = target.cpu().numpy()
            distinct = len(np.unique(points, axis=0))
            kmeans = KMeans(min(len(codebook), distinct), n_init=1, random_state=seed).fit(points)
            centers = kmeans.cluster_centers_
            if distinct < len(codebook):
                generator = np.random.default_rng(seed)
                spare = generator.choice(points, len(codebook) - distinct)
                spare = spare + 0.01 * points.std() * generator.standard_normal(spare.shape)
                centers = np.concatenate([centers, spare])
            codebook.copy_(torch.from_numpy(centers).to(codebook))
            share = np.bincount(kmeans.labels_, minlength=len(codebook)) / len(points)
            expected = share * batch_size * (places.stop - places.start) + 1e-3
            self.counts.get_buffer(str(table)).copy_(torch.from_numpy(expected))
            rest = self.layout.rest(rest, codebook[torch.cdist(target, codebook).argmin(1)])

    def encode(self, images: Tensor) -> Tensor:
        """(N, H, W) → tokens (N, T), int64."""
        check_images(images, self.image_shape)
        return self.quantize(self.encoder(images)).tokens

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, t) → logits (N, H, W), as in `geovq.codec.tokenizer.Tokenizer`."""
        return self.decoder(self.latents(tokens))

    @torch.no_grad()
    def prototypes(self, position: int = 0) -> Tensor:
        """Logits (K, H, W) of a position's codes, as in `geovq.codec.tokenizer.Tokenizer`."""
        return self.decoder(self.alone(position))

    def forward(self, images: Tensor, *, quantized: bool = True) -> tuple[Tensor, Tensor]:
        """Reconstruction and codebook terms of the loss, each (N,).

        Not quantised, latents pass as they are: the warm-up before the codes are placed.
        """
        latents = self.encoder(images)
        if not quantized:
            return self.likelihood(self.decoder(latents), images), latents.new_zeros(len(latents))
        found = self.quantize(latents)
        # Straight-through: the decoder's gradient reaches the encoder unchanged.
        logits = self.decoder(latents + (found.latents - latents).detach())
        penalty = self.commitment * found.commitment_loss
        if not self.ema:
            penalty = penalty + found.codebook_loss
        return self.likelihood(logits, images), penalty
