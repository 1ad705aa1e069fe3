"""What else `GeodesicKMeans.fit` takes: sparse points, neighbours found elsewhere, starts."""

import re
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors

from geovq import GeodesicKMeans
from geovq.errors import InputError


@pytest.fixture
def points(rng):
    return rng.standard_normal((200, 3))


def same(first, second):
    """Whether two fits came to the same, to the last bit."""
    names = ("medoid_indices_", "labels_", "distances_", "cluster_centers_")
    return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in names)


def nearest(points, k, own=True, metric="euclidean"):
    """Indices and distances, with the own point first or without it."""
    found = NearestNeighbors(n_neighbors=k + 1, metric=metric).fit(points).kneighbors(points)
    distances, indices = (part if own else part[:, 1:] for part in found)
    return indices, distances


# ---------------------------------------------------------------- sparse points


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil"])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_sparse_points_are_the_array_they_stand_for(points, form, metric):
    points[np.abs(points) < 0.5] = 0
    points[~points.any(1), 0] = 1
    held = sparse.csr_array(points).asformat(form)
    expected = GeodesicKMeans(5, metric=metric, random_state=0).fit(points)
    found = GeodesicKMeans(5, metric=metric, random_state=0).fit(held)
    assert same(found, expected)
    assert isinstance(found.cluster_centers_, np.ndarray)
    assert (found.predict(held) == expected.labels_).all()
    for name in ("transform", "predict_proba", "score_samples"):
        assert (getattr(found, name)(held) == getattr(expected, name)(points)).all()
    assert found.score(held) == expected.score(points)


def test_sparse_points_that_are_too_wide_are_refused(points, monkeypatch):
    wide = sparse.csr_array(([1.0, 2.0], ([0, 9], [3, 10**9])), shape=(40, 10**10))
    with pytest.raises(
        InputError, match=r"X is sparse, of shape \(40, 10000000000\).* it takes .*"
    ):
        GeodesicKMeans(2).fit(wide)
    kmeans = GeodesicKMeans(2, random_state=0).fit(points)
    monkeypatch.setattr("geovq.clustering.checks.free_memory", lambda: 3 * points.nbytes)
    assert kmeans.predict(sparse.csr_array(points)).shape == (200,)
    monkeypatch.setattr("geovq.clustering.checks.free_memory", lambda: 3 * points.nbytes - 1)
    with pytest.raises(InputError, match="TruncatedSVD of scikit-learn makes columns fewer"):
        kmeans.predict(sparse.csr_array(points))


# ---------------------------------------------------------------- neighbours


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_given_neighbours_are_as_good_as_found_ones(points, rng, own, metric):
    expected = GeodesicKMeans(6, n_neighbors=8, metric=metric, random_state=0).fit(points)
    given = nearest(points, 8, own, metric)
    kmeans = GeodesicKMeans(6, n_neighbors=99, metric=metric, random_state=0)
    kmeans.fit(points, neighbors=given)
    assert (kmeans.graph_.indices == expected.graph_.indices).all()
    np.testing.assert_allclose(kmeans.graph_.data, expected.graph_.data)
    assert (kmeans.labels_ == expected.labels_).all()
    assert (kmeans.medoid_indices_ == expected.medoid_indices_).all()
    unseen = rng.standard_normal((30, 3))
    np.testing.assert_allclose(kmeans.transform(unseen), expected.transform(unseen))
    assert np.isnan(kmeans.recall_)
    assert (kmeans.fit_predict(points, neighbors=[*given, "an index"]) == expected.labels_).all()


def test_given_neighbours_survive_the_file(points, tmp_path):
    kmeans = GeodesicKMeans(4, random_state=0).fit(points, neighbors=nearest(points, 5))
    kmeans.save(tmp_path / "kmeans.npz")
    again = GeodesicKMeans.load(tmp_path / "kmeans.npz")
    assert (again.predict(points) == kmeans.labels_).all()
    assert np.isnan(again.recall_)


def test_given_distances_are_edges_to_a_power_and_the_shorter_counts():
    points = np.arange(4.0)[:, None]
    indices = np.array([[1, 0], [0, 2], [3, 1], [3, 3]])
    distances = np.array([[1.01, 0], [1, 1], [1, 1], [7, 0]])
    kmeans = GeodesicKMeans(2, edge_power=2.0).fit(points, neighbors=(indices, distances))
    chain = np.diag([1.0, 1, 1], 1)
    assert (kmeans.graph_.toarray() == chain + chain.T).all()
    twice = GeodesicKMeans(2, edge_power=2.0)
    with pytest.warns(UserWarning, match="neighbors: distances are 2 times those by the metric, "):
        twice.fit(points, neighbors=(indices, 2 * distances))
    assert (twice.graph_.toarray() == 4 * (chain + chain.T)).all()


