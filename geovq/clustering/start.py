"""Centres to start from, as scikit-learn's `init` has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from geovq.clustering.checks import check_rows
from geovq.clustering.geometry import Geometry
from geovq.clustering.lengths import METRICS
from geovq.clustering.medoids import snapped
from geovq.errors import InputError
from geovq.files.reading import plain

__all__ = ["check_init", "start_nodes"]

STARTS = ("k-means", "random")


def check_init(init: Any, k: int, *, pairwise: bool) -> None:
    """Refuse all but a name of a start, K row numbers and, unless X is a graph, K centres.

    Raises
    ------
    InputError
        It is anything else.
    """
    if isinstance(init, str) and init in STARTS:
        return
    centres = "" if pairwise else f", or centres ({k}, F)"
    allowed = f"allowed: {', '.join(map(repr, STARTS))}, row numbers ({k},){centres}"
    if isinstance(init, str) or callable(init) or init is None:
        raise InputError(f"init = {init!r}; {allowed}")
    array = plain(init, "init")
    kinds = {1: "iu", 2: "" if pairwise else "fiu"}.get(array.ndim, "")
    if array.shape[:1] != (k,) or not array.size or array.dtype.kind not in kinds or not kinds:
        raise InputError(f"init of shape {array.shape}, {array.dtype}; {allowed}")


def start_nodes(
    init: Any, row_nodes: np.ndarray, geometry: Geometry | None, metric: Any, width: int
) -> str | np.ndarray:
    """Nodes of the centres that `check_init` has passed; a start's name, as it is.

    Parameters
    ----------
    init : str or array-like of shape (K,) or (K, F)
    row_nodes : ndarray of shape (N,)
        Node of each row, −1 for those of weight 0.
    geometry : Geometry or None
        Of the nodes; None of a graph.
    metric : str or callable
        Of which centres are coordinates.
    width : int
        F, of X.

    Returns
    -------
    str or ndarray of shape (K,), int64
        All nodes, where they are fewer.

    Raises
    ------
    InputError
        A row that there is not, or of weight 0; two rows of one point; centres of another width.
    """
    if isinstance(init, str):
        return init
    given, count = plain(init, "init"), int(row_nodes.max()) + 1
    if given.ndim == 2:
        assert geometry is not None
        centres = check_rows("init", given, len(given), width)
        if isinstance(metric, str):
            centres = METRICS[metric].prepare(centres, "init")
        if len(centres) > count:
            return np.arange(count)
        points = geometry.points
        return snapped(points, centres.astype(points.dtype), len(centres), geometry.order)
    if given.min() < 0 or given.max() >= len(row_nodes):
        raise InputError(
            f"init has rows {given.min()} to {given.max()}; allowed: 0 to {len(row_nodes) - 1}"
        )
    nodes = row_nodes[given]
    if (nodes < 0).any():
        raise InputError(f"init has row {given[nodes < 0][0]}, of weight 0; allowed: above 0")
    if len(nodes) > count:
        return np.arange(count)
    _, first = np.unique(nodes, return_index=True)
    if len(first) < len(nodes):
        again = np.setdiff1d(np.arange(len(nodes)), first)[0]
        raise InputError(
            f"init has row {given[again]}, whose point it has already; allowed: distinct points"
        )
    return nodes.astype(np.int64)
