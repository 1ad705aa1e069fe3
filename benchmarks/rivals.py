"""GeodesicKMeans against what one would do otherwise: time, memory and objective.

    python -m benchmarks.rivals --latents data/latents.npz
    python -m benchmarks.rivals --latents L.npz --points 16000 --rivals fasterpam
    python -m benchmarks.rivals --latents L.npz --points 60000 --rivals clara onebatch

Points are a VAE's posterior means. Every run is a process of its own; medians over the seeds. All
objectives are mean geodesic distances on one and the same graph: of every point to the medoid of
its cluster, which for a rival that knows no medoids is the best member of each of its clusters; the
last column lets points go to the nearest of those medoids instead.
CLARA clusters samples of 40 + 2K points with FasterPAM until it has taken as long as ours.
OneBatchPAM takes the batch size of its authors; install it first (`pip install onebatch`).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.common import NEIGHBORS, K, estimator, in_processes, load, peak_memory, timed


def ours(points: np.ndarray, seed: int, jobs: int, budget: float) -> np.ndarray:
    return estimator(seed, jobs).fit(points).medoid_indices_


def fasterpam(points: np.ndarray, seed: int, jobs: int, budget: float) -> np.ndarray:
    import kmedoids
    from scipy.sparse.csgraph import dijkstra

    full = dijkstra(graph_of(points), directed=True).astype(np.float32)
    found = kmedoids.fasterpam(full, K, random_state=seed, init="random", n_cpu=jobs)
    return found.medoids.astype(np.int64)


def clara(points: np.ndarray, seed: int, jobs: int, budget: float) -> np.ndarray:
    import kmedoids
    from scipy.sparse.csgraph import dijkstra

    from geovq.clustering.medoids import assign

    begin, random = time.perf_counter(), np.random.default_rng(seed)
    graph, best, least = graph_of(points), np.empty(0), np.inf
    while best.size == 0 or time.perf_counter() - begin < budget:
        sample = random.choice(len(points), 40 + 2 * K, replace=False)
        among = dijkstra(graph, directed=True, indices=sample)[:, sample]
        medoids = sample[kmedoids.fasterpam(among, K, random_state=seed, n_cpu=jobs).medoids]
        objective = assign(graph, medoids)[1].sum()
        if objective < least:
            best, least = medoids, objective
    return best


def onebatch(points: np.ndarray, seed: int, jobs: int, budget: float) -> np.ndarray:
    from onebatch import OneBatchPAM
    from scipy.sparse.csgraph import dijkstra

    graph, n = graph_of(points), len(points)
    batch = np.random.default_rng(seed).permutation(n)[: int(100 * np.log(K * n))]
    distances = np.empty((n, len(batch)), np.float32)
    for column, node in enumerate(batch):
        distances[:, column] = dijkstra(graph, directed=True, indices=node)
    rival = OneBatchPAM(K, distance="precomputed", random_state=seed, n_jobs=jobs)
    return np.asarray(rival.fit(distances).medoid_indices_)


def mds(points: np.ndarray, seed: int, jobs: int, budget: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse.csgraph import dijkstra
    from sklearn.manifold import MDS

    full = dijkstra(graph_of(points), directed=True)
    options: dict[str, Any] = {"n_init": 1, "init": "random", "random_state": seed}
    embedding = MDS(10, metric="precomputed", **options).fit_transform(full)
    return medoids_of(euclidean_labels(embedding, seed), full)


def isomap(
    points: np.ndarray, seed: int, jobs: int, budget: float
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.manifold import Isomap

    found = Isomap(n_neighbors=NEIGHBORS, n_components=10, n_jobs=jobs).fit(points)
    return medoids_of(euclidean_labels(found.embedding_, seed), found.dist_matrix_)


RIVALS: dict[str, tuple[str, Callable[..., Any]]] = {
    "ours": ("GeodesicKMeans", ours),
    "fasterpam": ("full shortest paths + FasterPAM", fasterpam),
    "clara": ("CLARA, equal time", clara),
    "onebatch": ("OneBatchPAM", onebatch),
    "mds": ("MDS(10) + KMeans", mds),
    "isomap": ("Isomap(10) + KMeans", isomap),
}


def euclidean_labels(points: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(K, random_state=seed).fit_predict(points)


def graph_of(points: np.ndarray) -> Any:
    from geovq.clustering.geometry import Geometry
    from geovq.clustering.graph import build_graph

    return build_graph(Geometry(points, NEIGHBORS, points)).matrix


def medoids_of(labels: np.ndarray, full: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the member of each cell with the least sum of distances to the others."""
    medoids = np.empty(labels.max() + 1, np.int64)
    for label in range(len(medoids)):
        members = np.flatnonzero(labels == label)
        medoids[label] = members[full[np.ix_(members, members)].sum(1).argmin()]
    return labels, medoids


def mean_distances(points: np.ndarray, found: Any) -> tuple[float, float]:
    """To the medoid of one's cluster, and to the nearest medoid."""
    from scipy.sparse.csgraph import dijkstra

    from geovq.clustering.medoids import assign

    graph = graph_of(points)
    labels, medoids = (None, found) if isinstance(found, np.ndarray) else found
    nearest = float(assign(graph, medoids)[1].mean())
    if labels is None:
        return nearest, nearest
    to_medoids = dijkstra(graph, directed=True, indices=medoids)
    return float(to_medoids[labels, np.arange(len(points))].mean()), nearest


def work(rival: str, path: str, count: int, seed: int, jobs: int, budget: float) -> dict[str, Any]:
    """One run in this process."""
    points, run = load(path, count), RIVALS[rival][1]
    for warm in {ours, run}:  # imports and compilation
        warm(points[:500], seed, jobs, 0)
    memory, (seconds, found) = peak_memory(lambda: timed(lambda: run(points, seed, jobs, budget)))
    own, nearest = mean_distances(points, found)
    return {"seconds": seconds, "MB": memory, "own": own, "nearest": nearest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--latents", help="data/latents.npz of a run")
    parser.add_argument("--points", type=int, nargs="+", default=[2000, 4000])
    parser.add_argument("--rivals", nargs="*", default=["mds", "isomap"], choices=list(RIVALS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--worker", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        rival, path, *numbers, budget = options.worker
        count, seed, jobs = map(int, numbers)
        sys.stdout.write(json.dumps(work(rival, path, count, seed, jobs, float(budget))))
        return
    rows = []
    for count in options.points:
        base: dict[str, float] = {"seconds": 0.0}
        for rival in ["ours", *options.rivals]:
            arguments = [
                [rival, options.latents, *map(str, (count, seed, options.jobs, base["seconds"]))]
                for seed in range(options.seeds)
            ]
            found = in_processes("benchmarks.rivals", arguments, dict(os.environ))
            base = found if rival == "ours" else base
            more = {name: found[name] / base[name] for name in found}
            above = [100 * (more[name] - 1) for name in ("own", "nearest")]
            time_and_memory = [found["seconds"], more["seconds"], found["MB"], more["MB"]]
            rows.append([count, RIVALS[rival][0], *time_and_memory, found["own"], *above])
            sys.stderr.write(f"{count} points, {RIVALS[rival][0]}: done\n")
    headers = [
        "points",
        "",
        "s",
        "× ours",
        "MB",
        "× ours",
        "objective",
        "above, %",
        "reassigned, %",
    ]
    sys.stdout.write(f"K = {K}, k = {NEIGHBORS}, {options.jobs} cores, {options.seeds} seeds\n")
    sys.stdout.write(tabulate(rows, headers, floatfmt=".4g") + "\n")


if __name__ == "__main__":
    main()
