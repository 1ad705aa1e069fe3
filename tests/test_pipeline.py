"""The pipeline itself, in temporary copies of the checkout, on a few small images."""

import getpass
import io
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from ruamel.yaml import YAML
from test_dvc_yaml import PROJECT, check, covers

from checks.interruptions import Commands, Stages
from checks.small import IN_ORDER, Copy
from geovq.codec.codec import Codec
from geovq.files.store import load_npz

pytestmark = pytest.mark.slow
EVERY_STAGE = set(IN_ORDER)
PRIORS = {stage for stage in EVERY_STAGE if stage.startswith("train_ar")}


def test_scores_hold_every_key_of_the_contract(copy):
    scores = copy.scores()
    assert set(scores) == {"data", "vae", "geodesic", "euclidean", "vqvae"}
    assert set(scores["data"]) == {
        "dataset",
        "test_images",
        "pixel_entropy",
        "mean_image_bce",
        "frechet_floor",
        "recognition",
    }
    assert set(scores["vae"]) == {
        "total",
        "bce",
        "kl",
        "psnr",
        "recognition",
        "frechet_reconstructions",
        "frechet_prior",
    }
    for name in ("geodesic", "euclidean", "vqvae"):
        assert set(scores[name]) == {
            "bits_per_image",
            "bce",
            "code_length",
            "total",
            "ar_bits_per_token",
            "marginal_bits_per_token",
            "codes_used",
            "perplexity",
            "purity",
            "nmi",
            "psnr",
            "recognition",
            "frechet_reconstructions",
            "frechet_samples",
            "frechet_samples_at",
            "frechet_independent",
        } | ({"bce_unrefined"} if name != "vqvae" else set())
        assert scores[name]["bits_per_image"] == 6
        assert set(scores[name]["frechet_samples_at"]) == {"0.7", "0.85", "1"}
    other = ("dataset", "frechet_samples_at")
    values = [v for row in scores.values() for k, v in row.items() if k not in other]
    assert all(np.isfinite(value) for value in values)


def test_pictures_are_there(copy):
    pictures = {path.name for path in (copy.folder / "plots" / "images").iterdir()}
    assert pictures == {
        "reconstructions.png",
        "samples.png",
        "codebooks.png",
        "code_usage.png",
        "latent_map.png",
        "training_curves.png",
    }


def test_the_page_shows_the_run(copy, open_page):
    path = copy.folder / "plots" / "report.html"
    assert path.stat().st_size < 5_000_000
    with open_page(path) as page:
        page.wait_for_selector("html[data-ready]")
        assert page.get_by_role("heading", level=1).inner_text() == "geovq on npz"
        total = page.get_by_role("row", name="geodesic codes").first.inner_text().split("\t")[4]
        assert total == f"{copy.scores()['geodesic']['total']:.1f}"
        assert page.locator("#tiles button").count() == 8
        assert page.locator("#steps figure").count() == 3 * (1 + 2)
        assert page.locator("#paths figure").count() == 6
        assert page.troubles == []


def test_dvcs_plots_are_drawn_without_a_network(copy, open_page):
    copy("python", "-m", "tools.plots")
    with open_page(copy.folder / "dvc_plots" / "index.html") as page:
        page.wait_for_selector("svg.marks .mark-line path")
        charts = page.locator("svg.marks")
        assert charts.count() == 3
        assert "negative ELBO (nats per image)" in charts.first.text_content()
        drawn = page.evaluate("[...document.images].map((image) => image.naturalWidth > 0)")
        assert len(drawn) == 6
        assert all(drawn)
        assert not [url for url in page.asked if url.startswith("http")]
        assert page.troubles == []


def test_dvc_yaml_names_what_the_stages_used(copy, records):
    with Repo(str(copy.folder)) as repo:
        stages = {stage.name: stage for stage in repo.index.stages}
    assert set(stages) == EVERY_STAGE
    for name, stage in stages.items():
        used = json.loads((records / f"{name}.json").read_text())
        params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
        deps = [dep.def_path for dep in stage.deps if dep not in params]
        outs = [out.def_path for out in stage.outs]
        # Not what other programs keep here, nor files of other folders.
        files = {path for path in used["files"] if path[0] != "."}
        read = {path for path in files if not any(covers(out, path) for out in outs)}
        data = {dep for dep in deps if not dep.startswith(("geovq/", "stages/"))}
        missing = {path for path in read if not any(covers(dep, path) for dep in deps)}
        idle = {dep for dep in data if not any(covers(dep, path) for path in read)}
        listed, keys = [key for dep in params for key in dep.params], used["params"]
        missing |= {key for key in keys if not any(f"{key}.".startswith(f"{k}.") for k in listed)}
        idle |= {key for key in listed if not any(f"{k}.".startswith(f"{key}.") for k in keys)}
        check(name, missing, idle)
        # With what is found without running it, `test_dvc_yaml.py` compares the code.
        ran = set(used["code"]) & set(PROJECT.paths.values())
        assert ran - set(PROJECT.reached(f"stages.{name.partition('@')[0]}")) == set(), name


