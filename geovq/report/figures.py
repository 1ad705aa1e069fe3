"""Pictures of a run; each function returns a matplotlib figure and draws nothing on a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from geovq.codec.folder import END_TO_END
from geovq.report.plots import COLORS, mosaic, plot_clusters, plot_codebook, show_images
from geovq.report.table import NAMES

__all__ = ["codebooks", "curves", "embed", "image_rows", "latent_map", "training_panels", "usage"]


def image_rows(rows: Mapping[str, np.ndarray], columns: int) -> Figure:
    """One titled block of images for each entry.

    Parameters
    ----------
    rows : mapping of str to ndarray of shape (N, H, W) or (N, H, W, 3)
        Pixels in [0, 1].
    columns : int
        Images a row.
    """
    sheets = {title: mosaic(images, columns) for title, images in rows.items()}
    inches = 9 / next(iter(sheets.values())).shape[1]
    heights = [sheet.shape[0] * inches for sheet in sheets.values()]
    figure = Figure(figsize=(9, sum(heights) + 0.32 * len(sheets)), layout="constrained")
    grid = figure.subplots(len(sheets), 1, squeeze=False, height_ratios=heights)
    for axes, (title, sheet) in zip(grid[:, 0], sheets.items(), strict=True):
        show_images(axes, sheet, title)
    return figure


def codebooks(prototypes: Mapping[str, np.ndarray], usage: Mapping[str, np.ndarray]) -> Figure:
    """A codebook of every tokeniser as decoded images, the most used code first.

    Parameters
    ----------
    prototypes : mapping of str to ndarray of shape (K, H, W) or (K, H, W, 3)
    usage : mapping of str to ndarray of shape (K,)
        How often each code occurs.
    """
    size = max(len(images) for images in prototypes.values())
    columns = int(np.ceil(np.sqrt(size)))
    figure = Figure(figsize=(3.4 * len(prototypes), 3.7), layout="constrained")
    grid = figure.subplots(1, len(prototypes), squeeze=False)
    for axes, (name, images) in zip(grid[0], prototypes.items(), strict=True):
        title = f"{name}: {len(images)} codes"
        plot_codebook(images, usage[name], columns=columns, title=title, ax=axes)
    return figure


def usage(counts: Mapping[str, np.ndarray]) -> Figure:
    """Share of the test images' tokens of each code, the most used first.

    Parameters
    ----------
    counts : mapping of str to ndarray of shape (K,)
    """
    figure = Figure(figsize=(3.4 * len(counts), 2.8), layout="constrained")
    grid = figure.subplots(1, len(counts), squeeze=False, sharey=True)
    for axes, color, (name, count) in zip(grid[0], COLORS, counts.items(), strict=False):
        shares = np.sort(count)[::-1] / count.sum()
        axes.bar(np.arange(len(shares)), 100 * shares, width=1, color=color)
        axes.axhline(100 / len(shares), color="0.4", lw=1, ls="--")
        used = f"{(count > 0).sum()} of {len(count)} used"
        axes.set_title(f"{name}: {used}", fontsize=10, loc="left")
        axes.set_xlabel("code, most used first")
        axes.spines[["top", "right"]].set_visible(False)
    grid[0, 0].set_ylabel("% of test tokens (dashed: uniform)")
    return figure


def embed(points: np.ndarray, seed: int) -> np.ndarray:
    """Two-dimensional t-SNE map of points, (N, D) → (N, 2)."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(points) - 1) / 3)
    with threadpool_limits(1):  # parallel sums would differ between runs
        return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)


def latent_map(places: np.ndarray, colorings: Mapping[str, np.ndarray]) -> Figure:
    """The same map of latents under several colourings.

    Parameters
    ----------
    places : ndarray of shape (N, 2)
    colorings : mapping of str to ndarray of shape (N,), integers
        Title → class or code of each point, coloured as `plot_clusters` says.
    """
    figure = Figure(figsize=(4.2 * len(colorings), 4.3), layout="constrained")
    grid = figure.subplots(1, len(colorings), squeeze=False)
    for axes, (title, values) in zip(grid[0], colorings.items(), strict=True):
        plot_clusters(places, values, title=title, ax=axes)
    return figure


def training_panels(
    tables: Mapping[str, np.ndarray],
) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Panels for `curves`: the VAE, end-to-end models, and all priors in one.

    Parameters
    ----------
    tables : mapping of str to ndarray of shape (S, 3)
        `train_vae`, `train_NAME` for each of `END_TO_END`, and `train_ar_NAME` for each tokeniser:
        columns step, training loss, validation loss, in nats per image.
    """

    def both(table: np.ndarray, *names: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        step, *losses = table.T
        return {name: (step, loss) for name, loss in zip(names, losses, strict=True)}

    priors = {n.removeprefix("train_ar_"): t for n, t in tables.items() if "train_ar_" in n}
    return {
        NAMES["vae"]: both(
            tables["train_vae"],
            "train, what is minimised",
            "validation, what weights are chosen by",
        ),
        **{
            title: both(
                tables[f"train_{name}"], "train, codebook terms too", "validation, bce alone"
            )
            for name, title in END_TO_END.items()
        },
        "priors, validation": {NAMES[n]: (t[:, 0], t[:, 2]) for n, t in priors.items()},
    }


def curves(panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]]) -> Figure:
    """Loss against step, one panel a model; a curve that leaves its panel says how far it goes.

    Parameters
    ----------
    panels : mapping
        Title → name of a series → (steps, values).
    """
    figure = Figure(figsize=(3.4 * len(panels), 3), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, (title, series) in zip(grid[0], panels.items(), strict=True):
        lows, highs = [], []
        for color, (name, (steps, values)) in zip(COLORS, series.items(), strict=False):
            axes.plot(steps, values, color=color, lw=1.5, label=name)
            lows.append(min(values))
            highs.append(np.quantile(values, 0.9))
        # The first steps are far above all that is worth seeing.
        margin = 0.1 * (max(highs) - min(lows)) + 1e-9
        top = max(highs) + margin
        axes.set_ylim(min(lows) - margin, top)
        beyond = [max(values) for _, values in series.values() if max(values) > top]
        if beyond:
            axes.annotate(
                f"↑ up to {max(beyond):.0f}",
                (0, 1),
                (3, -1),
                xycoords="axes fraction",
                textcoords="offset points",
                va="top",
                fontsize=8,
            )
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("step")
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0, 0].set_ylabel("loss, nats per image")
    return figure
