"""The file of a fitted `GeodesicKMeans`: one npz, no pickle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from geovq.clustering.geometry import Length, edge_length
from geovq.clustering.saved import PathLike, SavedArrays, saved_parameters
from geovq.errors import InputError
from geovq.files.store import load_npz, save_npz

if TYPE_CHECKING:
    from geovq.clustering.geodesic_kmeans import GeodesicKMeans

__all__ = ["load_kmeans", "save_kmeans"]

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


def save_kmeans(path: PathLike, kmeans: GeodesicKMeans) -> None:
    """As `GeodesicKMeans.save`."""
    seed, metric = kmeans.random_state, kmeans.metric
    if not isinstance(seed, int | np.integer | None):
        raise InputError(f"random_state = {seed!r}; allowed in a file: an integer or None")
    init = kmeans.init if isinstance(kmeans.init, str) else np.asarray(kmeans.init).tolist()
    parameters = kmeans.get_params() | {"metric": None if callable(metric) else metric}
    parameters |= {"init": init}
    named = {name: getattr(kmeans, name) for name in FITTED if hasattr(kmeans, name)}
    if hasattr(kmeans, "feature_names_in_"):  # those of a data frame, as objects
        named["feature_names_in_"] = kmeans.feature_names_in_.astype(str)
    for name in ("data", "indices", "indptr"):
        named[f"graph/{name}"] = getattr(kmeans.graph_, name)
    if hasattr(kmeans, "geometry_"):
        named |= {f"geometry/{n}": array for n, array in kmeans.geometry_.arrays().items()}
    save_npz(path, "kmeans", parameters=json.dumps(parameters, default=int), **named)


def load_kmeans(path: PathLike, cls: type[GeodesicKMeans], metric: Length | None) -> GeodesicKMeans:
    """As `GeodesicKMeans.load`."""
    named = load_npz(path, "parameters", kind="kmeans")
    parameters, saved = saved_parameters(path, named, cls), SavedArrays(path, named)
    if parameters.get("metric") is None:
        if metric is None:
            raise InputError(f"{path}: metric = None; it was fitted with a callable: pass it")
        parameters["metric"] = metric
    kmeans = cls(**parameters)
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
    if "feature_names_in_" in named:
        kmeans.feature_names_in_ = saved.names("feature_names_in_", kmeans.n_features_in_)
    edges = saved.numbers("graph/data", None)
    ends = saved.rows("graph/indices", len(edges), n)
    starts = saved.rows("graph/indptr", n + 1, len(edges) + 1)
    ordered = starts[0] == 0 and starts[-1] == len(edges) and (np.diff(starts) >= 0).all()
    if not ordered or edges.min(initial=0) < 0:  # a single node has no edge
        raise InputError(f"{path}: its graph is damaged")
    kmeans.graph_ = sparse.csr_matrix((edges, ends, starts), shape=(n, n))
    if "geometry/points" in named or kmeans.metric != "precomputed":
        length = edge_length(kmeans.metric)
        kmeans.geometry_ = SavedArrays(path, named, "geometry/").geometry(length)
        if len(kmeans.geometry_.points) != n:
            raise InputError(f"{path}: {len(kmeans.geometry_.points)} points; allowed: {n}")
    return kmeans
