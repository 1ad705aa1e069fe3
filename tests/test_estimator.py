"""GeodesicKMeans as a scikit-learn estimator, and on input nobody likes."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from geovq import GeodesicKMeans
from geovq.clustering.lengths import METRICS
from geovq.errors import InputError

SPARSE = ("check_estimator_sparse_array", "check_estimator_sparse_matrix")


@pytest.mark.filterwarnings("ignore:the .*-NN graph had:UserWarning")
@pytest.mark.filterwarnings("ignore:n_clusters = .*distinct:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [GeodesicKMeans(), GeodesicKMeans(smoothing=2, edge_power=2.0)],
    expected_failed_checks=lambda _: dict.fromkeys(
        SPARSE, "predict_proba has to be a classifier's"
    ),
)
def test_it_is_an_estimator(estimator, check):
    check(estimator)


class WithoutShares(GeodesicKMeans):
    """As far as it is no classifier."""

    @property
    def predict_proba(self):
        raise AttributeError


@pytest.mark.filterwarnings("ignore:the .*-NN graph had:UserWarning")
@pytest.mark.parametrize("check", SPARSE)
@pytest.mark.parametrize("options", [{}, {"smoothing": 2, "edge_power": 2.0}])
def test_it_is_an_estimator_of_sparse_points(check, options):
    """What scikit-learn asks of whatever takes them, but for the classes of `predict_proba`.

    Its check looks for these in the tags of classifiers, which clusterers have not.
    """
    getattr(estimator_checks, check)("GeodesicKMeans", WithoutShares(**options))


@pytest.fixture
def points(rng):
    return rng.standard_normal((200, 3))


def euclidean(a, b):
    return np.linalg.norm(a - b, axis=1)


def test_transform_is_the_geodesic_distance_to_each_centre(points):
    kmeans = GeodesicKMeans(6, random_state=0).fit(points)
    full = dijkstra(kmeans.graph_)[np.ix_(kmeans.node_medoids_, kmeans.row_nodes_)]
    found = kmeans.transform(points)
    np.testing.assert_allclose(found, full.T, atol=1e-9)
    assert (found.argmin(1) == kmeans.labels_).all()
    assert kmeans.score(points) == pytest.approx(-kmeans.inertia_)
    assert list(kmeans.get_feature_names_out())[:2] == ["geodesickmeans0", "geodesickmeans1"]


def test_pipelines_and_grids(points):
    pipeline = make_pipeline(StandardScaler(), GeodesicKMeans(4, random_state=0))
    assert pipeline.fit_predict(points).shape == (200,)
    grid = GridSearchCV(GeodesicKMeans(random_state=0), {"n_clusters": [2, 12]}, cv=3).fit(points)
    assert grid.best_params_ == {"n_clusters": 12}  # more centres are nearer
    assert clone(grid.best_estimator_).n_clusters == 12


def test_weights_are_repetitions(points, rng):
    weights = rng.integers(0, 4, 200)
    repeated = np.repeat(points, weights, axis=0)
    one = GeodesicKMeans(6, random_state=0).fit(points, sample_weight=weights)
    two = GeodesicKMeans(6, random_state=0).fit(repeated)
    assert (one.cluster_centers_ == two.cluster_centers_).all()
    assert one.inertia_ == pytest.approx(two.inertia_)
    assert (one.labels_ == one.predict(points)).all()
    edges = points[:, :2]  # measured elsewhere, each point keeps its own
    one, two = (
        GeodesicKMeans(6, random_state=0).fit(x, sample_weight=w, edge_points=e)
        for x, w, e in (
            (points, weights, edges),
            (repeated, None, np.repeat(edges, weights, axis=0)),
        )
    )
    assert one.inertia_ == pytest.approx(two.inertia_)


def test_a_ready_graph_gives_the_same_objective(points):
    kmeans = GeodesicKMeans(6, random_state=0).fit(points)
    ready = GeodesicKMeans(6, metric="precomputed", n_init=3, random_state=0).fit(kmeans.graph_)
    assert ready.inertia_ == pytest.approx(kmeans.inertia_, rel=0.03)
    assert ready.labels_.shape == (200,)
    edges = ready.graph_ + sparse.eye(200, format="csr") * 0  # a row of edges for each "query"
    assert ready.predict(edges).shape == (200,)
    assert not hasattr(ready, "cluster_centers_")


def test_a_graph_has_the_shorter_of_two_lengths_to_a_power():
    edges = [(0, 1, 3.0), (1, 0, 2.0), (1, 2, 0.0), (2, 3, 5.0), (3, 3, 7.0)]
    rows, columns, lengths = zip(*edges, strict=True)
    graph = sparse.coo_matrix((lengths, (rows, columns)), (4, 4)).tocsr()
    kmeans = GeodesicKMeans(2, metric="precomputed", edge_power=2.0, random_state=0).fit(graph)
    found = kmeans.graph_.tocoo()
    there = {(i, j): d for i, j, d in zip(found.row, found.col, found.data, strict=True)}
    one_way = {(0, 1): 4.0, (1, 2): 0.0, (2, 3): 25.0}
    assert there == one_way | {(j, i): d for (i, j), d in one_way.items()}
    # Unseen points have edges to any number of others.
    unseen = sparse.csr_matrix([[4.0, 0, 0, 0], [0, 1.5, 0, 2.0], [9, 0, 3, 1.0]])
    full, centers = dijkstra(kmeans.graph_), kmeans.node_medoids_
    dense = np.where(unseen.toarray() > 0, unseen.toarray() ** 2, np.inf)
    expected = (dense[:, :, None] + full[:, centers]).min(1)
    np.testing.assert_allclose(kmeans.transform(unseen), expected)
    assert (kmeans.predict(unseen) == expected.argmin(1)).all()
    unseen.data[0] = -1
    with pytest.raises(InputError, match="an edge is -1 long"):
        kmeans.predict(unseen)


def test_a_score_is_weighted(points, rng):
    kmeans = GeodesicKMeans(6, random_state=0).fit(points)
    weights = rng.random(200)
    found = kmeans.score(points, sample_weight=weights)
    assert found == pytest.approx(-weights @ kmeans.distances_)


def test_paths_lead_from_row_to_row_of_positive_weight(points):
    kmeans = GeodesicKMeans(6, random_state=0).fit(points, sample_weight=np.arange(200) > 3)
    for start, end in ((9, 3), (3, 9), (1, 3)):
        with pytest.raises(InputError, match="allowed: points of positive weight"):
            kmeans.path(start, end)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (np.ones((3, 4)), r"\(3, 4\); allowed with metric 'precomputed': \(N, N\)"),
        (np.array([[0, -1.0], [-1, 0]]), "an edge is -1 long"),
        (sparse.csr_matrix((3, 3)), "the graph has 3 components; allowed: 1"),
        (np.kron(np.eye(2), np.ones((2, 2))), "the graph has 2 components; allowed: 1"),
    ],
)
def test_bad_graphs_are_named(graph, message):
    with pytest.raises(InputError, match=message):
        GeodesicKMeans(2, metric="precomputed").fit(graph)


def test_paths_follow_edges_and_have_the_geodesic_length(points):
    kmeans = GeodesicKMeans(6, random_state=0).fit(points)
    rows = kmeans.path(3, 50)
    assert rows[0] == 3
    assert rows[-1] == 50
    nodes = kmeans.row_nodes_[rows]
    steps = np.asarray(kmeans.graph_[nodes[:-1], nodes[1:]]).ravel()
    assert (steps > 0).all()
    assert steps.sum() == pytest.approx(dijkstra(kmeans.graph_, indices=nodes[0])[nodes[-1]])
    assert kmeans.path(3, 3).tolist() == [3]


@pytest.mark.parametrize("options", [{}, {"smoothing": 3}, {"metric": "callable"}])
def test_files_bring_everything_back(points, rng, tmp_path, options):
    given = {"metric": euclidean} if options == {"metric": "callable"} else {}
    kmeans = GeodesicKMeans(6, random_state=0, **(options | given)).fit(points)
    kmeans.save(tmp_path / "kmeans.npz")
    again = GeodesicKMeans.load(tmp_path / "kmeans.npz", **given)
    unseen = rng.standard_normal((40, 3))
    assert again.get_params() == kmeans.get_params()
    assert (again.predict(unseen) == kmeans.predict(unseen)).all()
    assert (again.transform(unseen) == kmeans.transform(unseen)).all()
    assert (again.path(0, 9) == kmeans.path(0, 9)).all()
    assert again.inertia_ == kmeans.inertia_


def test_files_hold_points_of_no_weight_and_single_ones(points, tmp_path):
    path = tmp_path / "kmeans.npz"
    kmeans = GeodesicKMeans(4, random_state=0).fit(points, sample_weight=np.arange(200) % 2)
    kmeans.save(path)
    assert (GeodesicKMeans.load(path).row_nodes_ == kmeans.row_nodes_).all()
    for few in (points[:1], points[:2]):
        GeodesicKMeans(1, n_neighbors=1, random_state=0).fit(few).save(path)
        assert (GeodesicKMeans.load(path).predict(few) == 0).all()


def test_files_say_what_they_cannot_hold(points, tmp_path):
    path = tmp_path / "kmeans.npz"
    with pytest.raises(InputError, match="random_state"):
        GeodesicKMeans(2, random_state=np.random.RandomState(0)).fit(points).save(path)
    GeodesicKMeans(2, metric=euclidean, random_state=0).fit(points).save(path)
    with pytest.raises(InputError, match="metric = None; it was fitted with a callable"):
        GeodesicKMeans.load(path)


def test_more_starts_are_no_worse(points):
    one, five = (GeodesicKMeans(9, n_init=n, random_state=0).fit(points) for n in (1, 5))
    assert five.inertia_ <= one.inertia_


def test_progress_is_shown_on_request(points, capsys):
    GeodesicKMeans(3, random_state=0).fit(points)
    assert capsys.readouterr().err == ""
    GeodesicKMeans(3, random_state=0, verbose=1).fit(points)
    assert "swaps" in capsys.readouterr().err


# --- input nobody likes


def test_one_point():
    kmeans = GeodesicKMeans(1).fit([[1.0, 2.0]])
    assert kmeans.labels_.tolist() == [0]
    assert kmeans.predict([[5.0, 5.0]]).tolist() == [0]


def test_collinear_points():
    line = np.arange(60.0)[:, None] * [1.0, 2.0, 3.0]
    labels = GeodesicKMeans(4, n_neighbors=3, random_state=0).fit(line).labels_
    assert (np.diff(labels) != 0).sum() == 3  # four intervals


def test_constant_features_change_nothing(points):
    padded = np.column_stack([points, np.full(200, 7.0)])
    one, two = (GeodesicKMeans(6, random_state=0).fit(x) for x in (points, padded))
    assert one.inertia_ == pytest.approx(two.inertia_)


def test_all_points_the_same():
    with pytest.warns(ConvergenceWarning, match="only 1 distinct points: 1 clusters"):
        kmeans = GeodesicKMeans(2).fit(np.ones((30, 2)))
    assert set(kmeans.labels_) == {0}
    assert set(GeodesicKMeans(1).fit(np.ones((30, 2))).labels_) == {0}


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scale_does_not_matter(points, scale):
    one, two = (GeodesicKMeans(6, random_state=0).fit(points * s) for s in (1, scale))
    assert two.inertia_ == pytest.approx(scale * one.inertia_, rel=0.02)


def test_features_of_very_different_scale(points):
    stretched = points * [1, 1e6, 1e-6]
    assert np.isfinite(GeodesicKMeans(6, random_state=0).fit(stretched).inertia_)


def test_float32_read_only_and_memory_mapped(points, tmp_path):
    single = points.astype(np.float32)
    expected = GeodesicKMeans(6, random_state=0).fit(single)
    locked = single.copy()
    locked.flags.writeable = False
    np.save(tmp_path / "points.npy", single)
    mapped = np.load(tmp_path / "points.npy", mmap_mode="r")
    for given in (locked, mapped):
        assert (GeodesicKMeans(6, random_state=0).fit(given).labels_ == expected.labels_).all()
    assert expected.cluster_centers_.dtype == np.float32


def test_fewer_points_than_neighbours(points):
    few = points[:6]
    kmeans = GeodesicKMeans(2, n_neighbors=50, random_state=0).fit(few)
    assert (kmeans.predict(few) == kmeans.labels_).all()


def test_more_clusters_than_an_island_has_points(rng):
    islands = np.concatenate([rng.standard_normal((3, 2)), 50 + rng.standard_normal((80, 2))])
    with pytest.warns(UserWarning, match="2 components"):
        kmeans = GeodesicKMeans(10, n_neighbors=2, random_state=0).fit(islands[2:])
    assert len(set(kmeans.labels_)) == 10


# --- symmetries


def test_permuting_points_permutes_labels(points, rng):
    order = rng.permutation(200)
    one, two = (GeodesicKMeans(6, random_state=0).fit(x) for x in (points, points[order]))
    assert (one.labels_[order] == two.labels_).all()


def test_moving_and_turning_changes_next_to_nothing(points, rng):
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    one, two = (GeodesicKMeans(6, n_init=5, random_state=0).fit(x) for x in
                (points, points @ turn + 100))  # fmt: skip
    assert two.inertia_ == pytest.approx(one.inertia_, rel=0.02)


def test_on_a_flat_dense_cloud_it_is_euclidean_kmeans(rng):
    from sklearn.cluster import KMeans

    corners = np.array([[0, 0], [0, 3], [3, 0], [3, 3.0]])
    cloud = np.concatenate([rng.uniform(-1.4, 1.4, (400, 2)) + corner for corner in corners])
    ours = GeodesicKMeans(4, n_neighbors=15, random_state=0).fit(cloud).labels_
    assert adjusted_rand_score(ours, KMeans(4, random_state=0).fit(cloud).labels_) > 0.95


@pytest.mark.parametrize("spoil", ["index", "negative", "pointer"])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_a_graph_whose_indices_lead_out_of_it_is_refused(kind, spoil):
    chain = sparse.diags([np.ones(9), np.ones(9)], [1, -1]).asformat(kind)
    if spoil == "pointer" and kind != "coo":
        chain.indptr[1] = 99
    else:
        (chain.coords[0] if kind == "coo" else chain.indices)[0] = -1 if spoil == "negative" else 99
    with pytest.raises(InputError, match="X is no whole sparse matrix"):
        GeodesicKMeans(2, metric="precomputed", random_state=0).fit(chain)


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_by_name_survives_the_file(metric, points, tmp_path):
    kmeans = GeodesicKMeans(4, metric=metric, random_state=0).fit(points)
    kmeans.save(tmp_path / "kmeans.npz")
    again = GeodesicKMeans.load(tmp_path / "kmeans.npz")
    unseen = points[:20] + 0.1
    assert (again.predict(unseen) == kmeans.predict(unseen)).all()
    assert (again.transform(unseen) == kmeans.transform(unseen)).all()
