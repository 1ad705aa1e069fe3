"""How much of an image's class a few bits carry: geodesic codes and rivals, over several VAEs.

    python -m benchmarks.semantics docs/results/semantics --dataset mnist --root ../shared/data

No method sees a label. Every one clusters the posterior means of the same VAEs, one VAE a seed,
and encodes unseen images by the same rule: the vote of the 10 nearest training latents. Edge power
and smoothing are chosen at 16 codes by stability: the adjusted Rand index between the codes that
different VAEs give to the same validation images. Test labels are for the tables alone. A VQ-VAE
of one token stands beside, trained for as many steps. Networks are those of params.yaml.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import sparse
from scipy.sparse.linalg import eigsh
from sklearn.metrics import adjusted_rand_score
from tabulate import tabulate

from geovq import GeodesicKMeans
from geovq.data import Images, load_images
from geovq.evaluation.semantics import nmi, purity
from geovq.figures import COLORS
from geovq.graph import Geometry, smooth
from geovq.levels import VoteCells, k_means
from geovq.params import Params, load_params
from geovq.recipes import train_vae, train_vqvae
from geovq.store import load_npz, replacing, save_figure, save_json, save_npz
from geovq.training import as_pixels, in_batches

CODES = (10, 16, 32, 64, 128)
CHOSEN_AT = 16
POWERS, SMOOTHINGS = (1, 2, 3), (0, 3, 8, 20, 30)
VQVAE_CODES = (16, 64)
NEIGHBORS = 10
SPLITS = ("validation", "test")

Arrays = dict[str, np.ndarray]


def posteriors(images: Images, params: Params, seed: int, folder: Path) -> Arrays:
    """Posterior means of a VAE; trained once."""
    path = folder / f"vae_{seed}.npz"
    if not path.exists():
        pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
        vae, _ = train_vae(pixels["train"], pixels["validation"], params.train_vae, seed)
        save_npz(path, **{n: in_batches(vae.encode, x)[0].numpy() for n, x in pixels.items()})
    return load_npz(path)


def end_to_end(images: Images, params: Params, codes: int, seed: int, folder: Path) -> Arrays:
    """Tokens of a VQ-VAE of one token; trained once."""
    path = folder / f"vqvae_{codes}_{seed}.npz"
    if not path.exists():
        pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
        change = {"codes": codes, "tokens": 1, "first_codes": None}
        change["max_steps"] = params.train_vae.max_steps
        budget = params.train_vqvae.model_copy(update=change)
        splits = pixels["train"], pixels["validation"]
        vqvae, _ = train_vqvae(*splits, budget, params.train_vae, seed)
        tokens = {n: in_batches(vqvae.encode, x)[0].numpy()[:, 0] for n, x in pixels.items()}
        save_npz(path, **tokens)
    return load_npz(path)


def geodesic(power: float, smoothing: int, neighbors: int = NEIGHBORS) -> Callable[..., np.ndarray]:
    def cluster(points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        options: dict[str, Any] = {"n_neighbors": neighbors, "random_state": seed, "n_jobs": -1}
        options |= {"edge_power": power, "smoothing": smoothing}
        return GeodesicKMeans(codes, **options).fit(points).labels_

    return cluster


def euclidean(points: np.ndarray, codes: int, seed: int) -> np.ndarray:
    return k_means(points, codes, seed)[0]


def smoothed(steps: int) -> Callable[..., np.ndarray]:
    def cluster(points: np.ndarray, codes: int, seed: int) -> np.ndarray:
        return k_means(smooth(Geometry(points, NEIGHBORS, points), steps).edge_points, codes, seed)[
            0
        ]

    return cluster


def spectral(points: np.ndarray, codes: int, seed: int, vectors: int = 24) -> np.ndarray:
    """K-means on the rows of the leading eigenvectors of D^-½ A D^-½, scaled to length 1.

    Ng, Jordan & Weiss 2001; A joins the same neighbours as ours.
    """
    geometry, n = Geometry(points, NEIGHBORS, points), len(points)
    starts = np.arange(n + 1) * NEIGHBORS
    directed = sparse.csr_matrix((np.ones(n * NEIGHBORS), geometry.indices.ravel(), starts), (n, n))
    joined = directed.maximum(directed.T)
    scale = sparse.diags(1 / np.sqrt(np.asarray(joined.sum(1)).ravel()))
    start = np.random.default_rng(seed).random(n)
    rows = eigsh(scale @ joined @ scale, k=min(vectors, n - 1), which="LA", v0=start, tol=1e-4)[1]
    return k_means(rows / np.linalg.norm(rows, axis=1, keepdims=True), codes, seed)[0]


def encode(latents: Arrays, labels: np.ndarray) -> Arrays:
    """The vote of the 10 nearest training latents, for the other splits."""
    unused = np.zeros((labels.max() + 1, 1))
    level = VoteCells(unused, latents["train"], labels, NEIGHBORS)
    return {"train": labels} | {name: level.encode(latents[name]) for name in SPLITS}


def scores(codes: Arrays, images: Images, seed: int) -> dict[str, float]:
    """Figures on the test images; `labelled_m`: accuracy when m images of each code have labels."""
    labels, test = images.train.labels, images.test.labels
    assert labels is not None
    assert test is not None
    found = {"purity": purity(codes["test"], test), "nmi": nmi(codes["test"], test)}
    random, k = np.random.default_rng(seed), codes["train"].max() + 1
    for m in (1, 4, 10, None):
        names = np.full(k, -1)
        for code in range(k):
            members = random.permutation(np.flatnonzero(codes["train"] == code))[:m]
            names[code] = np.bincount(labels[members]).argmax() if len(members) else -1
        key = "probe" if m is None else f"labelled_{m}"  # the probe knows every training label
        found[key] = float((names[codes["test"]] == test).mean())
    return found


def stability(codes: list[Arrays]) -> float:
    """Mean adjusted Rand index between seeds, on the validation images."""
    pairs = itertools.combinations(codes, 2)
    return float(np.mean([adjusted_rand_score(a["validation"], b["validation"]) for a, b in pairs]))


class Study:
    """Runs a clustering on every VAE and keeps what came of it."""

    def __init__(self, images: Images, latents: list[Arrays]) -> None:
        self.images, self.latents, self.rows = images, latents, list[dict[str, Any]]()

    def add(self, name: str, codes: int, runs: Iterator[tuple[Arrays, float]], **more: Any) -> None:
        found, seconds = zip(*runs, strict=True)
        each = [scores(codes_of, self.images, seed) for seed, codes_of in enumerate(found)]
        row: dict[str, Any] = {"method": name, "codes": codes, **more}
        for key in each[0]:
            values = [one[key] for one in each]
            row[key], row[f"{key}_sd"] = float(np.mean(values)), float(np.std(values, ddof=1))
        row["stability"] = stability(list(found))
        self.rows.append(row)
        spread = f"{row['purity']:.3f} ± {row['purity_sd']:.3f}"
        options = " ".join(f"{key} {value}" for key, value in more.items())
        took = np.median(seconds)
        sys.stderr.write(
            f"{name} {options}, {codes} codes: purity {spread}, stability {row['stability']:.3f}, "
            f"{took:.1f} s\n"
        )

    def cluster(
        self, name: str, method: Callable[..., np.ndarray], codes: int, **more: Any
    ) -> None:
        def runs() -> Iterator[tuple[Arrays, float]]:
            for seed, latents in enumerate(self.latents):
                start = time.perf_counter()
                labels = method(latents["train"], codes, seed)
                seconds = time.perf_counter() - start
                yield encode(latents, labels), seconds

        self.add(name, codes, runs(), **more)


def pick(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The geodesic setting whose codes different VAEs agree on most."""
    return max((row for row in rows if row["method"] == "swept"), key=lambda row: row["stability"])