def test_copies_and_points_of_no_weight_are_no_nodes_of_a_given_graph(points, rng):
    """Neighbours of the rows become those of the nodes; the rest is predicted."""
    points[100:120] = points[:20]
    weights = np.ones(200)
    weights[50:60] = 0
    given = nearest(points, 12)
    kmeans = GeodesicKMeans(5, random_state=0).fit(points, None, weights, neighbors=given)
    nodes = kmeans.row_nodes_
    assert len(kmeans.node_rows_) == 170
    assert kmeans.graph_.shape == (170, 170)
    joined = {(nodes[a], nodes[b]) for a in range(200) for b in given[0][a]}
    joined = {pair for pair in joined if min(pair) >= 0 and pair[0] != pair[1]}
    edges = kmeans.graph_.tocoo()
    assert set(zip(edges.row, edges.col, strict=True)) == joined | {(b, a) for a, b in joined}
    rest = np.arange(50, 60)
    assert (kmeans.labels_[rest] == kmeans.predict(points[rest])).all()
    full = dijkstra(kmeans.graph_, indices=kmeans.node_medoids_).min(0)
    np.testing.assert_allclose(kmeans.node_distances_, full)


def test_components_of_given_neighbours_are_joined(points):
    far = np.concatenate([points[:100], points[100:] + 40])
    kmeans = GeodesicKMeans(4, random_state=0)
    text = "the graph of the given neighbours had 2 components; joined by their nearest pairs, by"
    with pytest.warns(UserWarning, match=text) as told:
        kmeans.fit(far, neighbors=nearest(far, 10))
    assert told[0].filename == __file__
    assert kmeans.n_components_ == 2
    assert connected_components(kmeans.graph_)[0] == 1
    longest = kmeans.graph_.data.max()
    gaps = np.linalg.norm(far[:100, None] - far[None, 100:], axis=2)
    assert longest == pytest.approx(gaps.min())


good = nearest(np.random.default_rng(0).standard_normal((200, 3)), 4)


def changed(part, at, value):
    arrays = [array.copy() for array in good]
    arrays[part][at] = value
    return tuple(arrays)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (good[0], "neighbors: ndarray; allowed: a pair of indices (N, k) and distances (N, k)"),
        (good[:1], "neighbors: tuple; allowed: a pair of indices"),
        (good[::-1], "indices of dtype float64; allowed: integers, and then distances (kneighbors"),
        (("a", "b"), "neighbors: indices are no array of numbers; allowed: a pair"),
        ((good[0], sparse.csr_array(good[1])), "neighbors: distances are no array of numbers"),
        ((good[0][1:], good[1][1:]), "neighbors: indices of shape (199, 5); allowed: (200, k)"),
        ((good[0][:, 0], good[1][:, 0]), "neighbors: indices of shape (200,); allowed: (200, k)"),
        ((good[0], good[1][:, 1:]), "distances of shape (200, 4); allowed: (200, 5), that of ind"),
        (changed(0, (3, 1), 200), "neighbors: indices from 0 to 200; allowed: 0 to 199"),
        (changed(0, (3, 1), -1), "neighbors: indices from -1 to 199; allowed: 0 to 199"),
        (changed(1, (3, 1), np.nan), "neighbors: a distance is nan; allowed: finite, at least 0"),
        (changed(1, (3, 1), np.inf), "neighbors: a distance is inf; allowed: finite, at least 0"),
        (changed(1, (3, 1), -1.0), "neighbors: a distance is -1.0; allowed: finite, at least 0"),
    ],
)
def test_neighbours_that_will_not_do_are_named(points, given, message):
    with pytest.raises(InputError, match=re.escape(message)):
        GeodesicKMeans(3).fit(points, neighbors=given)


def test_neighbours_go_with_points_that_are_not_smoothed(points):
    graph = GeodesicKMeans(3, random_state=0).fit(points).graph_
    for kmeans, data in (
        (GeodesicKMeans(3, smoothing=1), points),
        (GeodesicKMeans(3, metric="precomputed"), graph),
    ):
        with pytest.raises(InputError, match="neighbors: given; allowed with metric 'precomputed'"):
            kmeans.fit(data, neighbors=good)


# ---------------------------------------------------------------- starts


