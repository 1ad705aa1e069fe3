"""Saving and loading what was fitted: one npz file, no pickle."""

from __future__ import annotations

import inspect
import json
import os
from typing import Any, NoReturn, Self

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from geovq.errors import InputError
from geovq.geometry import Geometry, Length, edge_length
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


def _parameters(path: PathLike, named: dict[str, np.ndarray], cls: type) -> dict[str, Any]:
    """Constructor arguments out of a file."""
    try:
        found = json.loads(str(named["parameters"]))
        inspect.signature(cls).bind(**found)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: no parameters of a {cls.__name__} ({error})") from None
    return found


class _Saved:
    """Arrays of a file, each of which is checked when it is taken."""

    def __init__(self, path: PathLike, named: dict[str, np.ndarray], prefix: str = "") -> None:
        self.path, self.named, self.prefix = path, named, prefix

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.named

    def numbers(self, name: str, *shape: int | None) -> np.ndarray:
        """Finite numbers of a shape, of which None may be anything."""
        array = self._shaped(name, shape)
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            self._refuse(name, "finite numbers")
        return array

    def rows(self, name: str, count: int, below: int, least: int = 0) -> np.ndarray:
        """`count` integers from `least` to `below` - 1."""
        array = self._shaped(name, (count,))
        if array.dtype.kind not in "iu" or (
            count and (array.min() < least or array.max() >= below)
        ):
            self._refuse(name, f"integers from {least} to {below - 1}")
        return array

    def number(self, name: str, least: float, most: float) -> float:
        """One number."""
        value = self.numbers(name)
        if not least <= value <= most:
            self._refuse(name, f"{least:g} to {most:g}")
        return value.item()

    def geometry(self, length: Length) -> Geometry:
        """Of points, and edge points if they are others."""
        n, _ = self.numbers("points", None, None).shape
        self.number("neighbors", min(1, n - 1), n)
        self.number("power", np.finfo(float).tiny, np.finfo(float).max)
        names = {"points", "neighbors", "power"}
        if "order" in self:
            if self._shaped("order", ()) not in (1, np.inf):
                self._refuse("order", "1 or infinite")
            names.add("order")
        for name in ("edge_points", "half_smoothed"):
            if name in self:
                self.numbers(name, n, None)
                names.add(name)
        return Geometry.restore({name: self.named[self.prefix + name] for name in names}, length)

    def _shaped(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        array = self.named.get(self.prefix + name)
        if array is None:
            raise InputError(f"{self.path}: no array {self.prefix + name!r}")
        if len(array.shape) != len(shape) or any(
            wanted not in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
        ):
            self._refuse(name, f"shape {shape}")
        return array

    def _refuse(self, name: str, allowed: str) -> NoReturn:
        array = self.named[self.prefix + name]
        raise InputError(
            f"{self.path}: {self.prefix + name} of shape {array.shape}, {array.dtype}: damaged; "
            f"allowed: {allowed}"
        )


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
        named = load_npz(path, "parameters", kind="kmeans")
        parameters, saved = _parameters(path, named, cls), _Saved(path, named)
        if parameters.get("metric") is None:
            if metric is None:
                raise InputError(f"{path}: metric = None; it was fitted with a callable: pass it")
            parameters["metric"] = metric
        kmeans: Any = cls(**parameters)
        n, rows, k = (
            len(saved.numbers(name, None))
            for name in ("node_distances_", "distances_", "node_medoids_")
        )
        saved.rows("node_medoids_", k, n)
        saved.rows("node_labels_", n, k)
        saved.rows("node_rows_", n, rows)
        saved.rows("row_nodes_", rows, n, least=-1)
        saved.rows("labels_", rows, k)
        saved.rows("medoid_indices_", k, rows)
        for name in FITTED:
            if name in named:
                setattr(kmeans, name, named[name] if named[name].ndim else named[name].item())
        edges = saved.numbers("graph/data", None)
        ends = saved.rows("graph/indices", len(edges), n)
        starts = saved.rows("graph/indptr", n + 1, len(edges) + 1)
        ordered = starts[0] == 0 and starts[-1] == len(edges) and (np.diff(starts) >= 0).all()
        if not ordered or edges.min(initial=0) < 0:  # a single node has no edge
            raise InputError(f"{path}: its graph is damaged")
        kmeans.graph_ = sparse.csr_matrix((edges, ends, starts), shape=(n, n))
        if "geometry/points" in named or not kmeans._precomputed:
            length = edge_length(kmeans.metric)
            kmeans.geometry_ = _Saved(path, named, "geometry/").geometry(length)
            if len(kmeans.geometry_.points) != n:
                raise InputError(f"{path}: {len(kmeans.geometry_.points)} points; allowed: {n}")
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
        if quantizer.metric not in METRICS:
            raise InputError(
                f"{path}: metric = {quantizer.metric!r}; allowed: {', '.join(METRICS)}"
            )
        quantizer.scale_ = _Saved(path, named).numbers("scale", None)
        quantizer.chunks_, quantizer.levels_ = [], []
        for position in range(quantizer.tokens):
            saved = _Saved(path, named, f"{position}/")
            width = len(saved.numbers("chunk", None))
            quantizer.chunks_.append(saved.rows("chunk", width, len(quantizer.scale_)))
            if position and quantizer.layout == "grid":
                quantizer.levels_.append(quantizer.levels_[0])
            else:
                length = METRICS[quantizer.metric].length
                quantizer.levels_.append(_level(path, named, position, width, length))
        return quantizer


def _level(
    path: PathLike, named: dict[str, np.ndarray], position: int, width: int, length: Length
) -> Level:
    """The level of a position."""
    for kind in (NearestCells, VoteCells, GeodesicCells):
        saved = _Saved(path, named, f"{position}/{kind.__name__}/")
        if "vectors" not in saved:
            continue
        vectors = saved.numbers("vectors", None, width)
        if kind is NearestCells:
            return NearestCells(vectors)
        points = saved.numbers("points", None, width)
        labels = saved.rows("labels", len(points), len(vectors))
        if kind is VoteCells:
            neighbors = int(saved.number("neighbors", 1, len(points)))
            return VoteCells(vectors, points, labels, neighbors)
        distances = saved.numbers("distances", len(points))
        return GeodesicCells(vectors, saved.geometry(length), labels, distances)
    raise InputError(f"{path}: no codes of position {position}")
