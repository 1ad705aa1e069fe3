"""The published runs and studies, as Markdown."""

from __future__ import annotations

from pathlib import Path

from tabulate import tabulate

from geovq.files.store import load_json
from geovq.report.table import COLUMNS, NAMES, Scores, cell, constants, table
from geovq.report.words import findings, remarks

__all__ = ["results_page", "summary"]

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


def _pictures(folder: Path, run: Path) -> list[str]:
    return [
        f"![{picture.stem.replace('_', ' ')}]({folder.name}/{run.name}/{picture.name})"
        for picture in sorted(run.glob("*.png"))
    ]


def _at_temperatures(scores: Scores) -> list[str]:
    parts = []
    for model, name in NAMES.items():
        found = scores[model].get("frechet_samples_at")
        if found and None not in found.values():
            parts.append(f"{name} " + ", ".join(f"{v:.1f} at {t}" for t, v in found.items()))
    return [f"Fréchet distance of samples by temperature: {'; '.join(parts)}."] if parts else []


def results_page(folder: Path) -> str:
    """Write up every run below a folder, as Markdown.

    Parameters
    ----------
    folder : Path
        One folder a run, each with `params.yaml`, `evaluate.json` and pictures; one folder a
        study, each with `page.md` and pictures.
    """
    parts = [
        "# Results",
        "Written by `python -m tools.publish`; every figure is one that a run computed on its "
        "held-out test images. Likelihoods are in nats per image, Bernoulli on grey pixels unless "
        "said otherwise; [the findings](findings.md#how-to-read-the-table) explain the columns.",
    ]
    for study in sorted(path.parent for path in folder.glob("*/page.md")):
        parts += [f"## {study.name}", (study / "page.md").read_text(encoding="utf-8").strip()]
        parts += _pictures(folder, study)
    for run in _runs(folder):
        scores = load_json(run / "evaluate.json")
        parts += [
            f"## {run.name}",
            f"{constants(scores)}. Parameters: "
            f"[params.yaml]({folder.name}/{run.name}/params.yaml).",
            table(scores, "github"),
            *_at_temperatures(scores),
            *(f"Note: {remark}." for remark in remarks(scores)),
            " ".join(findings(scores)),
            *_pictures(folder, run),
        ]
    return "\n\n".join(parts) + "\n"
