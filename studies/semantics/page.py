"""What `studies.semantics.run` found, in words and tables; every sentence is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from studies.common import spread
from studies.scores import Row
from studies.semantics.clusterings import NEIGHBORS
from studies.semantics.latents import DIMENSIONS, SEEN
from studies.semantics.scores import GREY, LABELLED

CHOSEN_AT = 16
SWEPT = ("edge_power", "smoothing")
GEODESIC, EUCLIDEAN, END_TO_END = "geodesic", "k-means", "VQ-VAE"
ENSEMBLE = "ensemble of {}, {}"

ABOUT = {
    "vae": "{seeds} VAEs, one a seed; points are posterior means",
    "grid": "{seeds} convolutional VAEs, one a seed; points are the posterior means of all cells",
    "pca": f"{{seeds}} seeds; points are {DIMENSIONS} principal components of the pixels",
    "pixels": "{seeds} seeds; points are the pixels",
}

VARIANTS = {
    "geodesic, iterated": "after half of the {smoothing} averages neighbours are searched again, "
    "and the other half and the paths run on the new graph",
    "geodesic, decay": "each average keeps a share of {share:g} of the point as it was",
    "geodesic, Fisher": "edges are Fisher's, on means and precisions averaged over neighbours "
    "{smoothing} times, without whitening",
    "geodesic, even cells": "cells then trade points: each goes where the distance plus {weight:g} "
    "median distances times the log of the cell's share is least",
}
RIVALS = VARIANTS | {
    "geodesic, plain": "shortest paths over the lengths between points, not smoothed",
    "k-means, smoothed": "on points smoothed {smoothing} times and whitened",
    "spectral": "k-means on {vectors} eigenvectors of the same graph",
    "Leiden": "communities of the same graph, edges weighted by shared neighbours (Jaccard), the "
    "resolution bisected to give as many as asked for; where it does not, the number found stands "
    "beside",
}

Methods = dict[str, list[Row]]  # a row a number of codes


def means(rows: Sequence[Row], key: str) -> np.ndarray:
    """Of every row, over its seeds; (rows,)."""
    return np.array([np.mean(row[key]) for row in rows])


def changed(setting: Row) -> list[str]:
    """In what a geodesic setting is not as those of the grid are."""
    parts = [f"k = {setting['neighbors']}"] if setting["neighbors"] != NEIGHBORS else []
    return parts + ([] if setting["whitened"] else ["not whitened"])


def named(setting: Row) -> str:
    """A geodesic setting, in words."""
    grid = [f"edge power {setting['edge_power']:g}", f"smoothing {setting['smoothing']}"]
    return ", ".join(grid + changed(setting))


def about(dataset: str, kind: str, seeds: int, methods: Methods, missing: Sequence[str]) -> str:
    """What the rows are, and which are not there yet."""
    lines = [
        f"{dataset}; {ABOUT[kind].format(seeds=seeds)}; mean ± standard deviation. No method sees "
        "a label, and all encode unseen images by the vote of the 10 nearest training points. "
        f"`labelled m` (m = {', '.join(map(str, LABELLED))}): accuracy when m images of each code "
        "have labels; `probe`: when all have. `bce`: nats of a test image under the mean training "
        f"image of its code (grey levels within [{GREY:g}, {1 - GREY:g}]), so what the codes cost "
        "without any decoder. `stability`: adjusted Rand index between seeds, validation images. "
        "`s`: seconds of the clustering, neighbour search included, median."
    ]
    for name, what in RIVALS.items():
        if name in methods:
            lines.append(f"`{name}`: {what.format(**methods[name][0])}.")
    if kind in ("pca", "pixels"):
        lines.append(
            f"Each seed clusters another {SEEN:.0%} of the training images, for there is no VAE "
            "to differ by."
        )
    if any(name.startswith("ensemble") for name in methods):
        lines.append(
            "The ensemble rows cluster the latents of several VAEs side by side, each in units of "
            "its posteriors' σ. They encode an image by all of them, and as the runs share VAEs, "
            "their spread is too small and their stability too high to compare."
        )
    if END_TO_END in methods:
        count = len(methods[END_TO_END][0]["purity"])
        lines.append(
            f"VQ-VAE: one token, {count} seeds; codebook updated by gradient or moving averages, "
            "as many steps as a VAE or a quarter of them, whichever has the lowest bce on "
            "validation images."
        )
    if missing:
        lines.append(f"Not run: {'; '.join(missing)}.")
    return " ".join(lines)


def choice(grid: list[Row], around: list[Row], chosen: Row) -> str:
    """Which geodesic setting was chosen, and what it was chosen from."""
    best = max(grid + around, key=lambda row: np.mean(row["purity"]))

    def scored(row: Row) -> str:
        return f"{row['stability']:.2f} / {np.mean(row['purity']):.3f}"

    powers, steps = (list(dict.fromkeys(row[key] for row in grid)) for key in SWEPT)
    cells = {tuple(row[key] for key in SWEPT): scored(row) for row in grid}
    table = tabulate(
        [[f"edge power {p:g}", *(cells[p, s] for s in steps)] for p in powers],
        ["stability / purity", *(f"smoothing {s}" for s in steps)],
        tablefmt="github",
        disable_numparse=True,
    )
    beside = "; ".join(f"{', '.join(changed(row))}: {scored(row)}" for row in around)
    return "\n\n".join(
        [
            f"Chosen at {CHOSEN_AT} codes by stability, without labels: {named(chosen)} "
            f"({chosen['stability']:.3f}), of purity {spread(np.array(chosen['purity']), '.3f')}. "
            f"The purest of the {len(grid + around)} settings ({named(best)}) has "
            f"{spread(np.array(best['purity']), '.3f')}.",
            table,
            f"The most stable of these, changed: {beside}.",
        ]
    )


def findings(methods: Methods) -> str:
    """What geodesic codes gain, lose and cost: a line, and a table of all rivals."""
    mine = {row["codes"]: row for row in methods[GEODESIC]}
    rivals = {name: rows for name, rows in methods.items() if name != GEODESIC}
    if not rivals:
        return ""
    sentences, ahead, lines = list[str](), list[str](), list[list[str]]()
    if EUCLIDEAN in rivals:
        wanted = np.mean(mine[CHOSEN_AT]["purity"])
        rates = {row["codes"]: np.mean(row["purity"]) for row in rivals[EUCLIDEAN]}
        enough = [codes for codes, value in rates.items() if value >= wanted]
        needs = bits(min(enough)) if enough else f"more than {bits(max(rates))}"
        sentences.append(
            f"For the purity of geodesic codes at {bits(CHOSEN_AT)} ({wanted:.3f}), k-means needs "
            f"{needs}."
        )
    for name, rows in rivals.items():
        wins, losses = (beyond(mine, rows, sign) for sign in (1, -1))
        ahead += [f"{name} at {losses}"] if losses else []
        at = next(row for row in rows if row["codes"] == CHOSEN_AT)
        gains = [np.mean(mine[CHOSEN_AT][key]) - np.mean(at[key]) for key in ("purity", "bce")]
        cells = [wins or "nowhere", losses or "nowhere", f"{gains[0]:+.3f}", f"{gains[1]:+.1f}"]
        lines.append([name, *cells])
    others = "the others nowhere" if len(ahead) < len(rivals) else ""
    listed = "; ".join([*ahead, others]).strip("; ") if ahead else "nothing"
    sentences.append(
        "Ahead of geodesic codes in purity, by more than the larger of the two standard "
        f"deviations, and at which K: {listed}."
    )
    headers = ["geodesic codes against", "ahead at K =", "behind at K ="]
    headers += [f"purity − theirs, K = {CHOSEN_AT}", f"bce − theirs, K = {CHOSEN_AT}"]
    compared = tabulate(lines, headers, tablefmt="github", disable_numparse=True)
    return "\n\n".join([" ".join(sentences), compared])


def beyond(mine: dict[int, Row], rows: list[Row], sign: int) -> str:
    """At which K `mine` is ahead (sign 1) or behind (−1) in purity, beyond the spread of seeds."""
    found = []
    for row in rows:
        ours, theirs = mine[row["codes"]]["purity"], row["purity"]
        if sign * (np.mean(ours) - np.mean(theirs)) > _larger(ours, theirs):
            found.append(str(row["codes"]))
    return ", ".join(found)


def _larger(a: Sequence[float], b: Sequence[float]) -> float:
    return float(max(np.std(a, ddof=1), np.std(b, ddof=1)))


def bits(codes: int) -> str:
    """Rate of one of so many codes."""
    return f"{np.log2(codes):.3g} bits"


def table(methods: Methods) -> str:
    """Every method at every number of codes."""
    labelled = [f"labelled_{m}" for m in LABELLED]
    columns = {"purity": ".3f", "nmi": ".3f", **dict.fromkeys(labelled, ".3f"), "probe": ".3f"}
    columns["bce"] = ".1f"

    def line(name: str, row: Row) -> list[Any]:
        cells = [spread(np.array(row[key]), form) for key, form in columns.items()]
        found = np.mean(row["found"])
        codes = f"{row['codes']}" + f" ({found:.4g} found)" * bool(found != row["codes"])
        seconds = f"{row['seconds']:.3g}" if "seconds" in row else ""
        return [name, codes, *cells, f"{row['stability']:.2f}", seconds]

    headers = ["", "codes", *(key.replace("_", " ") for key in columns), "stability", "s"]
    lines = [line(name, row) for name, rows in methods.items() for row in rows]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)
