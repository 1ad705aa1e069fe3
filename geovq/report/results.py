"""The published runs and studies, as Markdown."""

from __future__ import annotations

from itertools import chain
from math import ceil
from pathlib import Path

from tabulate import tabulate

from geovq.files.store import load_json
from geovq.report.table import COLUMNS, NAMES, Scores, cell, constants, table
from geovq.report.words import findings, remarks, sentences

__all__ = ["contents", "results_pages", "summary"]

ABOUT = (
    "Written by `python -m tools.publish`; every figure is one that a run computed on its held-out "
    "test images. Likelihoods are in nats per image, Bernoulli on grey pixels unless said "
    "otherwise; [the findings](../findings.md#how-to-read-the-table) explain the columns."
)

# What pictures show, by their names.
SEEN = {
    "bce": "bce against bits an image for each method, unrefined and refined, and its difference "
    "from Euclidean codes",
    "choice": "purity of each setting of the graph, beside how stable its codes are",
    "code_usage": "share of the test images' tokens that each code has, the most used first",
    "codebooks": "the codes of each codebook, decoded alone",
    "confidence": "confidence of a classifier along the straight line and along geodesics",
    "cost": "what semantic codes cost in bce, by bits an image and method",
    "filter": "share of slow variance, of labels, and purity, by steps of smoothing",
    "latent_map": "map of the test latents, coloured by class and by the codes of each model",
    "prediction": "gain in purity over k-means against what predicts it, a point a latent space",
    "purity": "label purity against bits an image, a curve for each way to make codes",
    "reconstructions": "test images, and below them what each model decodes",
    "samples": "images drawn from each model's prior",
    "search": "score of each value searched, the document's choice marked",
    "strips": "images decoded along the straight line and along geodesics",
    "training_curves": "losses against optimiser steps: VAE, VQ-VAE, priors",
}
LONGEST = 64  # lines, as `_height` counts them
WIDTHS = {"code_usage": 700, "latent_map": 700, "training_curves": 700, "filter": 700, "bce": 700}

# An implementation that was published before this one, run again from its own checkpoints on the
# MNIST test set: model, row of figures, what is behind them.
PUBLISHED = [
    ("VAE", {"bce": 80.2, "total": 105.5}, "784-400-20; this figure reproduces"),
    ("VQ-VAE", {"bce": 196.0, "codes_used": 2}, "collapsed to 2 of its 64 codes"),
    (
        '"Geo-VQ"',
        {"bce": 219.5},
        "not geodesic: a Euclidean KMeans(10) on 1,000 points; printed as 112.7, because two sums "
        "covered different numbers of images; its 3.13 bits/token are the entropy of shuffled "
        "labels",
    ),
]

SUMMARY = ("bits_per_image", "bce", "total", "codes_used", "purity", "recognition")


def summary(folder: Path) -> str:
    """One short Markdown table of every run below a folder, as of `results_page`.

    What was published on MNIST before stands below the runs, with what was wrong.
    """
    rows = []
    for run in _runs(folder):
        scores = load_json(run / "evaluate.json")
        cells = [
            [name, *(cell(scores[model], key) for key in SUMMARY)] for model, name in NAMES.items()
        ]
        rows += [[run.name if i == 0 else "", *row] for i, row in enumerate(cells)]
    for i, (model, row, _) in enumerate(PUBLISHED):
        figures = [cell(row, key) for key in SUMMARY]
        rows.append(["published before" if i == 0 else "", model, *figures])
    headers = ["run", "model", *(COLUMNS[key][0].removeprefix("= ") for key in SUMMARY)]
    align = ["left", "left", *["right"] * len(SUMMARY)]
    notes = "; ".join(f"{model}: {note}" for model, _, note in PUBLISHED)
    return "\n\n".join(
        [
            tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=align),
            f"Published before, run again from its own checkpoints on MNIST: {notes}.",
        ]
    )


