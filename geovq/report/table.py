"""The results table, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tabulate import tabulate

from geovq.codec.folder import END_TO_END

__all__ = ["COLUMNS", "NAMES", "Scores", "cell", "cells", "constants", "table"]

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

Scores = Mapping[str, Mapping[str, Any]]


def cell(row: Mapping[str, Any], key: str) -> str:
    """A figure as the table prints it; empty where unknown."""
    value = row.get(key)
    return "" if value is None else format(value, COLUMNS[key][1])


def cells(scores: Scores, columns: Collection[str] = COLUMNS) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table, a row's first cell being its name; empty where unknown."""
    rows = []
    for model, name in NAMES.items():
        # The VAE's KL is its code length; samples come from its own prior.
        own = {"code_length": "kl", "frechet_samples": "frechet_prior"} if model == "vae" else {}
        row = {**scores[model], **{key: scores[model].get(other) for key, other in own.items()}}
        rows.append([name, *(cell(row, key) for key in columns)])
    return ["", *(COLUMNS[key][0] for key in columns)], rows


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
