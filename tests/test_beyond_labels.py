"""Shares of clusters, outliers, and the graph in another library's hands."""

import sys

import networkx
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from geovq import GeodesicKMeans
from geovq.clustering.beyond_labels import relative_distances, softmin
from geovq.errors import InputError


@pytest.fixture
def points(rng):
    return rng.standard_normal((150, 3))


@pytest.fixture
def kmeans(points):
    return GeodesicKMeans(5, random_state=0).fit(points)


def test_shares_are_the_softmin_of_geodesic_distances(kmeans, points, rng):
    unseen = rng.standard_normal((40, 3))
    distances, spread = kmeans.transform(unseen), kmeans.node_distances_.mean()
    weights = np.exp(-distances / spread)
    found = kmeans.predict_proba(unseen)
    np.testing.assert_allclose(found, weights / weights.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)
    assert (found.argmax(1) == kmeans.predict(unseen)).all()
    assert (kmeans.predict_proba(points).argmax(1) == kmeans.labels_).all()


def test_shares_follow_the_temperature(kmeans, points):
    cold, hot = (kmeans.predict_proba(points, temperature=t) for t in (1e-300, 1e300))
    assert (cold.max(1) == 1).all()
    assert (cold.argmax(1) == kmeans.labels_).all()
    np.testing.assert_allclose(hot, 1 / 5)
    for bad in (0, -1.0, np.inf, np.nan, "1", True):
        with pytest.raises(InputError, match=r"^temperature = .*; allowed: above 0, finite"):
            kmeans.predict_proba(points, temperature=bad)


def test_of_ties_the_first_has_the_label():
    line = np.arange(9.0)[:, None]
    kmeans = GeodesicKMeans(2, n_neighbors=2, random_state=0).fit(line)
    halves = kmeans.cluster_centers_.mean() + np.zeros((1, 1))
    for X in (line, halves):
        assert (kmeans.predict_proba(X).argmax(1) == kmeans.predict(X)).all()


def test_points_that_are_all_centres_have_one_cluster_each(rng):
    points = rng.standard_normal((6, 2))
    kmeans = GeodesicKMeans(6, random_state=0).fit(points)
    assert (kmeans.predict_proba(points)[np.arange(6), kmeans.labels_] == 1).all()
    assert (kmeans.outlier_score_ == 0).all()


def test_the_temperature_is_of_distinct_points_that_were_clustered(points):
    weights = np.r_[np.ones(149), 0]
    far = np.r_[points[:149], [[1e6] * 3]]
    one = GeodesicKMeans(5, random_state=0).fit(far, sample_weight=2 * weights)
    two = GeodesicKMeans(5, random_state=0).fit(points[:149])
    assert (one.predict_proba(points) == two.predict_proba(points)).all()


def test_a_graph_of_ones_own_has_shares_too(points, kmeans):
    graph = kmeans.graph_
    other = GeodesicKMeans(5, metric="precomputed", random_state=0).fit(graph)
    assert (other.predict_proba(graph).argmax(1) == other.labels_).all()
    assert (other.score_samples(graph) == -other.distances_).all()


def test_samples_score_by_their_nearest_centre(kmeans, points, rng):
    unseen = rng.standard_normal((40, 3))
    np.testing.assert_allclose(kmeans.score_samples(unseen), -kmeans.transform(unseen).min(1))
    assert (kmeans.score_samples(points) == -kmeans.distances_).all()
    assert kmeans.score_samples(points).sum() == pytest.approx(kmeans.score(points))
    assert kmeans.score_samples([[9.0, 9.0, 9.0]]) < kmeans.score_samples(points).min()


def test_edge_points_are_handed_on(points, rng):
    edges = rng.standard_normal((150, 2))
    kmeans = GeodesicKMeans(4, random_state=0).fit(points, edge_points=edges)
    shares = kmeans.predict_proba(points, edge_points=edges)
    assert (shares.argmax(1) == kmeans.labels_).all()
    assert (kmeans.score_samples(points, edge_points=edges) == -kmeans.distances_).all()


def test_outliers_are_told_by_the_middle_of_their_cluster():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 3, 3])
    distances = np.array([0, 1, 2, 9, 0, 10, 30, 0, 0, 0.0])
    expected = [0, 0.5, 1, 4.5, 0, 0.5, 1.5, 0, 0, 0]
    assert relative_distances(distances, labels).tolist() == expected


def test_the_farthest_is_the_outlier(points, tmp_path):
    far = np.r_[points, [[8.0, 8.0, 8.0]]]
    kmeans = GeodesicKMeans(1, random_state=0).fit(far)
    scores = kmeans.outlier_score_
    assert scores.argmax() == 150
    assert (scores[kmeans.medoid_indices_] == 0).all()
    kmeans.save(tmp_path / "kmeans.npz")
    again = GeodesicKMeans.load(tmp_path / "kmeans.npz")
    assert (again.outlier_score_ == scores).all()
    assert (again.predict_proba(far) == kmeans.predict_proba(far)).all()


def test_nothing_is_said_before_fitting(points):
    kmeans = GeodesicKMeans()
    assert not hasattr(kmeans, "outlier_score_")
    for call in (kmeans.predict_proba, kmeans.score_samples):
        with pytest.raises(ValueError, match="not fitted"):
            call(points)


def test_softmin_does_not_overflow():
    found = softmin(np.array([[1e308, 1.0, 0.0]]), 1e-10)
    assert found.tolist() == [[0, 0, 1]]


def test_networkx_gets_the_same_graph(points):
    doubled = np.r_[points, points[:7]]
    weights = np.r_[0, 0, np.ones(155)]
    kmeans = GeodesicKMeans(5, random_state=0).fit(doubled, sample_weight=weights)
    graph = kmeans.to_networkx()
    assert list(graph) == kmeans.node_rows_.tolist()
    assert graph.number_of_edges() == kmeans.graph_.nnz // 2
    (ends,) = dijkstra(kmeans.graph_, indices=[0])
    lengths = networkx.single_source_dijkstra_path_length(graph, int(kmeans.node_rows_[0]))
    np.testing.assert_allclose([lengths[row] for row in graph], ends)
    for name, values in (("cluster", kmeans.labels_), ("distance", kmeans.distances_)):
        assert [graph.nodes[row][name] for row in graph] == values[kmeans.node_rows_].tolist()
    centers = [row for row, is_center in graph.nodes(data="is_center") if is_center]
    assert sorted(centers) == sorted(kmeans.medoid_indices_)


def test_edges_of_no_length_are_edges():
    edges = sparse.csr_matrix(([0.0, 2.0], ([0, 1], [1, 2])), shape=(3, 3))
    graph = GeodesicKMeans(1, metric="precomputed").fit(edges).to_networkx()
    assert list(graph.edges(data="weight")) == [(0, 1, 0.0), (1, 2, 2.0)]


def test_without_networkx_it_says_what_to_install(kmeans, monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match="pip install networkx"):
        kmeans.to_networkx()
