"""Typed parameters: `params.yaml` as frozen objects, every mistake named.

One class a section, one section a stage. An unknown key, a wrong type or a value out of range
raises `InputError` with the key's full name, its value, and what is allowed. Sections that the
library needs without the pipeline have defaults; a parameter file still has to be complete.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geovq.errors import InputError
from geovq.quantization.layout import LAYOUTS, LayoutName

__all__ = [
    "Budget",
    "GeodesicQuantize",
    "Params",
    "Refine",
    "Section",
    "TrainAR",
    "TrainVAE",
    "check_together",
]

# Bounds are generous: beyond them there is overflow, or a run that does not end.
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # as NumPy and scikit-learn take it
Fraction = Annotated[float, Field(ge=0.001, lt=0.5)]
FileName = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
# Of networks.
Width = Annotated[int, Field(ge=1, le=100_000)]
Layers = Annotated[int, Field(ge=1, le=100)]
# Of training.
Rate = Annotated[float, Field(ge=1e-10, le=10)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]
StepsOrNone = Annotated[int, Field(ge=0, le=10_000_000)]
Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Nats = Annotated[float, Field(ge=0.001, le=1_000_000)]
TimesRate = Annotated[str, Field(pattern=r"^([0-9]{1,3}(\.[0-9]{1,3})? )?rate$")]
Temperature = Annotated[float, Field(ge=0.001, le=100)]
# Of codes.
Codes = Annotated[int, Field(ge=2, le=1_000_000)]
Tokens = Annotated[int, Field(ge=1, le=4096)]
SYMBOLS = 10_000_000  # codes of all tokens together
HEADS = 4  # of a transformer
UNSMOOTHED = ("fisher", "pullback")  # metrics that need no coordinates, which smoothing moves


class Section(BaseModel):
    """A section of `params.yaml`: immutable, strictly typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Prepare(Section):
    """Which images, and how they are split."""

    dataset: Literal["digits", "photographs", "mnist", "fashion_mnist", "kmnist", "npz"]
    root: FileName
    file: FileName | None
    validation_fraction: Fraction
    test_fraction: Fraction

    @model_validator(mode="after")
    def _npz_needs_a_file(self) -> Prepare:
        if self.dataset == "npz" and self.file is None:
            raise ValueError("file = null: dataset npz needs the path of an .npz file")
        return self


class Budget(Section):
    """A training budget, in optimiser steps, with early stopping on the validation split.

    Training stops after `patience` steps in which the validation loss has not fallen by the share
    `tolerance` of itself; the best weights are kept whatever the tolerance.
    """

    place: ClassVar[str] = ""  # where messages say that its keys are

    learning_rate: Rate = 0.001
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 128
    max_steps: Steps
    evaluate_every: Steps = 100
    patience: Steps
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.001

    def key(self, name: str) -> str:
        """Full name of one of the keys."""
        return f"{self.place}.{name}" if self.place else name


class TrainVAE(Budget):
    """The continuous VAE."""

    place = "train_vae"

    latent_dim: Annotated[int, Field(ge=1, le=65_536)] = 20
    hidden: Annotated[list[Width], Field(min_length=1, max_length=20)] = [512, 512]
    architecture: Literal["mlp", "conv", "conv_mlp"] = "mlp"
    likelihood: Literal["bernoulli", "logistic"] = "bernoulli"
    kl_target: TimesRate | Nats | None = "1.5 rate"
    kl_weight: Weight | None = None
    max_steps: Steps = 8000
    patience: Steps = 400

    @model_validator(mode="before")
    @classmethod
    def _a_weight_is_kept_to(cls, given: Any) -> Any:
        """Where a weight of the KL is given, the default of `kl_target` is None."""
        if isinstance(given, dict) and given.get("kl_weight") is not None:
            return {"kl_target": None} | given
        return given

    @model_validator(mode="after")
    def _the_kl_has_a_target_or_a_weight(self) -> TrainVAE:
        if self.kl_target is None and self.kl_weight is None:
            raise ValueError("kl_target = null; allowed: nats or rate, or a kl_weight beside it")
        if self.kl_target is not None and self.kl_weight is not None:
            raise ValueError(
                f"kl_weight = {self.kl_weight}; allowed: null, or kl_target null beside it (it is "
                f"{self.kl_target})"
            )
        return self

    def target(self, rate: float | None) -> float | None:
        """What the KL should be, in nats an image; None where its weight is given.

        Parameters
        ----------
        rate : float, optional
            Of the codes that follow, in nats an image.

        Raises
        ------
        InputError
            It depends on the rate, and none is given.
        """
        if not isinstance(self.kl_target, str):
            return self.kl_target
        if rate is None:
            raise InputError(
                f"{self.key('kl_target')} = {self.kl_target!r}: no codes follow; allowed: nats"
            )
        factor, _, _ = self.kl_target.rpartition("rate")
        return float(factor or 1) * rate

    @model_validator(mode="after")
    def _the_target_is_above_nothing(self) -> TrainVAE:
        if isinstance(self.kl_target, str) and not self.target(1.0):
            raise ValueError(f"kl_target = {self.kl_target!r}; allowed: more than 0 rate")
        return self

    @model_validator(mode="after")
    def _conv_mlp_has_both(self) -> TrainVAE:
        if self.architecture == "conv_mlp" and len(self.hidden) < 2:
            raise ValueError(
                f"hidden = {self.hidden}; allowed with architecture conv_mlp: channels of at "
                "least one convolution, and the size of a hidden layer"
            )
        return self


