"""Content → one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from geovq.report.figures import curves
from geovq.report.page.charts import inline_svg, rate_distortion, rate_distortion_alt
from geovq.report.page.content import Content
from geovq.report.page.sprites import as_bytes, strip
from geovq.report.page.tiles import explorer
from geovq.report.table import NAMES, cells, constants, findings, remarks

__all__ = ["render"]


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
    headers, rows = cells(scores)
    found = explorer(content)
    chart = rate_distortion(scores, content.steps)
    panels = {
        title: inline_svg(curves({title: series}), f"curve{i}", _curve_alt(title, series))
        for i, (title, series) in enumerate(content.curves.items())
    }
    height, width = as_bytes(content.test_images[:1]).shape[1:3]
    return environment.get_template("page.html.jinja").render(
        dataset=scores["data"]["dataset"],
        bits={scores[name]["bits_per_image"] for name in content.codebooks},
        constants=constants(scores),
        remarks=remarks(scores),
        findings=findings(scores),
        headers=[
            "model",
            *(header.replace("+ ", "+\u00a0").replace("= ", "=\u00a0") for header in headers[1:]),
        ],
        rows=rows,
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


def _test_name(labels: np.ndarray | None, row: int) -> str:
    return f"test image {row}" + ("" if labels is None else f", class {labels[row]}")


def _curve_alt(title: str, series: Mapping[str, Any]) -> str:
    ends = [
        f"{name} from {values[0]:.1f} to {values[-1]:.1f} nats in {steps[-1]:.0f} steps"
        for name, (steps, values) in series.items()
    ]
    return f"Training curves, {title}: {'; '.join(ends)}."
