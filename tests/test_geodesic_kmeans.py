import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra
from sklearn.datasets import make_moons, make_swiss_roll
from sklearn.metrics import adjusted_rand_score

from geovq import GeodesicKMeans, k_medoids
from geovq.errors import InputError
from geovq.medoids import assign


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
    assert inertias[-1] < lloyd[-1] < lloyd[0]


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
