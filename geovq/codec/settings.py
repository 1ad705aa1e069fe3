"""What fitting a codec can be told: sections of `params.yaml`, and short names for usual keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError, model_validator

from geovq.errors import InputError
from geovq.params.explain import explain, shown
from geovq.params.sections import (
    Fraction,
    GeodesicQuantize,
    Refine,
    Section,
    Seed,
    TrainAR,
    TrainVAE,
    check_together,
)

__all__ = ["SHORT", "Settings", "settings"]

SHORT = {
    "latent_dim": ["train_vae.latent_dim"],
    "likelihood": ["train_vae.likelihood"],
    **{
        name: [f"geodesic_quantize.{name}"]
        for name in (
            "codes",
            "first_codes",
            "tokens",
            "layout",
            "neighbors",
            "metric",
            "smoothing",
            "whiten",
            "edge_power",
            "assignment",
        )
    },
    "steps": [
        "train_vae.max_steps",
        "refine.codes.max_steps",
        "refine.decoder.max_steps",
        "refine.round.max_steps",
        "train_ar.max_steps",
    ],
}


class Settings(Section):
    """Parameters of a codec; a section that is None is left out of it."""

    seed: Seed = 0
    validation_fraction: Fraction = 0.1
    train_vae: TrainVAE | None = TrainVAE()
    geodesic_quantize: GeodesicQuantize = GeodesicQuantize()
    refine: Refine | None = Refine()
    train_ar: TrainAR | None = TrainAR()

    @model_validator(mode="after")
    def _sections_agree(self) -> Settings:
        check_together("geodesic_quantize", self.geodesic_quantize, self.train_vae, self.train_ar)
        return self


def settings(options: Mapping[str, Any], absent: Sequence[str] = ()) -> Settings:
    """Defaults with some of them changed.

    Parameters
    ----------
    options : mapping
        Names in `SHORT`; fields of `Settings`, whose sections may be given in part, as
        dictionaries; and their keys by full name, as in `train_ar.cell`.
    absent : sequence of str
        Sections that this codec has no use for.

    Raises
    ------
    InputError
        An option is unknown, ill-typed, out of range, or belongs to a section that is left out.
    """
    fields = Settings.model_fields
    tree: dict[str, Any] = {name: field.default for name, field in fields.items()}
    tree |= {name: {} for name, default in tree.items() if isinstance(default, Section)}
    tree |= dict.fromkeys(absent)

    def rank(name: str) -> int:
        """Sections that are left out first, then sections, short names, full names of keys."""
        if "." in name:
            return 3
        return 2 if name in SHORT else int(options[name] is not None)

    for name in sorted(options, key=rank):
        value, places = options[name], [place.split(".") for place in SHORT.get(name, [name])]
        if value is None and name in fields:
            tree[name] = None
            continue
        kept = [place for place in places if tree.get(place[0], {}) is not None]
        if not kept:
            lacking = " or ".join(dict.fromkeys(place[0] for place in places))
            raise InputError(
                f"{name} = {shown(value)}; not allowed here: this codec has no {lacking}"
            )
        for place in kept:
            _put(tree, place, value)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        lines = explain(error, Settings)
    for name in options.keys() & SHORT.keys():  # mistakes by the name that was used
        for full in SHORT[name]:
            if full in options:
                continue
            lines = [line.replace(full, name) for line in lines]
    first: dict[str, str] = {}  # of each name, for a short one stands for several keys
    for line in lines:
        first.setdefault(line.partition(" = ")[0], line)
    raise InputError("; ".join(first.values()))


def _put(tree: dict[str, Any], place: Sequence[str], value: Any) -> None:
    """Set a key of a nested tree; a section given in part leaves its other keys as they are."""
    for key in place[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise InputError(
                f"{'.'.join(place)} = {shown(value)}: unknown key; {key} is no section"
            )
    if isinstance(value, Section):
        value = value.model_dump()
    if isinstance(value, dict) and isinstance(tree.get(place[-1]), dict):
        for key, part in value.items():
            _put(tree[place[-1]], [key], part)
    else:
        tree[place[-1]] = value
