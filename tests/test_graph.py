import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial.distance import cdist

from geovq.clustering import neighbors
from geovq.clustering.geometry import Geometry, euclidean_length
from geovq.clustering.graph import build_graph, smooth
from geovq.clustering.neighbors import nearest_neighbors


def geometry(points, k=5, **options):
    return Geometry(points, k, options.pop("edge_points", points), **options)


@pytest.fixture
def points(rng):
    return rng.standard_normal((120, 3))


def brute_force(points, k, power=1.0):
    """The union k-NN graph from the full distance matrix; absent edges are infinite."""
    distances = cdist(points, points)
    order = np.argsort(distances, axis=1)[:, 1 : k + 1]
    edge = np.zeros_like(distances, dtype=bool)
    np.put_along_axis(edge, order, True, axis=1)
    return np.where(edge | edge.T, distances**power, np.inf)


def test_neighbours_match_the_full_distance_matrix(points, rng):
    queries = rng.standard_normal((30, 3))
    expected = np.argsort(cdist(queries, points), axis=1)[:, :4]
    assert (nearest_neighbors(points, queries, 4) == expected).all()
    assert nearest_neighbors(points[:3], queries, 10).shape == (30, 3)


def test_neighbours_do_not_depend_on_where_the_origin_is(points):
    assert (nearest_neighbors(points + 1e6, points + 1e6, 5)
            == nearest_neighbors(points, points, 5)).all()  # fmt: skip


def test_the_approximate_search_is_complete_and_nearly_exact(points, rng, monkeypatch):
    many = rng.standard_normal((5000, 3))
    exact = nearest_neighbors(many, many, 6)
    monkeypatch.setattr(neighbors, "FLAT_SEARCH", 0)
    found = nearest_neighbors(many, many, 6)
    assert (found >= 0).all()
    assert (found == exact).mean() > 0.99
    assert nearest_neighbors(many, points, 400).min() >= 0  # more than the probed lists hold


def test_of_equally_near_points_the_first_are_neighbours():
    line = np.array([[3.0], [0], [1], [2], [1], [-1]])
    found = nearest_neighbors(line, np.array([[0.0], [2.0]]), 3)
    assert found.tolist() == [[1, 2, 4], [3, 0, 2]]
    assert nearest_neighbors(line, line[:1], 6)[0].tolist() == [0, 3, 2, 4, 1, 5]


def test_recall_is_against_the_exact_search(rng, monkeypatch):
    points = rng.standard_normal((2000, 3))
    assert geometry(points).recall() == 1
    monkeypatch.setattr(neighbors, "FLAT_SEARCH", 10_000)
    assert 0.9 < geometry(points).recall() <= 1

    def poor(rows, wanted, k):
        return np.tile(np.arange(k), (len(wanted), 1)), np.full(len(wanted), 2.0**40)

    monkeypatch.setattr(neighbors, "_by_lists", poor)
    assert geometry(points).recall(100) < 0.5
    assert neighbors.is_exact(100, 100)
    assert not neighbors.is_exact(101, 100)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_edges_match_the_full_distance_matrix(points, power):
    found = build_graph(geometry(points, power=power))
    assert found.n_components == 1
    dense = np.full((120, 120), np.inf)
    coo = found.matrix.tocoo()
    dense[coo.row, coo.col] = coo.data
    np.testing.assert_allclose(dense, brute_force(points, 5, power), rtol=1e-6)


def test_shortest_paths_match_scipy_on_the_full_matrix(points):
    full = dijkstra(np.where(np.isinf(b := brute_force(points, 5)), 0, b), directed=False)
    np.testing.assert_allclose(dijkstra(build_graph(geometry(points)).matrix), full, rtol=1e-6)
    assert (full >= cdist(points, points) - 1e-9).all()


