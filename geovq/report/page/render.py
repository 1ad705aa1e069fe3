"""Content → one HTML page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from geovq import __version__
from geovq.report.figures import curves
from geovq.report.page.charts import inline_svg, rate_distortion, rate_distortion_alt
from geovq.report.page.content import Content
from geovq.report.page.sprites import as_bytes, strip
from geovq.report.page.tiles import explorer
from geovq.report.table import COLUMNS, NAMES, Scores, cells, constants
from geovq.report.words import findings, remarks, sentences

__all__ = ["render"]

# What fits a telephone; the other columns are folded away.
FIRST = ("bits_per_image", "bce", "code_length", "total", "purity", "recognition")


def render(content: Content) -> str:
    """Write the page.

    Parameters
    ----------
    content : Content

    Returns
    -------
    str
        HTML that loads nothing, the same for the same content.
    """
    environment = Environment(
        loader=PackageLoader("geovq.report", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals.update(strip=strip)
    scores = content.scores
    found = explorer(content)
    chart = rate_distortion(scores, content.steps)
    panels = {
        title: inline_svg(curves({title: series}), f"curve{i}", _curve_alt(title, series))
        for i, (title, series) in enumerate(content.curves.items())
    }
    height, width = as_bytes(content.test_images[:1]).shape[1:3]
    return environment.get_template("page.html.jinja").render(
        dataset=scores["data"]["dataset"],
        sentences=sentences(scores),
        constants=constants(scores),
        remarks=remarks(scores),
        findings=findings(scores),
        first=_table(scores, FIRST),
        others=_table(scores, [key for key in COLUMNS if key not in FIRST]),
        shown_name=_shown_name(content),
        version=__version__,
        chart=inline_svg(chart, "rates", rate_distortion_alt(scores, content.steps)),
        panels=panels,
        names=NAMES,
        content=content,
        longest=max(len(steps.bce) for steps in content.steps.values()),
        members=found.members,
        most_codes=found.tiles,
        too_many=any(
            len(book.prototypes) > found.tiles
            for books in content.codebooks.values()
            for book in books
        ),
        sheets=found.sheets,
        data=found.data,
        width=width,
        height=height,
        test_name=lambda row: _test_name(content.test_labels, row),
    )


def _table(scores: Scores, columns: Collection[str]) -> tuple[list[str], list[list[str]]]:
    (_, *headers), rows = cells(scores, columns)
    kept = [header.replace("+ ", "+\u00a0").replace("= ", "=\u00a0") for header in headers]
    return ["model", *kept], rows


def _shown_name(content: Content) -> str:
    """The test images that stand in rows, in the order in which they do."""
    name = f"{len(content.shown)} test images"
    if content.test_labels is None:
        return name
    return f"{name}, of classes {', '.join(str(content.test_labels[row]) for row in content.shown)}"


def _test_name(labels: np.ndarray | None, row: int) -> str:
    return f"test image {row}" + ("" if labels is None else f", class {labels[row]}")


def _curve_alt(title: str, series: Mapping[str, Any]) -> str:
    ends = []
    for name, (steps, values) in series.items():
        least = int(np.argmin(values))
        ends.append(
            f"{name} from {values[0]:.1f} to {values[-1]:.1f} nats in {steps[-1]:.0f} steps, "
            f"lowest {values[least]:.1f} at step {steps[least]:.0f}"
        )
    return f"Training curves, {title}: {'; '.join(ends)}."