class Codebooks(Section):
    """How many codes at each of the T positions of an image."""

    codes: Codes = 64
    first_codes: Codes | None = 16
    tokens: Tokens = 5
    layout: LayoutName = "residual"

    @model_validator(mode="before")
    @classmethod
    def _what_is_said_of_codes_is_said_of_all(cls, given: Any) -> Any:
        """Where the number of codes or a layout is given, the default of `first_codes` is None."""
        if isinstance(given, dict) and given.keys() & {"codes", "layout"}:
            return {"first_codes": None} | given
        return given

    @model_validator(mode="after")
    def _first_codes_have_a_level(self) -> Codebooks:
        if self.first_codes is not None and not LAYOUTS[self.layout].first_level:
            having = " and ".join(name for name, layout in LAYOUTS.items() if layout.first_level)
            raise ValueError(
                f"first_codes = {self.first_codes}: only the {having} layout has a first level; "
                f"allowed with layout {self.layout}: null"
            )
        return self

    @model_validator(mode="after")
    def _codes_can_be_told_apart(self) -> Codebooks:
        if sum(self.vocabulary) > SYMBOLS:
            raise ValueError(
                f"codes = {self.codes}; allowed with tokens {self.tokens}: "
                f"{SYMBOLS:,} codes in all, at most"
            )
        return self

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""
        first = self.codes if self.first_codes is None else self.first_codes
        return (first, *[self.codes] * (self.tokens - 1))

    @property
    def rate(self) -> float:
        """Σ_t log K_t, nats an image."""
        return sum(map(math.log, self.vocabulary))


class GeodesicQuantize(Codebooks):
    """The post-hoc quantiser and its Euclidean twin."""

    neighbors: Annotated[int, Field(ge=1, le=10_000)] = 10
    metric: Literal["euclidean", "precision", "fisher", "pullback"] = "precision"
    smoothing: Annotated[int, Field(ge=0, le=10_000)] = 3
    whiten: bool = False
    edge_power: Annotated[float, Field(gt=0, le=20)] = 2.0
    assignment: Literal["vote", "geodesic"] = "vote"

    @model_validator(mode="before")
    @classmethod
    def _lengths_of_their_own_are_not_smoothed(cls, given: Any) -> Any:
        """Where the metric measures edges its own way, the default of `smoothing` is 0."""
        if isinstance(given, dict) and given.get("metric") in UNSMOOTHED:
            return {"smoothing": 0} | given
        return given

    @model_validator(mode="after")
    def _smoothing_needs_coordinates(self) -> GeodesicQuantize:
        if self.smoothing and self.metric in UNSMOOTHED:
            raise ValueError(
                f"smoothing = {self.smoothing}: metric {self.metric} measures edges its own way; "
                "allowed with it: 0 (or metric euclidean or precision)"
            )
        return self

    @model_validator(mode="after")
    def _cells_are_not_decoded_alone(self) -> GeodesicQuantize:
        if self.metric == "pullback" and not LAYOUTS[self.layout].decodable:
            raise ValueError(
                "metric = 'pullback': it decodes whole latents, not cells; allowed with layout "
                f"{self.layout}: euclidean, precision, fisher"
            )
        return self


class RefineCodes(Budget):
    """The code vectors; a budget that may be nothing."""

    place = "refine.codes"

    learning_rate: Rate = 0.02
    max_steps: StepsOrNone = 1000
    patience: Steps = 300


class RefineDecoder(Budget):
    """The decoder; a budget that may be nothing."""

    place = "refine.decoder"

    learning_rate: Rate = 0.0005
    max_steps: StepsOrNone = 2000
    patience: Steps = 300