def test_components_are_joined_by_their_nearest_pairs(rng):
    shifts = np.array([[0, 0], [50, 0], [0, 80]])
    islands = [rng.standard_normal((30, 2)) + shift for shift in shifts]
    points = np.concatenate(islands)
    with pytest.warns(UserWarning, match="5-NN graph had 3 components; joined"):
        found = build_graph(geometry(points))
    assert found.n_components == 3
    assert connected_components(found.matrix)[0] == 1
    gaps = [cdist(islands[0], islands[1]).min(), cdist(islands[0], islands[2]).min()]
    np.testing.assert_allclose(np.sort(found.joins), np.sort(gaps))


def test_many_small_components_become_one(rng):
    corners = 100 * rng.standard_normal((25, 2))
    points = np.concatenate([c + rng.standard_normal((6, 2)) for c in corners])
    with pytest.warns(UserWarning, match="components"):
        found = build_graph(geometry(points, 3))
    assert connected_components(found.matrix)[0] == 1
    assert len(found.joins) == found.n_components - 1


def test_edges_of_length_zero_stay_edges(points):
    flat = build_graph(geometry(points, edge_points=np.zeros((120, 1))))
    assert flat.matrix.nnz == build_graph(geometry(points)).matrix.nnz
    assert (dijkstra(flat.matrix, indices=0) == 0).all()


def test_smoothing_is_a_power_of_the_average_then_white(points):
    before = geometry(points)
    after = smooth(before, 3)
    members = np.column_stack([np.arange(120), before.indices])
    average = np.zeros((120, 120))
    np.put_along_axis(average, members, 1 / 6, axis=1)
    expected = np.linalg.matrix_power(average, 3) @ points
    np.testing.assert_allclose(np.cov(after.edge_points.T, bias=True), np.eye(3), atol=1e-9)
    affine = np.linalg.lstsq(np.column_stack([expected, np.ones(120)]), after.edge_points)[0]
    np.testing.assert_allclose(
        np.column_stack([expected, np.ones(120)]) @ affine, after.edge_points, atol=1e-9
    )
    assert (after.indices == before.indices).all()
    np.testing.assert_allclose(smooth(before, 3, whiten=False).edge_points, expected, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_smoothing_drops_directions_without_variance(points, scale):
    flat = np.column_stack([points, np.ones(120)]) * scale
    assert smooth(geometry(flat), 4).edge_points.shape == (120, 3)


@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("whiten", [True, False])
def test_training_points_attach_where_they_were(points, steps, whiten):
    known = geometry(points, power=2.0)
    known = smooth(known, steps, whiten) if steps else known
    indices, lengths = known.attach(points)
    assert (indices[:, 0] == np.arange(120)).all()
    np.testing.assert_allclose(lengths[:, 0], 0, atol=1e-12)
    expected = euclidean_length(
        np.repeat(known.edge_points, 6, axis=0), known.edge_points[indices.ravel()]
    )
    np.testing.assert_allclose(lengths.ravel(), expected**2, atol=1e-9)


def test_arrays_restore_the_geometry(points, rng):
    known = smooth(geometry(points, power=2.0), 2)
    again = Geometry.restore(known.arrays(), euclidean_length)
    queries = rng.standard_normal((10, 3))
    for before, after in zip(known.attach(queries), again.attach(queries), strict=True):
        assert (before == after).all()


def test_the_graph_takes_memory_for_its_edges_only(rng):
    found = build_graph(geometry(rng.standard_normal((4000, 8)), 10)).matrix
    assert isinstance(found, sparse.csr_matrix)
    assert found.nnz <= 2 * 10 * 4000


@pytest.mark.parametrize(("order", "name"), [(1, "cityblock"), (np.inf, "chebyshev")])
def test_neighbours_of_another_order_are_not_the_euclidean_ones(rng, order, name):
    points = rng.standard_normal((1500, 30)) ** 3
    found = neighbors.nearest_neighbors(points, points[:40], 2, order)
    assert (found == np.argsort(cdist(points[:40], points, name), 1)[:, :2]).all()
