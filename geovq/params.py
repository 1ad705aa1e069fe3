"""Typed parameters: `params.yaml` as frozen objects, every mistake named.

One class a section, one section a stage. An unknown key, a wrong type or a value out of range
raises `InputError` with the key's full name, its value, and what is allowed. Sections that the
library needs without the pipeline have defaults; a parameter file still has to be complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geovq.errors import InputError

__all__ = [
    "Budget",
    "GeodesicQuantize",
    "Params",
    "Refine",
    "Section",
    "TrainAR",
    "TrainVAE",
    "check_together",
    "explain",
    "load_params",
]

Count = Annotated[int, Field(ge=1)]
Codes = Annotated[int, Field(ge=2)]
Seed = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, lt=0.5)]
Layout = Literal["residual", "product", "grid"]


class Section(BaseModel):
    """A section of `params.yaml`: immutable, strictly typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Prepare(Section):
    """Which images, and how they are split."""

    dataset: Literal["digits", "photographs", "mnist", "fashion_mnist", "kmnist", "npz"]
    root: str
    file: str | None
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

    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: Count = 128
    max_steps: Count
    evaluate_every: Count = 100
    patience: Count
    tolerance: Annotated[float, Field(ge=0)] = 0.001


class TrainVAE(Budget):
    """The continuous VAE."""

    latent_dim: Count = 20
    hidden: Annotated[list[Count], Field(min_length=1)] = [512, 512]
    architecture: Literal["mlp", "conv", "conv_mlp"] = "mlp"
    likelihood: Literal["bernoulli", "logistic"] = "bernoulli"
    kl_weight: Annotated[float, Field(ge=0)] = 1.0
    max_steps: Count = 8000
    patience: Count = 400


class Codebooks(Section):
    """How many codes at each of the T positions of an image."""

    codes: Codes = 64
    first_codes: Codes | None = None
    tokens: Count = 5
    layout: Layout = "residual"

    @model_validator(mode="after")
    def _first_codes_is_residual(self) -> Codebooks:
        if self.layout != "residual" and self.first_codes is not None:
            raise ValueError(
                f"first_codes = {self.first_codes}: only the residual layout has a first level; "
                f"allowed with layout {self.layout}: null"
            )
        return self

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""
        first = self.codes if self.first_codes is None else self.first_codes
        return (first, *[self.codes] * (self.tokens - 1))


class GeodesicQuantize(Codebooks):
    """The post-hoc quantiser and its Euclidean twin."""

    neighbors: Count = 10
    metric: Literal["euclidean", "precision", "fisher", "pullback"] = "precision"
    smoothing: Annotated[int, Field(ge=0)] = 0
    whiten: bool = True
    edge_power: Annotated[float, Field(gt=0)] = 1.0
    assignment: Literal["vote", "geodesic"] = "vote"

    @model_validator(mode="after")
    def _smoothing_needs_coordinates(self) -> GeodesicQuantize:
        if self.smoothing and self.metric in ("fisher", "pullback"):
            raise ValueError(
                f"smoothing = {self.smoothing}: metric {self.metric} measures edges its own way; "
                "allowed with it: 0 (or metric euclidean or precision)"
            )
        return self

    @model_validator(mode="after")
    def _cells_are_not_decoded_alone(self) -> GeodesicQuantize:
        if self.layout == "grid" and self.metric == "pullback":
            raise ValueError(
                "metric = 'pullback': it decodes whole latents, not cells; allowed with layout "
                "grid: euclidean, precision, fisher"
            )
        return self


class RefineCodes(Budget):
    """The code vectors; a budget that may be nothing."""

    learning_rate: Annotated[float, Field(gt=0)] = 0.02
    max_steps: Annotated[int, Field(ge=0)] = 1000
    patience: Count = 300


class RefineDecoder(Budget):
    """The decoder; a budget that may be nothing."""

    learning_rate: Annotated[float, Field(gt=0)] = 0.0005
    max_steps: Annotated[int, Field(ge=0)] = 2000
    patience: Count = 300