def start_of(points, **options):
    """Centres before any step: no swaps and no Lloyd steps are taken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geovq.clustering.k_medoids.improve", lambda *a: a[2])
        return GeodesicKMeans(max_iter=0, **options).fit(points).medoid_indices_


def test_the_start_is_as_told(points, rng):
    rows = np.array([7, 190, 3])
    assert (start_of(points, n_clusters=3, init=rows) == rows).all()
    assert (start_of(points, n_clusters=3, init=rows.tolist()) == rows).all()
    near = points[rows] + 1e-6
    assert (start_of(points, n_clusters=3, init=near) == rows).all()
    assert (start_of(points, n_clusters=3, init=9 * near, metric="cosine") == rows).all()
    corner = points[7] + [0, 0, 1e-3]  # the nearest point is another one by the largest gap
    square = np.append(points, corner + np.array([[9e-4] * 3, [0, 0, 1.2e-3]]), axis=0)
    for metric, row in (("euclidean", 7), ("chebyshev", 200)):
        assert start_of(square, n_clusters=1, init=corner[None], metric=metric) == [row]
    crowd = np.repeat(points[7:8], 3, axis=0)  # no two take one point
    by_distance = np.linalg.norm(points - points[7], axis=1).argsort()
    assert (start_of(points, n_clusters=3, init=crowd) == by_distance[:3]).all()
    drawn = [start_of(points, n_clusters=3, init="random", random_state=s) for s in (0, 0, 1)]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    graph = GeodesicKMeans(3, random_state=0).fit(points).graph_.tocsr()
    order = GeodesicKMeans(3, random_state=0).fit(points).node_rows_
    nodes = start_of(graph, n_clusters=3, init=[5, 6, 7], metric="precomputed")
    assert (nodes == [5, 6, 7]).all()
    assert len(order) == graph.shape[0]


def test_from_any_start_it_comes_to_about_the_same(points):
    best = GeodesicKMeans(5, random_state=0).fit(points).inertia_
    for init in ("random", [0, 1, 2, 3, 4], points[:5]):
        kmeans = GeodesicKMeans(5, init=init, random_state=0).fit(points)
        assert kmeans.inertia_ < 1.05 * best
    assert same(
        GeodesicKMeans(5, init="k-means", random_state=0).fit(points),
        GeodesicKMeans(5, random_state=0).fit(points),
    )


def test_a_given_start_is_one_start(points):
    kmeans = GeodesicKMeans(3, init=[0, 1, 2], n_init=4)
    with pytest.warns(RuntimeWarning, match="init is an array: one start instead of n_init = 4"):
        kmeans.fit(points)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(kmeans, GeodesicKMeans(3, init=[0, 1, 2]).fit(points))
    assert (clone(kmeans).init == np.array([0, 1, 2])).all()


@pytest.mark.parametrize("init", [[4, 5], np.array([[0.5, 1, 2], [3, 4, 5]]), "random"])
def test_a_start_survives_the_file(points, tmp_path, init):
    GeodesicKMeans(2, init=init, random_state=0).fit(points).save(tmp_path / "kmeans.npz")
    again = GeodesicKMeans.load(tmp_path / "kmeans.npz")
    assert np.array_equal(again.init, init)


def test_fewer_points_than_clusters_become_one_each(points):
    few = np.repeat(points[:3], 4, axis=0)
    for init in ([0, 1, 4, 8], points[:4], "random"):
        with pytest.warns(ConvergenceWarning, match="only 3 distinct points: 3 clusters"):
            kmeans = GeodesicKMeans(4, init=init).fit(few)
        assert len(kmeans.medoid_indices_) == 3


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (
            "k-means++",
            "init = 'k-means++'; allowed: 'k-means', 'random', row numbers (3,), or ",
        ),
        (None, "init = None; allowed: 'k-means', 'random'"),
        (len, "init = <built-in function len>; allowed"),
        (
            [1, 2],
            "init of shape (2,), int64; allowed: 'k-means', 'random', row numbers (3,), or ",
        ),
        ([1.0, 2.0, 3.0], "init of shape (3,), float64; allowed"),
        ([True, False, True], "init of shape (3,), bool; allowed"),
        (np.zeros((3, 3, 3)), "init of shape (3, 3, 3), float64; allowed"),
        (np.zeros((2, 3)), "init of shape (2, 3), float64; allowed"),
        (np.zeros((3, 2)), "init of shape (3, 2); allowed: (3, 3)"),
        (np.full((3, 3), np.nan), "init of shape (3, 3) holds nan; allowed: finite numbers"),
        ([1, 2, 200], "init has rows 1 to 200; allowed: 0 to 199"),
        ([-1, 2, 3], "init has rows -1 to 3; allowed: 0 to 199"),
        ([1, 2, 1], "init has row 1, whose point it has already; allowed: distinct points"),
        ([1, 0, 9], "init has row 9, whose point it has already; allowed: distinct points"),
        ([1, 8, 2], "init has row 8, of weight 0; allowed: above 0"),
    ],
)
def test_a_start_that_will_not_do_is_named(points, init, message):
    points[9] = points[0]
    weights = np.ones(200)
    weights[8] = 0
    with pytest.raises(InputError, match=re.escape(message)):
        GeodesicKMeans(3, init=init).fit(points, sample_weight=weights)


def test_a_centre_without_a_direction_is_named(points):
    kmeans = GeodesicKMeans(2, metric="cosine", init=np.diag([1.0, 0, 0])[:2])
    with pytest.raises(InputError, match="init: row 1 is 0 everywhere; allowed with metric"):
        kmeans.fit(points)


def test_a_graph_has_no_centres_to_start_from(points):
    graph = GeodesicKMeans(3, random_state=0).fit(points).graph_
    text = r"init of shape \(3, 3\), float64; allowed: 'k-means', 'random', row numbers \(3,\)$"
    with pytest.raises(InputError, match=text):
        GeodesicKMeans(3, metric="precomputed", init=points[:3]).fit(graph)
