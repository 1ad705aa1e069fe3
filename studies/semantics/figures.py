"""Pictures of `studies.semantics.run`."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geovq.report.figures import COLORS
from studies.scores import Row
from studies.semantics.page import END_TO_END, Methods, changed, means

TICKS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
SMALLEST = 2e-3  # share of impure images below which nothing is drawn
BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK = COLORS
LOOKS = {
    "geodesic": BLUE,
    "geodesic, plain": SKY,
    "k-means": RED,
    "k-means, smoothed": ORANGE,
    "spectral": GREEN,
    "Leiden": PINK,
    "VQ-VAE": BLACK,
}


def look(method: str) -> dict[str, Any]:
    """How a method is drawn, everywhere."""
    width = 2.4 if method == "geodesic" else 1.3
    return {"color": LOOKS[method], "lw": width, "marker": "o", "ms": 2.5 + width}


def purity_curve(methods: Methods, title: str) -> Figure:
    """Purity against bits; every line has its name at its end."""
    figure = Figure(figsize=(7.4, 4.9), layout="constrained")
    axes = figure.add_subplot()
    starts, ends = {}, {}
    for method, rows in methods.items():
        # Leiden may find another number of clusters; what a VQ-VAE leaves unused is paid for.
        x = np.log2(means(rows, "codes" if method == END_TO_END else "found"))
        y = means(rows, "purity")
        spreads = np.array([np.std(row["purity"], ddof=1) for row in rows])
        axes.vlines(x, y - spreads, y + spreads, color=look(method)["color"], lw=1, alpha=0.4)
        axes.plot(x, y, **look(method))
        starts[method], ends[method] = (x[0], y[0]), (x[-1], y[-1])
    purity_scale(axes)
    codes = sorted({row["codes"] for rows in methods.values() for row in rows})
    axes.set_xticks(np.log2(codes), [f"{np.log2(k):.3g}\n{k}" for k in codes])
    axes.set_xlabel("bits per image; below them the number of codes")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    label(axes, starts, ends)
    return figure


def cost_curve(methods: Methods, title: str) -> Figure:
    """Purity against the nats that codes cost without a decoder; a line goes through all K."""
    figure = Figure(figsize=(7.4, 4.9), layout="constrained")
    axes = figure.add_subplot()
    for method, rows in methods.items():
        axes.plot(means(rows, "bce"), means(rows, "purity"), label=method, **look(method))
    marked = "k-means" if "k-means" in methods else "geodesic"  # usually the lowest of the graph's
    for row in methods[marked]:
        place = (float(np.mean(row["bce"])), float(np.mean(row["purity"])))
        at: dict[str, Any] = {"xytext": (4, -13), "textcoords": "offset points"}
        axes.annotate(f"{row['codes']}", place, fontsize=9, color=look(marked)["color"], **at)
    purity_scale(axes)
    axes.invert_xaxis()
    axes.set_xlabel("bce of the mean image of each code (nats per test image); numbers: codes")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=9, frameon=False, loc="outside right center")
    return figure


def choice(grid: list[Row], around: list[Row], chosen: Row, title: str) -> Figure:
    """Purity of all settings against the stability they were chosen by."""
    figure = Figure(figsize=(7.4, 4.9), layout="constrained")
    axes = figure.add_subplot()
    beside: dict[str, Any] = {"xytext": (4, 3), "textcoords": "offset points", "fontsize": 8}
    for color, power in zip(COLORS, dict.fromkeys(row["edge_power"] for row in grid), strict=False):
        mine = [row for row in grid if row["edge_power"] == power]
        x, y = [row["stability"] for row in mine], means(mine, "purity")
        axes.plot(x, y, "o-", color=color, ms=4, lw=0.8, label=f"edge power {power:g}")
        for row, place in zip(mine, zip(x, y, strict=True), strict=True):
            axes.annotate(f"{row['smoothing']}", place, color=color, **beside)
    for marker, row in zip("v^s", around, strict=False):
        place = (row["stability"], float(np.mean(row["purity"])))
        axes.plot(*place, marker, color="0.35", ms=6, label=", ".join(changed(row)))
    place = (chosen["stability"], float(np.mean(chosen["purity"])))
    axes.plot(*place, "ko", ms=12, mfc="none", label="chosen, without labels")
    axes.set_xlabel("stability between seeds (adjusted Rand index, validation images)")
    axes.set_ylabel("purity, test images")
    axes.set_title(f"{title}; numbers are smoothing steps", loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=9, frameon=False, loc="lower right")
    return figure


def purity_scale(axes: Axes) -> None:
    """Equal ratios of impurity are equally far apart: .90 from .95 as .80 from .90."""
    low, high = axes.dataLim.intervaly
    axes.set_yscale("function", functions=(_impurity, lambda y: 1 - np.exp(-y)))
    axes.set_ylim(low - 0.1 * (1 - low), min(high + 0.15 * (1 - high), 1 - SMALLEST))
    axes.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.set_ylim(low - 0.1 * (1 - low), min(high + 0.15 * (1 - high), 1 - SMALLEST))
    axes.set_ylabel("label purity of the code, test images")


def _impurity(purity: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(1 - np.asarray(purity), SMALLEST))


def label(
    axes: Axes, starts: dict[str, tuple[float, float]], ends: dict[str, tuple[float, float]]
) -> None:
    """Names at the right edge, spread so that none overlap; at their start for shorter lines."""
    edge, gap = max(x for x, _ in ends.values()), 0.055  # of the axes' height
    left, right = axes.get_xlim()
    axes.set_xlim(left, right)
    inside = {name: starts[name] for name, place in ends.items() if place[0] < edge - 0.2}
    for name, place in inside.items():
        at: dict[str, Any] = {"xytext": (-7, 3), "textcoords": "offset points", "ha": "right"}
        axes.annotate(name, place, color=look(name)["color"], fontsize=10, **at)
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = {n: to_axes.transform(p)[1] for n, p in ends.items() if n not in inside}
    order = sorted(heights, key=lambda name: heights[name])
    places = np.array([heights[name] for name in order])
    for _ in range(200):
        for i in range(len(places) - 1):
            lacking = gap - (places[i + 1] - places[i])
            if lacking > 0:
                places[i] -= lacking / 2
                places[i + 1] += lacking / 2
        places += min(0.0, 1 - places[-1])
    for name, height in zip(order, places, strict=True):
        color = look(name)["color"]
        axes.annotate(
            name,
            ends[name],
            xytext=(1.04, height),
            textcoords="axes fraction",
            fontsize=10,
            weight="bold" if name == "geodesic" else "normal",
            color=color,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "lw": 0.6,
                "shrinkA": 0,
                "relpos": (0, 0.5),
            },
        )
