"""What the study of semantic codes clusters: one run a seed, and how a run encodes the rest.

======= ============================ ====================================================
latents points                       seeds differ by
======= ============================ ====================================================
vae     posterior means              the VAE, and the clustering
grid    posterior means of a         the same
        convolutional VAE, all cells
pca     leading principal components the clustering, and which 90% of the training images
                                     it sees
pixels  the images themselves        the same
======= ============================ ====================================================
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from geovq.batches import as_pixels, in_batches
from geovq.clustering.neighbors import nearest_neighbors
from geovq.data.splits import Images
from geovq.files.store import load_npz, save_npz
from geovq.params.sections import Params
from geovq.quantization.levels import majority
from geovq.training.vae import train_vae
from geovq.training.vqvae import train_vqvae
from studies.common import best_of, schedules
from studies.semantics.clusterings import NEIGHBORS

KINDS = ("vae", "grid", "pca", "pixels")
DIMENSIONS = 20  # of the principal components: as many as the VAE has
SEEN = 0.9  # of the training images, where seeds have no VAE to differ by
SPLITS = ("train", "validation", "test")

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Run:
    """The latents of one seed.

    Attributes
    ----------
    latents : dict of ndarray of shape (N, D)
        Of the splits; of the training split, those the run sees.
    rows : ndarray of shape (N,)
        Which training images it sees.
    variances : ndarray of shape (N, D), optional
        Of the posteriors of the training split, where there are any.
    """

    latents: Arrays
    rows: np.ndarray
    variances: np.ndarray | None = None

    @property
    def scale(self) -> np.ndarray:
        """One over the average posterior σ of each dimension; ones where there is none; (D,)."""
        if self.variances is None:
            return np.ones(self.latents["train"].shape[1])
        return 1 / np.sqrt(self.variances).mean(0)

    @property
    def posteriors(self) -> np.ndarray:
        """Means and precisions of the training split, side by side; (N, 2 D)."""
        assert self.variances is not None
        return np.hstack([self.latents["train"], 1 / self.variances])

    @cached_property
    def voters(self) -> Arrays:
        """Of each unseen split, the nearest training latents; (N, 10), searched once."""
        train = self.latents["train"]
        return {n: nearest_neighbors(train, self.latents[n], NEIGHBORS) for n in SPLITS[1:]}

    def encode(self, labels: np.ndarray) -> Arrays:
        """Labels of the training latents → codes of all splits, by the rule of `VoteCells`."""
        codes = int(labels.max()) + 1
        unseen = {name: majority(labels[rows], codes) for name, rows in self.voters.items()}
        return {"train": labels} | unseen


def make_runs(kind: str, images: Images, params: Params, seeds: int, folder: Path) -> list[Run]:
    """One run a seed; VAEs are trained once and their latents kept in `folder`."""
    if kind in ("vae", "grid"):
        return [posteriors(images, params, seed, folder) for seed in range(seeds)]
    flat = {
        name: part.images.reshape(len(part), -1) / np.float32(255)
        for name, part in vars(images).items()
    }
    return [sampled(flat, seed, None if kind == "pixels" else DIMENSIONS) for seed in range(seeds)]


def posteriors(images: Images, params: Params, seed: int, folder: Path) -> Run:
    """Posterior means of the VAE of a seed."""
    path = folder / f"posteriors_{seed}.npz"
    if not path.exists():
        pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
        vae, _ = train_vae(pixels["train"], pixels["validation"], params.train_vae, seed)
        found = {name: in_batches(vae.encode, x) for name, x in pixels.items()}
        means = {name: mean.numpy() for name, (mean, _) in found.items()}
        save_npz(path, "latents", **means, variances=found["train"][1].exp().numpy())
    arrays = load_npz(path)
    variances = arrays.pop("variances")
    return Run(arrays, np.arange(len(variances)), variances)


def sampled(points: Arrays, seed: int, dimensions: int | None) -> Run:
    """A random share of the training points, and its principal components if asked for."""
    n = len(points["train"])
    rows = np.sort(np.random.default_rng(seed).permutation(n)[: round(SEEN * n)])
    found = points | {"train": points["train"][rows]}
    if dimensions is not None:
        from sklearn.decomposition import PCA

        pca = PCA(dimensions, random_state=seed).fit(found["train"])
        found = {name: pca.transform(part) for name, part in found.items()}
    return Run(found, rows)


def ensembles(runs: list[Run], size: int) -> list[Run]:
    """Run s: the latents of runs s, s + 1, …, side by side; as many runs as before.

    Each is in units of its posteriors' σ, so that dimensions that a VAE leaves unused, which are
    as wide as the others after whitening, add next to nothing.
    """
    made = []
    for s, first in enumerate(runs):
        members = [runs[(s + i) % len(runs)] for i in range(min(size, len(runs)))]
        joined = {
            name: np.hstack([(m.latents[name] * m.scale).astype(np.float32) for m in members])
            for name in SPLITS
        }
        made.append(Run(joined, first.rows))
    return made


def end_to_end(images: Images, params: Params, codes: int, seed: int, folder: Path) -> Arrays:
    """Codes of a VQ-VAE of one token, of at most as many steps as the VAE; trained once.

    Of both ways to update the codebook and of some schedules, the one with the lowest bce on the
    validation images.
    """
    path = folder / f"vqvae_{codes}_{seed}.npz"
    if not path.exists():
        pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
        change = {"codes": codes, "tokens": 1, "first_codes": None}
        change["max_steps"] = params.train_vae.max_steps
        tried = [
            settings
            for update in ("gradient", "ema")
            for settings in schedules(
                params.train_vqvae.model_copy(update=change | {"codebook_update": update})
            )
        ]
        splits = pixels["train"], pixels["validation"]
        vqvae, _ = best_of(lambda one: train_vqvae(*splits, one, params.train_vae, seed), tried)
        tokens = {n: in_batches(vqvae.encode, x)[0].numpy()[:, 0] for n, x in pixels.items()}
        save_npz(path, "codes", **tokens)
    return load_npz(path)


def kept_in(folder: Path, decides: dict[str, object]) -> Path:
    """A folder of its own for everything that decides what a network becomes."""
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    return folder / digest[:12]
