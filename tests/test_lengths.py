"""Edge lengths: the metrics known by name, and what is demanded of a user's own."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from geovq import GeodesicKMeans
from geovq.clustering.geometry import Geometry
from geovq.clustering.lengths import METRICS, edge_length
from geovq.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:the .*-NN graph had")
NAMES = {"manhattan": "cityblock"}


@pytest.fixture
def points(rng):
    return rng.standard_normal((120, 4))


def fit(points, metric, **options):
    return GeodesicKMeans(5, metric=metric, random_state=0, **options).fit(points)


@pytest.mark.parametrize("name", METRICS)
def test_neighbours_and_edges_are_those_of_the_metric(points, name):
    kmeans = fit(points, name, n_neighbors=6)
    nodes = points[kmeans.node_rows_]
    distances = cdist(nodes, nodes, NAMES.get(name, name))
    nearest = np.sort(distances, axis=1)[:, 1:7]
    listed = np.take_along_axis(distances, kmeans.geometry_.indices.astype(int), 1)
    np.testing.assert_allclose(listed, nearest, rtol=1e-9, atol=1e-15)
    edges = kmeans.graph_.tocoo()
    np.testing.assert_allclose(edges.data, distances[edges.row, edges.col], rtol=1e-9, atol=1e-15)
    assert (kmeans.predict(points) == kmeans.labels_).all()
    assert kmeans.cluster_centers_.shape == (5, 4)
    assert (points[kmeans.medoid_indices_] == kmeans.cluster_centers_).all()


def test_only_directions_count_for_the_cosine(points, rng):
    longer = points * rng.uniform(0.1, 10, (120, 1))
    one, two = fit(points, "cosine"), fit(longer, "cosine")
    assert (one.labels_ == two.labels_).all()
    assert two.inertia_ == pytest.approx(one.inertia_)
    assert (one.predict(longer) == one.labels_).all()
    moved = points + rng.uniform(-9, 9, (120, 1))
    assert (fit(points, "correlation").labels_ == fit(moved, "correlation").labels_).all()


@pytest.mark.parametrize(("name", "row"), [("cosine", 0.0), ("correlation", 0.1)])
def test_rows_without_a_direction_are_named(points, name, row):
    kmeans = fit(points, name)
    points[7] = row
    with pytest.raises(InputError, match=f"X: row 7 is {row:g} everywhere; allowed with metric"):
        fit(points, name)
    with pytest.raises(InputError, match="X: row 0 is"):
        kmeans.predict(points[7:8])
    with pytest.raises(InputError, match=f"smoothing = 2; allowed with metric '{name}': 0"):
        fit(points, name, smoothing=2)


def test_names_stand_for_functions():
    assert edge_length("euclidean") is METRICS["euclidean"].length
    assert edge_length(abs) is abs


def one_minus_cosine(a, b):
    return 1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_what_rounding_puts_below_0_is_0(points):
    copies = np.concatenate([points, 2 * points, 3 * points, 5 * points])
    assert one_minus_cosine(copies[:120], copies[240:360]).min() < 0
    kmeans = fit(copies, one_minus_cosine)
    clipped = fit(copies, lambda a, b: np.maximum(one_minus_cosine(a, b), 0))
    assert (kmeans.labels_ == clipped.labels_).all()
    assert kmeans.graph_.data.min() == 0


FORM = "allowed: a callable that takes paired rows"


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda a, b: -(a * b).sum(1), "metric returned -.*; allowed: lengths of at least 0"),
        (lambda a, b: np.full(len(a), np.nan), "metric returned nan; allowed: finite"),
        (lambda a, b: np.full(len(a), np.inf), "metric returned inf; allowed: finite"),
        (lambda a, b: float(np.abs(a - b).sum()), rf"metric returned shape \(\) for 1 .*{FORM}"),
        (lambda a, b: np.linalg.norm(a - b), rf"metric returned shape \(\) for 1 .*{FORM}"),
        (lambda a, b: np.abs(a - b).sum(0), rf"shape \(4,\) for 1 pairs of rows; {FORM}"),
        (lambda a, b: np.abs(a - b), rf"shape \(1, 4\) for 1 pairs of rows; {FORM}"),
        (lambda a, b: np.abs(a - b).sum(1, keepdims=True), rf"shape \(1, 1\) for 1 .*{FORM}"),
        (lambda a, b: np.ones(1), rf"metric returned shape \(1,\) for [^1].*{FORM}"),
        (lambda a, b: 1j * np.ones(len(a)), "metric returned dtype complex128"),
        (lambda a, b: np.ones(len(a), bool), "metric returned dtype bool"),
        (lambda a, b: [None] * len(a), "metric returned dtype object"),
        (lambda a, b: ["1"] * len(a), "metric returned dtype <U1"),
        (lambda a: a, "metric failed for 1 pairs .*positional"),
    ],
)
def test_other_lengths_are_refused(points, metric, message):
    with pytest.raises(InputError, match=message):
        fit(points, metric)


def test_a_metric_of_one_pair_is_refused_where_numbers_agree_by_chance(rng):
    """Sums over the wrong axis have the right length where there are as many pairs as features."""
    square = rng.standard_normal((6, 6))
    geometry = Geometry(square, 2, square, lambda a, b: np.abs(a - b).sum(0))
    with pytest.raises(InputError, match=r"shape \(6,\) for 1 pairs"):
        geometry.lengths(square, np.arange(6), square, np.arange(6)[::-1])


def test_no_pairs_are_no_trap(points):
    assert len(Geometry(points, 2, points).lengths(points, [], points, [])) == 0


def test_powers_of_a_ready_graph(points):
    graph = fit(points, "euclidean", n_neighbors=8).graph_
    squared = fit(graph, "precomputed", edge_power=2.0)
    np.testing.assert_array_equal(squared.graph_.data, graph.data**2)
    assert (squared.predict(graph) == squared.labels_).all()
    assert -squared.score(graph) == pytest.approx(squared.inertia_)
    row = graph[[3]]
    nearest = row.data**2 + squared.node_distances_[row.indices]
    assert squared.transform(row).min() == pytest.approx(nearest.min())
    with pytest.raises(InputError, match="smoothing = 1; allowed with metric 'precomputed': 0"):
        fit(graph, "precomputed", smoothing=1)
    with pytest.raises(InputError, match="edge_points: an array; allowed with metric"):
        GeodesicKMeans(2, metric="precomputed").fit(graph, edge_points=points)


def test_unseen_points_are_measured_where_edges_are(points):
    kmeans = GeodesicKMeans(3, random_state=0).fit(points, edge_points=points[:, :2] ** 3)
    assert kmeans.score(points, edge_points=points[:, :2] ** 3) == pytest.approx(-kmeans.inertia_)
    with pytest.raises(InputError, match="edge_points = None; allowed"):
        kmeans.predict(points)
    with pytest.raises(InputError, match=r"edge_points of shape \(120, 4\); allowed: \(120, 2\)"):
        kmeans.predict(points, edge_points=points)
    with pytest.raises(InputError, match=r"edge_points of shape \(119, 2\); allowed: \(120, D\)"):
        kmeans.fit(points, edge_points=points[1:, :2])
    with pytest.raises(InputError, match=r"edge_points of shape .* holds nan"):
        kmeans.fit(points, edge_points=np.full((120, 2), np.nan))
