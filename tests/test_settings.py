import math
from pathlib import Path
from typing import get_args

import pytest

from geovq.codec.settings import SHORT, Settings, settings
from geovq.errors import InputError
from geovq.params.reading import load_params
from geovq.params.sections import Section, TrainVAE

FILE = Path(__file__).parents[1] / "params.yaml"


def test_the_librarys_defaults_are_those_of_the_pipeline():
    file, own = load_params(FILE), Settings()
    for name in ("seed", "train_vae", "geodesic_quantize", "refine", "train_ar"):
        assert getattr(own, name) == getattr(file, name)
    assert own.validation_fraction == file.prepare.validation_fraction


def test_short_names_full_names_and_sections_go_to_the_same_places():
    whole = settings({"codes": 16, "train_ar.cell": "lstm", "latent_dim": 8, "steps": 30})
    parts = {"geodesic_quantize": {"codes": 16}, "train_ar": {"cell": "lstm", "max_steps": 30}}
    parts["train_vae"] = TrainVAE(latent_dim=8, max_steps=30)
    parts["refine"] = {part: {"max_steps": 30} for part in ("codes", "decoder", "round")}
    assert whole == settings(parts)
    assert whole.train_vae.patience == Settings().train_vae.patience
    assert whole.refine.codes.learning_rate == Settings().refine.codes.learning_rate


def test_a_section_can_be_left_out():
    chosen = settings({"steps": 30, "refine": None, "train_ar": None})
    assert chosen.refine is chosen.train_ar is None
    assert chosen.train_vae.max_steps == 30
    without_vae = {"layout": "product", "tokens": 3, "metric": "euclidean"}
    assert settings(without_vae, absent=["train_vae", "refine"]).geodesic_quantize.tokens == 3


def test_defaults_follow_what_is_said():
    assert settings({}).geodesic_quantize.vocabulary == (16, 64, 64, 64, 64)
    assert settings({"tokens": 1}).geodesic_quantize.vocabulary == (16,)
    assert settings({"codes": 8, "tokens": 2}).geodesic_quantize.vocabulary == (8, 8)
    both = {"geodesic_quantize": {"codes": 8, "tokens": 2, "first_codes": 4}}
    assert settings(both).geodesic_quantize.vocabulary == (4, 8)
    grid = {"layout": "grid", "train_vae.architecture": "conv", "tokens": 4}
    assert settings(grid).geodesic_quantize.vocabulary == (64,) * 4
    assert settings({"metric": "fisher"}).geodesic_quantize.smoothing == 0
    assert settings({"metric": "euclidean"}).geodesic_quantize.smoothing == 3
    with pytest.raises(InputError, match="smoothing = 3: metric fisher"):
        settings({"metric": "fisher", "smoothing": 3})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codes": 1}, "codes = 1; allowed: an integer from 2 to 1,000,000"),
        ({"steps": -1}, "steps = -1; allowed: an integer from 1 to 10,000,000"),
        ({"metric": "cosine"}, "metric = 'cosine'; allowed: 'euclidean', 'precision'"),
        ({"colour": 3}, "colour = 3: unknown key; allowed: seed, validation_fraction"),
        ({"train_ar.sell": 3}, "train_ar.sell = 3: unknown key; allowed: learning_rate"),
        ({"seed.x": 3}, "seed.x = 3: unknown key"),
        ({"seed": None}, "seed = None; allowed: an integer from 0 to 4,294,967,295"),
        ({"layout": "product", "tokens": 3}, "tokens = 3: the product layout cuts train_vae.lat"),
        ({"tokens": 33}, "train_ar.context = 32: the prior reads a whole image; allowed: at least"),
        ({"first_codes": 4, "layout": "grid"}, "first_codes = 4: only the residual layout"),
        ({"train_ar": None, "train_ar.cell": "gru"}, "train_ar.cell = 'gru'; not allowed here: "),
    ],
)
def test_mistakes_are_named_as_they_were_given(options, message):
    with pytest.raises(InputError) as error:
        settings(options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


NONSENSE = {
    "null": None,
    "text": "nonsense",
    "no list": [],
    "deep": [[[]]],
    "section": {"x": 1},
    "true": True,
    "10^20": 10**20,
    "huge": 10**5000,
    "-1": -1,
    "1e308": 1e308,
    "inf": math.inf,
    "nan": math.nan,
}
FINE = {("first_codes", "null"), ("kl_weight", "null"), ("whiten", "true")}


def keys(section, prefix=""):
    """Keys of a section by their full names; those of its sections in their place."""
    for name, field in section.model_fields.items():
        kind = (*get_args(field.annotation), field.annotation)[0]
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.mark.parametrize("kind", NONSENSE)
def test_no_key_takes_nonsense_by_its_full_or_its_short_name(kind):
    for name in (*keys(Settings), *SHORT):
        if (name.split(".")[-1], kind) in FINE:
            continue
        with pytest.raises(InputError) as error:
            settings({name: NONSENSE[kind]})
        message = str(error.value)
        assert message.startswith((f"{name} = ", f"{name}.x = ", f"{name}.0 = ")), message
        assert "; allowed: " in message
        assert "\n" not in message
        assert len(message) < 500


def test_options_of_an_absent_section_are_refused():
    for options in ({"latent_dim": 3}, {"refine": {"candidates": 2}}):
        with pytest.raises(InputError, match=f"{next(iter(options))} = .*this codec has no"):
            settings(options, absent=["train_vae", "refine"])


def test_the_full_name_of_a_key_counts_more_than_a_short_one_and_that_more_than_a_section():
    for options in (
        {"steps": 7, "train_vae.max_steps": 9, "train_vae": {"max_steps": 5}},
        {"train_vae.max_steps": 9, "train_vae": {"max_steps": 5}, "steps": 7},
    ):
        found = settings(options)
        assert (found.train_vae.max_steps, found.train_ar.max_steps) == (9, 7)
    assert settings({"train_vae": {"latent_dim": 5}, "latent_dim": 6}).train_vae.latent_dim == 6
    with pytest.raises(InputError, match=r"train_vae\.max_steps = -1"):
        settings({"steps": 7, "train_vae.max_steps": -1})
