from pathlib import Path

import pytest

from geovq.errors import InputError
from geovq.params import TrainVAE, load_params
from geovq.settings import Settings, settings

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
    parts["refine"] = {"codes": {"max_steps": 30}, "decoder": {"max_steps": 30}}
    assert whole == settings(parts)
    assert whole.train_vae.patience == Settings().train_vae.patience
    assert whole.refine.codes.learning_rate == Settings().refine.codes.learning_rate


def test_a_section_can_be_left_out():
    chosen = settings({"steps": 30, "refine": None, "train_ar": None})
    assert chosen.refine is chosen.train_ar is None
    assert chosen.train_vae.max_steps == 30
    without_vae = {"layout": "product", "tokens": 3, "metric": "euclidean"}
    assert settings(without_vae, absent=["train_vae", "refine"]).geodesic_quantize.tokens == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codes": 1}, "codes = 1: Input should be greater than or equal to 2"),
        ({"steps": -1}, "steps = -1: Input should be greater than or equal to 1"),
        ({"metric": "cosine"}, "metric = 'cosine': Input should be 'euclidean', 'precision'"),
        ({"colour": 3}, "colour = 3: unknown key; allowed: seed, validation_fraction"),
        ({"train_ar.sell": 3}, "train_ar.sell = 3: unknown key; allowed: learning_rate"),
        ({"seed.x": 3}, "seed.x = 3: unknown key"),
        ({"seed": None}, "seed = None: Input should be a valid integer"),
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


def test_options_of_an_absent_section_are_refused():
    for options in ({"latent_dim": 3}, {"refine": {"candidates": 2}}):
        with pytest.raises(InputError, match=f"{next(iter(options))} = .*this codec has no"):
            settings(options, absent=["train_vae", "refine"])
