"""Typed parameters: `params.yaml` as frozen objects, every mistake named.

One class a section, one section a stage. An unknown key, a wrong type or a value out of range
raises `InputError` with the key's full name, its value, and what is allowed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geovq.errors import InputError

__all__ = ["Budget", "Params", "load_params"]

Count = Annotated[int, Field(ge=1)]
Codes = Annotated[int, Field(ge=2)]
Layout = Literal["residual", "product", "grid"]


class Section(BaseModel):
    """A section of `params.yaml`: immutable, strictly typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Prepare(Section):
    """Which images, and how they are split."""

    dataset: Literal["digits", "mnist", "fashion_mnist", "kmnist", "npz"]
    root: str
    file: str | None
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)]
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)]

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

    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["cosine", "constant"]
    batch_size: Count
    max_steps: Count
    evaluate_every: Count
    patience: Count
    tolerance: Annotated[float, Field(ge=0)]


class TrainVAE(Budget):
    """The continuous VAE."""

    latent_dim: Count
    hidden: Annotated[list[Count], Field(min_length=1)]
    architecture: Literal["mlp", "conv"]


class Codebooks(Section):
    """How many codes at each of the T positions of an image."""

    codes: Codes
    first_codes: Codes | None
    tokens: Count
    layout: Layout

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

    neighbors: Count
    metric: Literal["euclidean", "precision", "fisher", "pullback"]
    smoothing: Annotated[int, Field(ge=0)]
    edge_power: Annotated[float, Field(gt=0)]
    assignment: Literal["vote", "geodesic"]

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


class Refinement(Budget):
    """A budget that may be nothing."""

    max_steps: Annotated[int, Field(ge=0)]


class Refine(Section):
    """Better code vectors, a decoder tuned to them, and tokens chosen by what they decode to."""

    codes: Refinement
    decoder: Refinement
    candidates: Annotated[int, Field(ge=0)]


class TrainVQVAE(Codebooks, Budget):
    """The end-to-end baseline."""

    commitment: Annotated[float, Field(ge=0)]
    codebook_update: Literal["gradient", "ema"]
    warmup_steps: Count


class TrainClassifier(Budget):
    """The small CNN behind `recognition` and the Fréchet distances."""


class TrainAR(Budget):
    """The autoregressive prior over tokens."""

    cell: Literal["gru", "lstm", "transformer"]
    layers: Count
    embed_dim: Count
    hidden_dim: Count
    context: Count


class Evaluate(Section):
    """The report."""

    temperatures: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]


class Params(Section):
    """The whole of `params.yaml`."""

    seed: Annotated[int, Field(ge=0)]
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
        for name, section in (
            ("geodesic_quantize", self.geodesic_quantize),
            ("train_vqvae", self.train_vqvae),
        ):
            if section.layout != "residual" and self.train_vae.latent_dim % section.tokens:
                raise ValueError(
                    f"{name}.tokens = {section.tokens}: the {section.layout} layout cuts "
                    f"train_vae.latent_dim = {self.train_vae.latent_dim} into that many equal "
                    "chunks; allowed: its divisors"
                )
            if section.tokens > self.train_ar.context:
                raise ValueError(
                    f"train_ar.context = {self.train_ar.context}: the prior reads a whole image; "
                    f"allowed: at least {name}.tokens = {section.tokens}"
                )
        return self


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
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        lines = "\n".join(f"  {_explain(dict(e))}" for e in error.errors())
        raise InputError(f"{path}:\n{lines}") from None


def _explain(error: dict[str, Any]) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "value_error":  # one of the validators above, already in full
        return f"{key}.{error['ctx']['error']}" if key else str(error["ctx"]["error"])
    if error["type"] == "missing":
        return f"{key}: missing"
    if error["type"] == "extra_forbidden":
        section: Any = Params
        for name in error["loc"][:-1]:
            section = section.model_fields[name].annotation
        return (
            f"{key} = {error['input']!r}: unknown key; allowed: {', '.join(section.model_fields)}"
        )
    return f"{key} = {error['input']!r}: {error['msg']}"
