"""What GeodesicKMeans costs as points grow: the neighbour search, passes beside it, memory.

    python -m benchmarks.costs --latents data/latents.npz
    python -m benchmarks.costs --latents L.npz --points 60000 1000000 --runs 1

A pass is the assignment of all points to K centres, one multi-source Dijkstra run on the fitted
graph. Every run is a process of its own; medians over the runs. `growth` is the exponent of the
time beside the search, from the row before. `predict` is the time for 10,000 unseen points over
that of the search for their neighbours. `cold` is a first fit of 500 points with nothing compiled,
`warm` the second.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from typing import Any
from unittest.mock import patch

from tabulate import tabulate

from benchmarks.common import (
    NEIGHBORS,
    K,
    estimator,
    in_processes,
    load,
    peak_memory,
    timed,
    unseen,
)


def work(path: str, count: int, seed: int, jobs: int) -> dict[str, Any]:
    """One run in this process."""
    from geovq.clustering.medoids import assign
    from geovq.clustering.neighbors import nearest_neighbors

    points = load(path, count)
    estimator(seed, jobs).fit(points[:500])  # imports and compilation
    kmeans, searches = estimator(seed, jobs), []

    def watched(*arguments: Any) -> Any:
        took, found = timed(lambda: nearest_neighbors(*arguments))
        searches.append(took)
        return found

    with patch("geovq.clustering.geometry.nearest_neighbors", watched):
        memory, (seconds, _) = peak_memory(lambda: timed(lambda: kmeans.fit(points)))
    search = searches[0]  # a second one measures the recall
    one_pass, _ = timed(lambda: assign(kmeans.graph_, kmeans.node_medoids_), 9)
    queries = unseen(path)
    query, _ = timed(lambda: nearest_neighbors(points, queries, NEIGHBORS + 1), 5)
    predict, _ = timed(lambda: kmeans.predict(queries), 5)
    return {
        "s": seconds,
        "search": search,
        "beside": seconds - search,
        "pass": one_pass,
        "passes": (seconds - search) / one_pass,
        "MB": memory,
        "recall": kmeans.recall_,
        "predict": predict / query,
    }


def compilation(path: str, jobs: int) -> tuple[float, float]:
    """Seconds of a first fit with an empty cache of compiled code, and of a second one."""
    code = (
        "import json, sys; from benchmarks.common import *; points = load(sys.argv[1], 500);"
        "fit = lambda: timed(lambda: estimator(0, int(sys.argv[2])).fit(points))[0];"
        "print(json.dumps([fit(), fit()]))"
    )
    import subprocess

    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, "NUMBA_CACHE_DIR": empty}
        command = [sys.executable, "-c", code, path, str(jobs)]
        cold, warm = json.loads(subprocess.check_output(command, text=True, env=environment))
    return cold, warm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--latents", help="data/latents.npz of a run")
    parser.add_argument("--points", type=int, nargs="+", default=[16_000, 60_000])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, os.cpu_count()])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        path, *numbers = options.worker
        sys.stdout.write(json.dumps(work(path, *map(int, numbers))))
        return
    rows = []
    for jobs in options.jobs:
        before: tuple[int, float] | None = None
        for count in options.points:
            arguments = [
                [options.latents, *map(str, (count, run, jobs))] for run in range(options.runs)
            ]
            found = in_processes("benchmarks.costs", arguments, dict(os.environ))
            growth = None
            if before:
                growth = math.log(found["beside"] / before[1]) / math.log(count / before[0])
            before = count, found["beside"]
            rows.append([count, jobs, *found.values(), growth])
            sys.stderr.write(f"{count} points, {jobs} threads: done\n")
    names = ["points", "threads", "s", "search", "beside", "pass", "passes", "MB", "recall"]
    cold, warm = compilation(options.latents, options.jobs[-1])
    sys.stdout.write(
        f"K = {K}, k = {NEIGHBORS}, {os.cpu_count()} cores, {options.runs} runs\n"
        + tabulate(rows, [*names, "predict", "growth"], floatfmt=".3g")
        + f"\n500 points: {cold:.2f} s cold, {warm:.3f} s warm\n"
    )


if __name__ == "__main__":
    main()
