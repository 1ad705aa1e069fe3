"""Distortion against rate: post-hoc codes, refined and not, beside end-to-end ones.

    python -m studies.rate_distortion docs/results/rate-distortion --dataset mnist \
        --root ../shared/data --seeds 3

An image is T tokens of 64 codes, 6·T bits. Post-hoc codes are made of the latents of one VAE a
seed and rate, whose KL meets the target of params.yaml, and refined as in the stage `refine`, the
first token searched as the others are; VQ-VAE and FSQ train from scratch, and a VQ-VAE's tokens are
searched too, in rows of their own. Settings are those of params.yaml. Rows that scores.json has
already are not computed again, so that an interrupted run goes on, and seeds can be added.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
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
from geovq.training.refinement import Split, alternate, choose_tokens, refine
from geovq.training.vae import train_vae
from geovq.training.vqvae import train_vqvae
from studies import common as studies
from studies.rate_distortion.page import REFERENCE, STATES, Results, draw, page
from studies.rate_distortion.rivals import (
    Codes,
    FiniteScalar,
    code_decoder_of,
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
    """All codes of one seed and rate; nothing is trained before it is needed."""

    def __init__(self, pixels: dict[str, Tensor], params: Params, seed: int, tokens: int) -> None:
        self.pixels, self.params, self.seed, self.tokens = pixels, params, seed, tokens
        self.splits = pixels["train"], pixels["validation"]
        self.trained: dict[str, VQVAE] = {}

    @cached_property
    def vae(self) -> VAE:
        rate = self.tokens * math.log(CODES)
        return train_vae(*self.splits, self.params.train_vae, self.seed, rate=rate)[0]

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
        bits = float(BITS_PER_TOKEN * self.tokens)
        return {"state": "", "bits": bits, **self.distortion(logits, self.vae.likelihood)}

    def quantized(self, clustering: str, **options: Any) -> Codes:
        settings = self.params.geodesic_quantize.model_dump() | options | self.layout
        quantizer = GeodesicQuantizer(**settings, clustering=clustering, random_state=self.seed)
        return residual_codes(self.latents, quantizer, self.decode_means)

    @property
    def layout(self) -> dict[str, Any]:
        alike = {"codes": CODES, "first_codes": None, "layout": "residual"}
        return {**alike, "tokens": self.tokens}

    def decode_means(self, latents: np.ndarray) -> np.ndarray:
        """What pull-back edges measure: latents (M, D) → expected pixels (M, H·W)."""
        (logits,) = in_batches(self.vae.decode, torch.from_numpy(latents).float())
        return logits.sigmoid().flatten(1).numpy()

    def post_hoc(self, codes: Codes) -> Iterator[Row]:
        """One row a state: as made, refined, and with tokens chosen by what they decode to."""
        made: Any = codes  # has all that is read of a quantiser
        model = CodeDecoder.of(self.vae, made, **self.search).to(best_device())
        tokens = {name: torch.from_numpy(array) for name, array in codes.tokens.items()}
        yield self.score(model, tokens, codes.vocabulary, STATES[0])
        pairs = (tokens["train"], tokens["validation"]), self.splits
        refine(model, *pairs, self.params.refine, self.seed)
        yield self.score(model, tokens, codes.vocabulary, STATES[1])
        means = {name: torch.from_numpy(self.latents[name].means) for name in tokens}
        yield self.searched(model, tokens, means, STATES[2])

    @property
    def search(self) -> dict[str, Any]:
        return self.params.refine.search | {"first_token": "search"}

    def searched(
        self, model: CodeDecoder, tokens: dict[str, Tensor], means: dict[str, Tensor], state: str
    ) -> Row:
        """Choose tokens, tune codes and decoder to them, and so on, as the stage `refine` does."""
        rows = {name: Split(tokens[name], self.pixels[name], means[name]) for name in tokens}
        pair = rows["train"], rows["validation"]
        chosen = choose_tokens(model, *pair)
        chosen, _ = alternate(model, chosen, *pair, self.params.refine, self.seed)
        (unseen,) = in_batches(model.search, *rows["test"])
        found = {"train": chosen[0], "test": unseen}
        return self.score(model, found, model.vocabulary, state)

    def vqvae(self, update: str) -> Iterator[Row]:
        change = self.layout | {"codebook_update": update}
        settings = self.params.train_vqvae.model_copy(update=change)
        network = self.params.train_vae
        self.trained[update], row = self.end_to_end(
            lambda budget: train_vqvae(*self.splits, budget, network, self.seed), settings
        )
        yield row

    def searched_vqvae(self, update: str) -> Iterator[Row]:
        """What the search and its rounds of tuning do for a VQ-VAE, its encoder frozen."""
        if update not in self.trained:
            list(self.vqvae(update))
        network = self.trained[update]
        model = code_decoder_of(network, self.search).to(best_device())
        tokens = {name: in_batches(network.encode, x)[0] for name, x in self.pixels.items()}
        latents = {name: in_batches(network.encoder, x)[0] for name, x in self.pixels.items()}
        yield self.searched(model, tokens, latents, "")

    def finite_scalar(self) -> Iterator[Row]:
        network, tokens = self.params.train_vae, self.tokens
        _, row = self.end_to_end(
            lambda budget: train_finite_scalar(*self.splits, tokens, budget, network, self.seed),
            self.params.train_vqvae,
        )
        yield row

    def end_to_end(
        self, train: Callable[[TrainVQVAE], tuple[Any, float]], settings: TrainVQVAE
    ) -> tuple[Any, Row]:
        """Train a model that encodes images by itself, and score it."""
        model, chosen = studies.best_of(train, studies.schedules(settings))
        named = (("train", COUNTED), ("test", None))
        tokens = {n: in_batches(model.encode, self.pixels[n][:count])[0] for n, count in named}
        row = self.score(model, tokens, model.vocabulary, "")
        return model, {**row, "steps": chosen.max_steps}

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


PLAIN = {"smoothing": 0}  # metrics that need no coordinates, which smoothing moves
METHODS: dict[str, Callable[[Model], Iterator[Row]]] = {
    "geodesic": lambda m: m.post_hoc(m.quantized("geodesic")),
    "Euclidean": lambda m: m.post_hoc(m.quantized("euclidean")),
    "residual VQ-VAE, EMA": lambda m: m.vqvae("ema"),
    "residual VQ-VAE, EMA, searched": lambda m: m.searched_vqvae("ema"),
    "residual VQ-VAE, gradient": lambda m: m.vqvae("gradient"),
    "residual VQ-VAE, gradient, searched": lambda m: m.searched_vqvae("gradient"),
    "FSQ": lambda m: m.finite_scalar(),
    "scalar": lambda m: m.post_hoc(scalar_codes(m.latents, m.tokens * BITS_PER_TOKEN)),
    "random Gaussian": lambda m: m.post_hoc(random_codes(m.latents, CODES, m.tokens, m.seed)),
    "geodesic, Fisher edges": lambda m: m.post_hoc(
        m.quantized("geodesic", metric="fisher", **PLAIN)
    ),
    "geodesic, pull-back edges": lambda m: m.post_hoc(
        m.quantized("geodesic", metric="pullback", **PLAIN)
    ),
}
EDGES = ("geodesic, Fisher edges", "geodesic, pull-back edges")
END_TO_END = ("FSQ", *(method for method in METHODS if "VQ-VAE" in method))
POST_HOC = tuple(method for method in METHODS if method not in END_TO_END)
# A question about a single codebook does not run at every rate.
ONLY_AT = dict.fromkeys(EDGES, (1,))


NOTES = {
    "scalar": "`scalar` quantises each dimension on its own (Lloyd-Max levels, bits given where "
    "they help most): more and smaller tokens of as many bits in all.",
    "random Gaussian": "`random Gaussian` draws its codes from the prior.",
    "FSQ": "FSQ has 3·T latents of 4 levels, normalised over the batch.",
}


def run(model: Model, methods: Sequence[str], scores: Scores) -> Iterator[str]:
    """Every method at one rate; yields each method's name when it is through."""
    key: Row = {"seed": model.seed, "method": REFERENCE, "tokens": model.tokens}
    scores.piece(key, lambda: [model.reference()])
    for method in methods:
        if model.tokens in ONLY_AT.get(method, (model.tokens,)):
            scores.piece({**key, "method": method}, partial(METHODS[method], model))
        yield method


