"""What `studies.paths.run` found, as pictures and a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from geovq.report.figures import COLORS
from studies.rate_distortion.page import spread

METHODS = ("straight line", "geodesic, plain edges", "geodesic, smoothed edges")
KINDS = ("two classes", "one class")
COLUMNS = {
    "mean": ("mean confidence", ".3f"),
    "least": ("least confidence", ".3f"),
    "classes": ("classes on the way", ".2f"),
    "length": ("length in pixels", ".1f"),
    "distance": ("distance to a training latent", ".2f"),
    "vertices": ("points of the path", ".1f"),
}
COMPARED = ("mean", "least", "length", "distance")

Arrays = dict[str, np.ndarray]


class Results:
    """Paths of every seed; arrays are (methods, pairs, ...) each."""

    def __init__(self, found: list[Arrays]) -> None:
        self.found = [
            one | {"mean": one["confidence"].mean(2), "least": one["confidence"].min(2)}
            for one in found
        ]
        self.seeds = len(found)
        self.pairs = int((found[0]["kinds"] == KINDS[0]).sum())
        # Confidence in decoded test images and in the images, distance of their latents.
        self.reference = np.mean([one["reference"] for one in found], axis=0)

    def of(self, method: str, kind: str, key: str) -> np.ndarray:
        """(seeds, pairs, ...)."""
        row = METHODS.index(method)
        return np.array([one[key][row, one["kinds"] == kind] for one in self.found])

    def gain(self, method: str, kind: str, key: str) -> np.ndarray:
        """Minus the straight line between the same images; (seeds, pairs)."""
        return self.of(method, kind, key) - self.of(METHODS[0], kind, key)

    def scores(self) -> dict[str, Any]:
        """For scores.json: means and standard deviations over all pairs of all seeds."""
        rows = []
        for kind in KINDS:
            for method in METHODS:
                row: dict[str, Any] = {"pairs": kind, "method": method}
                for key in COLUMNS:
                    values = self.of(method, kind, key)
                    row[key], row[f"{key}_sd"] = float(values.mean()), float(values.std(ddof=1))
                    row[f"{key}_of_seeds"] = values.mean(1).tolist()
                row["confidence"] = self.of(method, kind, "confidence").mean((0, 1)).tolist()
                rows.append(row)
        names = ("confidence_decoded", "confidence_images", "distance")
        reference = dict(zip(names, self.reference.tolist(), strict=True))
        return {"seeds": self.seeds, "pairs": self.pairs, "reference": reference, "rows": rows}


def draw_confidence(results: Results, dataset: str) -> Figure:
    """Mean confidence along the way, and its deviation over seeds."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, KINDS, strict=True):
        for method, color in zip(METHODS, COLORS, strict=False):
            curves = results.of(method, kind, "confidence").mean(1)
            way, middle = np.linspace(0, 1, curves.shape[1]), curves.mean(0)
            axes.plot(way, middle, color=color, lw=1.8, label=method)
            if results.seeds > 1:
                wide = curves.std(0, ddof=1)
                axes.fill_between(way, middle - wide, middle + wide, color=color, alpha=0.2, lw=0)
        axes.set_title(f"{dataset}: images of {kind}", loc="left", fontsize=10)
        axes.set_xlabel("share of the way, in latent space")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("classifier's confidence, mean")
    panels[1].legend(fontsize=8)
    return figure


