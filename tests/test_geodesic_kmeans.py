import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons, make_swiss_roll
from sklearn.metrics import adjusted_rand_score

from geovq import GeodesicKMeans
from geovq.clustering import k_medoids, medoids
from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import build_graph
from geovq.clustering.medoids import _better_medoids, assign, euclidean_start
from geovq.errors import InputError


@pytest.fixture
def points(rng):
    return rng.standard_normal((300, 3))


def test_assignment_is_the_brute_force_argmin(points, rng):
    matrix = GeodesicKMeans(5, random_state=0).fit(points).graph_
    centers = rng.choice(300, 20, replace=False)
    full = dijkstra(matrix)[centers]
    labels, distances = assign(matrix, centers)
    np.testing.assert_allclose(distances, full.min(0))
    np.testing.assert_allclose(full[labels, np.arange(300)], full.min(0))
    assert (labels[centers] == np.arange(20)).all()


@pytest.mark.parametrize("options", [{}, {"edge_power": 3.0}, {"smoothing": 4, "edge_power": 2.0}])
def test_labels_and_inertia_match_full_shortest_paths(points, options):
    kmeans = GeodesicKMeans(8, random_state=0, **options).fit(points)
    nodes = kmeans.geometry_.points
    centers = [int(np.flatnonzero((nodes == c).all(1))[0]) for c in kmeans.cluster_centers_]
    full = dijkstra(kmeans.graph_)[centers]
    assert kmeans.inertia_ == pytest.approx(full.min(0).sum())
    np.testing.assert_allclose(full[kmeans.node_labels_, np.arange(300)], full.min(0))
    assert (points[kmeans.medoid_indices_] == kmeans.cluster_centers_).all()
    assert (np.bincount(kmeans.labels_, minlength=8) > 0).all()


def test_no_step_raises_the_objective(monkeypatch):
    roll, _ = make_swiss_roll(1000, random_state=0)
    inertias = [GeodesicKMeans(8, max_iter=i, random_state=0).fit(roll).inertia_ for i in range(4)]
    monkeypatch.setattr(k_medoids, "ROUNDS", 0)
    lloyd = [GeodesicKMeans(8, max_iter=i, random_state=0).fit(roll).inertia_ for i in range(8)]
    assert (np.diff(inertias) <= 0).all()
    assert (np.diff(lloyd) <= 0).all()
    assert inertias[-1] < lloyd[-1] < lloyd[1] < lloyd[0]


def test_better_medoids_are_the_best_of_eight_by_weighted_ways_inside_the_cell(points, rng):
    weights = rng.exponential(size=300) ** 3
    matrix = build_graph(Geometry(points, 10, points)).matrix
    centers = rng.choice(300, 5, replace=False)
    labels, distances = assign(matrix, centers)
    found = _better_medoids(matrix, points, weights, centers, labels, distances)
    for cell, center in enumerate(centers):
        members = np.flatnonzero(labels == cell)
        gaps = points[members] - np.average(points[members], axis=0, weights=weights[members])
        tried = np.argsort((gaps**2).sum(1))[:8]
        costs = dijkstra(matrix[members][:, members])[tried] @ weights[members]
        better = costs.min() < weights[members] @ distances[members]
        assert found[cell] == (members[tried[costs.argmin()]] if better else center)
    assert (found != centers).any()


def test_candidates_are_the_nodes_with_most_edges(points, monkeypatch):
    matrix = build_graph(Geometry(points, 10, points)).matrix
    counts = np.diff(matrix.indptr)
    monkeypatch.setattr(medoids, "CANDIDATES", 40)
    for k, count in ((2, 40), (5, 80)):
        found = medoids.candidates(matrix, k)
        assert len(found) == count
        assert (np.diff(found) > 0).all()
        assert counts[found].min() >= np.delete(counts, found).max()


