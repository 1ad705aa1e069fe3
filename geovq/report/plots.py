"""Plots on axes of one's own; the pictures of a run and the charts of its page are made of them.

Each takes `ax`, matplotlib's axes to draw on, and gives them back; without them it draws on
pyplot's current ones, as other libraries do.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from geovq.errors import InputError

__all__ = [
    "COLORS",
    "GREY",
    "mosaic",
    "plot_clusters",
    "plot_codebook",
    "plot_path",
    "plot_rate_distortion",
    "show_images",
]

# Okabe & Ito's colours, told apart with any colour vision.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
GREY = "#808080"
HUES = [*colormaps["tab10"](range(10)), "#101060", "#f5c800"]
LABELLED = 64  # clusters; more numbers than that hide the map


def plot_codebook(
    prototypes: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    columns: int | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Show codes as decoded images, row by row.

    Parameters
    ----------
    prototypes : array-like of shape (K, H, W) or (K, H, W, 3)
        Pixels in [0, 1], as `geovq.Codec.prototypes` gives them.
    counts : array-like of shape (K,), optional
        How often each code occurs: the most used one is then the first.
    columns : int, optional
        Images a row; by default the whole is about as wide as high.
    title : str
    ax : matplotlib.axes.Axes, optional

    Raises
    ------
    InputError
        The arrays are of other shapes.
    """
    images = np.asarray(prototypes)
    if images.ndim not in (3, 4) or not len(images):
        raise InputError(f"prototypes of shape {images.shape}; allowed: (K, H, W), (K, H, W, 3)")
    if counts is not None:
        used = np.asarray(counts, np.float64)
        if used.shape != (len(images),):
            raise InputError(f"counts of shape {used.shape}; allowed: ({len(images)},)")
        images = images[np.argsort(-used, kind="stable")]
    width = int(np.ceil(np.sqrt(len(images)))) if columns is None else columns
    return show_images(_axes(ax), mosaic(images, width), title)


