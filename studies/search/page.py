"""What `studies.search.run` found, as a picture and a page."""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from tabulate import tabulate

from geovq.report.figures import COLORS
from studies.common import spread
from studies.scores import Row

UNIT = "nats per validation image"
CHARACTERS = 12  # of a title, in an inch

Grid = dict[str, list[Any]]
Choice = dict[str, Any]


def scores(grid: Grid, rows: list[Row]) -> np.ndarray:
    """Scores by parameter and seed, (V_1, ..., V_P, seeds)."""
    sizes = [len(values) for values in grid.values()]
    return np.array([row["score"] for row in rows]).reshape(*sizes, -1)


def place(grid: Grid, choice: Choice) -> tuple[int, ...]:
    """Where in the grid a choice is."""
    return tuple(values.index(choice[key]) for key, values in grid.items())


def short(key: str) -> str:
    """A parameter without its section."""
    return key.rsplit(".", 1)[-1].replace("_", " ")


def named(grid: Grid, at: tuple[int, ...]) -> str:
    """A place in the grid, in words."""
    return ", ".join(
        f"{short(key)} {values[i]}" for (key, values), i in zip(grid.items(), at, strict=True)
    )


def draw(grid: Grid, document: Choice, rows: list[Row], title: str) -> Figure:
    """A line of one parameter, a heat map of two, and one heat map a value of a third."""
    found, chosen = scores(grid, rows), place(grid, document)
    if len(grid) == 1:
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        _line(figure.add_subplot(), grid, chosen, found)
    else:
        maps = found.mean(-1).reshape(-1, *found.shape[-3:-1])
        figure = Figure(figsize=(1.2 + 3.6 * len(maps), 3.6), layout="constrained")
        panels = figure.subplots(1, len(maps), squeeze=False, sharey=True)[0]
        first = list(grid.items())[:-2]
        names = itertools.product(*(values for _, values in first))
        limits = {"vmin": maps.min(), "vmax": maps.max()}
        for axes, name, values in zip(panels, names, maps, strict=True):
            marked = chosen[-2:] if chosen[:-2] == place(dict(first), _dict(first, name)) else None
            _heat_map(axes, dict(list(grid.items())[-2:]), values, marked, limits)
            axes.set_title(", ".join(map(str, name)), fontsize=10)
        title = f"{title}, {UNIT}"
    title = textwrap.fill(title, int(CHARACTERS * figure.get_figwidth()))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _dict(items: list[tuple[str, list[Any]]], values: tuple[Any, ...]) -> Choice:
    return {key: value for (key, _), value in zip(items, values, strict=True)}


def _line(axes: Axes, grid: Grid, chosen: tuple[int, ...], found: np.ndarray) -> None:
    ((key, values),) = grid.items()
    x, y = np.arange(len(values)), found.mean(-1)
    spreads = found.std(-1, ddof=1) if found.shape[-1] > 1 else np.zeros(len(x))
    axes.errorbar(x, y, spreads, fmt="o-", color=COLORS[0], capsize=3)
    axes.plot(chosen[0], y[chosen], "o", ms=13, mfc="none", color="black")
    beside: dict[str, Any] = {"xytext": (12, -12), "textcoords": "offset points", "fontsize": 9}
    axes.annotate("the document's", (chosen[0], y[chosen]), **beside)
    axes.set_xticks(x, list(map(str, values)))
    axes.set_xlabel(short(key))
    axes.set_ylabel(UNIT)
    axes.margins(0.2, 0.25)
    axes.grid(alpha=0.3)


def _heat_map(
    axes: Axes,
    grid: Grid,
    values: np.ndarray,
    marked: tuple[int, ...] | None,
    limits: dict[str, float],
) -> None:
    """Numbers on colours, the lowest light; a frame around the document's choice."""
    (down, rows), (across, columns) = grid.items()
    least, most = limits["vmin"], limits["vmax"]
    axes.imshow(values, cmap="cividis_r", aspect="auto", vmin=least, vmax=most)
    middle = (least + most) / 2
    for i, j in np.ndindex(values.shape):
        color = "white" if values[i, j] > middle else "black"
        axes.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=color)
    if marked is not None:
        corner = (marked[1] - 0.48, marked[0] - 0.48)
        axes.add_patch(Rectangle(corner, 0.96, 0.96, fill=False, color="#D55E00", lw=3))
    axes.set_xticks(range(len(columns)), list(map(str, columns)))
    axes.set_yticks(range(len(rows)), list(map(str, rows)))
    axes.set_xlabel(short(across))
    axes.set_ylabel(short(down))


def page(grid: Grid, document: Choice, rows: list[Row], dataset: str, meaning: str) -> str:
    """What the page shows: what was searched, the choice it supports, every figure."""
    found, chosen = scores(grid, rows), place(grid, document)
    seeds = found.shape[-1]
    counted = f"{seeds} seeds, mean ± standard deviation" if seeds > 1 else "one seed"
    settings = "; ".join(f"`{key}` {', '.join(map(str, values))}" for key, values in grid.items())
    about = (
        f"{dataset}, {counted}: {settings}. Lowest wins: {meaning}; in nats per validation image. "
        "The frame or ring in the picture is the document's choice."
    )
    lines = [
        [
            *(values[i] for values, i in zip(grid.values(), at, strict=True)),
            spread(found[at], ".2f"),
        ]
        for at in np.ndindex(found.shape[:-1])
    ]
    table = tabulate(lines, [*map(short, grid), "nats"], tablefmt="github", disable_numparse=True)
    return "\n\n".join([about, verdict(grid, found, chosen), table])


def verdict(grid: Grid, found: np.ndarray, chosen: tuple[int, ...]) -> str:
    """Whether the search supports the document's choice, in words."""
    means = found.mean(-1)
    order = [np.unravel_index(i, means.shape) for i in means.argsort(axis=None)]
    best, second = (tuple(int(i) for i in at) for at in order[:2])
    other = second if best == chosen else best
    gap = abs(means[chosen] - means[other])
    between = (
        f"{named(grid, chosen)} is the document's choice, {named(grid, other)} the best other "
        f"one: {gap:.2f} nats {'higher' if best == chosen else 'lower'}"
    )
    if found.shape[-1] > 1:
        noise = max(found[at].std(ddof=1) for at in (chosen, other))
        between += f", where seeds differ by {noise:.2f}"
        if gap <= noise:
            return f"Undecided. {between}."
    word = "Supports" if best == chosen else "Contradicts"
    return (
        f"{word} the document{', as far as one seed can tell' * (found.shape[-1] == 1)}. {between}."
    )
