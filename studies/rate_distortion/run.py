"""Distortion against rate: post-hoc codes, refined and not, beside end-to-end ones.

    python -m studies.rate_distortion docs/results/rate-distortion --dataset mnist \
        --root ../shared/data --seeds 3

An image is T tokens of 64 codes, 6·T bits. Post-hoc codes are made of the latents of one VAE a
seed, refined and searched as in the stage `refine`; VQ-VAE and FSQ train from scratch for at most
as many steps as VAE and refinement together. Settings are those of params.yaml. Rows that
scores.json has already are not computed again, so that an interrupted run goes on, and seeds can be
added.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geovq.batches import as_pixels, best_device, in_batches
from geovq.files.store import save_figure
from geovq.models.code_decoder import CodeDecoder
from geovq.models.distortion import distortion, psnr
from geovq.models.likelihood import Likelihood
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.params.reading import load_params
from geovq.params.sections import Params, TrainVQVAE
from geovq.quantization.latent_metrics import Latents
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.quantization.rate import bits_per_image, marginal_bits_per_token
from geovq.training.refinement import refine, search
from geovq.training.vae import train_vae
from geovq.training.vqvae import train_vqvae
from studies import common as studies
from studies.rate_distortion.page import REFERENCE, STATES, Results, draw, page
from studies.rate_distortion.rivals import (
    Codes,
    FiniteScalar,
    random_codes,
    residual_codes,
    scalar_codes,
    train_finite_scalar,
)
from studies.scores import Row, Scores, settings

CODES = 64
BITS_PER_TOKEN = 6
TOKENS = (1, 2, 4, 5, 10, 20)
COUNTED = 5_000  # training images whose tokens give the frequencies behind the entropy-coded rate


class Model:
    """The VAE of one seed, and every code beside it; nothing is trained before it is needed."""

    def __init__(self, pixels: dict[str, Tensor], params: Params, seed: int, depth: int) -> None:
        self.pixels, self.params, self.seed, self.depth = pixels, params, seed, depth
        self.splits = pixels["train"], pixels["validation"]
        self.deepest: dict[str, Codes] = {}

    @cached_property
    def vae(self) -> VAE:
        return train_vae(*self.splits, self.params.train_vae, self.seed)[0]

    @cached_property
    def latents(self) -> dict[str, Latents]:
        return {
            name: Latents(*(part.numpy() for part in in_batches(self.vae.encode, images)))
            for name, images in self.pixels.items()
        }

    def reference(self) -> Row:
        """What no code of these latents is expected to beat without refinement."""
        means = torch.from_numpy(self.latents["test"].means)
        (logits,) = in_batches(self.vae.decode, means)
        return self.distortion(logits, self.vae.likelihood)

    def residual(self, clustering: str, tokens: int) -> Codes:
        # Levels are fitted one after another, so one quantiser holds all the shorter ones.
        if clustering not in self.deepest:
            self.deepest[clustering] = self.quantized(clustering, self.depth)
        return self.deepest[clustering].first(tokens)

    def quantized(self, clustering: str, tokens: int, **options: Any) -> Codes:
        settings = self.params.geodesic_quantize.model_dump() | options
        settings |= {"codes": CODES, "first_codes": None, "tokens": tokens, "layout": "residual"}
        quantizer = GeodesicQuantizer(**settings, clustering=clustering, random_state=self.seed)
        return residual_codes(self.latents, quantizer, self.decode_means)

    def decode_means(self, latents: np.ndarray) -> np.ndarray:
        """What pull-back edges measure: latents (M, D) → expected pixels (M, H·W)."""
        (logits,) = in_batches(self.vae.decode, torch.from_numpy(latents).float())
        return logits.sigmoid().flatten(1).numpy()

    def post_hoc(self, codes: Codes) -> Iterator[Row]:
        """One row a state: as made, refined, and with tokens chosen by what they decode to."""
        made: Any = codes  # has all that is read of a quantiser
        model = CodeDecoder.of(self.vae, made, **self.params.refine.search).to(best_device())
        tokens = {name: torch.from_numpy(array) for name, array in codes.tokens.items()}
        yield self.score(model, tokens, codes.vocabulary, STATES[0])
        pairs = (tokens["train"], tokens["validation"]), self.splits
        refine(model, *pairs, self.params.refine, self.seed)
        yield self.score(model, tokens, codes.vocabulary, STATES[1])
        means = {name: torch.from_numpy(self.latents[name].means) for name in tokens}
        rows = {name: (tokens[name], self.pixels[name], means[name]) for name in tokens}
        tokens["train"] = search(model, *(part[:COUNTED] for part in rows["train"]))
        (tokens["test"],) = in_batches(model.search, *rows["test"])
        yield self.score(model, tokens, codes.vocabulary, STATES[2])

    def vqvae(self, update: str, tokens: int) -> Iterator[Row]:
        change = {"codes": CODES, "first_codes": None, "tokens": tokens, "layout": "residual"}
        settings = self.params.train_vqvae.model_copy(update=change | {"codebook_update": update})
        network = self.params.train_vae
        yield self.end_to_end(
            lambda budget: train_vqvae(*self.splits, budget, network, self.seed), settings
        )

    def finite_scalar(self, tokens: int) -> Iterator[Row]:
        network = self.params.train_vae
        yield self.end_to_end(
            lambda budget: train_finite_scalar(*self.splits, tokens, budget, network, self.seed),
            self.params.train_vqvae,
        )

    def end_to_end(
        self, train: Callable[[TrainVQVAE], tuple[Any, float]], settings: TrainVQVAE
    ) -> Row:
        """Train a model that encodes images by itself, and score it."""
        model, chosen = studies.best_of(train, studies.schedules(settings))
        named = (("train", COUNTED), ("test", None))
        tokens = {n: in_batches(model.encode, self.pixels[n][:count])[0] for n, count in named}
        return {**self.score(model, tokens, model.vocabulary, ""), "steps": chosen.max_steps}

    def score(
        self,
        model: CodeDecoder | VQVAE | FiniteScalar,
        tokens: dict[str, Tensor],
        vocabulary: Sequence[int],
        state: str,
    ) -> Row:
        counted = tokens["train"][:COUNTED].numpy(), tokens["test"].numpy()
        rate = marginal_bits_per_token(*counted, vocabulary) * len(vocabulary)
        (logits,) = in_batches(model.decode, tokens["test"])
        bits = {"bits": round(bits_per_image(vocabulary), 6), "coded_bits": rate}
        return {"state": state, **bits, **self.distortion(logits, model.likelihood)}

    def distortion(self, logits: Tensor, likelihood: Likelihood) -> Row:
        test = self.pixels["test"]
        return {"bce": distortion(logits, test, likelihood), "psnr": psnr(logits.sigmoid(), test)}


METHODS: dict[str, Callable[[Model, int], Iterator[Row]]] = {
    "geodesic": lambda m, t: m.post_hoc(m.residual("geodesic", t)),
    "Euclidean": lambda m, t: m.post_hoc(m.residual("euclidean", t)),
    "scalar": lambda m, t: m.post_hoc(scalar_codes(m.latents, t * BITS_PER_TOKEN)),
    "random Gaussian": lambda m, t: m.post_hoc(random_codes(m.latents, CODES, t, m.seed)),
    "geodesic, Fisher edges": lambda m, t: m.post_hoc(m.quantized("geodesic", t, metric="fisher")),
    "geodesic, pull-back edges": lambda m, t: m.post_hoc(
        m.quantized("geodesic", t, metric="pullback")
    ),
    "residual VQ-VAE, gradient": lambda m, t: m.vqvae("gradient", t),
    "residual VQ-VAE, EMA": lambda m, t: m.vqvae("ema", t),
    "FSQ": lambda m, t: m.finite_scalar(t),
}
EDGES = ("geodesic, Fisher edges", "geodesic, pull-back edges")
END_TO_END = ("residual VQ-VAE, gradient", "residual VQ-VAE, EMA", "FSQ")
POST_HOC = tuple(method for method in METHODS if method not in END_TO_END)
# What is expensive, or a question about a single codebook, does not run at every rate.
ONLY_AT = dict.fromkeys(END_TO_END, (1, 5, 10)) | dict.fromkeys(EDGES, (1,))


def run(model: Model, tokens: Sequence[int], scores: Scores) -> Iterator[str]:
    """Every method at every rate, for one VAE; yields each method's name when it is through."""
    key: Row = {"seed": model.seed, "method": REFERENCE, "tokens": None}
    scores.piece(key, lambda: [{"state": "", **model.reference()}])
    for method, make in METHODS.items():
        for t in (t for t in tokens if t in ONLY_AT.get(method, tokens)):
            key = {"seed": model.seed, "method": method, "tokens": t}
            scores.piece(key, partial(make, model, t))
        yield method


