"""The pipeline itself, in temporary copies of the checkout, on a few small images."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[1]
IN_ORDER = [
    "prepare",
    "train_vae",
    "geodesic_quantize",
    "refine@geodesic",
    "refine@euclidean",
    "train_vqvae",
    "train_classifier",
    "train_ar@geodesic",
    "train_ar@euclidean",
    "train_ar@vqvae",
    "evaluate",
    "report",
]
EVERY_STAGE = set(IN_ORDER)
PRIORS = {stage for stage in EVERY_STAGE if stage.startswith("train_ar")}
# What a stage imports takes longer than its work on a few images: one process for all of them.
ONE_PROCESS = """
import runpy, sys
for stage in sys.argv[1:]:
    name, *arguments = stage.split("@")
    sys.argv = [name, *arguments]
    runpy.run_module(f"stages.{name}", run_name="__main__")
"""


class Copy:
    """A checkout of its own, with its own cache and small parameters."""

    def __init__(self, folder):
        self.folder = folder
        tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
        for name in filter(None, tracked.split("\0")):
            if (ROOT / name).is_file() and not name.startswith(("docs/", "plots/")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        digits = load_digits()
        np.savez(
            folder / "own.npz",
            images=(digits.images[:400] * 15.9).astype(np.uint8),
            labels=digits.target[:400],
        )
        small = {"max_steps": 20, "evaluate_every": 10}
        budget = {"learning_rate": 0.01, "schedule": "cosine", "batch_size": 64}
        budget |= {"patience": 20, "tolerance": 0.001}
        self.change(
            prepare={"dataset": "npz", "file": "own.npz"},
            train_vae={"latent_dim": 6, "hidden": [16], **small},
            geodesic_quantize={"codes": 8, "tokens": 2},
            refine={"codes": {**budget, **small}, "decoder": {**budget, **small}},
            train_vqvae={"codes": 8, "tokens": 2, "warmup_steps": 5, **small},
            train_classifier=small,
            train_ar={"cell": "mlp", "embed_dim": 4, "hidden_dim": 8, **small},
        )
        self("git", "init", "-q")
        self("git", "add", "-A")
        self("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start")

    def __call__(self, *command, fails=False):
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def change(self, **sections):
        yaml, path = YAML(), self.folder / "params.yaml"
        tree = yaml.load(path)
        for section, values in sections.items():
            tree[section].update(values)
        yaml.dump(tree, path)

    def repro(self, *arguments, **options):
        """Run what changed; the names of the stages that ran."""
        output = self("dvc", "repro", *arguments, **options)
        return set(re.findall(r"Running stage '([^']+)'", output))

    def without_dvc(self):
        """Run every stage in one process."""
        self(sys.executable, "-c", ONE_PROCESS, *IN_ORDER)

    def outs(self):
        """Bytes of all that stages write."""
        paths = [
            path
            for name in ("data", "metrics", "plots")
            for path in self.folder.glob(f"{name}/**/*")
        ]
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in paths
            if path.is_file() and path.name != ".gitignore"
        }

    def lock(self):
        return (self.folder / "dvc.lock").read_text()

    def scores(self):
        return json.loads((self.folder / "metrics" / "evaluate.json").read_text())


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy in which every stage has run once."""
    made = Copy(tmp_path_factory.mktemp("first"))
    assert made.repro() == EVERY_STAGE
    return made


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
        total = page.get_by_role("row", name="geodesic codes").first.inner_text().split("\t")[5]
        assert total == f"{copy.scores()['geodesic']['total']:.1f}"
        assert page.locator("#tiles button").count() == 8
        assert page.locator("#steps figure").count() == 3 * (1 + 2)
        assert page.locator("#paths figure").count() == 6
        assert page.troubles == []


def test_dvcs_plots_are_drawn_without_a_network(copy, open_page):
    copy("python", "-m", "stages.plots")
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


def test_a_second_run_runs_nothing(copy):
    assert copy.repro() == set()
    assert "up to date" in copy("dvc", "status")


def test_the_same_run_elsewhere_has_the_same_bytes(copy, tmp_path):
    again = Copy(tmp_path)
    again.without_dvc()
    found, expected = again.outs(), copy.outs()
    assert set(found) == set(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def test_only_what_a_change_invalidates_runs_again(copy):
    before = copy.lock()
    copy.change(train_ar={"hidden_dim": 9})
    assert copy.repro() == PRIORS | {"evaluate", "report"}
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
    assert "error: codes = 1000; allowed: 2 to the number of latents" in output
    assert "Traceback" not in output
    copy.change(geodesic_quantize={"codes": 8, "neighbors": 288})
    output = copy("dvc", "repro", fails=True)
    assert "error: neighbors = 288; allowed: 1 to" in output
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
    output = copy("python", "-m", "stages.evaluate", fails=True)
    assert "error: data/models/vae.safetensors: not a whole weights file" in output
    weights.unlink()
    output = copy("python", "-m", "stages.evaluate", fails=True)
    assert "error: data/models/vae.safetensors: no such weights file; `dvc repro`" in output
    assert "Traceback" not in output
    copy("dvc", "checkout", "--force")
    assert copy.repro() == set()


def test_a_grid_of_tokens_and_colour_images_without_labels_go_through(tmp_path):
    copy = Copy(tmp_path)
    with np.load(copy.folder / "own.npz") as labelled:
        tinted = labelled["images"][..., None] * np.array([1.0, 0.6, 0.2])
        np.savez(copy.folder / "bare.npz", images=tinted.astype(np.uint8))
    network = {"architecture": "conv", "hidden": [4, 4], "latent_dim": 8}
    grid = {"layout": "grid", "tokens": 4}
    copy.change(
        prepare={"file": "bare.npz"},
        train_vae={**network, "likelihood": "logistic"},
        geodesic_quantize=grid,
        refine={"candidates": 2},
        train_vqvae=grid,
        train_ar={"cell": "transformer"},
    )
    copy.without_dvc()
    scores = copy.scores()
    assert scores["geodesic"]["bits_per_image"] == scores["vqvae"]["bits_per_image"] == 12
    assert scores["data"]["pixel_entropy"] == 0
    assert 0 < scores["geodesic"]["bce"] < scores["geodesic"]["bce_unrefined"]
    assert scores["geodesic"]["purity"] is None
    assert scores["geodesic"]["frechet_samples"] is None
    assert np.isfinite(scores["geodesic"]["total"])
    assert "geodesic codes" in copy("python", "-m", "geovq.report", "metrics/evaluate.json")
