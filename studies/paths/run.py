"""Decoded paths between images: along the graph of latents, and straight through latent space.

    python -m studies.paths docs/results/paths --dataset mnist --root ../shared/data

Between the same pairs of test images, of one class and of two, three ways through the latent space
of a VAE: the straight line, the shortest path on the k-NN graph of the training latents, and the
one whose edges are measured on smoothed latents, squared. Each is cut into frames equally far apart
in latent space and decoded. A classifier says how sure it is of every frame; beside that stand the
length of the way in pixels and how far it keeps from the training latents. Networks are those of
`studies.smoothing.run`; they and the paths are kept, so that an interrupted run goes on.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from geovq.batches import in_batches
from geovq.clustering.neighbors import nearest_neighbors
from geovq.clustering.paths import PointGraph, resample
from geovq.files.store import load_npz, save_json, save_npz
from geovq.models.classifier import Classifier
from geovq.models.vae import VAE
from studies.latent_spaces import (
    NEIGHBORS,
    SPACES,
    Study,
    check_kept,
    open_study,
    parser,
    publish,
)
from studies.paths.page import KINDS, METHODS, Results, draw_confidence, draw_strips, page

SPACE = SPACES["vae-20"]
EDGES = {METHODS[1]: (0, 1.0), METHODS[2]: (20, 2.0)}  # smoothing and edge power
FRAMES = 21
SHOWN = {KINDS[0]: 3, KINDS[1]: 1}  # the first pairs drawn of each kind
SHOWN_FRAMES = slice(None, None, 2)

Arrays = dict[str, np.ndarray]


def draw_pairs(labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Rows of `count` pairs of different classes, then of as many of one class; (2·count, 2)."""
    random = np.random.default_rng(seed)
    kinds: list[list[tuple[int, int]]] = [[], []]
    while min(map(len, kinds)) < count:
        a, b = (int(row) for row in random.integers(len(labels), size=2))
        if a != b:
            kinds[int(labels[a] == labels[b])].append((a, b))
    return np.array([pair for pairs in kinds for pair in pairs[:count]])


def score(frames: np.ndarray, train: np.ndarray, vae: VAE, classifier: Classifier) -> Arrays:
    """What paths (M, T, D) look like; the ends count as frames, but not as distances."""
    m, t, d = frames.shape

    def judge(latents: Tensor) -> tuple[Tensor, Tensor]:
        images = vae.decode(latents).sigmoid()
        return images, classifier(images).softmax(1)

    rows = torch.from_numpy(frames.reshape(-1, d).astype(np.float32))
    images, sure = in_batches(judge, rows)
    pixels = images.flatten(1).reshape(m, t, -1)
    confidence, named = sure.max(1)
    named_along = np.sort(named.numpy().reshape(m, t), axis=1)
    inner = frames[:, 1:-1].reshape(-1, d)
    nearest = train[nearest_neighbors(train, inner, 1)[:, 0]]
    return {
        "confidence": confidence.numpy().reshape(m, t),
        "length": pixels.diff(dim=1).norm(dim=2).sum(1).numpy(),
        "distance": np.linalg.norm(inner - nearest, axis=1).reshape(m, -1).mean(1),
        "classes": 1 + (np.diff(named_along, axis=1) > 0).sum(1),
        "images": images.numpy().reshape(m, t, *images.shape[1:]),
    }


def run(study: Study, seed: int, count: int) -> Arrays:
    """All ways between all pairs in the VAE of one seed: (methods, pairs, ...). Computed once."""
    path = study.kept / f"paths_{seed}.npz"
    if path.exists():
        return load_npz(path)
    vae, classifier = study.vae(SPACE, seed), study.classifier()
    latents = study.latents(SPACE, seed)
    train, test = (latents[name].astype(np.float64) for name in ("train", "test"))
    starts, ends = test[draw_pairs(study.labels["test"], count).T]
    ways = {METHODS[0]: list(np.stack([starts, ends], axis=1))}
    for method, (smoothing, power) in EDGES.items():
        graph = PointGraph.of(train, NEIGHBORS, smoothing, power)
        ways[method] = graph.shortest_paths(starts, ends)
    each = [
        score(np.array([resample(way, FRAMES) for way in ways[method]]), train, vae, classifier)
        for method in METHODS
    ]
    found = {key: np.array([one[key] for one in each]) for key in each[0]}
    kinds = np.repeat(KINDS, count)
    shown = np.concatenate([np.flatnonzero(kinds == k)[:number] for k, number in SHOWN.items()])
    found["images"] = found["images"][:, shown][:, :, SHOWN_FRAMES]
    found["vertices"] = np.array([[len(way) for way in ways[method]] for method in METHODS])
    # What to hold the figures against: how sure the classifier is of test images, decoded and not,
    # and how far test latents are from the training latents.
    (sure,) = in_batches(lambda x: classifier(x).softmax(1), study.pixels["test"])
    itself = score(test[:, None].repeat(3, axis=1), train, vae, classifier)
    found["reference"] = np.array(
        [itself["confidence"].mean(), sure.max(1).values.mean(), itself["distance"].mean()]
    )
    save_npz(path, "ways", kinds=kinds, shown=shown, **found)
    return load_npz(path)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--pairs", type=int, default=100, help="of each kind")
    chosen = options.parse_args(arguments)
    study = open_study(chosen)
    pairs = min(chosen.pairs, 10) if chosen.quick else chosen.pairs
    check_kept(study.kept / "paths.json", {"pairs": pairs, "frames": FRAMES})
    found: list[Arrays] = []
    text = ""
    for seed in range(chosen.seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of joined components
            found.append(run(study, seed, pairs))
        results = Results(found)
        text = page(results, chosen.dataset, SPACE.title, EDGES)
        figures = {
            "confidence": draw_confidence(results, chosen.dataset),
            "strips": draw_strips(results, chosen.dataset),
        }
        save_json(chosen.folder / "scores.json", results.scores())
        publish(chosen.folder, text, figures)
        sys.stderr.write(f"seed {seed}: done\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
