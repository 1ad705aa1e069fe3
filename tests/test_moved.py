"""What was imported from the flat library is still found, with a word on where it is now."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from geovq.moved import MOVED

ROOT = Path(__file__).parents[1]
# Module, name, and the module that defines it now.
NAMES = [
    ("codec", "Codec", "codec.codec"),
    ("data", "load_images", "data.sets"),
    ("data", "Images", "data.splits"),
    ("evaluation.distortion", "bce", "models.distortion"),
    ("evaluation.rate", "perplexity", "quantization.rate"),
    ("images", "load_folder", "data.folders"),
    ("models", "VAE", "models.vae"),
    ("params", "load_params", "params.reading"),
    ("quantizer", "balanced_chunks", "quantization.layout"),
    ("recipes", "train_classifier", "training.classifier"),
    ("training", "as_pixels", "batches"),
    ("training", "fit", "training.loop"),
]


@pytest.mark.parametrize(("old", "name", "new"), NAMES)
def test_a_name_is_found_where_it_was(old, name, new):
    module = import_module(f"geovq.{old}")
    with pytest.warns(DeprecationWarning, match=rf"geovq\.{old}\.{name} is now geovq\."):
        found = getattr(module, name)
    assert found.__module__ == f"geovq.{new}"


def test_every_module_has_a_home_and_no_other_name():
    for old, homes in MOVED.items():
        module = import_module(f"geovq.{old}")
        assert all(import_module(f"geovq.{home}").__doc__ for home in homes)
        with pytest.raises(AttributeError, match=f"module 'geovq.{old}' has no attribute 'absent'"):
            _ = module.absent
    with pytest.raises(ModuleNotFoundError, match=r"geovq\.absent"):
        import_module("geovq.absent")


def test_what_has_not_moved_says_nothing():
    code = "import geovq.data.sets, geovq.models.vae, geovq.report.page.render, geovq.cli.commands"
    command = [sys.executable, "-W", "error::DeprecationWarning:geovq", "-c", code]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
