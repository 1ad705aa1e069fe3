"""What `studies.smoothing.run` found, as pictures and a page.

Seeds of one latent space are averaged before spaces are compared: they are no independent cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import permutation_test, rankdata, spearmanr
from tabulate import tabulate

from geovq.report.figures import COLORS
from studies.rate_distortion.page import spread

GAIN_AT = 20  # smoothing steps of the gain, fixed beforehand
CHANCE = 0.05
PREDICTORS = {
    "share": "variance in the slowest modes, unsmoothed",
    "detour": "geodesic / Euclidean distance, unsmoothed",
}
GAINS = {
    "smoothing": "gain in purity from smoothing",
    "geodesic": "gain of geodesic over k-means codes",
}
MARKERS = "osD^vP*"


class Results:
    """Scores by latent space: (seeds, steps) of what depends on smoothing, else (seeds,)."""

    def __init__(self, rows: list[dict[str, Any]], smoothings: Sequence[int]) -> None:
        self.smoothings = list(smoothings)
        self.spaces = list(dict.fromkeys(row["space"] for row in rows))
        self.seeds = len({row["seed"] for row in rows})
        self.rows = {s: [row for row in rows if row["space"] == s] for s in self.spaces}
        self.late = self.smoothings.index(GAIN_AT)

    def of(self, space: str, key: str) -> np.ndarray:
        return np.array([row[key] for row in self.rows[space]])

    def mean(self, key: str, step: int | None = None) -> float:
        """Over spaces, of the means over seeds."""
        each = [self.of(space, key) for space in self.spaces]
        return float(np.mean([np.mean(one if step is None else one[:, step]) for one in each]))

    def predictor(self, space: str, name: str) -> np.ndarray:
        values = self.of(space, name)
        return values[:, 0] if values.ndim == 2 else values

    def gain(self, space: str, name: str) -> np.ndarray:
        geodesic = self.of(space, "geodesic")
        if name == "smoothing":
            return geodesic[:, self.late] - geodesic[:, 0]
        return geodesic[:, 0] - self.of(space, "k_means")[:, 0]

    def correlation(self, predictor: str, gain: str) -> tuple[float, float]:
        """Rank correlation across spaces, and how often chance is as strong; NaN below four."""
        if len(self.spaces) < 4:
            return np.nan, np.nan
        x, y = (
            np.array([values(space, name).mean() for space in self.spaces])
            for values, name in ((self.predictor, predictor), (self.gain, gain))
        )

        ranks = rankdata(y) - (len(y) + 1) / 2

        def covariance(x: np.ndarray, axis: int) -> np.ndarray:
            return (rankdata(x, axis=axis) * ranks).sum(axis)

        # All orders of so few spaces can be tried; the usual p-value is for many.
        test = permutation_test(
            (x,),
            covariance,
            permutation_type="pairings",
            vectorized=True,
            n_resamples=9_999,
            rng=0,
        )
        return float(spearmanr(x, y).statistic), float(test.pvalue)


def draw_filter(results: Results, dataset: str, codes: int, modes: int) -> Figure:
    """Share of variance, contrast of edges, and purities against smoothing; one line a space."""
    figure = Figure(figsize=(10, 7.6), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True)
    grid[1, 1].sharey(grid[1, 0])
    places = np.arange(len(results.smoothings))
    panels = {
        "share": (f"variance in the {modes} slowest modes of the graph", "share of the variance"),
        "contrast": ("edges between classes by edges within", "ratio of median lengths"),
        "geodesic": (f"{codes} codes by geodesic k-means", "label purity, test images"),
        "k_means": (f"{codes} codes by k-means, same coordinates", "label purity, test images"),
    }
    for axes, (key, (title, unit)) in zip(grid.flat, panels.items(), strict=True):
        for space, color, marker in zip(results.spaces, COLORS, MARKERS, strict=False):
            values = results.of(space, key)
            spreads = values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(places))
            look: dict[str, Any] = {"color": color, "marker": marker, "ms": 5, "lw": 1.4}
            axes.errorbar(places, values.mean(0), spreads, capsize=2, elinewidth=0.8, **look)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
    labels = results.mean("label_share")
    grid[0, 0].axhline(labels, color="0.4", lw=1, ls="--")
    look = {"ha": "right", "va": "bottom", "fontsize": 8, "color": "0.3"}
    grid[0, 0].text(places[-1], labels, "the same of the labels, mean", **look)
    for axes in grid[1]:
        axes.set_xticks(places, [str(steps) for steps in results.smoothings])
        axes.set_xlabel("smoothing (averages over the neighbours)")
    figure.suptitle(f"{dataset}: what smoothing does to latents", x=0.01, ha="left", fontsize=12)
    figure.legend(handles=_handles(results), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def draw_prediction(results: Results, dataset: str) -> Figure:
    """Gains against what is known without labels, one mark a space, ± deviation over seeds."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    grid = figure.subplots(2, 2, sharex="col", sharey="row")
    for row, (gain, title) in zip(grid, GAINS.items(), strict=True):
        for axes, predictor in zip(row, PREDICTORS, strict=True):
            _scatter(axes, results, predictor, gain)
        row[0].set_ylabel(title)
    for axes, title in zip(grid[-1], PREDICTORS.values(), strict=True):
        axes.set_xlabel(title)
    title = f"{dataset}: what is known without labels, and what is gained"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.legend(handles=_handles(results), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def _scatter(axes: Axes, results: Results, predictor: str, gain: str) -> None:
    for space, color, marker in zip(results.spaces, COLORS, MARKERS, strict=False):
        x, y = results.predictor(space, predictor), results.gain(space, gain)
        dy, dx = (float(v.std(ddof=1)) if len(v) > 1 else 0.0 for v in (y, x))
        look: dict[str, Any] = {"color": color, "marker": marker, "ms": 7, "capsize": 2, "lw": 1}
        axes.errorbar(x.mean(), y.mean(), dy, dx, **look)
    correlation, chance = results.correlation(predictor, gain)
    if not np.isnan(correlation):
        text = f"rank correlation {correlation:+.2f}, n = {len(results.spaces)}, p = {chance:.2f}"
        axes.set_title(text, loc="left", fontsize=10)
    axes.axhline(0, color="0.6", lw=0.8)
    axes.grid(alpha=0.3)


def _handles(results: Results) -> list[Line2D]:
    looks = zip(results.spaces, COLORS, MARKERS, strict=False)
    return [Line2D([], [], color=c, marker=m, ms=5, label=space) for space, c, m in looks]


def page(results: Results, dataset: str, codes: int, modes: int) -> str:
    """What the page shows."""
    late, several = results.late, results.seeds > 1
    about = (
        f"{dataset}, {len(results.spaces)} latent spaces, {results.seeds} seed{'s' * several} "
        f"each{', mean ± standard deviation' * several}. `share`: of the coordinates' variance, "
        f"what lies in the {modes} slowest modes of the graph (leading eigenvectors of its "
        "normalised adjacency; a sample of at most 10,000 training latents), before and after "
        f"{GAIN_AT} averages over the neighbours, not whitened; noise would have "
        f"{results.mean('noise_share'):.3f}. `labels`: the same of the classes. `detour`: geodesic "
        "by Euclidean distance, median over random pairs, unsmoothed. `contrast`: median edge "
        "between neighbours of different classes by the median edge within. Purity: "
        f"{codes} codes, test images, by the vote of the 10 nearest training latents; edge power 2 "
        "for geodesic codes. Labels describe; they choose nothing."
    )
    return "\n\n".join([about, _filter(results), _prediction(results), _table(results, late)])


def _filter(results: Results) -> str:
    late = results.late
    steps = results.smoothings
    best = [steps[results.of(space, "geodesic").mean(0).argmax()] for space in results.spaces]
    at = ", ".join(f"{s} (in {best.count(s)})" for s in steps if s in best)
    follows = {
        key: np.mean(
            [
                spearmanr(results.of(space, key).mean(0), results.of(space, "geodesic").mean(0))[0]
                for space in results.spaces
            ]
        )
        for key in ("share", "contrast")
    }

    def change(key: str, form: str) -> str:
        return f"{results.mean(key, 0):{form}} to {results.mean(key, late):{form}}"

    return (
        f"Means over spaces, from no smoothing to {GAIN_AT} averages: the share of variance in the "
        f"slowest modes goes from {change('share', '.2f')} (the labels have "
        f"{results.mean('label_share'):.2f} of theirs there), the contrast of edges from "
        f"{change('contrast', '.2f')}, the purity of geodesic codes from "
        f"{change('geodesic', '.3f')} and that of k-means from {change('k_means', '.3f')}. "
        f"Geodesic codes are purest after {at} averages. Within a space, from step to step, purity "
        f"has a mean rank correlation of {follows['share']:+.2f} with the share and "
        f"{follows['contrast']:+.2f} with the contrast."
    )


def _prediction(results: Results) -> str:
    n = len(results.spaces)
    if n < 4:
        return f"{n} spaces are too few to ask what predicts the gains."
    parts = []
    for gain, title in GAINS.items():
        for predictor, quantity in PREDICTORS.items():
            correlation, chance = results.correlation(predictor, gain)
            word = "more than" if chance < CHANCE else "not told from"
            parts.append(
                f"{title} and {quantity}: {correlation:+.2f} (p = {chance:.2f}: {word} chance)"
            )
    return (
        f"Rank correlations across the {n} spaces (n = {n}, means over seeds; p: share of all "
        f"orders at least as correlated, {len(parts)} correlations looked at): {'; '.join(parts)}."
    )


def _table(results: Results, late: int) -> str:
    lines = []
    for space in results.spaces:
        detour, labels = (results.of(space, key) for key in ("detour", "label_share"))
        cells = [spread(detour, ".2f"), spread(labels, ".2f")]
        for key in ("share", "contrast", "geodesic", "k_means"):
            form = ".3f" if key in ("geodesic", "k_means") else ".2f"
            values = results.of(space, key)
            cells += [spread(values[:, 0], form), spread(values[:, late], form)]
        lines.append([space, *cells])
    names = ("share", "contrast", "purity, geodesic", "purity, k-means")
    paired = [name + step for name in names for step in ("", f", after {GAIN_AT}")]
    headers = ["", "detour", "labels", *paired]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)