def about(dataset: str, seeds: int, params: Params, methods: Collection[str]) -> str:
    """What the rows are."""
    counted, steps = "one seed", params.train_vqvae.max_steps
    target = f"{params.train_vae.target(1.0):g} times the rate"
    if seeds > 1:
        counted = f"{seeds} seeds, mean ± standard deviation (one seed where no deviation stands)"
    said = [
        f"{dataset}, {counted}; bce in nats per test image, PSNR in dB. An image is T tokens of "
        f"{CODES} codes. The post-hoc codes ({'; '.join(m for m in POST_HOC if m in methods)}) are "
        f"made of the latents of one VAE a seed and rate, whose KL is {target}. "
        "Unrefined: the codes as they were made, under the VAE's own decoder. "
        "Refined: code vectors and decoder tuned "
        "to each other, encoder and tokens frozen. Searched: every token is then chosen by what it "
        "decodes to, and codes and decoder are tuned to the tokens, in rounds.",
        f"End-to-end models train for {steps:,} steps or a quarter of them, whichever has the "
        "lower bce on validation images; `searched`: the same search and rounds on top, the "
        "encoder frozen. With more than one token the VQ-VAE is a residual one, as geodesic and "
        "Euclidean codes are.",
        *(text for method, text in NOTES.items() if method in methods),
        f"Entropy-coded bits are those under each position's frequencies in {COUNTED:,} training "
        "images (all, where there are fewer).",
    ]
    return " ".join(said)


def publish(folder: Path, rows: list[Row], dataset: str, params: Params) -> str:
    seeds = len({row["seed"] for row in rows})
    curves = Results([row for row in rows if row["method"] not in EDGES])
    save_figure(folder / "bce.png", draw(curves, dataset))
    text = page(Results(rows), about(dataset, seeds, params, {row["method"] for row in rows}))
    studies.write_page(folder, text)
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = studies.parser(__doc__, seeds=3)
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS, help="the rates")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=tuple(METHODS), metavar="NAME",
        help="some of them",
    )  # fmt: skip
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
        for tokens in options.tokens:
            model = Model(pixels, params, seed, tokens)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of joined components
                for _ in run(model, options.methods, scores):
                    text = publish(options.folder, scores.rows, options.dataset, params)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