class RefineAgain(RefineDecoder):
    """The decoder once more, after the search; nothing unless asked for."""

    max_steps: Annotated[int, Field(ge=0)] = 0


class Refine(Section):
    """Better code vectors, a decoder tuned to them, and tokens chosen by what they decode to."""

    codes: RefineCodes = RefineCodes()
    decoder: RefineDecoder = RefineDecoder()
    candidates: Annotated[int, Field(ge=0)] = 8
    sweeps: Count = 1
    rate_weight: Annotated[float, Field(ge=0)] = 0.0
    decoder_again: RefineAgain = RefineAgain()

    @property
    def search(self) -> dict[str, Any]:
        """How tokens are chosen, as `CodeDecoder` takes it."""
        return self.model_dump(include={"candidates", "sweeps", "rate_weight"})


class TrainVQVAE(Codebooks, Budget):
    """The end-to-end baseline."""

    commitment: Annotated[float, Field(ge=0)]
    codebook_update: Literal["gradient", "ema"]
    warmup_steps: Count


class TrainClassifier(Budget):
    """The small CNN behind `recognition` and the Fréchet distances."""


class TrainAR(Budget):
    """The autoregressive prior over tokens."""

    cell: Literal["gru", "lstm", "transformer", "mlp"] = "gru"
    layers: Count = 1
    embed_dim: Count = 64
    hidden_dim: Count = 128
    context: Count = 32
    max_steps: Count = 4000
    evaluate_every: Count = 40
    patience: Count = 400


class Evaluate(Section):
    """The report."""

    temperatures: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]


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
    tokens, layout = codebooks.tokens, codebooks.layout
    if vae is not None and layout != "residual" and vae.latent_dim % tokens:
        raise ValueError(
            f"{name}.tokens = {tokens}: the {layout} layout cuts train_vae.latent_dim = "
            f"{vae.latent_dim} into that many equal chunks; allowed: its divisors"
        )
    if prior is not None and tokens > prior.context:
        raise ValueError(
            f"train_ar.context = {prior.context}: the prior reads a whole image; "
            f"allowed: at least {name}.tokens = {tokens}"
        )


def load_params(path: str | os.PathLike[str]) -> Params:
    """Read and check a parameter file.

    Parameters
    ----------
    path : path-like
        A YAML 1.2 file, as DVC reads it.

    Returns
    -------
    Params

    Raises
    ------
    InputError
        The file is missing or is not YAML, or a key is unknown, missing, of the wrong type or
        out of range. The message lists every offending key.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        tree = YAML(typ="safe").load(Path(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the folder that holds it") from None
    except YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    absent = [f"{key}: missing" for key in _missing(Params, tree)]
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        absent += [line for line in explain(error, Params) if not line.endswith(": missing")]
        raise InputError("\n  ".join([f"{path}:", *absent])) from None
    if absent:
        raise InputError("\n  ".join([f"{path}:", *absent]))
    return params


def _missing(section: type[Section], tree: Any, prefix: str = "") -> Iterator[str]:
    """Full names of the keys that a tree leaves to their defaults."""
    if not isinstance(tree, dict):
        return
    for name, field in section.model_fields.items():
        if name not in tree:
            yield prefix + name
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _missing(field.annotation, tree[name], f"{prefix}{name}.")


def explain(error: ValidationError, root: type[Section]) -> list[str]:
    """One line a mistake: the key's full name, its value, and what is allowed."""
    return [_explain(dict(part), root) for part in error.errors()]


def _explain(error: dict[str, Any], root: type[Section]) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "value_error":  # one of the validators above, already in full
        return f"{key}.{error['ctx']['error']}" if key else str(error["ctx"]["error"])
    if error["type"] == "missing":
        return f"{key}: missing"
    if error["type"] == "extra_forbidden":
        section: Any = root
        for name in error["loc"][:-1]:
            section = section.model_fields[name].annotation
            section = (get_args(section) or [section])[0]  # of `Section | None`
        return (
            f"{key} = {error['input']!r}: unknown key; allowed: {', '.join(section.model_fields)}"
        )
    return f"{key} = {error['input']!r}: {error['msg']}"
