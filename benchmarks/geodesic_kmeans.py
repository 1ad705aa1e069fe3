"""GeodesicKMeans against what one would do otherwise: time, memory and objective.

    python -m benchmarks.geodesic_kmeans --latents data/latents.npz
    python -m benchmarks.geodesic_kmeans --latents L.npz --points 16000 --rivals fasterpam

Points are a VAE's posterior means, or samples of its posteriors where more are asked for than there
are. Every run is a process of its own, whose peak memory is counted from after its input was
loaded; medians over the seeds. All objectives are mean geodesic distances to the nearest of K
medoids on one and the same graph; labels of a rival that knows no medoids get the best one of each
of their cells.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from tabulate import tabulate

K = 64
NEIGHBORS = 10


def load(path: str, count: int) -> np.ndarray:
    with np.load(path) as file:
        means, deviations = file["train_means"], np.exp(0.5 * file["train_log_variances"])
    random = np.random.default_rng(0)
    if count <= len(means):
        return means[random.choice(len(means), count, replace=False)]
    rows = random.integers(len(means), size=count)
    noise = random.standard_normal((count, means.shape[1]), dtype=np.float32)
    return means[rows] + deviations[rows] * noise


def ours(points: np.ndarray, seed: int, jobs: int) -> np.ndarray:
    from geovq import GeodesicKMeans

    return (
        GeodesicKMeans(K, n_neighbors=NEIGHBORS, random_state=seed, n_jobs=jobs)
        .fit(points)
        .medoid_indices_
    )


def fasterpam(points: np.ndarray, seed: int, jobs: int) -> np.ndarray:
    import kmedoids
    from scipy.sparse.csgraph import dijkstra

    full = dijkstra(graph_of(points), directed=True).astype(np.float32)
    found = kmedoids.fasterpam(full, K, random_state=seed, init="random", n_cpu=jobs)
    return found.medoids.astype(np.int64)


def mds(points: np.ndarray, seed: int, jobs: int) -> np.ndarray:
    from scipy.sparse.csgraph import dijkstra
    from sklearn.manifold import MDS

    full = dijkstra(graph_of(points), directed=True)
    embedding = MDS(
        10, metric="precomputed", n_init=1, init="random", random_state=seed
    ).fit_transform(full)
    return medoids_of(euclidean_labels(embedding, seed), points)


def isomap(points: np.ndarray, seed: int, jobs: int) -> np.ndarray:
    from sklearn.manifold import Isomap

    embedding = Isomap(n_neighbors=NEIGHBORS, n_components=10).fit_transform(points)
    return medoids_of(euclidean_labels(embedding, seed), points)


RIVALS: dict[str, tuple[str, Callable[[np.ndarray, int, int], np.ndarray]]] = {
    "geovq": ("GeodesicKMeans", ours),
    "fasterpam": ("full shortest paths + FasterPAM", fasterpam),
    "mds": ("MDS(10) + KMeans", mds),
    "isomap": ("Isomap(10) + KMeans", isomap),
}


def euclidean_labels(points: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(K, random_state=seed).fit_predict(points)


def graph_of(points: np.ndarray):  # type: ignore[no-untyped-def]
    from geovq.graph import Geometry, build_graph

    return build_graph(Geometry(points, NEIGHBORS, points)).matrix


def medoids_of(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The member of each cell with the least sum of distances to the others."""
    from scipy.sparse.csgraph import dijkstra

    graph, medoids = graph_of(points), []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        sums = dijkstra(graph, directed=True, indices=members)[:, members].sum(1)
        medoids.append(members[sums.argmin()])
    return np.array(medoids)


def work(rival: str, path: str, count: int, seed: int, jobs: int) -> dict[str, float]:
    """One run in this process."""
    from geovq.medoids import assign

    points = load(path, count)
    ours(points[:500], seed, jobs)  # imports and compilation
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    medoids = RIVALS[rival][1](points, seed, jobs)
    seconds = time.perf_counter() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    graph = graph_of(points)
    start = time.perf_counter()
    for _ in range(5):
        objective = assign(graph, medoids)[1].mean()
    one_pass = (time.perf_counter() - start) / 5
    return {"seconds": seconds, "MB": peak, "objective": objective, "pass": one_pass}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--latents", required=True, help="data/latents.npz of a run")
    parser.add_argument("--points", type=int, nargs="+", default=[2000, 4000])
    parser.add_argument("--rivals", nargs="*", default=["mds", "isomap"], choices=list(RIVALS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        rival, count, seed = options.worker
        result = work(rival, options.latents, int(count), int(seed), options.jobs)
        sys.stdout.write(json.dumps(result))
        return
    rows = []
    for count in options.points:
        base: dict[str, float] = {}
        for rival in ["geovq", *options.rivals]:
            runs = []
            for seed in range(options.seeds):
                command = [sys.executable, "-m", "benchmarks.geodesic_kmeans"]
                command += ["--latents", options.latents, "--jobs", str(options.jobs)]
                command += ["--worker", rival, str(count), str(seed)]
                runs.append(json.loads(subprocess.check_output(command, text=True)))
            medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            base = base or medians
            rows.append(
                [
                    count,
                    RIVALS[rival][0],
                    medians["seconds"],
                    medians["seconds"] / base["seconds"],
                    medians["MB"],
                    medians["objective"],
                    100 * (medians["objective"] / base["objective"] - 1),
                    1000 * base["pass"],
                ]
            )
            sys.stderr.write(f"{count} points, {RIVALS[rival][0]}: done\n")
    headers = ["points", "", "s", "times ours", "MB", "objective", "% above ours", "pass, ms"]
    sys.stdout.write(f"K = {K}, k = {NEIGHBORS}, {options.jobs} cores, {options.seeds} seeds\n")
    sys.stdout.write(tabulate(rows, headers, floatfmt=".4g") + "\n")


if __name__ == "__main__":
    main()
