import math
import os
import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from geovq.errors import InputError
from geovq.params.explain import allowed
from geovq.params.reading import as_params, load_params
from geovq.params.sections import Params, Section

DEFAULTS = Path(__file__).parents[1] / "params.yaml"
ALIKE = {"geodesic_quantize.first_codes": None}  # as the other positions
PAGE = DEFAULTS.parent / "docs" / "parameters.md"
TREE = YAML(typ="safe").load(DEFAULTS)


def sections_and_keys(section=Params, prefix=""):
    """Every key of the schema by its full name, and what it may be."""
    for name, field in section.model_fields.items():
        yield prefix + name, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from sections_and_keys(field.annotation, f"{prefix}{name}.")


def put(tree, key, value):
    """A tree with one key changed, or without it where the value is `MISSING`."""
    changed = deepcopy(tree)
    *sections, name = key.split(".")
    node = changed
    for section in sections:
        node = node[section]
    if value is MISSING:
        del node[name]
    else:
        node[name] = value
    return changed


KEYS = dict(sections_and_keys())
MISSING = object()
NONSENSE = {
    "missing": MISSING,
    "null": None,
    "text": "nonsense",
    "number in text": "1",
    "no text": "",
    "no list": [],
    "no section": {},
    "deep": [[[]]],
    "true": True,
    "1.5": 1.5,
    "2^31": 2**31,
    "10^20": 10**20,
    "huge": 10**5000,
    "-1": -1,
    "1e308": 1e308,
    "inf": math.inf,
    "-inf": -math.inf,
    "nan": math.nan,
    "bytes": b"1",
}
TEXT = {"text", "number in text"}
GOOD = {  # of all this, by the key's last name
    "seed": {"2^31"},
    "root": TEXT,
    "file": {"null"} | TEXT,
    "first_codes": {"null"},
    "whiten": {"true"},
    "learning_rate": {"1.5"},
    "kl_weight": {"null"},
    "kl_target": {"1.5"},
    "edge_power": {"1.5"},
    "rate_weight": {"1.5"},
    "commitment": {"1.5"},
}


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


@pytest.mark.parametrize("kind", NONSENSE)
def test_no_key_takes_nonsense(kind):
    for key in KEYS:
        tree = put(TREE, key, NONSENSE[kind])
        if kind in GOOD.get(key.split(".")[-1], ()):
            as_params(tree)
            continue
        with pytest.raises(InputError) as error:
            as_params(tree, "params.yaml")
        message = str(error.value)
        assert message.startswith(f"params.yaml: {key}"), message
        assert ": missing" in message or "; allowed: " in message
        assert "\n" not in message
        assert len(message) < 1000


@pytest.mark.parametrize("kind", sorted(NONSENSE.keys() - {"missing"}))
def test_nor_does_an_entry_of_a_list(kind):
    for key, good in (("train_vae.hidden", ()), ("evaluate.temperatures", {"1.5"})):
        tree = put(TREE, key, [1, NONSENSE[kind]])
        if kind in good:
            as_params(tree)
            continue
        with pytest.raises(InputError, match=f"^params: {key}.1 = .*; allowed: .* from "):
            as_params(tree)


def test_every_number_has_bounds_and_messages_say_them():
    for key, field in KEYS.items():
        if field.annotation in (int, float):
            bounds = {n for m in field.metadata for n in ("ge", "gt", "le", "lt") if hasattr(m, n)}
            assert bounds & {"ge", "gt"}, key
            assert bounds & {"le", "lt"}, key
            with pytest.raises(InputError) as error:
                as_params(put(TREE, key, -1))
            assert str(error.value).endswith(
                f"; allowed: {allowed(field.annotation, field.metadata)}"
            )


def test_the_documentation_says_what_is_allowed():
    table = PAGE.read_text().split("## What is allowed")[1]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", table, re.MULTILINE))
    for key, field in KEYS.items():
        text = allowed(field.annotation, field.metadata)
        assert text.startswith("a section") or text == rows.get(key, rows.get(key.split(".")[-1]))


def test_defaults_follow_the_contract():
    params = load_params(DEFAULTS)
    assert params.prepare.dataset == "digits"
    assert params.train_vae.latent_dim == 20
    assert params.geodesic_quantize.vocabulary == (16, 64, 64, 64, 64)
    assert params.train_vqvae.vocabulary == params.geodesic_quantize.vocabulary