def test_the_start_is_weighted_k_means_on_points(points, rng):
    weights = rng.exponential(size=300) ** 3
    random = np.random.RandomState(0)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    expected = KMeans(5, n_init=1, random_state=seed).fit(points, sample_weight=weights)
    nearest = cdist(expected.cluster_centers_, points).argmin(1)
    assert (euclidean_start(points, weights, 5, random) == nearest).all()
    # Where centres fall together, each has a point of its own.
    together = np.repeat(points[:4], 3, axis=0)
    assert len(set(euclidean_start(together, np.ones(12), 9, random))) == 9


@pytest.fixture
def search(monkeypatch):
    """What a search is given, and where it starts."""
    seen = []

    def start(space, weights, k, random):
        seen.append((space, euclidean_start(space, weights, k, random)))
        return seen[-1][1]

    monkeypatch.setattr(k_medoids, "euclidean_start", start)
    return seen


def test_every_start_and_every_seed_is_another(points, search):
    for seed in (0, 1):
        GeodesicKMeans(8, n_init=2, random_state=seed).fit(points)
    assert len({tuple(centers) for _, centers in search}) == 4


@pytest.mark.parametrize("smoothing", [0, 3])
def test_means_are_of_smoothed_points_or_of_the_points_themselves(points, search, smoothing):
    kmeans = GeodesicKMeans(8, smoothing=smoothing, random_state=0)
    kmeans.fit(points, edge_points=points[:, :1] ** 3)
    ((space, _),) = search
    expected = kmeans.geometry_.edge_points if smoothing else kmeans.geometry_.points
    assert (space == expected).all()


def test_the_start_that_is_kept_is_the_best_by_the_weights(points, rng, monkeypatch):
    matrix, weights = build_graph(Geometry(points, 10, points)).matrix, rng.exponential(size=300)
    weights **= 4
    starts = [rng.choice(300, 5, replace=False) for _ in range(12)]
    plain, weighted = (
        [mass @ assign(matrix, start)[1] for start in starts] for mass in (np.ones(300), weights)
    )
    assert np.argmin(plain) != np.argmin(weighted)
    given = iter(starts)
    monkeypatch.setattr(k_medoids, "euclidean_start", lambda *_: next(given))
    monkeypatch.setattr(k_medoids, "improve", lambda matrix, weights, centers, *_: centers)
    monkeypatch.setattr(k_medoids, "lloyd", lambda matrix, space, weights, centers, _: (centers, 3))
    found, steps = k_medoids.find_medoids(
        matrix, points, weights, 5, n_init=12, max_iter=9, random=np.random.RandomState(0)
    )
    assert (found == starts[np.argmin(weighted)]).all()
    assert steps == 3


def test_ties_belong_to_the_first_centre_in_training_and_after(rng):
    lattice = np.stack(np.meshgrid(*[np.arange(9.0)] * 2), -1).reshape(-1, 2)
    for seed in range(4):
        kmeans = GeodesicKMeans(5, n_neighbors=4, random_state=seed).fit(lattice)
        full = dijkstra(kmeans.graph_)[kmeans.node_medoids_][:, kmeans.row_nodes_]
        assert ((full == full.min(0)).sum(0) > 1).any()
        assert (kmeans.labels_ == (full == full.min(0)).argmax(0)).all()
        assert (kmeans.predict(lattice) == kmeans.labels_).all()
        assert (kmeans.transform(lattice).argmin(1) == kmeans.labels_).all()


def test_a_copy_of_a_centre_leaves_each_its_own_label():
    points = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0]])
    kmeans = GeodesicKMeans(4, n_neighbors=2, random_state=0)
    kmeans.fit(points, edge_points=np.zeros((4, 1)))  # all in one place
    assert sorted(kmeans.labels_) == [0, 1, 2, 3]


def test_clusters_do_not_depend_on_the_threads(points):
    first, second = (
        GeodesicKMeans(8, random_state=0, n_jobs=n).fit(points).labels_ for n in (1, 2)
    )
    assert (first == second).all()


@pytest.mark.parametrize("options", [{}, {"edge_power": 3.0}, {"smoothing": 4, "edge_power": 2.0}])
def test_training_points_get_their_labels_back(points, options):
    kmeans = GeodesicKMeans(8, random_state=0, **options).fit(points)
    assert (kmeans.predict(points) == kmeans.labels_).all()