def draw_curve(rows: list[dict[str, Any]], dataset: str) -> Figure:
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    methods = dict.fromkeys(row["method"] for row in rows if row["method"] != "swept")
    for color, method in zip(COLORS, methods, strict=False):
        mine = [row for row in rows if row["method"] == method]
        bits = np.log2([row["codes"] for row in mine])
        values, spread = ([row[key] for row in mine] for key in ("purity", "purity_sd"))
        axes.errorbar(bits, values, spread, color=color, label=method, marker="o", ms=4, capsize=2)
    axes.set_xlabel("rate (bits per image)")
    axes.set_ylabel("label purity of the code, test images")
    axes.set_title(f"{dataset}: what one token tells about the class", loc="left", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def draw_choice(rows: list[dict[str, Any]], chosen: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for color, power in zip(COLORS, POWERS, strict=False):
        mine = [row for row in rows if row["method"] == "swept" and row["edge_power"] == power]
        x, y = ([row[key] for row in mine] for key in ("stability", "purity"))
        axes.plot(x, y, "o-", color=color, ms=4, lw=0.7, label=f"edge power {power}")
        for row in mine:
            place = (row["stability"], row["purity"])
            axes.annotate(f" {row['smoothing']}", place, fontsize=7, color=color)
    axes.plot(chosen["stability"], chosen["purity"], "ko", ms=11, mfc="none", label="chosen")
    axes.set_xlabel("stability between VAEs (adjusted Rand index, validation, no labels)")
    axes.set_ylabel("purity, test images")
    axes.set_title(f"{CHOSEN_AT} codes; numbers are smoothing steps", loc="left", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def page(rows: list[dict[str, Any]], chosen: dict[str, Any], seeds: int, dataset: str) -> str:
    """What results.md shows."""
    compared = [row for row in rows if row["method"] != "swept"]
    columns = ["purity", "nmi", "labelled_1", "labelled_4", "labelled_10", "probe"]

    def line(row: dict[str, Any]) -> list[Any]:
        cells = [f"{row[key]:.3f} ± {row[f'{key}_sd']:.3f}" for key in columns]
        return [row["method"], row["codes"], *cells, f"{row['stability']:.2f}"]

    best = max((row for row in rows if row["method"] == "swept"), key=lambda row: row["purity"])
    name = compared[0]["method"]
    wanted = next(r for r in compared if r["method"] == name and r["codes"] == CHOSEN_AT)["purity"]
    enough = [r["codes"] for r in compared if r["method"] == "k-means" and r["purity"] >= wanted]
    needs = (
        f"{np.log2(min(enough)):.0f} bits" if enough else f"more than {np.log2(CODES[-1]):.0f} bits"
    )
    about = (
        f"{dataset}, {seeds} VAEs, mean ± standard deviation. No method sees a label; all encode "
        "unseen images by the vote of the 10 nearest training latents. `labelled m`: accuracy when "
        "m images of each code have labels; `probe`: when all have. `stability`: adjusted Rand "
        "index between VAEs, validation images."
    )
    choice = (
        f"Chosen at {CHOSEN_AT} codes, by stability ({chosen['stability']:.3f}): edge power "
        f"{chosen['edge_power']}, smoothing {chosen['smoothing']}; purity {chosen['purity']:.3f} ± "
        f"{chosen['purity_sd']:.3f}. The purest of all {len(POWERS) * len(SMOOTHINGS)} settings "
        f"(edge power {best['edge_power']}, smoothing {best['smoothing']}) has "
        f"{best['purity']:.3f} ± {best['purity_sd']:.3f}."
    )
    saved = f"For the purity of {name} at {np.log2(CHOSEN_AT):.0f} bits, k-means needs {needs}."
    headers = ["", "codes", *(key.replace("_", " ") for key in columns), "stability"]
    table = tabulate([line(row) for row in compared], headers, tablefmt="github")
    return "\n\n".join([about, choice, saved, table])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where table and pictures go")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--root", type=Path, default=Path("data/raw"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--vqvae-seeds", type=int, default=3)
    parser.add_argument("--models", type=Path, help="kept networks; data/semantics/DATASET")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of joined components
    params, models = load_params("params.yaml"), options.models
    models = models or Path("data/semantics") / options.dataset
    p = params.prepare
    fractions = p.validation_fraction, p.test_fraction
    images = load_images(
        options.dataset,
        root=options.root,
        validation_fraction=fractions[0],
        test_fraction=fractions[1],
        seed=params.seed,
    )
    study = Study(images, [posteriors(images, params, s, models) for s in range(options.seeds)])
    for power, smoothing in itertools.product(POWERS, SMOOTHINGS):
        setting = {"edge_power": power, "smoothing": smoothing}
        study.cluster("swept", geodesic(power, smoothing), CHOSEN_AT, **setting)
    chosen = pick(study.rows)
    power, steps = chosen["edge_power"], chosen["smoothing"]
    methods: dict[str, Callable[..., np.ndarray]] = {
        f"geodesic, edge power {power}, smoothing {steps}": geodesic(power, steps),
        "geodesic, plain": geodesic(1, 0),
        "k-means": euclidean,
        f"k-means on smoothed latents ({steps or 20})": smoothed(steps or 20),
        "spectral, 24 vectors": spectral,
    }
    for (name, method), codes in itertools.product(methods.items(), CODES):
        study.cluster(name, method, codes)
    publish(options.folder, study.rows, chosen, options)  # the slow rival comes last
    for codes in VQVAE_CODES:
        runs = (
            (end_to_end(images, params, codes, seed, models), 0.0)
            for seed in range(options.vqvae_seeds)
        )
        study.add("VQ-VAE", codes, runs)
    sys.stdout.write(publish(options.folder, study.rows, chosen, options) + "\n")


def publish(
    folder: Path, rows: list[dict[str, Any]], chosen: dict[str, Any], options: argparse.Namespace
) -> str:
    save_json(folder / "scores.json", {"seeds": options.seeds, "rows": rows})
    save_figure(folder / "purity.png", draw_curve(rows, options.dataset))
    save_figure(folder / "choice.png", draw_choice(rows, chosen))
    text = page(rows, chosen, options.seeds, options.dataset)
    with replacing(folder / "page.md") as partial:
        partial.write_text(text + "\n")
    return text


if __name__ == "__main__":
    main()
