"""The searches: their parameters exist, and pages say what the scores say."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from geovq.params.sections import Params
from studies.search.page import draw, page
from studies.search.run import SEARCHES, geodesic_total, main

ROOT = Path(__file__).parents[1]
GRID = {"a.neighbors": [5, 10], "a.codes": [32, 64, 128]}
LATENTS = {"train_vae.latent_dim": [10, 20]}
AUTHOR = "-c user.name=t -c user.email=t@t"
DOCUMENT = {"a.neighbors": 10, "a.codes": 64}


def rows(score, seeds=1, grid=GRID):
    found = []
    for *values, seed in itertools.product(*grid.values(), range(seeds)):
        found.append(dict(zip(grid, values, strict=True)) | {"score": score(*values, seed)})
    return found


@pytest.mark.parametrize("name", SEARCHES)
def test_what_is_searched_is_a_parameter_and_its_values_are_allowed(name):
    search, yaml = SEARCHES[name], YAML(typ="safe")
    stages = yaml.load(ROOT / "dvc.yaml")["stages"]
    assert search.target.partition("@")[0] in stages
    for key, values in search.grid.items():
        assert search.document[key] in values
        section, parameter = key.split(".")
        for value in values:
            tree = yaml.load(ROOT / "params.yaml")
            assert parameter in tree[section]
            tree[section][parameter] = value
            Params.model_validate(tree)


def test_a_total_is_distortion_and_code_length():
    files = {
        "refine_geodesic": {"validation_bce_final": 80.0},
        "train_ar_geodesic": {"validation_bits_per_token": 6.0},
    }
    assert geodesic_total(files.__getitem__, 5) == pytest.approx(80 + 30 * np.log(2))


def test_one_seed_is_said_to_be_one():
    text = page(GRID, DOCUMENT, rows(lambda k, c, s: abs(k - 10) + abs(c - 64)), "x", "y")
    assert "one seed" in text
    assert "Supports the document, as far as one seed can tell. neighbors 10, codes 64 is" in text
    assert "neighbors 5, codes 64 the best other one: 5.00 nats higher" in text
    assert "| 5           | 128     | 69.00  |" in text


def test_noise_decides_nothing():
    text = page(GRID, DOCUMENT, rows(lambda k, c, s: k / 10 + s, seeds=3), "x", "y")
    assert "Undecided." in text
    assert "0.50 nats lower, where seeds differ by 1.00" in text
    text = page(GRID, DOCUMENT, rows(lambda k, c, s: k + s, seeds=3), "x", "y")
    assert "Contradicts the document. neighbors 10" in text


@pytest.mark.parametrize(("first", "panels"), [({"a.cell": ["gru", "lstm"]}, 2), ({}, 1)])
def test_the_document_has_one_frame_whatever_the_number_of_parameters(first, panels):
    grid, document = first | GRID, {key: values[0] for key, values in first.items()} | DOCUMENT
    figure = draw(grid, document, rows(lambda *values: values[-2] + values[-1], grid=grid), "x")
    assert len(figure.axes) == panels
    assert sum(len(axes.patches) for axes in figure.axes) == 1


@pytest.mark.slow
def test_a_search_queues_experiments_and_collects_their_scores(tmp_path, monkeypatch):
    """DVC's own queue, on a pipeline of one stage that only writes what its parameters say."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    stage = {"cmd": f"{sys.executable} stage.py", "deps": ["stage.py"]}
    stage |= {"params": ["seed", "train_vae.latent_dim"]}
    stage |= {"metrics": [{"metrics/train_vae.json": {"cache": False}}]}
    files = {
        "params.yaml": {
            "seed": 0,
            "prepare": {"dataset": "digits", "root": "raw"},
            "train_vae": {"latent_dim": 20},
            "geodesic_quantize": {"tokens": 5},
        },
        "dvc.yaml": {"stages": {"train_vae": stage}},
    }
    for name, tree in files.items():
        YAML().dump(tree, tmp_path / name)
    (tmp_path / "stage.py").write_text(
        "import json, os, ruamel.yaml\n"
        "params = ruamel.yaml.YAML().load(open('params.yaml'))\n"
        "os.makedirs('metrics', exist_ok=True)\n"
        "loss = abs(params['train_vae']['latent_dim'] - 10) + params['seed']\n"
        "json.dump({'validation_loss': loss}, open('metrics/train_vae.json', 'w'))\n"
    )
    for command in ("git init -q", "dvc init -q", "git add -A", f"git {AUTHOR} commit -qm start"):
        subprocess.run(command.split(), check=True)
    monkeypatch.setitem(SEARCHES, "latent_dim", replace(SEARCHES["latent_dim"], grid=LATENTS))
    main(["found", "latent_dim"])
    rows = json.loads(Path("found/scores.json").read_text())["rows"]
    assert [(row["train_vae.latent_dim"], row["score"]) for row in rows] == [(10, 0), (20, 10)]
    assert "latent dim 10 the best other one: 10.00 nats lower" in Path("found/page.md").read_text()