def test_first_codes_set_the_first_level(changed):
    params = load_params(changed({"geodesic_quantize.first_codes": 8}))
    assert params.geodesic_quantize.vocabulary == (8, 64, 64, 64, 64)
    params = load_params(changed({"geodesic_quantize.first_codes": None}))
    assert params.geodesic_quantize.vocabulary == (64,) * 5


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"train_vae.latent_dimm": 3}, ["train_vae.latent_dimm = 3", "unknown", "latent_dim"]),
        ({"extra": 1}, ["extra = 1", "unknown", "train_ar"]),
        ({"train_vae.latent_dim": "twenty"}, ["train_vae.latent_dim = 'twenty'", "integer"]),
        ({"train_vae.latent_dim": 20.5}, ["train_vae.latent_dim = 20.5", "integer"]),
        (
            {"train_vae.latent_dim": 0},
            ["train_vae.latent_dim = 0; allowed: an integer from 1 to 65,536"],
        ),
        (
            {"train_vae.kl_weight": -1.0},
            ["train_vae.kl_weight = -1.0; allowed: a number from 0 to 1,000,000"],
        ),
        ({"train_vae.hidden": 512}, ["train_vae.hidden = 512", "list"]),
        ({"train_ar.cell": "rnn"}, ["train_ar.cell = 'rnn'", "'transformer' or 'mlp'"]),
        ({"geodesic_quantize.metric": "cosine"}, ["geodesic_quantize.metric", "'fisher'"]),
        (
            {**ALIKE, "geodesic_quantize.layout": "product", "geodesic_quantize.tokens": 3},
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
            {"train_vae.learning_rate": math.inf},
            ["train_vae.learning_rate = inf; allowed: a number from 1e-10 to 10"],
        ),
        (
            {"geodesic_quantize.edge_power": math.inf},
            ["geodesic_quantize.edge_power = inf; allowed: a number above 0, at most 20"],
        ),
        (
            {"train_vqvae.warmup_steps": 11000},
            ["train_vqvae.warmup_steps = 11000: part of max_steps", "below max_steps = 11000"],
        ),
        (
            {"train_vqvae.codes": 1_000_000, "train_vqvae.tokens": 11},
            ["train_vqvae.codes = 1000000; allowed with tokens 11: 10,000,000 codes in all"],
        ),
        (
            {"train_vae.architecture": "conv_mlp", "train_vae.hidden": [8]},
            ["train_vae.hidden = [8]; allowed with architecture conv_mlp"],
        ),
        (
            {"train_ar.cell": "transformer", "train_ar.embed_dim": 6},
            ["train_ar.embed_dim = 6; allowed with cell transformer: multiples of 4"],
        ),
        (
            {
                **ALIKE,
                "geodesic_quantize.layout": "grid",
                "geodesic_quantize.metric": "pullback",
                "geodesic_quantize.smoothing": 0,
            },
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


BOMB = "a: &a0 {k: 1, l: 2}\n" + "".join(
    f"b{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 20)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "None; allowed: a section of seed, prepare, "),
        (b"- 1", r"\[1\]; allowed: a section of seed"),
        (b"just text", "'just text'; allowed: a section of seed"),
        (b"a: [1", "not YAML: line 1: "),
        (b"seed: 0\nseed: 1", 'not YAML: line 2: found duplicate key "seed"'),
        (b"a:\n\tb: 1", "not YAML: line 2: found character '.t'"),
        (b"a: 1\n---\nb: 2", "not YAML: line 2: but found another document"),
        (b"a: \xff", "not YAML: unacceptable character #x00ff"),
        (b"a: \0", "not YAML: unacceptable character #x0000"),
        (b"a: !!python/object:os.system x", "not YAML: line 1: could not determine a constructor"),
        (b"a: *b", "not YAML: line 1: found undefined alias"),
        (b"a: " + 5000 * b"9", "not YAML: Exceeds the limit"),
        (b"a: &a [*a]", "too many values; allowed: 10,000"),
        (BOMB.encode(), "too many values; allowed: 10,000"),
        (5000 * b"[", "too many values; .* 20 levels"),
        (b"#" * 100_001, "100,001 bytes; allowed: at most 100,000"),
        (b"1: 2", "1: unknown key; allowed: seed"),
        (b'"a\\nb": 2', r"'a\\nb' = 2: unknown key; allowed: seed"),
        (b'"\\ud800": 2', "allowed: a section of seed"),
        (b"seed: 0x" + 5000 * b"f", "seed = a number of 20,000 bits; allowed: an integer from 0"),
        (b"seed: 2001-01-01", "seed = datetime.date.*; allowed: an integer from 0"),
        (b'prepare: {root: "a\\0b"}', r"prepare.root = 'a\\x00b'; allowed: a path"),
    ],
)
def test_what_is_no_parameter_file_is_named_on_one_line(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(InputError, match=f"params.yaml: (.*; )?{message}") as error:
        load_params(path)
    assert "\n" not in str(error.value)


def test_what_is_no_file_at_all_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml: no such file"):
        load_params(tmp_path / "absent.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path, tmp_path / "pipe.yaml", Path("/dev/zero")):
        with pytest.raises(InputError, match=f"{path}: allowed: a file of parameters, in YAML"):
            load_params(path)
    with pytest.raises(InputError, match="File name too long"):
        load_params(tmp_path / ("long" * 100))


def test_an_anchor_may_be_used_again(changed):
    budget = "&b {learning_rate: 1e-3, schedule: cosine, batch_size: 9, max_steps: 9, "
    budget += "evaluate_every: 9, patience: 9, tolerance: 0.0}"
    text = changed({"refine.codes": "ONE", "train_classifier": "TWO"}).read_text()
    path = changed({})
    path.write_text(text.replace("ONE", budget).replace("TWO", "{<<: *b, patience: 8}"))
    params = load_params(path)
    assert params.train_classifier.batch_size == params.refine.codes.batch_size == 9
    assert params.train_classifier.patience == 8


def test_exponents_are_numbers(changed, tmp_path):
    text = changed({}).read_text().replace("learning_rate: 0.001", "learning_rate: 1e-3", 1)
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert load_params(path).train_vae.learning_rate == 1e-3


def test_counts_are_compared_with_the_images_that_there_are(changed, tmp_path):
    images = tmp_path / "images.npz"
    path = changed({"train_vqvae.codes": 64})
    assert load_params(path, images=images) == load_params(path)  # there are none yet
    np.savez(images, train_images=np.zeros((64, 2, 2), np.uint8))
    load_params(path, images=images)
    for key, value, most in (
        ("geodesic_quantize.codes", 65, "2 to the number of training images, 64"),
        ("geodesic_quantize.neighbors", 64, "1 to 63, fewer than the 64 training images"),
        ("train_vqvae.first_codes", 65, "2 to the number of training images, 64"),
    ):
        with pytest.raises(InputError, match=f"^{key} = {value}; allowed: {most}"):
            load_params(changed({key: value}), images=images)