def about(dataset: str, seeds: int) -> str:
    """What the rows are."""
    counted = "one seed"
    if seeds > 1:
        counted = f"{seeds} seeds, mean ± standard deviation (one seed where no deviation stands)"
    return (
        f"{dataset}, {counted}; bce in nats per test image, PSNR in dB. An image is T tokens of "
        f"{CODES} codes. The post-hoc codes ({'; '.join(POST_HOC)}) are made of the latents of "
        "one VAE a seed. Unrefined: the codes as they were made, under the VAE's own decoder. "
        "Refined: code vectors and decoder tuned "
        "to each other, encoder and tokens frozen. Searched: each token but the first is then "
        "chosen by what it decodes to; a single token is left as it is. `scalar` quantises each "
        "dimension on its own (Lloyd-Max levels, bits given where they help most): more and "
        "smaller tokens of as many bits in all, so that it is searched even at "
        f"{BITS_PER_TOKEN} bits. `random Gaussian` draws its codes from the prior. VQ-VAE and FSQ "
        "train end-to-end, for as many steps as VAE and refinement together or for a quarter of "
        "them, whichever has the lower bce on validation images, and search nothing. With more "
        "than one token the VQ-VAE is a residual one, as geodesic and Euclidean codes are; FSQ has "
        "3·T latents of 4 levels, normalised over the batch. "
        "Entropy-coded bits are those under each position's frequencies in "
        f"{COUNTED:,} training images (all, where there are fewer)."
    )


def publish(folder: Path, rows: list[Row], dataset: str) -> str:
    seeds = len({row["seed"] for row in rows})
    curves = Results([row for row in rows if row["method"] not in EDGES])
    save_figure(folder / "bce.png", draw(curves, dataset))
    text = page(Results(rows), about(dataset, seeds))
    studies.write_page(folder, text)
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = studies.parser(__doc__, seeds=3)
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS, help="the rates")
    options = parser.parse_args(arguments)
    params = load_params("params.yaml")
    params = studies.quick(params) if options.quick else params
    sections = ("prepare", "train_vae", "geodesic_quantize", "refine", "train_vqvae")
    decides = {"dataset": options.dataset, **settings(params, *sections)}
    scores = Scores(options.folder, decides)
    images = studies.images_of(options, params)
    pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
    text = ""
    for seed in range(options.seeds):
        model = Model(pixels, params, seed, max(options.tokens))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of joined components
            for _ in run(model, options.tokens, scores):
                text = publish(options.folder, scores.rows, options.dataset)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
