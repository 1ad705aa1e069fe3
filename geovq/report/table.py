"""The results table, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from geovq.codec.folder import END_TO_END
from geovq.files.store import load_json

__all__ = ["NAMES", "cells", "constants", "findings", "remarks", "results_page", "summary", "table"]

NAMES = {
    "vae": "VAE (continuous)",
    "geodesic": "geodesic codes",
    "euclidean": "Euclidean codes",
    **END_TO_END,
}

COLUMNS = {
    "bits_per_image": ("bits", ".0f"),
    "bce_unrefined": ("(unrefined)", ".1f"),
    "bce": ("bce", ".1f"),
    "code_length": ("+ code", ".1f"),
    "total": ("= total", ".1f"),
    "codes_used": ("codes used", ".1f"),
    "perplexity": ("perplexity", ".1f"),
    "ar_bits_per_token": ("bits/token", ".2f"),
    "marginal_bits_per_token": ("(marginal)", ".2f"),
    "purity": ("purity", ".3f"),
    "recognition": ("recognition", ".3f"),
    "psnr": ("PSNR", ".1f"),
    "frechet_reconstructions": ("Fréchet rec.", ".1f"),
    "frechet_samples": ("samples", ".1f"),
}

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

Scores = Mapping[str, Mapping[str, Any]]


def _cell(row: Mapping[str, Any], key: str, form: str) -> str:
    value = row.get(key)
    return "" if value is None else format(value, form)


def cells(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table, a row's first cell being its name; empty where unknown."""
    rows = []
    for model, name in NAMES.items():
        # The VAE's KL is its code length; samples come from its own prior.
        own = {"code_length": "kl", "frechet_samples": "frechet_prior"} if model == "vae" else {}
        row = scores[model]
        rows.append(
            [name, *(_cell(row, own.get(key, key), form) for key, (_, form) in COLUMNS.items())]
        )
    return ["", *(title for title, _ in COLUMNS.values())], rows


def table(scores: Scores, style: str = "simple") -> str:
    """Rows of `metrics/evaluate.json` side by side.

    Parameters
    ----------
    scores : mapping
        The parsed file.
    style : str
        A table format of tabulate: 'simple' for a terminal, 'github' for Markdown.
    """
    headers, rows = cells(scores)
    align = ["left", *["right"] * len(COLUMNS)]
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True, colalign=align)


def constants(scores: Scores) -> str:
    """One line on the data set: the ends of every scale of the table."""
    data = scores["data"]
    parts = [f"{data['dataset']}: {data['test_images']} test images"]
    if data["pixel_entropy"]:
        parts.append(
            f"bce between {data['pixel_entropy']:.1f} (pixel entropy) and "
            f"{data['mean_image_bce']:.1f} (mean image)"
        )
    else:  # a likelihood of 8-bit levels, which has no such floor
        parts.append(f"bce of the mean image {data['mean_image_bce']:.1f}")
    if data["recognition"] is not None:
        parts.append(f"recognition of originals {data['recognition']:.3f}")
        parts.append(f"Fréchet floor {data['frechet_floor']:.1f} (real against real)")
    return "; ".join(parts)


def remarks(scores: Scores) -> list[str]:
    """What a reader has to know before comparing rows."""
    rates = {NAMES[n]: scores[n]["bits_per_image"] for n in NAMES if n != "vae"}
    if len(set(rates.values())) == 1:
        return []
    listed = ", ".join(f"{name} {bits:g}" for name, bits in rates.items())
    return [f"rates differ ({listed} bits an image): rows of unequal rate do not compare"]


def findings(scores: Scores) -> list[str]:
    """What the geodesic codes gain and lose against each rival, in words."""
    mine = scores["geodesic"]
    sentences = []
    for rival in ("euclidean", *END_TO_END):
        parts = []
        for key, unit, form in (
            ("bce", "nats of bce", "+.1f"),
            ("total", "nats in total", "+.1f"),
            ("purity", "purity", "+.3f"),
            ("recognition", "recognition", "+.3f"),
        ):
            if mine[key] is not None:
                # Adding 0 takes the sign off a zero.
                change = round(mine[key] - scores[rival][key], int(form[-2])) + 0.0
                parts.append(f"{change:{form}} {unit}")
        sentences.append(f"Geodesic minus {NAMES[rival]}: {', '.join(parts)}.")
    return sentences


SUMMARY = ("bits_per_image", "bce", "total", "codes_used", "purity", "recognition")


def summary(folder: Path) -> str:
    """One short Markdown table of every run below a folder, as of `results_page`.

    What was published on MNIST before stands below the runs, with what was wrong.
    """
    rows = []
    for run in _runs(folder):
        scores = load_json(run / "evaluate.json")
        cells = [
            [name, *(_cell(scores[model], key, COLUMNS[key][1]) for key in SUMMARY)]
            for model, name in NAMES.items()
        ]
        rows += [[run.name if i == 0 else "", *row] for i, row in enumerate(cells)]
    for i, (model, row, _) in enumerate(PUBLISHED):
        figures = [_cell(row, key, COLUMNS[key][1]) for key in SUMMARY]
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


def main(path: str) -> None:
    """Print the table of one run and say where to look."""
    scores = load_json(path)
    print(f"\n{constants(scores)}\nnats per image unless the column says otherwise\n")
    print(table(scores))
    for remark in remarks(scores):
        print(f"\nwarning: {remark}")
    print(f"\nfigures:  {path}\npictures: {Path('plots/images').resolve()}")
    print(f"page:     {Path('plots/report.html').resolve().as_uri()}")
