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
from matplotlib.figure import Figure
from torch import Tensor, nn

from geovq.batches import as_pixels, best_device, in_batches
from geovq.data.splits import Images
from geovq.errors import InputError
from geovq.files.store import load_module, save_figure, save_json, save_module
from geovq.models.classifier import Classifier
from geovq.models.vae import VAE
from geovq.params.reading import load_params
from geovq.params.sections import Params
from geovq.training.classifier import train_classifier
from geovq.training.vae import train_vae
from studies import common as studies
from studies.scores import settings

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
            splits = self.pixels["train"], self.pixels["validation"]
            weight = {"kl_target": None, "kl_weight": space.kl_weight}
            change = {"latent_dim": space.dim, **weight}
            return train_vae(*splits, self.params.train_vae.model_copy(update=change), seed)[0]

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
            train, validation = (
                (self.pixels[name], torch.from_numpy(self.labels[name]))
                for name in ("train", "validation")
            )
            params = self.params.train_classifier
            return train_classifier(train, validation, params, self.params.seed)

        return _once(self.kept / "classifier.safetensors", Classifier, train)


def _once(path: Path, cls: type[Network], train: Callable[[], Network]) -> Network:
    if not path.exists():
        save_module(path, train())
    return load_module(path, cls).to(best_device())


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that both studies have."""
    options = studies.parser(doc, seeds=3)
    options.add_argument("--steps", type=int, default=STEPS, help="optimiser steps of each VAE")
    options.add_argument(
        "--models", type=Path, default=Path("data/smoothing"), help="kept networks"
    )
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
    network = params.train_vae.model_copy(update=change)
    params = params.model_copy(update={"train_vae": network})
    if options.quick:
        params = studies.quick(params)
    kept = options.models / (options.dataset + "-quick" * options.quick)
    sections = ("prepare", "train_vae", "train_classifier")
    decides = {"dataset": options.dataset, **settings(params, *sections)}
    check_kept(kept / "networks.json", decides)
    images = studies.images_of(options, params)
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
    studies.write_page(folder, page)
