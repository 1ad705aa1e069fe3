"""Saving and loading a fitted `GeodesicKMeans`: one npz file, no pickle."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from scipy import sparse

from geovq.errors import InputError
from geovq.graph import Geometry, Length, euclidean_length
from geovq.store import load_npz, save_npz

__all__ = ["read", "write"]

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


def write(kmeans: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator; see `GeodesicKMeans.save`."""
    seed, metric = kmeans.random_state, kmeans.metric
    if not isinstance(seed, int | np.integer | None):
        raise InputError(f"random_state = {seed!r}; allowed in a file: an integer or None")
    parameters = kmeans.get_params() | {"metric": None if callable(metric) else metric}
    named = {name: getattr(kmeans, name) for name in FITTED if hasattr(kmeans, name)}
    for name in ("data", "indices", "indptr"):
        named[f"graph/{name}"] = getattr(kmeans.graph_, name)
    if hasattr(kmeans, "geometry_"):
        named |= {f"geometry/{name}": array for name, array in kmeans.geometry_.arrays().items()}
    save_npz(path, parameters=json.dumps(parameters, default=int), **named)


def read(cls: Any, path: str | os.PathLike[str], metric: Length | None) -> Any:
    """Read what `write` wrote; see `GeodesicKMeans.load`."""
    named = load_npz(path, "parameters", "graph/data", "node_labels_")
    parameters = json.loads(str(named["parameters"]))
    if parameters["metric"] is None:
        if metric is None:
            raise InputError(f"{path}: metric = None; it was fitted with a callable: pass it")
        parameters["metric"] = metric
    kmeans = cls(**parameters)
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
