"""What the studies of smoothing and of paths share: latent spaces, kept networks, and their page.

A latent space is the posterior means of a VAE with some dimension and weight of the KL term (weight
0: a plain autoencoder), or the leading principal components of the pixels. Networks are trained
once and kept, under the same names for both studies.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from benchmarks.scores import settings
from geovq.data import Images, load_images
from geovq.errors import InputError
from geovq.models import VAE, Classifier
from geovq.params import Params, load_params
from geovq.store import load_module, replacing, save_figure, save_json, save_module
from geovq.training import as_pixels, best_device, fit, in_batches

NEIGHBORS = 10  # k of every graph, and of the vote
STEPS = 4_000  # of each VAE: half of params.yaml, for there are many

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Space:
    """A latent space: D, and the weight of the KL term (None: principal components)."""

    title: str
    dim: int
    kl_weight: float | None


SPACES = {
    "vae-10": Space("VAE, D = 10", 10, 1.0),
    "vae-20": Space("VAE, D = 20", 20, 1.0),
    "vae-32": Space("VAE, D = 32", 32, 1.0),
    "kl-0.1": Space("KL weight 0.1, D = 20", 20, 0.1),
    "kl-0.01": Space("KL weight 0.01, D = 20", 20, 0.01),
    "ae-20": Space("autoencoder, D = 20", 20, 0.0),
    "pca-20": Space("PCA of pixels, D = 20", 20, None),
}


@dataclass(frozen=True)
class Study:
    """A data set, the parameters of the networks, and the folder that keeps them."""

    images: Images
    params: Params
    kept: Path
    settings: dict[str, Any]

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Of every split; they describe what is found, and choose nothing."""
        return {name: split.labels for name, split in vars(self.images).items()}

    @property
    def pixels(self) -> dict[str, Tensor]:
        return {name: as_pixels(split.images) for name, split in vars(self.images).items()}

    def vae(self, space: Space, seed: int) -> VAE:
        """The VAE of a space; trained once."""
        path = self.kept / f"vae_{space.dim}_{space.kl_weight:g}_{seed}.safetensors"

        def train() -> VAE:
            train, validation = self.pixels["train"], self.pixels["validation"]
            torch.manual_seed(seed)
            vae = VAE(train.shape[1:], space.dim, self.params.train_vae.hidden)

            def loss(batch: Tensor, generator: torch.Generator) -> Tensor:
                bce, kl = vae(batch, generator)
                return bce + space.kl_weight * kl

            budget = self.params.train_vae
            fit(vae, loss, [train], [validation], budget, seed=seed, title=space.title)
            return vae

        return _once(path, VAE, train)

    def latents(self, space: Space, seed: int) -> dict[str, np.ndarray]:
        """Coordinates (N, D) of every split."""
        if space.kl_weight is not None:
            vae = self.vae(space, seed)
            return {n: in_batches(vae.encode, x)[0].numpy() for n, x in self.pixels.items()}
        from sklearn.decomposition import PCA

        rows = {name: x.flatten(1).numpy() for name, x in self.pixels.items()}
        pca = PCA(space.dim, random_state=seed).fit(rows["train"])
        return {name: pca.transform(x).astype(np.float32) for name, x in rows.items()}

    def classifier(self) -> Classifier:
        """The CNN of the stage `train_classifier`; trained once."""

        def train() -> Classifier:
            classes = int(self.labels["train"].max()) + 1
            torch.manual_seed(self.params.seed)
            classifier = Classifier(self.images.train.images.shape[1:], classes)

            def loss(batch: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
                return F.cross_entropy(classifier(batch), targets, reduction="none")

            train, validation = (
                [self.pixels[name], torch.from_numpy(self.labels[name])]
                for name in ("train", "validation")
            )
            budget, seed = self.params.train_classifier, self.params.seed
            fit(classifier, loss, train, validation, budget, seed=seed, title="classifier")
            return classifier

        return _once(self.kept / "classifier.safetensors", Classifier, train)


def _once(path: Path, cls: type[Network], train: Callable[[], Network]) -> Network:
    if not path.exists():
        save_module(path, train())
    return load_module(path, cls).to(best_device())


def parser(about: str | None) -> argparse.ArgumentParser:
    """The options that both studies have."""
    options = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    options.add_argument("folder", type=Path, help="where page and pictures go")
    options.add_argument("--dataset", default="digits")
    options.add_argument("--root", type=Path, default=Path("data/raw"))
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--steps", type=int, default=STEPS, help="optimiser steps of each VAE")
    options.add_argument("--quick", action="store_true", help="a few steps each, to see it run")
    options.add_argument("--models", type=Path, help="what is kept; data/smoothing/DATASET")
    return options


def open_study(options: argparse.Namespace) -> Study:
    """Load the images; refuse what was kept of other parameters.

    Raises
    ------
    InputError
        No labels, or the folder of kept networks holds those of other parameters.
    """
    params = load_params("params.yaml")
    change = {"max_steps": options.steps, "architecture": "mlp"}
    few = {"max_steps": 20, "evaluate_every": 10} if options.quick else {}
    params = params.model_copy(
        update={
            "train_vae": params.train_vae.model_copy(update=change | few),
            "train_classifier": params.train_classifier.model_copy(update=few),
        }
    )
    fractions = {
        name: getattr(params.prepare, name) for name in ("validation_fraction", "test_fraction")
    }
    split = {"dataset": options.dataset, "seed": params.seed, **fractions}
    default = Path("data/smoothing") / (options.dataset + "-quick" * options.quick)
    kept = options.models or default
    decides = split | settings(params, "train_vae", "train_classifier")
    check_kept(kept / "networks.json", decides)
    images = load_images(root=options.root, **split)
    if images.train.labels is None:
        raise InputError(f"dataset = {options.dataset!r}: no labels to describe what is found")
    return Study(images, params, kept, decides)


def check_kept(path: Path, settings: dict[str, Any]) -> None:
    """Refuse to mix what is new with what was kept of other settings."""
    if not path.exists():
        save_json(path, settings)
    elif json.loads(path.read_text()) != settings:
        raise InputError(f"{path}: kept results are of other settings; delete them, or --models")


def publish(folder: Path, page: str, figures: Mapping[str, Figure]) -> None:
    """Write page.md and one PNG a figure."""
    for name, figure in figures.items():
        save_figure(folder / f"{name}.png", figure)
    with replacing(folder / "page.md") as partial:
        partial.write_text(page + "\n")
