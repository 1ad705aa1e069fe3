"""What `studies.rate_distortion.run` found, as a picture and a page.

Every figure is a mean over seeds; differences are taken seed by seed, on one VAE.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from tabulate import tabulate

from geovq.report.figures import COLORS
from studies.common import spread
from studies.scores import Row

REFERENCE = "VAE, posterior means"
STATES = ("unrefined", "refined", "refined, searched")  # of post-hoc codes; others have ""

Curve = list[np.ndarray]  # at each rate one value a seed; empty where a method was not run


class Results:
    """All rows, by method, state and bits."""

    def __init__(self, rows: list[Row]) -> None:
        self.cells: dict[tuple[str, str, float], list[Row]] = {}
        for row in rows:
            key = row["method"], row["state"], row["bits"]
            self.cells.setdefault(key, []).append(row)
        self.bits = sorted({bits for *_, bits in self.cells})
        # In the order of the rows: (method, state), methods, those that are post-hoc.
        self.lines = list(dict.fromkeys((m, state) for m, state, _ in self.cells if m != REFERENCE))
        self.methods = list(dict.fromkeys(method for method, _ in self.lines))
        self.post_hoc = [method for method in self.methods if (method, STATES[0]) in self.lines]
        self.reference = self.curve(REFERENCE, "")

    def values(self, method: str, state: str, bits: float, key: str = "bce") -> np.ndarray:
        return np.array([row[key] for row in self.cells.get((method, state, bits), [])])

    def curve(self, method: str, state: str, key: str = "bce") -> Curve:
        return [self.values(method, state, bits, key) for bits in self.bits]

    def final(self, method: str) -> Curve:
        """Bce in the state in which methods are compared."""
        return self.curve(method, STATES[-1] if method in self.post_hoc else "")


def minus(a: Curve, b: Curve) -> Curve:
    """Differences at the rates that both have."""
    return [x - y if len(x) == len(y) else x[:0] for x, y in zip(a, b, strict=True)]


def draw(results: Results, dataset: str) -> Figure:
    """Left: bce against bits. Right: the difference from refined Euclidean codes."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])

    def line(axes: Axes, curve: Curve, color: str, **look: Any) -> None:
        there = [(bits, v) for bits, v in zip(results.bits, curve, strict=True) if len(v)]
        if there:
            bits, values = zip(*there, strict=True)
            spreads = [v.std(ddof=1) if len(v) > 1 else 0.0 for v in values]
            look |= {"color": color, "marker": "o", "ms": 3.5, "capsize": 2}
            axes.errorbar(bits, [v.mean() for v in values], spreads, **look)

    handles = []
    for color, method in zip(COLORS, results.methods, strict=False):
        line(left, results.curve(method, STATES[0]), color, ls=":", lw=1.2)
        line(left, results.final(method), color, lw=1.5)
        line(right, minus(results.final(method), results.final("Euclidean")), color, lw=1.5)
        handles.append(Line2D([], [], color=color, marker="o", ms=3.5, label=method))
    handles += [
        Line2D([], [], color="0.4", label="refined and searched, or end-to-end"),
        Line2D([], [], color="0.4", ls=":", label="unrefined, the VAE's own decoder"),
        Line2D([], [], color="0.6", ls="--", label=REFERENCE),
    ]
    line(left, results.reference, "0.6", lw=1, ls="--")
    left.legend(handles=handles, fontsize=8)
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    left.yaxis.set_major_formatter("{x:.0f}")
    left.set_ylabel("bce, test images (nats per image)")
    left.set_title(f"{dataset}: distortion against rate", loc="left", fontsize=11)
    # Linear around 0, where the methods lie that matter; logarithmic for those far off.
    right.set_yscale("symlog", linthresh=2, linscale=1.2)
    ticks = np.array([-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100])
    low, high = right.get_ylim()
    shown = ticks[(ticks >= low) & (ticks <= high)]
    right.set_yticks(shown, [f"{tick:+d}" if tick else "0" for tick in shown])
    right.set_ylabel("bce − that of refined Euclidean codes (nats per image)")
    right.set_title("the solid lines, as differences seed by seed", loc="left", fontsize=11)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(results.bits, [f"{bits:.0f}" for bits in results.bits])
        axes.set_xlabel("rate (bits per image)")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    return figure


def page(results: Results, about: str) -> str:
    """What the page shows: what the rows are, what they come to, and the tables."""
    rates = [f"{bits:.0f} bits" for bits in results.bits]

    def table(title: str, lines: Sequence[tuple[str, str, Curve]], form: str) -> str:
        cells = [[*names, *(spread(v, form) for v in curve)] for *names, curve in lines]
        align = ["left", "left", *["right"] * len(rates)]
        options: dict[str, Any] = {"disable_numparse": True, "colalign": align}
        return tabulate(cells, [title, "", *rates], tablefmt="github", **options)

    def scores(key: str, states: Sequence[str] = STATES) -> list[tuple[str, str, Curve]]:
        lines = [line for line in results.lines if line[1] in ("", *states)]
        return [(*line, results.curve(*line, key)) for line in lines]

    rivals = [
        (
            "geodesic − Euclidean",
            s,
            minus(results.curve("geodesic", s), results.curve("Euclidean", s)),
        )
        for s in STATES
    ]
    steps = [
        (method, step, minus(results.curve(method, after), results.curve(method, before)))
        for method in results.post_hoc
        for step, (before, after) in zip(("refinement", "search"), pairwise(STATES), strict=True)
    ]
    best = []
    for place, rate in enumerate(rates):
        means = {m: v.mean() for m in results.methods if len(v := results.final(m)[place])}
        name = min(means, key=lambda method: means[method])
        best.append(f"{name} at {rate} ({means[name]:.1f}; {len(means)} methods)")
    differences = zip(rates, rivals[-1][2], strict=True)
    gaps = [f"{spread(v, '+.2f')} at {rate}" for rate, v in differences if len(v)]
    found = (
        f"Lowest mean bce, post-hoc codes refined and searched: {', '.join(best)}. Geodesic minus "
        f"Euclidean codes, refined and searched: {', '.join(gaps)}."
    )
    return "\n\n".join(
        [
            about,
            found,
            table("bce", [(REFERENCE, "", results.reference), *scores("bce")], ".1f"),
            table("change of bce", rivals + steps, "+.2f"),
            table("PSNR", scores("psnr"), ".2f"),
            table("entropy-coded bits", scores("coded_bits", (STATES[0], STATES[-1])), ".1f"),
        ]
    )