def draw_strips(results: Results, dataset: str) -> Figure:
    """Frames of a few pairs in the first VAE: each way a row, the straight line on top."""
    first = results.found[0]
    images, shown = first["images"], first["shown"]
    _, blocks, frames, height, width = images.shape
    figure = Figure(figsize=(9.6, 0.4 + blocks * (3 * 0.66 + 0.3)), layout="constrained")
    figure.suptitle(f"{dataset}: decoded paths, first pairs drawn", x=0.01, ha="left", fontsize=11)
    for block, axes in enumerate(figure.subplots(blocks, 1, squeeze=False)[:, 0]):
        pitch = height + 2
        sheet = np.ones((3 * pitch - 2, frames * (width + 1) - 1))
        for row in range(len(METHODS)):
            for column, image in enumerate(images[row, block]):
                left = column * (width + 1)
                sheet[row * pitch : row * pitch + height, left : left + width] = image
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xlim(-2 * width, sheet.shape[1] + width)  # room for the words
        for row, (method, color) in enumerate(zip(METHODS, COLORS, strict=False)):
            middle = row * pitch + height / 2
            least = first["least"][row, shown[block]]
            look: dict[str, Any] = {"va": "center", "fontsize": 8.5, "color": color}
            axes.text(-4, middle, method.replace(", ", ",\n"), ha="right", **look)
            axes.text(sheet.shape[1] + 3, middle, f"{least:.2f}", ha="left", **look)
        kind = first["kinds"][shown[block]]
        axes.set_title(f"{kind}", loc="left", fontsize=9)
        axes.set_title("least confidence", loc="right", fontsize=9)
        axes.set_axis_off()
    return figure


def page(results: Results, dataset: str, space: str, edges: Mapping[str, tuple[int, float]]) -> str:
    """What the page shows."""
    frames = results.found[0]["confidence"].shape[2]
    measured = "; ".join(
        f"`{method}`: smoothing {smoothing}, edge power {power:g}"
        for method, (smoothing, power) in edges.items()
    )
    decoded, itself, distance = results.reference
    about = (
        f"{dataset}, {space}, {results.seeds} seed{'s' * (results.seeds > 1)}; {results.pairs} "
        "pairs of test images of two classes and as many of one class, drawn at random, the same "
        f"for every seed. Each way is cut into {frames} frames equally far apart in latent space "
        f"and decoded. Geodesics run through training latents ({measured}). Confidence: the "
        "largest class probability of a CNN trained on the images, mean and least over the "
        "frames; classes: how many of them it names. Length: Euclidean distances between "
        "successive frames, summed. Distance: of the frames between the ends to the nearest "
        "training latent, to which a geodesic returns at each of its points by construction. To "
        f"compare: confidence in decoded test images {decoded:.3f}, in the images {itself:.3f}; "
        f"test latents are {distance:.2f} from a training latent."
    )
    return "\n\n".join([about, _found(results), _table(results), _differences(results)])


def _verdict(values: np.ndarray) -> str:
    """Mean of the seeds ± their deviation, and in how many pairs it is above 0."""
    return f"{spread(values.mean(1), '+.3f')} (more in {(values > 0).mean():.0%} of pairs)"


def _found(results: Results) -> str:
    parts = []
    for kind in KINDS:
        for method in METHODS[1:]:
            least, length = (results.gain(method, kind, key) for key in ("least", "length"))
            straight = results.of(METHODS[0], kind, "length").mean()
            parts.append(
                f"{kind}, {method}: least confidence {_verdict(least)}, decoded length "
                f"{100 * length.mean() / straight:+.0f}%"
            )
    return f"Against the straight line between the same images: {'; '.join(parts)}."


def _table(results: Results) -> str:
    lines = []
    for kind in KINDS:
        for method in METHODS:
            cells = [
                spread(results.of(method, kind, key).ravel(), form)
                for key, (_, form) in COLUMNS.items()
            ]
            lines.append([kind, method, *cells])
    titles = [title for title, _ in COLUMNS.values()]
    headers = ["mean ± standard deviation over pairs", "", *titles]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _differences(results: Results) -> str:
    lines = []
    for kind in KINDS:
        for method in METHODS[1:]:
            cells = [
                spread(results.gain(method, kind, key).mean(1), f"+{COLUMNS[key][1]}")
                for key in COMPARED
            ]
            lines.append([kind, method, *cells])
    titles = [COLUMNS[key][0] for key in COMPARED]
    headers = ["minus the straight line, ± standard deviation over VAEs", "", *titles]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)
