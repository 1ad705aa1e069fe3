"""Content → one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from geovq.figures import curves
from geovq.page.charts import inline_svg, rate_distortion, rate_distortion_alt
from geovq.page.content import Codebook, Content
from geovq.page.sprites import COLUMNS, as_bytes, sheet, strip
from geovq.report import NAMES, cells, constants, findings, remarks

__all__ = ["render"]

MOST_CODES = 256  # tiles of a codebook
MOST_NEIGHBORS = 8  # of a code
MEMBERS = (20, 12, 8, 5, 3, 2, 1)  # images shown of a code: as many as keep their sheet ...
SHEET_BYTES = 2_000_000  # ... below this size


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
        loader=PackageLoader("geovq", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals.update(strip=strip)
    scores = content.scores
    headers, rows = cells(scores)
    members, sheets, data = _explorer(content)
    chart = rate_distortion(scores, content.steps)
    panels = {
        title: inline_svg(curves({title: series}), f"curve{i}", _curve_alt(title, series))
        for i, (title, series) in enumerate(content.curves.items())
    }
    height, width = as_bytes(content.test_images[:1]).shape[1:]
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
        members=members,
        most_codes=MOST_CODES,
        too_many=any(len(book.prototypes) > MOST_CODES for book in content.codebooks.values()),
        sheets=sheets,
        data=data,
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


def _explorer(content: Content) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Images shown of a code, sheets of images by name, and what the script needs to know."""
    orders = {name: _order(book) for name, book in content.codebooks.items()}
    for most in MEMBERS:
        shown = {
            name: [np.flatnonzero(content.codebooks[name].codes == code)[:most] for code in order]
            for name, order in orders.items()
        }
        rows = np.unique(np.concatenate([content.shown, *(r for n in shown.values() for r in n)]))
        images = sheet(content.test_images[rows])
        if len(images) < SHEET_BYTES:
            break
    place = {int(row): i for i, row in enumerate(rows)}
    sheets = {"tests": images}
    tokenizers = []
    for name, order in orders.items():
        book, steps = content.codebooks[name], content.steps[name]
        sheets[f"codes-{name}"] = sheet(book.prototypes[order])
        sheets[f"steps-{name}"] = sheet(steps.frames.reshape(-1, *steps.frames.shape[2:]))
        codes = [_code(content.test_labels, book, order, tile) for tile in range(len(order))]
        for code, members in zip(codes, shown[name], strict=True):
            code["members"] = [place[int(row)] for row in members]
        tokenizers.append(
            {
                "key": name,
                "name": NAMES[name],
                "codes": codes,
                "bits": steps.bits.round(1).tolist(),
                "bce": steps.frame_bce.round(1).tolist(),
            }
        )
    labels = content.test_labels
    data = {
        "columns": COLUMNS,
        "size": as_bytes(content.test_images[:1]).shape[1:],
        "total": len(content.test_images),
        "tests": rows.tolist(),
        "labels": None if labels is None else labels[rows].tolist(),
        "classes": None if labels is None else _counted(labels),
        "shown": [place[int(row)] for row in content.shown],
        "tokenizers": tokenizers,
    }
    return most, sheets, data


def _counted(labels: np.ndarray) -> list[list[int]]:
    """Each label with its count, the most frequent first."""
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return np.stack([found, counts], 1)[order].tolist()


def _code(
    labels: np.ndarray | None, book: Codebook, order: np.ndarray, tile: int
) -> dict[str, Any]:
    """What the script shows of a code; `near` are tiles, with the edges they share."""
    edges = book.shared_edges[order[tile], order].copy()
    edges[tile] = 0
    near = np.argsort(-edges, kind="stable")[:MOST_NEIGHBORS]
    has = book.codes == order[tile]
    found: dict[str, Any] = {
        "code": int(order[tile]),
        "count": int(has.sum()),
        "near": [[int(other), int(edges[other])] for other in near if edges[other]],
    }
    if labels is not None:
        found["classes"] = _counted(labels[has])
    return found


def _order(book: Codebook) -> np.ndarray:
    """Code of each tile: the most used, in an order that keeps neighbours on the graph together.

    Leaves of average linkage on 1 − edges / √(edges of one · edges of the other), ordered so that
    adjacent leaves are alike (Bar-Joseph et al. 2001, https://doi.org/10.1093/bioinformatics/17.suppl_1.S22).
    """
    counts = np.bincount(book.codes, minlength=len(book.prototypes))
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_CODES])
    edges = book.shared_edges[np.ix_(kept, kept)].astype(np.float64)
    ends = np.sqrt(np.maximum(edges.sum(1), 1))
    distance = 1 - edges / np.outer(ends, ends)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return kept[leaves_list(tree)]
