"""Tokens → images: code vectors and a decoder, both of which may be trained."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from geovq.files.fingerprint import fingerprint, fingerprint_of
from geovq.models.code_tables import CodeTables
from geovq.models.layers import check_size
from geovq.models.likelihood import likelihood_of
from geovq.models.networks import decoder
from geovq.models.vae import VAE
from geovq.quantization.layout import refined_layout
from geovq.weights import initial_weights

if TYPE_CHECKING:
    from geovq.quantization.quantizer import GeodesicQuantizer

__all__ = ["CodeDecoder"]

AT_ONCE = 16_000_000  # numbers of 4 bytes: pixels that a search decodes


class CodeDecoder(CodeTables):
    """An image is decoded from the sum of its tokens' vectors.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
    latent_dim : int
        D.
    hidden, architecture
        Of the encoder that the decoder mirrors.
    likelihood : {'bernoulli', 'logistic'}
        As in `geovq.models.likelihood`.
    vocabulary : sequence of int
        Codes at each position, (T,).
    candidates, sweeps : int
        Codes that `search` tries at each position, and how often it goes over all positions.
    rate_weight : float
        What a nat of code length is worth there, in nats of bce.
    beam : int
        Sequences of tokens that `search` begins with, of which the best is kept; 1: those given.
    first_token : {'keep', 'search'}
        Whether the first token, which carries the partition, stays as it is; on a grid there is
        no such token.
    grid : bool
        Whether the vectors of all positions are one codebook (K, D/T), as in the layout of that
        name; otherwise each position has its own, (K, D).
    again : bool
        Whether images are decoded by a decoder that was tuned again, to the tokens of the search:
        `again`, while the search still sees `decoder`.
    made_from : sequence of str
        Fingerprints of the VAE and of the codebooks that it began as.

    Attributes
    ----------
    scale : Tensor of shape (D,)
        Of the quantiser.
    lengths : Tensor of shape (steps, T, max K)
        Code length of each code at each position, in nats, as each step of the search counts it:
        the beam, if there is one, and the sweeps.
    """

    scale: Tensor
    lengths: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        hidden: Sequence[int],
        vocabulary: Sequence[int],
        candidates: int = 0,
        sweeps: int = 1,
        rate_weight: float = 0.0,
        architecture: str = "mlp",
        grid: bool = False,
        likelihood: str = "bernoulli",
        again: bool = False,
        made_from: Sequence[str] = (),
        beam: int = 1,
        first_token: str = "keep",
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "image_shape": list(image_shape),
            "latent_dim": latent_dim,
            "hidden": list(hidden),
            "vocabulary": list(vocabulary),
            "candidates": candidates,
            "sweeps": sweeps,
            "rate_weight": rate_weight,
            "architecture": architecture,
            "grid": grid,
            "likelihood": likelihood,
            "again": again,
            "made_from": list(made_from),
            "beam": beam,
            "first_token": first_token,
        }
        self.beam = 1 if grid else beam  # for there codes do not add up
        self.candidates, self.rate_weight = candidates, rate_weight
        self.vocabulary = tuple(vocabulary)
        self.layout = refined_layout(grid)(len(vocabulary), latent_dim)
        kept = first_token == "keep" and not grid
        self.searched = range(int(kept), len(vocabulary))  # positions whose tokens may change
        tables = [vocabulary[places.start] for places in self.layout.tables]
        check_size("code vectors", sum(tables), self.layout.width)
        steps = sweeps + (self.beam > 1)
        check_size("code lengths", steps, len(vocabulary), max(vocabulary))
        check_size("sequences of a beam", self.beam, max(vocabulary))
        self.register_buffer("scale", torch.ones(latent_dim))
        self.register_buffer("lengths", torch.zeros(steps, len(vocabulary), max(vocabulary)))
        self.codebooks = nn.ParameterList(torch.zeros(k, self.layout.width) for k in tables)
        self.decoder = decoder(architecture, image_shape, hidden, latent_dim)
        self.again = decoder(architecture, image_shape, hidden, latent_dim) if again else None
        self.likelihood = likelihood_of(likelihood, image_shape)

    @classmethod
    def of(cls, vae: VAE, quantizer: GeodesicQuantizer, **search: Any) -> CodeDecoder:
        """Decoder and likelihood of a VAE, and the codes that a quantiser made of its latents.

        `search` are `first_token`, `beam`, `candidates`, `sweeps` and `rate_weight`.
        """
        origins = cls.origins(vae, quantizer)
        with initial_weights():  # which are replaced
            made = cls(
                **vae.config,
                vocabulary=quantizer.vocabulary,
                grid=quantizer.layout_.shared,
                made_from=origins,
                **search,
            )
        made.decoder.load_state_dict(vae.decoder.state_dict())
        made.likelihood.load_state_dict(vae.likelihood.state_dict())
        made.scale.copy_(torch.from_numpy(quantizer.scale_))
        books = quantizer.codebooks()
        for own, places in zip(made.codebooks, made.layout.tables, strict=True):
            vectors = books[places.start][:, : made.layout.width]
            own.data.copy_(torch.from_numpy(vectors))
        return made

    @staticmethod
    def origins(vae: VAE, quantizer: GeodesicQuantizer) -> list[str]:
        """What `made_from` is when made of these."""
        return [fingerprint_of(vae), fingerprint(quantizer.codebooks())]

    def part_ways(self) -> nn.Module:
        """Give decoding a decoder of its own, as the present one is; the search keeps that."""
        self.config["again"] = True
        self.again = deepcopy(self.decoder)
        return self.again

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (N, t) → logits (N, H, W), as in `geovq.codec.tokenizer.Tokenizer`."""
        return self._final(self.latents(tokens))

    @property
    def _final(self) -> nn.Module:
        return self.decoder if self.again is None else self.again

    def search(self, tokens: Tensor, images: Tensor, means: Tensor) -> Tensor:
        """Better tokens: all steps, one after another; arguments and result as in `step`."""
        for number in range(len(self.lengths)):
            tokens = self.step(tokens, images, means, number)
        return tokens

    def step(self, tokens: Tensor, images: Tensor, means: Tensor, number: int) -> Tensor:
        """Better tokens: the first step is the beam, if there is one, the others are sweeps.

        However many images there are, they are taken so many at once that what is computed of them
        stays below a hundred megabytes.

        Parameters
        ----------
        tokens : Tensor of shape (N, T), int64
        images : Tensor of shape (N, H, W)
        means : Tensor of shape (N, D)
            Posterior means.
        number : int
            Of the step: which row of `lengths` counts.

        Returns
        -------
        Tensor of shape (N, T), int64
        """
        codes = max(self.vocabulary)
        if self.beam > 1 and number == 0:
            tried, method = self.beam, self._best_of_beam
        else:
            tried, method = min(max(self.candidates, 1), codes), self._sweep
        size = max(1, AT_ONCE // (tried * max(images.shape[1:].numel(), codes)))
        parts = zip(tokens.split(size), images.split(size), means.split(size), strict=True)
        return torch.cat([method(t, x, m, number) for t, x, m in parts])

    @torch.no_grad()
    def _best_of_beam(self, tokens: Tensor, images: Tensor, means: Tensor, number: int) -> Tensor:
        """Of the given tokens and those of a beam search, whatever has the least bce + length.

        Position by position, `beam` sequences of codes are kept: those whose sum, so far, has the
        least ½ · squared distance to the posterior mean + weighted length (Babenko & Lempitsky
        2014, https://doi.org/10.1109/CVPR.2014.124). Then all are decoded.
        """
        goal, n = means * self.scale, len(tokens)
        kept = slice(0, self.searched.start)
        found = tokens[:, None, kept]  # sequences (N, beam, t)
        sums = torch.zeros_like(goal)[:, None]
        for t in range(kept.stop):
            sums = sums + (self.vectors(t) * self.scale)[found[:, :, t]]
        costs = goal.new_zeros(n, 1)
        for t in self.searched:
            codes = self.vectors(t) * self.scale
            lengths = self.rate_weight * self.lengths[number, t, : len(codes)]
            rest = goal[:, None] - sums
            gaps = codes.square().sum(1) - 2 * rest @ codes.T + rest.square().sum(2, keepdim=True)
            guesses = 0.5 * gaps + (costs[:, :, None] + lengths)  # (N, beam, K)
            best = guesses.flatten(1).topk(min(self.beam, guesses[0].numel()), largest=False)
            before, code = best.indices // len(codes), best.indices % len(codes)
            costs = costs.gather(1, before) + lengths[code]
            wide = before[:, :, None]
            sums = sums.gather(1, wide.expand(-1, -1, sums.shape[2])) + codes[code]
            found = torch.cat([found.gather(1, wide.expand(-1, -1, t)), code[:, :, None]], 2)
        found = torch.cat([tokens[:, None], found], 1)
        logits = self.decoder(self.latents(found.flatten(0, 1)))
        repeated = images.repeat_interleave(found.shape[1], 0)
        nats = self.likelihood(logits, repeated).view(found.shape[:2])
        lengths = self.code_lengths(found.flatten(0, 1), number).view(nats.shape)
        nats = nats + self.rate_weight * lengths
        return found[torch.arange(n, device=found.device), nats.argmin(1)]

    def code_lengths(self, tokens: Tensor, number: int = -1) -> Tensor:
        """Nats that tokens (N, T) take as a step counts them, (N,); kept ones are not counted."""
        positions = torch.arange(len(self.vocabulary), device=tokens.device)
        return self.lengths[number][positions, tokens][:, self.searched.start :].sum(1)

    @torch.no_grad()
    def _sweep(self, tokens: Tensor, images: Tensor, means: Tensor, number: int) -> Tensor:
        """Better tokens: at each position in turn, the code of the least bce + weighted length.

        One sweep of iterated conditional modes (Besag 1986,
        https://doi.org/10.1111/j.2517-6161.1986.tb01412.x); counting lengths too makes it
        entropy-constrained quantisation (Chou, Lookabaugh & Gray 1989,
        https://doi.org/10.1109/29.17498), measured where it matters, in pixels. Only `candidates`
        codes are decoded: those with the least ½ · squared distance between latent and posterior
        mean, in σ of the posterior where the quantiser's metric knows it, + weighted length.
        Only positions in `searched` change.
        """
        tokens, rows = tokens.clone(), torch.arange(len(tokens), device=tokens.device)
        others_tried = min(self.candidates, max(self.vocabulary)) - 1
        if others_tried < 1:
            return tokens
        kept = self.likelihood(self.decoder(self.latents(tokens)), images)
        for t in self.searched:
            vectors, present = self.vectors(t), tokens[:, t : t + 1]
            others = self.latents(tokens) - vectors[present[:, 0]]
            costs = self.rate_weight * self.lengths[number, t, : len(vectors)]
            gaps = torch.cdist((means - others) * self.scale, vectors * self.scale)
            guesses = 0.5 * gaps.square() + costs
            guesses.scatter_(1, present, torch.inf)  # what it decodes to is known
            tried = guesses.topk(min(others_tried, len(vectors) - 1), largest=False).indices
            logits = self.decoder((others[:, None] + vectors[tried]).flatten(0, 1))
            repeated = images.repeat_interleave(tried.shape[1], 0)
            nats = self.likelihood(logits, repeated).view(tried.shape)
            tried, nats = torch.cat([present, tried], 1), torch.cat([kept[:, None], nats], 1)
            best = (nats + costs[tried]).argmin(1)
            tokens[:, t], kept = tried[rows, best], nats[rows, best]
        return tokens

    def prototypes(self, position: int = 0) -> Tensor:
        """Logits (K, H, W) of a position's codes, as in `geovq.codec.tokenizer.Tokenizer`."""
        return self._final(self.alone(position))

    def forward(self, tokens: Tensor, images: Tensor) -> Tensor:
        """−log p(x | code) of each image, (N,), in nats."""
        return self.likelihood(self.decode(tokens), images)