def test_unseen_points_take_the_shortest_way(points, rng):
    kmeans = GeodesicKMeans(8, n_neighbors=6, random_state=0).fit(points)
    unseen = rng.standard_normal((50, 3))
    straight = np.linalg.norm(unseen[:, None] - kmeans.geometry_.points, axis=2)
    nearest = np.argsort(straight, axis=1)[:, :7]
    through = np.take_along_axis(straight, nearest, 1) + kmeans.node_distances_[nearest]
    expected = kmeans.node_labels_[nearest[np.arange(50), through.argmin(1)]]
    assert (kmeans.predict(unseen) == expected).all()


def test_it_follows_the_manifold_where_kmeans_cannot():
    moons, labels = make_moons(400, noise=0.05, random_state=0)
    with pytest.warns(UserWarning, match="2 components"):
        found = GeodesicKMeans(2, edge_power=3, random_state=0).fit(moons).labels_
    assert adjusted_rand_score(labels, found) > 0.9
    roll, place = make_swiss_roll(1500, random_state=0)
    found = GeodesicKMeans(6, random_state=0).fit(roll).labels_
    spans = [np.ptp(np.quantile(place[found == c], [0.05, 0.95])) for c in range(6)]
    assert np.mean(spans) < np.ptp(place) / 3


def test_duplicates_are_one_point_with_their_weight(points):
    repeated = np.concatenate([points, np.repeat(points[:5], 40, axis=0)])
    kmeans = GeodesicKMeans(8, random_state=0).fit(repeated)
    assert len(kmeans.geometry_.points) == 300
    assert (kmeans.labels_[300:] == np.repeat(kmeans.labels_[:5], 40)).all()
    assert kmeans.inertia_ == pytest.approx(kmeans.distances_.sum())
    assert (kmeans.predict(repeated) == kmeans.labels_).all()


def test_far_islands_are_joined_and_clustered(rng):
    points = np.concatenate([rng.standard_normal((60, 2)) + s for s in (0, 1000)])
    with pytest.warns(UserWarning, match="2 components"):
        kmeans = GeodesicKMeans(2, random_state=0).fit(points)
    assert kmeans.n_components_ == 2
    assert adjusted_rand_score(kmeans.labels_, np.arange(120) < 60) == 1
    assert np.isfinite(kmeans.inertia_)


def test_as_many_clusters_as_points(points):
    kmeans = GeodesicKMeans(300, random_state=0).fit(points)
    assert sorted(kmeans.labels_) == list(range(300))
    assert kmeans.inertia_ == 0


def test_edges_can_be_measured_elsewhere(points):
    """A metric that knows only the first coordinate groups by it."""
    kmeans = GeodesicKMeans(
        4, metric=lambda a, b: np.abs(a - b)[:, 0] + 1e-6, random_state=0, n_neighbors=15
    ).fit(points, edge_points=points[:, :1] ** 3)
    assert kmeans.geometry_.edge_points.shape == (300, 1)
    again = kmeans.predict(points, edge_points=points[:, :1] ** 3)
    assert (again == kmeans.labels_).all()


def test_same_seed_same_clusters(points):
    first, second = (GeodesicKMeans(8, random_state=3).fit(points).labels_ for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_clusters": 26}, "n_clusters = 26; allowed: at most n_samples = 25"),
        ({"n_neighbors": 0}, "n_neighbors = 0; allowed: an integer of at least 1"),
        ({"n_clusters": 2.5}, "n_clusters = 2.5; allowed: an integer of at least 1"),
        ({"edge_power": 0}, "edge_power = 0; allowed: above 0"),
        ({"metric": "hamming"}, "metric = 'hamming'; allowed: 'euclidean', .*'precomputed'"),
    ],
)
def test_bad_parameters_are_named(points, options, message):
    repeated = np.concatenate([points[:20], points[:5]])
    with pytest.raises(InputError, match=message):
        GeodesicKMeans(**options).fit(repeated)
