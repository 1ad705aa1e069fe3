"""GeodesicKMeans against brute force, on small random data of the kinds that break things.

    python -m checks.fuzz_estimator --executions 4000

Every execution draws its points (ties, copies, groups far apart, lines, heavy tails, any scale,
float32), options and weights from its number, fits, and compares the graph, distances, labels,
objective, predictions and paths with dense shortest paths (Floyd and Warshall) on the graph that
the definition gives. Fits run in processes with a time limit. The last line counts executions that
crashed, hung, gave a wrong answer, or were refused, each of which is listed above it.
"""

import argparse
import json
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from geovq import GeodesicKMeans
from geovq.clustering.medoids import euclidean_start
from geovq.errors import InputError

KINDS = ("normal", "rounded", "lattice", "binary", "copies", "groups", "line", "tails", "columns")
METRICS = ("euclidean", "manhattan", "chebyshev", "cosine", "correlation", "own", "precomputed")
ORDERS = {"manhattan": 1, "chebyshev": np.inf}
CLOSE = 1e-9  # relative: distances summed in another order


def own_metric(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A callable as users write them; its lengths are as large as the points."""
    return np.abs(a - b) @ (1 + np.arange(a.shape[1]))


@dataclass
class Case:
    """What is fitted in one execution."""

    points: Any
    options: dict[str, Any]
    weights: np.ndarray | None
    unseen: np.ndarray | None
    kind: str
    integral: bool = False  # whether all lengths are integers, so that ties are exact
    faults: list[str] = field(default_factory=list)

    def expect(self, condition: Any, fault: str) -> None:
        if not np.all(condition):
            self.faults.append(fault)

    def __str__(self) -> str:
        options = {k: v for k, v in self.options.items() if k != "metric" or isinstance(v, str)}
        weights = "" if self.weights is None else ", weights"
        return f"{self.kind} {self.points.shape} {self.points.dtype}{weights}, {options}"


def draw(number: int) -> Case:
    """The case of a number."""
    random = np.random.default_rng(number)
    n, features = int(random.integers(2, 50)), int(random.integers(1, 6))
    kind, metric = str(random.choice(KINDS)), str(random.choice(METRICS, p=[0.5] + [1 / 12] * 6))
    options: dict[str, Any] = {
        "n_clusters": int(random.integers(1, n + 1) if random.random() < 0.2 else 1 + n // 8),
        "n_neighbors": int(random.integers(1, 9)),
        "metric": own_metric if metric == "own" else metric,
        "edge_power": float(random.choice([1.0, 1.0, 0.5, 2.0, 3.0])),
        "n_init": int(random.integers(1, 3)),
        "random_state": number,
    }
    weights = None
    if random.random() < 0.4:
        weights = random.integers(0, 3, n).astype(float)
        weights[random.integers(n)] = 1
    if metric == "precomputed":
        graph = _graph(random, n)
        return Case(graph, options, weights, None, "graph", bool(options["edge_power"] >= 1))
    if metric not in ("cosine", "correlation") and random.random() < 0.3:
        options |= {"smoothing": int(random.integers(1, 4)), "whiten": bool(random.integers(2))}
    points = _points(random, n, features, kind)
    scale = 10.0 ** random.integers(-30, 31) if random.random() < 0.5 else 1.0
    unseen = points[random.integers(n, size=8)] + random.normal(
        0, points.std() + 0.1, (8, features)
    )
    kind_of_float = np.float32 if random.random() < 0.25 else np.float64
    if kind_of_float is np.float32:
        scale = scale**0.5
    points, unseen = (scale * points).astype(kind_of_float), (scale * unseen).astype(kind_of_float)
    return Case(points, options, weights, unseen, kind)


def _points(random: np.random.Generator, n: int, features: int, kind: str) -> np.ndarray:
    points = random.standard_normal((n, features))
    if kind == "rounded":
        return np.round(points, int(random.integers(0, 3)))
    if kind == "lattice":
        return random.integers(0, 4, points.shape).astype(float)
    if kind == "binary":
        return random.integers(0, 2, points.shape).astype(float)
    if kind == "copies":
        return points[random.integers(n // 2 + 1, size=n)]
    if kind == "groups":
        return points + 10.0 ** random.integers(1, 9) * random.integers(0, 3, (n, 1))
    if kind == "line":
        return points[:, :1] * random.standard_normal((1, features))
    if kind == "tails":
        return points / np.abs(random.standard_normal((n, 1))) ** 2
    if kind == "columns":
        points[:, 0] = random.choice([0.0, 1e6, points[0, 0]])
        return points * 10.0 ** random.integers(-3, 4, features)
    return points


def _graph(random: np.random.Generator, n: int) -> Any:
    """A connected graph with lengths that are integers, zeros among them."""
    tree = [(i, int(random.integers(i))) for i in range(1, n)]
    edges = np.array(tree + [tuple(random.integers(n, size=2)) for _ in range(n)])
    lengths = random.integers(0, 4, len(edges)).astype(float)
    return sparse.csr_matrix(sparse.coo_array((lengths, edges.T), (n, n)))


def shortest(lengths: np.ndarray) -> np.ndarray:
    """All shortest ways (N, N) over edges (N, N), infinite where there is none."""
    found = lengths.copy()
    np.fill_diagonal(found, 0)
    for through in range(len(found)):
        found = np.minimum(found, found[:, through, None] + found[through])
    return found


def least_tree(gaps: np.ndarray) -> float:
    """Sum of the edges of the least spanning tree (Prim)."""
    nearest, left, total = gaps[0].copy(), set(range(1, len(gaps))), 0.0
    while left:
        new = min(left, key=nearest.__getitem__)
        left.remove(new)
        total += nearest[new]
        nearest = np.minimum(nearest, gaps[new])
    return total


def straight(a: np.ndarray, b: np.ndarray, order: float) -> np.ndarray:
    """Distances (N, M) in units of a power of two, so that no square overflows."""
    unit = 2.0 ** np.frexp(max(np.abs(a).max(), np.abs(b).max()))[1]
    gaps = a[:, None].astype(float) / unit - b[None].astype(float) / unit
    return np.linalg.norm(gaps, order, axis=2)


def edge_lengths(case: Case, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Lengths (N, M) of all possible edges, by the definition of the metric."""
    metric, a, b = case.options["metric"], a.astype(float), b.astype(float)
    if callable(metric):
        pairs = (x.ravel() for x in np.indices((len(a), len(b))))
        i, j = pairs
        found = metric(a[i], b[j]).reshape(len(a), len(b))
    elif metric in ("cosine", "correlation"):
        found = ((a[:, None] - b[None]) ** 2).sum(2) / 2  # of directions
    else:
        unit = 2.0 ** np.frexp(max(np.abs(a).max(), np.abs(b).max()))[1]
        found = straight(a, b, ORDERS.get(metric, 2)) * unit
    return found ** case.options["edge_power"]


def dense(matrix: Any) -> np.ndarray:
    """A sparse matrix with infinity for what is not stored."""
    found, entries = np.full(matrix.shape, np.inf), matrix.tocoo()
    found[entries.row, entries.col] = entries.data
    return found


def check_graph(case: Case, kmeans: GeodesicKMeans) -> None:
    """Neighbours, edges, joins and lengths, from the definition."""
    geometry, graph = kmeans.geometry_, dense(kmeans.graph_)
    points, order = geometry.points, ORDERS.get(case.options["metric"], 2)
    n, k = len(points), geometry.indices.shape[1]
    if n == 1:
        return
    distances = straight(points, points, order)
    np.fill_diagonal(distances, -1)
    nearest = np.sort(distances, axis=1)[:, 1 : k + 1]
    np.fill_diagonal(distances, 0)
    listed = np.take_along_axis(distances, geometry.indices.astype(int), 1)
    case.expect(np.isclose(listed, nearest, 1e-12, 0), "neighbours")
    case.expect(geometry.indices != np.arange(n)[:, None], "own neighbour")
    edge = np.zeros((n, n), bool)
    np.put_along_axis(edge, geometry.indices.astype(int), True, 1)
    edge |= edge.T
    count, component = connected_components(edge)
    case.expect(count == kmeans.n_components_, "n_components_")
    there = np.isfinite(graph)
    case.expect(there[edge], "edge missing")
    joins = np.argwhere(there & ~edge)
    case.expect(len(joins) == 2 * (count - 1), "number of joins")
    if count > 1:
        gaps = np.array(
            [
                [distances[component == a][:, component == b].min() for b in range(count)]
                for a in range(count)
            ]
        )
        least = least_tree(gaps)
        case.expect(np.isclose(distances[*joins.T].sum() / 2, least, 1e-9, 0), "joins not least")
    expected = edge_lengths(case, geometry.edge_points, geometry.edge_points)
    slack = 1e-15 if case.options["metric"] in ("cosine", "correlation") else 0
    case.expect(np.isclose(graph[there], expected[there], CLOSE, slack), "edge lengths")
    case.expect(graph == graph.T, "symmetry")


def check_labels(case: Case, kmeans: GeodesicKMeans) -> None:
    """Distances, labels, objective, predictions and paths, from dense shortest ways."""
    full = shortest(dense(kmeans.graph_))
    to_centers = full[kmeans.node_medoids_]
    nodes = np.arange(len(full))
    case.expect(np.isclose(kmeans.node_distances_, to_centers.min(0), CLOSE, 0), "distances")
    chosen = to_centers[kmeans.node_labels_, nodes]
    case.expect(np.isclose(chosen, to_centers.min(0), CLOSE, 0), "labels")
    case.expect(kmeans.node_labels_[kmeans.node_medoids_] == np.arange(len(to_centers)), "centres")
    if case.integral:
        others = np.setdiff1d(nodes, kmeans.node_medoids_)
        case.expect(kmeans.node_labels_[others] == to_centers.argmin(0)[others], "ties")
    weights = np.ones(len(kmeans.labels_)) if case.weights is None else case.weights
    case.expect(np.isclose(kmeans.inertia_, weights @ kmeans.distances_, CLOSE, 0), "inertia")
    case.expect(kmeans.predict(case.points) == kmeans.labels_, "predict")
    transformed = kmeans.transform(case.points)
    case.expect(np.isclose(transformed.min(1), kmeans.distances_, CLOSE, 0), "transform")
    rows = np.flatnonzero(kmeans.row_nodes_ >= 0)
    a, b = rows[0], rows[-1]
    path = kmeans.path(a, b)
    way = kmeans.row_nodes_[path]
    graph = dense(kmeans.graph_)
    case.expect(way[[0, -1]] == kmeans.row_nodes_[[a, b]], "ends of path")
    length = graph[way[:-1], way[1:]].sum()
    case.expect(np.isclose(length, full[way[0], way[-1]], CLOSE, 0), "length of path")


def check_start(case: Case, kmeans: GeodesicKMeans) -> None:
    """The objective is not above that of the Euclidean start."""
    geometry = kmeans.geometry_
    space = geometry.edge_points if case.options.get("smoothing") else geometry.points
    space = np.ldexp(space, -int(np.frexp(np.abs(space).max())[1]))
    weights = np.ones(len(kmeans.labels_)) if case.weights is None else case.weights
    used = weights > 0
    masses = np.bincount(kmeans.row_nodes_[used], weights[used])
    random = np.random.RandomState(case.options["random_state"])
    start = euclidean_start(space, masses, len(kmeans.node_medoids_), random)
    full = shortest(dense(kmeans.graph_))
    found = masses @ kmeans.node_distances_
    case.expect(found <= masses @ full[start].min(0) * (1 + 1e-6), "worse than the start")


def check_unseen(case: Case, kmeans: GeodesicKMeans) -> None:
    """Unseen points: the way over the k + 1 nearest, from the definition."""
    assert case.unseen is not None
    geometry, order = kmeans.geometry_, ORDERS.get(case.options["metric"], 2)
    queries, _ = kmeans._coordinates(case.unseen, None)
    gaps = straight(queries, geometry.points, order)
    first = np.argsort(gaps, axis=1, kind="stable")[:, : geometry.indices.shape[1] + 1]
    edge_points = queries
    if geometry.half_smoothed is not None:
        edge_points = geometry.half_smoothed[first].mean(1)
    lengths = np.take_along_axis(edge_lengths(case, edge_points, geometry.edge_points), first, 1)
    ways = lengths + kmeans.node_distances_[first]
    least = ways.min(1)
    tied = (gaps[:, -1:] * 0 + ways) <= least[:, None] * (1 + CLOSE)
    allowed = [set(kmeans.node_labels_[f[t]]) for f, t in zip(first, tied, strict=True)]
    found = kmeans.predict(case.unseen)
    case.expect([x in y for x, y in zip(found, allowed, strict=True)], "unseen")


def check_scale(case: Case, kmeans: GeodesicKMeans) -> None:
    """A power of two changes no label."""
    for factor in (2.0**-40, 2.0**30):
        scaled = GeodesicKMeans(**case.options).fit(
            case.points * factor, sample_weight=case.weights
        )
        case.expect(scaled.labels_ == kmeans.labels_, f"labels of {factor} times the points")


def run(case: Case) -> str | None:
    """Fit and check a case; why it was refused, if it was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kmeans = GeodesicKMeans(**case.options).fit(case.points, sample_weight=case.weights)
            check_labels(case, kmeans)
            if case.unseen is not None:
                check_graph(case, kmeans)
                check_start(case, kmeans)
                check_unseen(case, kmeans)
                if case.points.dtype == np.float64:
                    check_scale(case, kmeans)
        except InputError as error:
            return str(error)
    return None


def batch(start: int, stop: int, seconds: float) -> dict[int, list[str]]:
    """Faults of executions start … stop − 1, in a process that is replaced when it fails."""
    found: dict[int, list[str]] = {}
    while start < stop:
        command = [sys.executable, "-m", "checks.fuzz_estimator", "--worker"]
        command += [str(start), str(stop)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            out, _ = process.communicate(timeout=seconds)
            fault = f"crash: status {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            fault = f"hang: more than {seconds:g} s for {stop - start} executions"
        for line in out.splitlines():
            found[start] = json.loads(line)
            start += 1
        if start < stop:
            found[start] = [fault]
            start += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--executions", type=int, default=4000)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300, help="limit of a batch")
    parser.add_argument("--worker", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        for number in range(*options.worker):
            case = draw(number)
            refused = run(case)
            faults = [f"refused: {refused}"] if refused else [f"wrong: {f}" for f in case.faults]
            sys.stdout.write(json.dumps(faults) + "\n")
            sys.stdout.flush()
        return
    counts = dict.fromkeys(("crash", "hang", "wrong", "refused"), 0)
    stop = options.first + options.executions
    for start in range(options.first, stop, options.batch):
        for number, faults in batch(
            start, min(start + options.batch, stop), options.seconds
        ).items():
            for what in {fault.split(":")[0] for fault in faults}:
                counts[what] += 1
            if faults:
                sys.stdout.write(f"{number}: {draw(number)}: {'; '.join(faults)}\n")
    told = ", ".join(f"{what} {count}" for what, count in counts.items())
    sys.stdout.write(f"{options.executions} executions: {told}\n")


if __name__ == "__main__":
    main()
