"""Clusters that are not convex: GeodesicKMeans beside KMeans and spectral clustering.

    python -m benchmarks.shapes docs/pictures/shapes.png

Above each picture: the adjusted Rand index with the true clusters, and the time.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from scipy import ndimage
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.datasets import load_digits, make_circles, make_moons
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from tabulate import tabulate

from geovq import GeodesicKMeans
from geovq.files.store import save_figure
from geovq.report.figures import COLORS


class Shape(NamedTuple):
    points: np.ndarray  # (N, F)
    labels: np.ndarray  # (N,)
    options: dict[str, Any]  # of GeodesicKMeans


def swiss_roll(seed: int = 0) -> Shape:
    t = np.linspace(1.5 * np.pi, 4.5 * np.pi, 10_000)
    return _strip(t * np.cos(t), t * np.sin(t), 6.0, 0.3, seed)


def s_curve(seed: int = 0) -> Shape:
    t = np.linspace(-1.5 * np.pi, 1.5 * np.pi, 10_000)
    return _strip(np.sin(t), 0.4 * np.sign(t) * (np.cos(t) - 1), 0.4, 0.04, seed)


def two_moons(seed: int = 0) -> Shape:
    points, labels = make_moons(2000, noise=0.07, random_state=seed)
    return Shape(points, labels, {"edge_power": 3})


def nested_circles(seed: int = 0) -> Shape:
    points, labels = make_circles(2000, factor=0.5, noise=0.05, random_state=seed)
    return Shape(points, labels, {"edge_power": 3})


def rotated_digits(seed: int = 0) -> Shape:
    """Four digits, each turned all the way round: closed loops in the space of pixels."""
    digits = load_digits()
    images = [digits.images[np.flatnonzero(digits.target == c)[0]] / 16 for c in (1, 3, 4, 7)]
    large = [ndimage.zoom(np.pad(image, 2), 2, order=1) for image in images]
    angles = np.linspace(0, 360, 250, endpoint=False)
    turned = [ndimage.rotate(i, a, reshape=False, order=1).ravel() for i in large for a in angles]
    noise = np.random.default_rng(seed).normal(0, 0.02, np.shape(turned))
    return Shape(turned + noise, np.repeat(np.arange(4), 250), {"edge_power": 3})


SHAPES: dict[str, Callable[[int], Shape]] = {
    "Swiss roll": swiss_roll,
    "noisy S-curve": s_curve,
    "two moons": two_moons,
    "nested circles": nested_circles,
    "rotated digits": rotated_digits,
}


def _strip(x: np.ndarray, z: np.ndarray, width: float, noise: float, seed: int) -> Shape:
    """2,000 points spread evenly on a curved strip; its clusters are four parts of equal length."""
    random = np.random.default_rng(seed)
    along = np.append(0, np.cumsum(np.hypot(np.diff(x), np.diff(z))))
    at = random.random(2000)
    plane = [np.interp(at * along[-1], along, column) for column in (x, z)]
    points = np.column_stack([*plane, width * random.random(2000)])
    return Shape(points + random.normal(0, noise, points.shape), (4 * at).astype(int), {})


def clusterings(shape: Shape) -> dict[str, Any]:
    """What is compared, by name."""
    k = int(shape.labels.max()) + 1
    power = shape.options.get("edge_power", 1)
    spectral = SpectralClustering(k, affinity="nearest_neighbors", n_neighbors=10, random_state=0)
    return {
        "KMeans": KMeans(k, n_init=10, random_state=0),
        "SpectralClustering": spectral,
        f"GeodesicKMeans, edge_power {power}": GeodesicKMeans(k, random_state=0, **shape.options),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of joined components
    GeodesicKMeans(2).fit(np.random.default_rng(0).random((100, 2)))  # compilation
    figure, rows = Figure(figsize=(8, 2.7 * len(SHAPES)), layout="constrained"), []
    for row, (name, make) in enumerate(SHAPES.items()):
        shape = make(0)
        flat = shape.points[:, :2]
        if shape.points.shape[1] > 3:
            flat = PCA(2, random_state=0).fit_transform(shape.points)
        for column, (method, clustering) in enumerate(clusterings(shape).items()):
            start = time.perf_counter()
            found = clustering.fit_predict(shape.points)
            seconds = time.perf_counter() - start
            score = adjusted_rand_score(shape.labels, found)
            rows.append([name, method, score, seconds])
            axes = figure.add_subplot(len(SHAPES), 3, 3 * row + column + 1)
            colors = ListedColormap(COLORS[: found.max() + 1])
            axes.scatter(flat[:, 0], flat[:, 1], c=found, s=3, cmap=colors)
            axes.set_title(f"{name}\n{method}\n{score:.2f}, {seconds:.2f} s", fontsize=9)
            axes.set_aspect("equal")
            axes.set_axis_off()
    save_figure(options.picture, figure)
    headers = ["shape", "", "adjusted Rand index", "s"]
    sys.stdout.write(tabulate(rows, headers, floatfmt=".2f") + "\n")


if __name__ == "__main__":
    main()
