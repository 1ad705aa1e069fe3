"""Saving and loading what was fitted: one npz file, no pickle."""

from __future__ import annotations

import inspect
import json
import os
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from geovq.errors import InputError
from geovq.geometry import Geometry, Length, euclidean_length
from geovq.latent_metrics import METRICS
from geovq.levels import GeodesicCells, Level, NearestCells, VoteCells
from geovq.store import load_npz, save_npz

__all__ = ["SavedKMeans", "SavedQuantizer"]

PathLike = str | os.PathLike[str]

FITTED = [
    "medoid_indices_",
    "cluster_centers_",
    "labels_",
    "distances_",
    "inertia_",
    "n_iter_",
    "n_components_",
    "recall_",
    "node_medoids_",
    "node_labels_",
    "node_distances_",
    "node_rows_",
    "row_nodes_",
    "n_features_in_",
]


FITTED_ALWAYS = [
    *("graph/data", "graph/indices", "graph/indptr"),
    *("medoid_indices_", "labels_", "node_medoids_", "node_labels_", "node_distances_"),
    *("node_rows_", "row_nodes_"),
]


def _parameters(path: PathLike, named: dict[str, np.ndarray], cls: type) -> dict[str, Any]:
    """Constructor arguments out of a file."""
    try:
        found = json.loads(str(named["parameters"]))
        inspect.signature(cls).bind(**found)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: no parameters of a {cls.__name__} ({error})") from None
    return found


def _check_rows(
    path: PathLike, named: dict[str, np.ndarray], name: str, count: int, below: int, least: int = 0
) -> None:
    """See that an array has `count` numbers of rows, from `least` to `below` - 1."""
    array = named[name]
    whole = array.shape == (count,) and np.issubdtype(array.dtype, np.integer)
    if not whole or (count and (array.min() < least or array.max() >= below)):
        raise InputError(f"{path}: {name} is damaged; allowed: ({count},), {least} to {below - 1}")


class SavedKMeans:
    """`save` and `load` of `GeodesicKMeans`."""

    def save(self, path: PathLike) -> None:
        """Write parameters and what was fitted to one npz file, without pickle.

        Parameters
        ----------
        path : path-like
            Ends in `.npz`. A file that is there is replaced only if geovq wrote it.

        Raises
        ------
        InputError
            `random_state` is an object; allowed: an integer or None. Or the path has another
            suffix, or is that of a folder, a link, or a file of somebody else's.
        WriteError
            The system refused to write; what was there is as it was.
        """
        check_is_fitted(self)
        kmeans: Any = self
        seed, metric = kmeans.random_state, kmeans.metric
        if not isinstance(seed, int | np.integer | None):
            raise InputError(f"random_state = {seed!r}; allowed in a file: an integer or None")
        parameters = kmeans.get_params() | {"metric": None if callable(metric) else metric}
        named = {name: getattr(self, name) for name in FITTED if hasattr(self, name)}
        for name in ("data", "indices", "indptr"):
            named[f"graph/{name}"] = getattr(kmeans.graph_, name)
        if hasattr(self, "geometry_"):
            named |= {f"geometry/{n}": array for n, array in kmeans.geometry_.arrays().items()}
        save_npz(path, "kmeans", parameters=json.dumps(parameters, default=int), **named)

    @classmethod
    def load(cls, path: PathLike, *, metric: Length | None = None) -> Self:
        """Read what `save` wrote; a callable metric has to be given again.

        Raises
        ------
        InputError
            The file is absent, truncated or another kind of file, or the metric is missing.
        """
        named = load_npz(path, "parameters", *FITTED_ALWAYS, kind="kmeans")
        parameters = _parameters(path, named, cls)
        if parameters["metric"] is None:
            if metric is None:
                raise InputError(f"{path}: metric = None; it was fitted with a callable: pass it")
            parameters["metric"] = metric
        kmeans: Any = cls(**parameters)
        for name in FITTED:
            if name in named:
                setattr(kmeans, name, named[name] if named[name].ndim else named[name].item())
        data, indices, indptr = (named[f"graph/{name}"] for name in ("data", "indices", "indptr"))
        n, k = len(indptr) - 1, kmeans.medoid_indices_.size
        try:
            kmeans.graph_ = sparse.csr_matrix((data, indices, indptr), shape=(n, n))
            kmeans.graph_.check_format(full_check=True)
        except ValueError as error:
            raise InputError(f"{path}: its graph is damaged ({error})") from None
        rows = kmeans.labels_.size
        _check_rows(path, named, "node_medoids_", k, n)
        _check_rows(path, named, "node_labels_", n, k)
        _check_rows(path, named, "node_rows_", n, rows)
        _check_rows(path, named, "row_nodes_", rows, n, least=-1)
        geometry = {n[9:]: array for n, array in named.items() if n.startswith("geometry/")}
        if geometry:
            length = kmeans.metric if callable(kmeans.metric) else euclidean_length
            kmeans.geometry_ = Geometry.restore(geometry, length)
        return kmeans


class SavedQuantizer:
    """`save` and `load` of `GeodesicQuantizer`."""

    def save(self, path: PathLike) -> None:
        """Write parameters and codebooks to one npz file.

        Parameters and errors are those of `GeodesicKMeans.save`.
        """
        check_is_fitted(self)
        quantizer: Any = self
        named = {
            "parameters": np.array(json.dumps(quantizer.get_params(), default=int)),
            "scale": quantizer.scale_,
        }
        parts = zip(quantizer.levels_, quantizer.chunks_, strict=True)
        for position, (level, chunk) in enumerate(parts):
            named[f"{position}/chunk"] = chunk
            if quantizer.layout == "grid" and position:
                continue  # the level is that of position 0
            for name, array in level.arrays().items():
                named[f"{position}/{type(level).__name__}/{name}"] = array
        save_npz(path, "codebook", **named)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            The file is absent, truncated, or another kind of file.
        """
        named = load_npz(path, "parameters", "scale", kind="codebook")
        quantizer: Any = cls(**_parameters(path, named, cls))
        quantizer.scale_ = named["scale"]
        try:
            quantizer.chunks_, quantizer.levels_ = _levels(quantizer, named)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise InputError(f"{path}: no codebook of its parameters ({error})") from None
        return quantizer


def _levels(quantizer: Any, named: dict[str, np.ndarray]) -> tuple[list[np.ndarray], list[Level]]:
    """Chunks and levels of a quantiser out of its file."""
    chunks, levels = [], []
    length = METRICS[quantizer.metric].length
    for position in range(quantizer.tokens):
        chunks.append(named[f"{position}/chunk"])
        quantizer.scale_[chunks[-1]]  # no dimension beyond
        for kind in (NearestCells, VoteCells, GeodesicCells):
            prefix = f"{position}/{kind.__name__}/"
            arrays = {n.removeprefix(prefix): named[n] for n in named if n.startswith(prefix)}
            if arrays:
                labels = arrays.get("labels", np.zeros(1, np.int64))
                codes = len(arrays["vectors"])
                if labels.min() < 0 or labels.max() >= codes:
                    raise ValueError(f"codes up to {labels.max()} of {codes}")
                levels.append(kind.restore(arrays, length))
    if quantizer.layout == "grid":
        levels *= quantizer.tokens
    if len(levels) != quantizer.tokens:
        raise ValueError(f"{len(levels)} levels of {quantizer.tokens}")
    return chunks, levels