def _runs(folder: Path) -> list[Path]:
    """Result folders, the highest rate first."""
    found = [path.parent for path in folder.glob("*/evaluate.json")]

    def rate(run: Path) -> tuple[float, str]:
        scores = load_json(run / "evaluate.json")
        return -scores["geodesic"]["bits_per_image"], run.name

    return sorted(found, key=rate)


def _pictures(run: Path) -> str:
    """Pictures side by side where there is room; HTML, for Markdown has no widths."""
    return "\n".join(
        f'<img src="{run.name}/{picture.name}" width="{WIDTHS.get(picture.stem, 350)}" '
        f'alt="{SEEN[picture.stem]}">'
        for picture in sorted(run.glob("*.png"))
    )


def _at_temperatures(scores: Scores) -> list[str]:
    parts = []
    for model, name in NAMES.items():
        found = scores[model].get("frechet_samples_at")
        if found and None not in found.values():
            parts.append(f"{name} " + ", ".join(f"{v:.1f} at {t}" for t, v in found.items()))
    return [f"Fréchet distance of samples by temperature: {'; '.join(parts)}."] if parts else []


def _parted(text: str) -> list[str]:
    """A study's page in parts that are no longer than some screens."""
    parts: list[list[str]] = [[]]
    height = 0
    for block in chain.from_iterable(map(_pieces, text.split("\n\n"))):
        more = _height(block)
        if parts[-1] and height + more > LONGEST:
            parts.append([])
            height = 0
        parts[-1].append(block)
        height += more
    return ["\n\n".join(part) for part in parts]


def _height(block: str) -> int:
    """Lines that a paragraph or a table takes where a line has room for 120 letters."""
    return sum(ceil(len(line) / 120) for line in block.split("\n"))


def _pieces(block: str) -> list[str]:
    """A table in as many as are not too long, each with the headers; else what is given."""
    if not block.startswith("|") or _height(block) <= LONGEST:
        return [block]
    headers, rows = block.split("\n")[:2], block.split("\n")[2:]
    size = ceil(len(rows) / ceil(_height(block) / LONGEST))
    return ["\n".join(headers + rows[i : i + size]) for i in range(0, len(rows), size)]


def contents(folder: Path) -> str:
    """Links to the pages of `results_pages`, as Markdown."""
    studies = [path.parent.name for path in folder.glob("*/page.md")]
    kinds = {"Studies": sorted(studies), "Runs": [run.name for run in _runs(folder)]}
    lines = [
        f"- {kind}: {', '.join(f'[{name}]({name}.md)' for name in names)}"
        for kind, names in kinds.items()
    ]
    return "\n".join(lines)


def results_pages(folder: Path) -> dict[str, str]:
    """Write up every run and study below a folder, as Markdown.

    Parameters
    ----------
    folder : Path
        One folder a run, each with `params.yaml`, `evaluate.json` and pictures; one folder a
        study, each with `page.md` and pictures.

    Returns
    -------
    dict of str to str
        By the name of the folder, the page beside it; tables that would make it long go on on
        NAME-2 and so on.
    """
    pages: dict[str, list[str]] = {}
    for study in (path.parent for path in folder.glob("*/page.md")):
        first, *others = _parted((study / "page.md").read_text(encoding="utf-8").strip())
        names = [f"{study.name}-{i}" for i in range(2, 2 + len(others))]
        more = [f"More tables: {', '.join(f'[{name}]({name}.md)' for name in names)}."]
        pages[study.name] = [first, _pictures(study), *(more if names else [])]
        for name, text in zip(names, others, strict=True):
            pages[name] = [f"The study [{study.name}]({study.name}.md), further.", text]
    for run in _runs(folder):
        scores = load_json(run / "evaluate.json")
        pages[run.name] = [
            " ".join(sentences(scores)),
            *(f"Note: {remark}." for remark in remarks(scores)),
            table(scores, "github"),
            f"{constants(scores)}. Parameters: [params.yaml]({run.name}/params.yaml).",
            *_at_temperatures(scores),
            " ".join(findings(scores)),
            _pictures(run),
        ]
    return {name: "\n\n".join([f"# {name}", ABOUT, *parts]) + "\n" for name, parts in pages.items()}
