from pathlib import Path

import pytest
from ruamel.yaml import YAML

from geovq.errors import InputError
from geovq.params import load_params

DEFAULTS = Path(__file__).parents[1] / "params.yaml"


@pytest.fixture
def changed(tmp_path):
    """Write the default parameters with some of them changed: `changed({'a.b': 1})`."""

    def write(changes):
        tree = YAML(typ="safe").load(DEFAULTS)
        for key, value in changes.items():
            *sections, name = key.split(".")
            node = tree
            for section in sections:
                node = node[section]
            node[name] = value
        path = tmp_path / "params.yaml"
        YAML().dump(tree, path)
        return path

    return write


def test_defaults_follow_the_contract():
    params = load_params(DEFAULTS)
    assert params.prepare.dataset == "digits"
    assert params.train_vae.latent_dim == 20
    assert params.geodesic_quantize.vocabulary == (64,) * 5
    assert params.train_vqvae.vocabulary == params.geodesic_quantize.vocabulary


def test_first_codes_set_the_first_level(changed):
    params = load_params(changed({"geodesic_quantize.first_codes": 16}))
    assert params.geodesic_quantize.vocabulary == (16, 64, 64, 64, 64)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"train_vae.latent_dimm": 3}, ["train_vae.latent_dimm = 3", "unknown", "latent_dim"]),
        ({"extra": 1}, ["extra = 1", "unknown", "train_ar"]),
        ({"train_vae.latent_dim": "twenty"}, ["train_vae.latent_dim = 'twenty'", "integer"]),
        ({"train_vae.latent_dim": 20.5}, ["train_vae.latent_dim = 20.5", "integer"]),
        ({"train_vae.latent_dim": 0}, ["train_vae.latent_dim = 0", "greater than or equal to 1"]),
        (
            {"train_vae.kl_weight": -1.0},
            ["train_vae.kl_weight = -1.0", "greater than or equal to 0"],
        ),
        ({"train_vae.hidden": 512}, ["train_vae.hidden = 512", "list"]),
        ({"train_ar.cell": "rnn"}, ["train_ar.cell = 'rnn'", "'transformer' or 'mlp'"]),
        ({"geodesic_quantize.metric": "cosine"}, ["geodesic_quantize.metric", "'fisher'"]),
        (
            {"geodesic_quantize.layout": "product", "geodesic_quantize.tokens": 3},
            ["geodesic_quantize.tokens = 3", "latent_dim = 20", "divisors"],
        ),
        (
            {"geodesic_quantize.metric": "fisher", "geodesic_quantize.smoothing": 5},
            ["geodesic_quantize.smoothing = 5", "metric fisher"],
        ),
        (
            {"train_vqvae.layout": "product", "train_vqvae.first_codes": 16},
            ["train_vqvae.first_codes = 16", "residual"],
        ),
        (
            {"geodesic_quantize.layout": "grid", "geodesic_quantize.metric": "pullback"},
            ["geodesic_quantize.metric = 'pullback'", "layout grid: euclidean"],
        ),
        ({"train_ar.context": 4}, ["train_ar.context = 4", "at least", "tokens = 5"]),
        ({"prepare.dataset": "npz"}, ["prepare.file = null", "npz"]),
        ({"prepare.dataset": "cifar"}, ["prepare.dataset = 'cifar'", "'digits'"]),
    ],
)
def test_mistakes_are_named_with_value_and_remedy(changed, changes, named):
    with pytest.raises(InputError) as error:
        load_params(changed(changes))
    for part in named:
        assert part in str(error.value)


def test_every_mistake_is_listed_at_once(changed):
    with pytest.raises(InputError) as error:
        load_params(changed({"seed": -1, "train_ar.hidden_dim": "big"}))
    assert "seed = -1" in str(error.value)
    assert "train_ar.hidden_dim = 'big'" in str(error.value)


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(DEFAULTS.read_text().replace("  latent_dim: 20\n", ""))
    with pytest.raises(InputError, match=r"train_vae\.latent_dim: missing"):
        load_params(path)


def test_a_missing_file_and_broken_yaml_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_params(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(InputError, match="not YAML"):
        load_params(broken)


def test_exponents_are_numbers(changed, tmp_path):
    text = changed({}).read_text().replace("learning_rate: 0.001", "learning_rate: 1e-3", 1)
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert load_params(path).train_vae.learning_rate == 1e-3
