"""Neither the scale nor the origin of points matters, as far as float64 can tell them apart."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from geovq import GeodesicKMeans, GeodesicQuantizer
from geovq.clustering import neighbors
from geovq.clustering.checks import check_spread
from geovq.clustering.geometry import Geometry
from geovq.clustering.neighbors import nearest_neighbors
from geovq.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:the .*-NN graph had")
FILL = 9.96921e36  # netCDF's


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(300, centers=4, n_features=4, random_state=0, cluster_std=0.3)


def fitted(points, **options):
    return GeodesicKMeans(4, random_state=0, **options).fit(points)


@pytest.mark.parametrize("options", [{}, {"smoothing": 3}, {"metric": "manhattan"}])
@pytest.mark.parametrize("power", [-900, -90, -30, 60, 900])
def test_powers_of_two_change_no_bit(blobs, options, power):
    one, two = (fitted(x, **options) for x in (blobs[0], np.ldexp(blobs[0], power)))
    assert (one.labels_ == two.labels_).all()
    if "smoothing" not in options:  # whitened edges know no scale
        assert two.inertia_ == np.ldexp(one.inertia_, power)
    assert (two.predict(np.ldexp(blobs[0] + 0.01, power)) == one.predict(blobs[0] + 0.01)).all()


@pytest.mark.parametrize("scale", [1e-290, 1e-160, 1e-150, 1e-25, 1e18, 1e20, 1e150, 1e160, 1e290])
def test_any_scale_gives_the_same_clusters(blobs, scale):
    points, labels = blobs
    found = fitted(points * scale)
    assert (found.labels_ == fitted(points).labels_).all()
    assert (found.predict(points * scale) == found.labels_).all()
    assert adjusted_rand_score(found.labels_, labels) == 1


@pytest.mark.parametrize("scale", [1e-35, 1e-25, 1e20, 1e36])
def test_any_scale_of_float32(blobs, scale):
    points = (blobs[0] * scale).astype(np.float32)
    assert adjusted_rand_score(fitted(points).labels_, blobs[1]) == 1


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_where_float64_ends_is_said(blobs, scale):
    with pytest.raises(InputError, match=r"allowed: (up to 1e\+300|1e-290 at least)"):
        fitted(blobs[0] * scale)


@pytest.mark.parametrize(
    ("scale", "power", "message"),
    [
        (1e160, 2, "edge_power = 2: edges up to .* long overflow"),
        (1, 400, "edge_power = 400: edges up to .* long overflow"),
        (1e-160, 2, "edges up to .*e-1.. long, and .*e-3.. with edge_power = 2; allowed"),
        (1e-3, 400, "and 0 with edge_power = 400; allowed"),
    ],
)
def test_powers_that_float64_cannot_hold_are_named(blobs, scale, power, message):
    with pytest.raises(InputError, match=message):
        fitted(scale * blobs[0], edge_power=power)


def test_weights_times_lengths_have_to_stay_finite(blobs):
    with pytest.raises(InputError, match=r"sample_weight sums to 1e.302, and the edges to"):
        fitted(blobs[0] * 1e10).fit(blobs[0] * 1e10, sample_weight=np.full(300, 1e302 / 300))


def test_weights_of_any_size(blobs):
    expected = fitted(blobs[0]).labels_
    for scale, weight in ((1e-20, 1e-300), (1e20, 1e250)):
        found = GeodesicKMeans(4, random_state=0)
        found.fit(blobs[0] * scale, sample_weight=np.full(300, weight))
        assert (found.labels_ == expected).all()


@pytest.mark.parametrize("clustering", ["geodesic", "euclidean"])
@pytest.mark.parametrize("scale", [1e-250, 1e-25, 1e20, 1e90])
def test_latents_of_any_scale(blobs, clustering, scale):
    options = {"metric": "euclidean", "clustering": clustering}
    one, two = (GeodesicQuantizer(8, 2, **options).fit(blobs[0] * s) for s in (1, scale))
    assert (one.encode(blobs[0]) == two.encode(blobs[0] * scale)).all()


def test_fisher_codes_far_from_the_origin(blobs, rng):
    points, spread = blobs[0] + 1e9, rng.normal(0, 0.3, blobs[0].shape)
    options = {"metric": "fisher", "clustering": "euclidean", "assignment": "geodesic"}
    quantizer = GeodesicQuantizer(8, **options).fit(points, spread)
    gaps = (points[:, None] - quantizer.codebooks()[0]) ** 2 / np.exp(spread)[:, None]
    assert (quantizer.encode(points, spread)[:, 0] == gaps.sum(2).argmin(1)).all()


# --- what looks like fill values


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("fill", [1e20, -1e30, FILL])
@pytest.mark.parametrize("cells", [np.s_[0], np.s_[0, 2], np.s_[::50, 2]])
def test_fill_values_are_refused(blobs, kind, fill, cells):
    points = blobs[0].astype(kind)
    points[cells] = fill
    with pytest.raises(InputError, match=r"X: .* of 300 rows, the first of them 0, .* fill values"):
        fitted(points)
    with pytest.raises(InputError, match=r"means: .* of 300 rows, the first of them 0"):
        GeodesicQuantizer(8, 2, metric="euclidean").fit(points)


def test_rows_far_out_are_warned_about(blobs):
    points = blobs[0].copy()
    points[7] = 1e11
    with pytest.warns(UserWarning, match=r"X: 1 of 300 rows, the first of them 7, .* Leave them"):
        fitted(points)


def test_columns_that_float64_loses_are_named(blobs, rng):
    """Masses in kg beside ordinary numbers."""
    points = blobs[0].copy()
    points[:, 0] = 10 ** rng.uniform(29, 32, 300)
    with pytest.raises(InputError, match=r"X: beside column 0, .* loses column 1, .* scale"):
        fitted(points)


def test_ordinary_points_raise_no_alarm(rng):
    """Warnings are errors here."""
    n = 5000
    check_spread("X", rng.standard_cauchy((n, 3)))
    check_spread("X", rng.lognormal(0, 3, (n, 3)))
    check_spread("X", np.repeat([[0.0, 1e9], [1.0, 2e9]], [9, 2], axis=0))
    noise = 1e-16 * rng.standard_normal((n, 3))
    check_spread("X", 1e3 * np.where(np.arange(n)[:, None] % 3, 1 + noise, rng.random((n, 3))))
    check_spread("X", np.repeat([[0.0], [1e9]], [9, 2], axis=0))
    kernel = np.exp(-(np.abs(10 * rng.standard_normal((n, 3))) ** 2))  # nearly all are nearly 0
    check_spread("X", kernel)
    check_spread("X", rng.standard_normal((n, 3)) * [1, 1e-17, 1e-30])  # rounding, dead units
    check_spread("X", np.column_stack([rng.random(n), np.full(n, FILL)]))  # says nothing
    check_spread("X", rng.standard_normal((n, 2)) + 1e12)
    check_spread("X", np.zeros((4, 2)))


def test_a_constant_column_of_any_size_changes_nothing(blobs):
    wide = np.column_stack([blobs[0], np.full(300, FILL)])
    assert (fitted(wide).labels_ == fitted(blobs[0]).labels_).all()


# --- neighbours


def kinds(rng, n, features):
    points = rng.standard_normal((n, features))
    yield "far groups", points + 1e7 * rng.integers(0, 2, (n, 1))
    yield "many groups", points + 1e7 * rng.integers(0, 9, (n, 1))
    yield "offset", points + 1e9
    yield "outlier", np.concatenate([points[:-1], [[1e12] * features]])
    yield "line", points[:, :1] * rng.standard_normal(features)
    yield "nested", points * 10.0 ** rng.integers(-9, 9, (n, 1))
    yield "lattice", np.unique(rng.integers(0, 4, (n, features)), axis=0).astype(float)
    yield "rounded", np.unique(np.round(points, 1), axis=0)


def by_definition(points, queries, k):
    """Nearest first, of equally near ones the first."""
    gaps = np.linalg.norm(points - queries[:, None], axis=2)
    return np.argsort(gaps, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("features", [1, 3, 12])
def test_neighbours_are_those_of_float64(rng, features):
    for name, points in kinds(rng, 150, features):
        expected = by_definition(points, points, 5)
        for scale in (1.0, 2.0**400, 2.0**-400):
            found = nearest_neighbors(points * scale, points * scale, 5)
            assert (found == expected).all(), name
        some = nearest_neighbors(points, points[:3] + 0.1, 5)
        assert (some == by_definition(points, points[:3] + 0.1, 5)).all(), name


def test_queries_however_far(rng):
    points = rng.standard_normal((100, 12))
    for far in (1e3, 1e8, 1e12):
        queries = points[:9] * far
        assert (nearest_neighbors(points, queries, 4) == by_definition(points, queries, 4)).all()
    together = nearest_neighbors(points, np.concatenate([points[:2], points[:2] * 1e300]), 4)
    assert (together[:2] == by_definition(points, points[:2], 4)).all()


@pytest.mark.parametrize("features", [3, 12])
def test_recall_is_true(rng, features, monkeypatch):
    """Two groups far apart, each 1 wide: float32 finds hardly any neighbour in them."""
    points = rng.standard_normal((400, features))
    points[200:] += 1e7
    order = np.argsort(cdist(points, points), axis=1, kind="stable")
    geometry = Geometry(points, 5, points)
    shares = [np.isin(o[1:6], i).mean() for o, i in zip(order, geometry.indices, strict=True)]
    assert geometry.recall() == np.mean(shares) == 1
    monkeypatch.setattr(neighbors, "FLAT_SEARCH", 0)
    geometry = Geometry(points, 5, points)
    shares = [np.isin(o[1:6], i).mean() for o, i in zip(order, geometry.indices, strict=True)]
    assert np.mean(shares) > 0.99
    # The point itself counts as found.
    assert geometry.recall(400) == pytest.approx((1 + 5 * np.mean(shares)) / 6)


def test_recall_is_measured_against_an_exact_search(rng, monkeypatch):
    points = rng.random((2000, 12))
    order = np.argsort(cdist(points, points), axis=1)[:, 1:6]
    monkeypatch.setattr(neighbors, "FLAT_SEARCH", 0)
    geometry = Geometry(points, 5, points)
    shares = [np.isin(o, i).mean() for o, i in zip(order, geometry.indices, strict=True)]
    assert np.mean(shares) < 1
    assert geometry.recall(2000) == pytest.approx((1 + 5 * np.mean(shares)) / 6)


def test_many_ties_are_no_reason_to_search_again(rng, monkeypatch):
    """In binary points hundreds are equally near; any of them will do."""
    points = np.unique(rng.integers(0, 2, (2000, 14)), axis=0).astype(float)
    monkeypatch.setattr(neighbors, "_by_tree", None)
    found = nearest_neighbors(points, points, 40)
    gaps = cdist(points, points)
    listed = np.take_along_axis(gaps, found, 1)
    np.testing.assert_allclose(listed, np.sort(gaps, axis=1)[:, :40])


@pytest.mark.parametrize("order", [1, np.inf])
def test_neighbours_of_other_distances(rng, order):
    points, queries = rng.integers(0, 5, (2, 60, 3)).astype(float)
    gaps = np.linalg.norm(points - queries[:, None], order, axis=2)
    expected = np.argsort(gaps, axis=1, kind="stable")[:, :4]
    assert (nearest_neighbors(points, queries, 4, order) == expected).all()