def plot_clusters(
    points: ArrayLike,
    labels: ArrayLike,
    *,
    centers: ArrayLike | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw points in the colours of their clusters.

    Up to 12 clusters get colours of their own and a legend; more share these 12, far from each
    other, and the largest have their numbers on the map.

    Parameters
    ----------
    points : array-like of shape (N, 2)
        Places in the plane: of points in more dimensions two of them, or a map.
    labels : array-like of shape (N,)
    centers : array-like of shape (K, 2), optional
        Drawn as stars.
    title : str
    ax : matplotlib.axes.Axes, optional

    Raises
    ------
    InputError
        The arrays are of other shapes.
    """
    places = _plane("points", points)
    values = np.asarray(labels)
    if values.shape != (len(places),):
        raise InputError(f"labels of shape {values.shape}; allowed: ({len(places)},)")
    axes, (names, index) = _axes(ax), np.unique(values, return_inverse=True)
    middles = np.array([np.median(places[index == i], axis=0) for i in range(len(names))])
    x, y = places.T
    dots = axes.scatter(
        x,
        y,
        c=_hues(middles)[index],
        cmap=ListedColormap(HUES),
        s=float(np.clip(6000 / len(places), 4, 16)),
        lw=0,
        vmin=0,
        vmax=len(HUES) - 1,
    )
    if centers is not None:
        look: dict[str, Any] = {
            "c": "white",
            "edgecolors": "black",
            "marker": "*",
            "s": 160,
            "zorder": 3,
        }
        x, y = _plane("centers", centers).T
        axes.scatter(x, y, **look)
    if len(names) <= len(HUES):
        handles, _ = dots.legend_elements(num=list(range(len(names))))
        axes.legend(handles, names, fontsize=7, ncols=6, loc="lower center", frameon=False)
        axes.margins(y=0.12)
    else:
        largest = np.argsort(-np.bincount(index), kind="stable")[:LABELLED]
        for i in largest:
            axes.annotate(
                str(names[i]),
                middles[i],
                fontsize=7,
                ha="center",
                va="center",
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", "datalim")
    return axes


def plot_path(
    points: ArrayLike, path: ArrayLike, *, label: str = "", ax: Axes | None = None, **style: Any
) -> Axes:
    """Draw a way from point to point.

    Parameters
    ----------
    points : array-like of shape (N, 2)
        Places in the plane.
    path : array-like of shape (L,), integers
        Rows of them in order, as `geovq.GeodesicKMeans.path` gives them.
    label : str
        In a legend, if there will be one.
    ax : matplotlib.axes.Axes, optional
    **style
        Of the line, for `matplotlib.axes.Axes.plot`; black with dots by default.

    Raises
    ------
    InputError
        The arrays are of other shapes, or the path has no such rows.
    """
    places, rows, axes = _plane("points", points), np.asarray(path), _axes(ax)
    whole = rows.ndim == 1 and len(rows) and np.issubdtype(rows.dtype, np.integer)
    if not whole or rows.min() < 0 or rows.max() >= len(places):
        raise InputError(
            f"path of shape {rows.shape}, {rows.dtype}; allowed: (L,) integers from 0 to "
            f"{len(places) - 1}"
        )
    look: dict[str, Any] = {"color": "black", "marker": "o", "ms": 2.5, "lw": 1.5}
    look |= {"label": label or None} | style
    axes.plot(*places[rows].T, **look)
    return axes


def plot_rate_distortion(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    lines: Mapping[str, float] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw distortion against rate.

    Parameters
    ----------
    curves : mapping
        Name → bits per image, ascending, and distortion in nats per image, (T,) each.
    lines : mapping, optional
        Name → a distortion that is the same at any rate, as that of latents that are not quantised.
    ax : matplotlib.axes.Axes, optional

    Raises
    ------
    InputError
        There is no curve, or its two arrays are of unlike shapes.
    """
    if not curves:
        raise InputError("curves = {}; allowed: one at least")
    axes, right = _axes(ax), 0.0
    for (name, pair), color, marker in zip(
        curves.items(), cycle(COLORS), cycle("osD"), strict=False
    ):
        bits, nats = map(np.asarray, pair)
        if bits.shape != nats.shape or bits.ndim != 1 or not len(bits):
            raise InputError(
                f"curves[{name!r}] of shapes {bits.shape}, {nats.shape}; allowed: (T,) both"
            )
        axes.plot(bits, nats, marker=marker, ms=4, lw=1.5, color=color, label=name)
        right = max(right, float(bits[-1]))
    axes.set_xlim(0, 1.02 * right)
    for title, value in (lines or {}).items():
        axes.axhline(value, color=GREY, lw=1, ls="--", zorder=0)
        axes.annotate(title, (0, value), (3, 3), textcoords="offset points", fontsize=9, color=GREY)
    axes.set_xlabel("rate of the tokens decoded, bits per image")
    axes.set_ylabel("bce, nats per image")
    axes.legend(fontsize=9, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """N images → one picture with `columns` of them a row and a white line between them."""
    rows = -(-len(images) // columns)
    height, width, *channels = images.shape[1:]
    sheet = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, *channels))
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image
    return sheet


def show_images(axes: Axes, sheet: np.ndarray, title: str) -> Axes:
    """Show a picture with pixels in [0, 1] and its title, and no axes."""
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_axis_off()
    return axes


def _axes(ax: Axes | None) -> Axes:
    """The axes that were given, or pyplot's."""
    if ax is not None:
        return ax
    from matplotlib import pyplot  # which looks for a screen

    return pyplot.gca()


def _plane(name: str, points: ArrayLike) -> np.ndarray:
    found = np.asarray(points)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found):
        raise InputError(f"{name} of shape {found.shape}; allowed: (N, 2)")
    return found


def _hues(middles: np.ndarray) -> np.ndarray:
    """Of each place one of the hues: a new one, then that whose nearest place is the farthest."""
    hues = np.arange(len(middles))
    for i in range(len(HUES), len(middles)):
        away = np.linalg.norm(middles[:i] - middles[i], axis=1)
        nearest = np.full(len(HUES), np.inf)
        np.minimum.at(nearest, hues[:i], away)
        hues[i] = nearest.argmax()
    return hues
