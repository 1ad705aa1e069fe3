"""Codebooks → sheets of tiles, and what the script has to know of every code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from geovq.report.page.content import Codebook, Content
from geovq.report.page.sprites import COLUMNS, as_bytes, sheet
from geovq.report.table import NAMES

__all__ = ["Explorer", "explorer", "order"]

MOST_CODES = 256  # tiles of a codebook ...
TILES = 4096  # ... and of all that can be chosen
MOST_NEIGHBORS = 8  # of a code
MEMBERS = (20, 12, 8, 5, 3, 2, 1)  # images shown of a code: as many as keep all sheets ...
SHEETS_BYTES = 3_000_000  # ... below this size


class Explorer(NamedTuple):
    """What `page.js` works on.

    Attributes
    ----------
    tiles, members : int
        Codes shown of a codebook, and images of a code, at most.
    sheets : dict of str to str
        URIs of PNG files by name.
    data : dict
        Plain values.
    """

    tiles: int
    members: int
    sheets: dict[str, str]
    data: dict[str, Any]


class View(NamedTuple):
    """The codes of one position, or of any cell of a grid.

    Attributes
    ----------
    name : str
    book : int
    codes : ndarray of shape (M, P)
    cell : int or None
        Of a grid, if it is one.
    """

    name: str
    book: int
    codes: np.ndarray
    cell: int | None


def explorer(content: Content) -> Explorer:
    """Find out everything that the explorer shows."""
    # The fewer tiles, the more codebooks and cells there are to choose from.
    most = min(MOST_CODES, TILES // sum(len(_views(b)) for b in content.codebooks.values()))
    orders = {k: [order(book, most) for book in books] for k, books in content.codebooks.items()}
    tokenizers, sheets = [], {}
    for name, books in content.codebooks.items():
        steps = content.steps[name]
        sheets[f"steps-{name}"] = sheet(steps.frames.reshape(-1, *steps.frames.shape[2:]))
        for i, (book, tiles) in enumerate(zip(books, orders[name], strict=True)):
            sheets[f"codes-{name}-{i}"] = sheet(book.prototypes[tiles])
        views = [
            {"name": v.name, "book": v.book, "positions": v.codes.shape[1], "cell": v.cell}
            | {"codes": [_code(content.test_labels, v, code) for code in orders[name][v.book]]}
            for v in _views(books)
        ]
        tokenizers.append(
            {
                "key": name,
                "name": NAMES[name],
                "about": _about(books, len(steps.bits)),
                "grid": books[0].grid,
                "books": [_tiles(*pair) for pair in zip(books, orders[name], strict=True)],
                "views": views,
                "bits": steps.bits.round(1).tolist(),
                "bce": steps.frame_bce.round(1).tolist(),
            }
        )
    codes = [code for own in tokenizers for view in own["views"] for code in view["codes"]]
    room = SHEETS_BYTES - sum(map(len, sheets.values()))
    members, rows, sheets["tests"] = _shown(content, codes, room)
    place = {int(row): i for i, row in enumerate(rows)}
    for code in codes:
        code["members"] = [place[row] for row in code["members"][:members]]
        if "cells" in code:
            code["cells"] = code["cells"][:members]
    labels = content.test_labels
    data = {
        "columns": COLUMNS,
        "size": as_bytes(content.test_images[:1]).shape[1:3],
        "total": len(content.test_images),
        "tests": rows.tolist(),
        "labels": None if labels is None else labels[rows].tolist(),
        "classes": None if labels is None else _counted(labels),
        "shown": [place[int(row)] for row in content.shown],
        "tokenizers": tokenizers,
    }
    return Explorer(most, members, sheets, data)


def order(book: Codebook, most: int = MOST_CODES) -> np.ndarray:
    """Code of each tile: the most used, in an order that keeps neighbours on the graph together.

    Leaves of average linkage on 1 − edges / √(edges of one · edges of the other), ordered so that
    adjacent leaves are alike (Bar-Joseph et al. 2001, https://doi.org/10.1093/bioinformatics/17.suppl_1.S22).
    """
    counts = np.bincount(book.codes.ravel(), minlength=len(book.prototypes))
    kept = np.sort(np.argsort(-counts, kind="stable")[:most])
    edges = book.shared_edges[np.ix_(kept, kept)].astype(np.float64)
    ends = np.sqrt(np.maximum(edges.sum(1), 1))
    distance = 1 - edges / np.outer(ends, ends)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return kept[leaves_list(tree)]


def _views(books: Sequence[Codebook]) -> list[View]:
    """What can be chosen: one position after another; of a grid any cell first, then each."""
    codes = books[0].codes
    if codes.shape[1] == 1:
        return [View(f"token {i + 1}", i, book.codes, None) for i, book in enumerate(books)]
    columns = books[0].grid[1] if books[0].grid else None
    views = [View("any cell", 0, codes, None)]
    for cell in range(codes.shape[1]):
        name = f"cell {cell + 1}"
        if columns:
            name = f"row {cell // columns + 1}, column {cell % columns + 1}"
        views.append(View(name, 0, codes[:, [cell]], cell))
    return views


def _about(books: Sequence[Codebook], tokens: int) -> str:
    if books[0].codes.shape[1] > 1:
        shared = "All cells share these codes, and a tile shows its code in every cell at once."
        lit = " In a test image the cells that have the code stand out." if books[0].grid else ""
        return shared + lit
    if len(books) > 1:
        return "Each token has dimensions of the latent, and codes, of its own."
    if tokens > 1:
        return "Codes of the first token; the others correct what it leaves over."
    return "Codes of the only token."


def _tiles(book: Codebook, tiles: np.ndarray) -> list[dict[str, Any]]:
    """The code of each tile and the tiles `near` it, with the edges they share."""
    found = []
    for tile, code in enumerate(tiles):
        edges = book.shared_edges[code, tiles].copy()
        edges[tile] = 0
        near = np.argsort(-edges, kind="stable")[:MOST_NEIGHBORS]
        shared = [[int(other), int(edges[other])] for other in near if edges[other]]
        found.append({"code": int(code), "near": shared})
    return found


def _code(labels: np.ndarray | None, view: View, code: int) -> dict[str, Any]:
    """Where a code is used: how often, in which classes, and by which images most."""
    has = view.codes == code
    uses = has.sum(1)
    members = np.argsort(-uses, kind="stable")[: min(MEMBERS[0], np.count_nonzero(uses))]
    found: dict[str, Any] = {"count": int(uses.sum()), "members": members.tolist()}
    if labels is not None:
        found["classes"] = _counted(labels.repeat(uses))
    if has.shape[1] > 1:
        found["images"] = int(np.count_nonzero(uses))
        found["cells"] = [np.flatnonzero(has[row]).tolist() for row in members]
    return found


def _shown(
    content: Content, codes: Sequence[dict[str, Any]], room: int
) -> tuple[int, np.ndarray, str]:
    """Images shown of a code, at most; rows of all of them, and their sheet of that many bytes."""
    for most in MEMBERS:
        members = [code["members"][:most] for code in codes]
        rows = np.unique(np.concatenate([content.shown, *members]).astype(np.int64))
        images = sheet(content.test_images[rows])
        if len(images) < room:
            break
    return most, rows, images


def _counted(labels: np.ndarray) -> list[list[int]]:
    """Each label with its count, the most frequent first."""
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return np.stack([found, counts], 1)[order].tolist()
