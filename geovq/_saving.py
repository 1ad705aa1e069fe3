"""Saving and loading what was fitted: one npz file, no pickle."""

from __future__ import annotations

import json
import os
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from geovq.errors import InputError
from geovq.geometry import Geometry, Length, euclidean_length
from geovq.latent_metrics import METRICS
from geovq.levels import GeodesicCells, NearestCells, VoteCells
from geovq.store import load_npz, save_npz

__all__ = ["SavedKMeans", "SavedQuantizer"]

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


class SavedKMeans:
    """`save` and `load` of `GeodesicKMeans`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and what was fitted to one npz file, without pickle.

        Raises
        ------
        InputError
            `random_state` is an object; allowed: an integer or None.
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
        save_npz(path, parameters=json.dumps(parameters, default=int), **named)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, metric: Length | None = None) -> Self:
        """Read what `save` wrote; a callable metric has to be given again.

        Raises
        ------
        InputError
            The file is absent, truncated or another kind of file, or the metric is missing.
        """
        named = load_npz(path, "parameters", "graph/data", "node_labels_")
        parameters = json.loads(str(named["parameters"]))
        if parameters["metric"] is None:
            if metric is None:
                raise InputError(f"{path}: metric = None; it was fitted with a callable: pass it")
            parameters["metric"] = metric
        kmeans: Any = cls(**parameters)
        for name in FITTED:
            if name in named:
                setattr(kmeans, name, named[name] if named[name].ndim else named[name].item())
        data, indices, indptr = (named[f"graph/{name}"] for name in ("data", "indices", "indptr"))
        n = len(indptr) - 1
        kmeans.graph_ = sparse.csr_matrix((data, indices, indptr), shape=(n, n))
        geometry = {n[9:]: array for n, array in named.items() if n.startswith("geometry/")}
        if geometry:
            length = kmeans.metric if callable(kmeans.metric) else euclidean_length
            kmeans.geometry_ = Geometry.restore(geometry, length)
        return kmeans


class SavedQuantizer:
    """`save` and `load` of `GeodesicQuantizer`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and codebooks to one npz file."""
        check_is_fitted(self)
        quantizer: Any = self
        named = {
            "parameters": np.array(json.dumps(quantizer.get_params())),
            "scale": quantizer.scale_,
        }
        parts = zip(quantizer.levels_, quantizer.chunks_, strict=True)
        for position, (level, chunk) in enumerate(parts):
            named[f"{position}/chunk"] = chunk
            if quantizer.layout == "grid" and position:
                continue  # the level is that of position 0
            for name, array in level.arrays().items():
                named[f"{position}/{type(level).__name__}/{name}"] = array
        save_npz(path, **named)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            The file is absent, truncated, or another kind of file.
        """
        named = load_npz(path, "parameters", "scale")
        quantizer: Any = cls(**json.loads(str(named["parameters"])))
        quantizer.scale_ = named["scale"]
        quantizer.chunks_, quantizer.levels_ = [], []
        for position in range(quantizer.tokens):
            quantizer.chunks_.append(named[f"{position}/chunk"])
            for kind in (NearestCells, VoteCells, GeodesicCells):
                prefix = f"{position}/{kind.__name__}/"
                arrays = {n.removeprefix(prefix): named[n] for n in named if n.startswith(prefix)}
                if arrays:
                    length = METRICS[quantizer.metric].length
                    quantizer.levels_.append(kind.restore(arrays, length))
        if quantizer.layout == "grid":
            quantizer.levels_ *= quantizer.tokens
        return quantizer
