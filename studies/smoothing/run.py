"""Why smoothing makes codes semantic: it is a low-pass filter of the graph. And where it will help.

    python -m studies.smoothing docs/results/smoothing --dataset mnist --root ../shared/data

In several latent spaces, for 0 to 30 averages over the neighbours: how much of the coordinates'
variance is left in the slowest modes of the graph, how much longer edges between classes are than
edges within, and what 16 codes then tell of the class, by geodesic k-means and by k-means on the
same coordinates. Then: do figures that need no label, taken before any smoothing, predict where it
helps? Networks and rows are kept, so that an interrupted run goes on.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import eigsh

from geovq import GeodesicKMeans
from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import averaging, build_graph
from geovq.clustering.neighbors import distinct_rows
from geovq.evaluation.semantics import purity
from geovq.quantization.levels import VoteCells, k_means
from studies.latent_spaces import NEIGHBORS, SPACES, Study, open_study, parser, publish
from studies.scores import Row, Scores
from studies.smoothing.page import Results, draw_filter, draw_prediction, page

SMOOTHINGS = (0, 1, 3, 8, 20, 30)
CODES = 16
EDGE_POWER = 2.0
MODES = 24  # as many eigenvectors as the study of semantic codes gives to spectral clustering
SAMPLE = 10_000  # points whose graph is taken apart
SOURCES = 50  # points from which distances are compared


@dataclass(frozen=True)
class Modes:
    """The slowest modes of a graph: leading eigenvectors of D^-½ A D^-½.

    Attributes
    ----------
    vectors : ndarray of shape (N, V)
        Orthonormal. The first is a constant signal (times the root of the degrees).
    degrees : ndarray of shape (N,)
    """

    vectors: np.ndarray
    degrees: np.ndarray

    @classmethod
    def of(cls, graph: sparse.csr_matrix, count: int) -> Modes:
        """Slowest modes of a symmetric graph, of which only the edges count, not their lengths."""
        joined = sparse.csr_matrix((np.ones(graph.nnz), graph.indices, graph.indptr), graph.shape)
        degrees = np.diff(graph.indptr).astype(np.float64)
        scale = sparse.diags_array(1 / np.sqrt(degrees))
        start = np.random.default_rng(0).random(len(degrees))
        count = min(count, len(degrees) - 1)
        _, vectors = eigsh(scale @ joined @ scale, k=count, which="LA", v0=start, tol=1e-4)
        return cls(vectors[:, ::-1], degrees)

    def share(self, signals: np.ndarray) -> float:
        """Share of the variance of (N, G) signals on the nodes that lies in these modes.

        A node counts by its degree, as it does where a random walk on the graph comes to rest:
        averages over neighbours, D⁻¹A, have the eigenvectors D^-½ times these.
        """
        centered = signals - np.average(signals, axis=0, weights=self.degrees)
        centered *= np.sqrt(self.degrees)[:, None]
        return float(((self.vectors.T @ centered) ** 2).sum() / (centered**2).sum())


def averaged(geometry: Geometry, steps: Sequence[int]) -> Iterator[np.ndarray]:
    """Points (N, F) after each number of averages over themselves and their neighbours.

    What `geovq.clustering.graph.smooth` does, before whitening: that would change the shares of
    variance.
    """
    average, points, done = averaging(geometry), geometry.points.astype(np.float64), 0
    for wanted in steps:
        for _ in range(wanted - done):
            points = average @ points
        done = wanted
        yield points


def detour(graph: sparse.csr_matrix, points: np.ndarray, seed: int) -> float:
    """Median over random pairs of the geodesic by the Euclidean distance; 1 where space is flat."""
    sources = np.random.default_rng(seed).permutation(len(points))[:SOURCES]
    ways = dijkstra(graph, directed=True, indices=sources)
    straight = np.linalg.norm(points[sources, None] - points, axis=2)
    return float(np.median(ways[straight > 0] / straight[straight > 0]))


def contrast(fitted: GeodesicKMeans, labels: np.ndarray) -> float:
    """Median edge between neighbours of different classes by the median edge within a class."""
    edges, classes = fitted.graph_.tocoo(), labels[fitted.node_rows_]
    lengths = edges.data ** (1 / EDGE_POWER)
    across = classes[edges.row] != classes[edges.col]
    return float(np.median(lengths[across]) / np.median(lengths[~across]))


def describe(points: np.ndarray, labels: np.ndarray, seed: int) -> Row:
    """The graph of a sample: modes of coordinates and of labels, and its detours."""
    rows = np.random.default_rng(seed).permutation(len(points))[:SAMPLE]
    rows = rows[distinct_rows(points[rows])[0]]
    some = points[rows].astype(np.float64)
    geometry = Geometry(some, NEIGHBORS, some)
    graph = build_graph(geometry).matrix
    modes = Modes.of(graph, MODES)
    one_hot = np.eye(labels.max() + 1)[labels[rows]]
    return {
        "detour": detour(graph, some, seed),
        "label_share": modes.share(one_hot),
        "noise_share": (modes.vectors.shape[1] - 1) / (len(rows) - 1),
        "share": [modes.share(coordinates) for coordinates in averaged(geometry, SMOOTHINGS)],
    }


def cluster(
    latents: dict[str, np.ndarray], labels: dict[str, np.ndarray], steps: int, seed: int
) -> Row:
    """Codes of the coordinates smoothed so often; unseen images by the vote in the raw ones."""
    fitted = GeodesicKMeans(
        CODES,
        n_neighbors=NEIGHBORS,
        edge_power=EDGE_POWER,
        smoothing=steps,
        random_state=seed,
    ).fit(latents["train"])
    smoothed = fitted.geometry_.edge_points[fitted.row_nodes_]
    found = {"geodesic": fitted.labels_, "k_means": k_means(smoothed, CODES, seed)[0]}
    scores: Row = {"contrast": contrast(fitted, labels["train"])}
    for name, codes in found.items():
        cells = VoteCells(np.zeros((CODES, 1)), latents["train"], codes, NEIGHBORS)
        scores[name] = purity(cells.encode(latents["test"]), labels["test"])
    return scores


def measure(study: Study, name: str, seed: int) -> Iterator[Row]:
    """One latent space and one seed: lists run over `SMOOTHINGS`."""
    labels, latents = study.labels, study.latents(SPACES[name], seed)
    row = describe(latents["train"], labels["train"], seed)
    each = [cluster(latents, labels, steps, seed) for steps in SMOOTHINGS]
    yield row | {key: [one[key] for one in each] for key in each[0]}


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument(
        "--spaces", nargs="+", choices=SPACES, default=list(SPACES), metavar="SPACE",
        help=", ".join(SPACES),
    )  # fmt: skip
    chosen = options.parse_args(arguments)
    study = open_study(chosen)
    scores = Scores(chosen.folder, study.settings)
    text = ""
    for seed in range(chosen.seeds):
        for name in chosen.spaces:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of joined components
                key = {"space": SPACES[name].title, "seed": seed}
                scores.piece(key, partial(measure, study, name, seed))
        results = Results(scores.rows, SMOOTHINGS)
        text = page(results, chosen.dataset, CODES, MODES)
        figures = {
            "filter": draw_filter(results, chosen.dataset, CODES, MODES),
            "prediction": draw_prediction(results, chosen.dataset),
        }
        publish(chosen.folder, text, figures)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