def test_a_second_run_runs_nothing(copy):
    assert copy.repro() == set()
    assert "up to date" in copy("dvc", "status")


def test_the_same_run_in_another_environment_has_the_same_bytes(copy, tmp_path):
    """In one process, with code and home that cannot be written, and no git, in ASCII."""
    setpriv = shutil.which("setpriv")
    if os.geteuid():
        unprivileged = []
    elif setpriv:
        unprivileged = [setpriv, "--bounding-set=-all", "--inh-caps=-all"]
    else:
        pytest.skip("root can write everywhere")
    code, again = tmp_path / "code", Copy(tmp_path / "läuft")
    code.mkdir()
    for name in ("geovq", "stages"):
        (again.folder / name).rename(code / name)
    for path in (*code.rglob("__pycache__"), again.folder / ".git"):
        shutil.rmtree(path)
    for path in (*code.rglob("*"), code):
        path.chmod(path.stat().st_mode & ~0o222)
    again.changes = {
        "PATH": str(Path(sys.executable).parent),
        "PYTHONPATH": str(code),
        "HOME": str(code),
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Kathmandu",
    }
    again.without_dvc(*unprivileged)
    found, expected = again.outs(), copy.outs()
    assert set(found) == set(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def pieces(content):
    """Bytes of a file, and of the members of an archive."""
    if content.startswith(b"PK"):
        with ZipFile(io.BytesIO(content)) as archive:
            return b"".join([content, *(archive.read(name) for name in archive.namelist())])
    return content


def test_nothing_tells_of_whose_machine_it_was(copy):
    names = {b"sentinel", getpass.getuser().encode(), socket.gethostname().encode()}
    for name, content in copy.outs().items():
        assert not [tag for tag in (b"tEXt", b"zTXt", b"iTXt", b"eXIf") if tag in content], name
        assert not [word for word in names if len(word) > 5 and word in pieces(content)], name
    assert "sentinel" not in copy.lock()


def test_a_tagged_model_reaches_others(copy, tmp_path):
    twin = copy.twin(tmp_path / "project")
    twin.commit("a run")
    twin("dvc", "push")
    twin("git", "-c", "user.name=t", "-c", "user.email=t@t", "tag", "-am", "first", "codec@v0.1.0")
    for version in ([], ["--rev", "v0.1.0"]):
        model = tmp_path / f"model {len(version)}"
        twin("dvc", "artifacts", "get", str(twin.folder), "codec", *version, "-o", str(model))
        assert Codec.load(model).encode(np.zeros((1, 8, 8))).shape == (1, 2)


def test_a_dozen_figures_are_shown(copy):
    shown = copy("dvc", "metrics", "show", "--json", "metrics/summary.json")
    (figures,) = json.loads(shown)[""]["data"].values()
    found = figures["data"]
    assert found.pop("bits") == 6
    scores = copy.scores()
    assert set(found) == {"vae", "geodesic", "euclidean", "vqvae"}
    assert 8 <= sum(map(len, found.values())) <= 12
    assert all(scores[name][key] == value for name in found for key, value in found[name].items())


def test_what_the_pipeline_fitted_opens_in_the_command_line(copy, tmp_path):
    with np.load(copy.folder / "data" / "images.npz") as images:
        np.savez(tmp_path / "t.npz", images=images["test_images"], labels=images["test_labels"])
    models = {name: f"data/codecs/{name}" for name in ("geodesic", "euclidean", "vqvae")}
    command = ("python", "-m", "geovq")
    scores = json.loads(copy(*command, "evaluate", "--json", *models.values(), f"{tmp_path}/t.npz"))
    for name, model in models.items():
        for key in (
            "bits_per_image",
            "bce",
            "code_length",
            "total",
            "perplexity",
            "purity",
            "psnr",
        ):
            assert scores[model][key] == pytest.approx(copy.scores()[name][key], rel=1e-6)
        info = json.loads(copy(*command, "info", "--json", model))
        assert info["vocabulary"] == [8, 8]
        assert info["validation"]["total"] == pytest.approx(
            info["validation"]["bce"] + info["validation"]["code_length"]
        )
        copy(*command, "encode", model, f"{tmp_path}/t.npz", f"{tmp_path}/{name}.npz")
        copy(*command, "decode", model, f"{tmp_path}/{name}.npz", f"{tmp_path}/{name}")
        copy(*command, "sample", model, f"{tmp_path}/{name}-drawn", "-n", "3")
        with np.load(tmp_path / f"{name}.npz") as mine:
            tokens = load_npz(copy.folder / "data" / "tokens" / f"{name}.npz", kind="tokens")
            assert (mine["tokens"] == tokens["test"]).all()


def test_only_what_a_change_invalidates_runs_again(copy):
    before = copy.lock()
    copy.change(train_ar={"hidden_dim": 9})
    assert copy.repro() == PRIORS | {"pack", "evaluate", "report"}
    assert "train_ar.hidden_dim" in copy("dvc", "params", "diff")
    copy.change(train_ar={"hidden_dim": 8}, geodesic_quantize={"neighbors": 5})
    ran = copy.repro()
    assert {"geodesic_quantize", "refine@geodesic"} <= ran
    assert {"evaluate", "report"} <= ran
    assert not ran & {"prepare", "train_vae", "train_vqvae", "train_classifier"}
    copy.change(geodesic_quantize={"neighbors": 10})
    copy.repro()  # out of the run cache
    assert copy.lock() == before


def test_bad_input_is_named_and_what_was_computed_stays(copy):
    before, scores = copy.lock(), copy.scores()
    copy.change(geodesic_quantize={"codes": 1000})
    output = copy("dvc", "repro", fails=True)
    assert "error: geodesic_quantize.codes = 1000; allowed: 2 to the number of training" in output
    assert "Traceback" not in output
    assert "VAE: " not in output  # nothing was trained
    copy.change(geodesic_quantize={"codes": 8, "neighbors": 288})
    output = copy("dvc", "repro", fails=True)
    assert "error: geodesic_quantize.neighbors = 288; allowed: 1 to" in output
    copy.change(geodesic_quantize={"neighbors": 10, "colour": 3})
    output = copy("dvc", "repro", fails=True)
    assert "geodesic_quantize.colour = 3: unknown key; allowed: codes, first_codes" in output
    yaml, path = YAML(), copy.folder / "params.yaml"
    tree = yaml.load(path)
    del tree["geodesic_quantize"]["colour"]
    yaml.dump(tree, path)
    assert copy.repro() == set()  # everything is still in the run cache
    assert copy.lock() == before
    assert copy.scores() == scores


def test_a_truncated_weights_file_is_named(copy):
    weights = copy.folder / "data" / "models" / "vae.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-50])
    output = copy("python", "-m", "stages.pack", fails=True)
    assert "error: data/models/vae.safetensors: not a whole weights file" in output
    weights.unlink()
    output = copy("python", "-m", "stages.pack", fails=True)
    assert "error: data/models/vae.safetensors: no such file; `dvc repro`" in output
    assert "Traceback" not in output
    copy("dvc", "checkout", "--force")
    assert copy.repro() == set()


def test_an_interruption_costs_nothing_but_time(copy, warm, tmp_path):
    """Ten of them; `python -m checks.interruptions` is the same for longer."""
    stages = Stages(copy.twin(tmp_path / "stages"), warm, 0, ["train_classifier", "report"])
    commands = Commands(copy.twin(tmp_path / "commands"), warm, 0, ["fit", "encode", "sample"])
    for trials in (stages, commands):
        for _ in range(5):
            trials.trial()
        assert trials.failures == []


def test_a_grid_of_tokens_and_colour_images_without_labels_go_through(tmp_path, warm):
    copy = Copy(tmp_path, warm)
    with np.load(copy.folder / "own.npz") as labelled:
        tinted = labelled["images"][..., None] * np.array([1.0, 0.6, 0.2])
        np.savez(copy.folder / "bare.npz", images=tinted.astype(np.uint8))
    network = {"architecture": "conv", "hidden": [4, 4], "latent_dim": 8}
    grid = {"layout": "grid", "tokens": 4, "first_codes": None}
    copy.change(
        prepare={"file": "bare.npz"},
        train_vae={**network, "likelihood": "logistic"},
        geodesic_quantize=grid,
        refine={"candidates": 2},
        train_vqvae=grid,
        train_ar={"cell": "transformer"},
    )
    for stage in IN_ORDER:
        copy("python", "-m", *f"stages.{stage}".split("@"))
    scores = copy.scores()
    assert scores["geodesic"]["bits_per_image"] == scores["vqvae"]["bits_per_image"] == 12
    assert scores["data"]["pixel_entropy"] == 0
    assert 0 < scores["geodesic"]["bce"] < scores["geodesic"]["bce_unrefined"]
    assert scores["geodesic"]["purity"] is None
    assert scores["geodesic"]["frechet_samples"] is None
    assert np.isfinite(scores["geodesic"]["total"])
    assert "geodesic codes" in copy("python", "-m", "geovq.report", "metrics/evaluate.json")