class RefineRound(RefineDecoder):
    """Codes and decoder together, to tokens that were chosen: in every round."""

    place = "refine.round"

    learning_rate: Rate = 0.0003
    max_steps: StepsOrNone = 1000
    patience: Steps = 1000


class RefineAgain(RefineDecoder):
    """The decoder once more, after the search; nothing unless asked for."""

    place = "refine.decoder_again"

    max_steps: StepsOrNone = 0


class Refine(Section):
    """Better code vectors, a decoder tuned to them, and tokens chosen by what they decode to."""

    codes: RefineCodes = RefineCodes()
    decoder: RefineDecoder = RefineDecoder()
    first_token: Literal["keep", "search"] = "keep"
    beam: Annotated[int, Field(ge=1, le=10_000)] = 8
    candidates: Annotated[int, Field(ge=0, le=1_000_000)] = 8
    sweeps: Annotated[int, Field(ge=1, le=1000)] = 1
    rate_weight: Weight = 0.0
    rounds: Annotated[int, Field(ge=0, le=1000)] = 3
    gain: Annotated[float, Field(ge=0, le=1)] = 0.002
    round: RefineRound = RefineRound()
    decoder_again: RefineAgain = RefineAgain()

    @property
    def search(self) -> dict[str, Any]:
        """How tokens are chosen, as `CodeDecoder` takes it."""
        kept = ("first_token", "beam", "candidates", "sweeps", "rate_weight")
        return self.model_dump(include=set(kept))


class TrainVQVAE(Codebooks, Budget):
    """The end-to-end baseline."""

    place = "train_vqvae"

    commitment: Weight
    codebook_update: Literal["gradient", "ema"]
    warmup_steps: Steps

    @model_validator(mode="after")
    def _steps_are_left_after_warming_up(self) -> TrainVQVAE:
        if self.warmup_steps >= self.max_steps:
            raise ValueError(
                f"warmup_steps = {self.warmup_steps}: part of max_steps; allowed: below "
                f"max_steps = {self.max_steps}"
            )
        return self


class TrainClassifier(Budget):
    """The small CNN behind `recognition` and the Fréchet distances."""

    place = "train_classifier"


class TrainAR(Budget):
    """The autoregressive prior over tokens."""

    cell: Literal["gru", "lstm", "transformer", "mlp"] = "gru"
    place = "train_ar"

    layers: Layers = 1
    embed_dim: Width = 64
    hidden_dim: Width = 128
    context: Annotated[int, Field(ge=1, le=65_536)] = 32
    max_steps: Steps = 4000
    evaluate_every: Steps = 40
    patience: Steps = 400

    @model_validator(mode="after")
    def _heads_divide_the_embedding(self) -> TrainAR:
        if self.cell == "transformer" and self.embed_dim % HEADS:
            raise ValueError(
                f"embed_dim = {self.embed_dim}; allowed with cell transformer: multiples of {HEADS}"
            )
        return self


class Evaluate(Section):
    """The report."""

    temperatures: Annotated[list[Temperature], Field(min_length=1, max_length=20)]


class Params(Section):
    """The whole of `params.yaml`."""

    seed: Seed
    prepare: Prepare
    train_vae: TrainVAE
    geodesic_quantize: GeodesicQuantize
    refine: Refine
    train_vqvae: TrainVQVAE
    train_classifier: TrainClassifier
    train_ar: TrainAR
    evaluate: Evaluate

    @model_validator(mode="after")
    def _sections_agree(self) -> Params:
        for name in ("geodesic_quantize", "train_vqvae"):
            check_together(name, getattr(self, name), self.train_vae, self.train_ar)
        return self


def check_together(
    name: str, codebooks: Codebooks, vae: TrainVAE | None, prior: TrainAR | None
) -> None:
    """Raise `ValueError` where a section of codebooks does not suit the networks beside it."""
    tokens = codebooks.tokens
    if vae is not None:
        names = f"{name}.tokens", "train_vae.latent_dim"
        layout = LAYOUTS[codebooks.layout]
        layout.check(tokens, vae.latent_dim, *names)
        if layout.spatial and vae.architecture != "conv":
            raise ValueError(
                f"{name}.layout = {codebooks.layout!r}: the cells of a grid are those of a network "
                f"of convolutions, and train_vae.architecture = {vae.architecture!r}; allowed: conv"
            )
    if prior is not None and tokens > prior.context:
        raise ValueError(
            f"train_ar.context = {prior.context}: the prior reads a whole image; "
            f"allowed: at least {name}.tokens = {tokens}"
        )
