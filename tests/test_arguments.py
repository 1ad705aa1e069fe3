"""Arguments of the estimator and the quantiser that cannot be meant: each is named at once."""

import datetime

import numpy as np
import pytest
from scipy import sparse

from geovq import GeodesicKMeans, GeodesicQuantizer
from geovq.clustering.paths import PointGraph
from geovq.errors import InputError

NOT_INTEGERS = [True, 2.0, "2", None, np.nan, np.inf, 1j, [2], np.array([2, 3]), np.bool_(True)]
NOT_NUMBERS = [True, "1", None, np.nan, np.inf, -np.inf, 0, -1.0, 1j, [1.0]]


@pytest.fixture
def points(rng):
    return rng.standard_normal((60, 3))


def refused(message, call):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "allowed" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- parameters


@pytest.mark.parametrize("value", [*NOT_INTEGERS, -1])
@pytest.mark.parametrize("name", ["n_clusters", "n_neighbors", "smoothing", "n_init", "max_iter"])
def test_integers_of_the_estimator(points, name, value):
    refused(f"{name} = ", lambda: GeodesicKMeans(**{name: value}).fit(points))


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_edge_power(points, value):
    refused("edge_power = ", lambda: GeodesicKMeans(edge_power=value).fit(points))
    quantizer = GeodesicQuantizer(4, metric="euclidean", edge_power=value)
    refused("edge_power = ", lambda: quantizer.fit(points))


@pytest.mark.parametrize("value", [1, 0, "yes", None, 1.0])
def test_flags(points, value):
    refused("whiten = ", lambda: GeodesicKMeans(whiten=value).fit(points))
    quantizer = GeodesicQuantizer(4, metric="euclidean", whiten=value)
    refused("whiten = ", lambda: quantizer.fit(points))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("smoothing", [10**4 + 1, 10**20]),
        ("n_jobs", [0, True, 1.5, "2", np.nan]),
        ("verbose", [-1, 1.5, "yes", None]),
        ("random_state", [True, -1, 2**32, 1.5, "0", np.random.default_rng(0), [0]]),
        ("metric", [None, 3, ["euclidean"], "l2", np.array(["cosine"]), "Euclidean"]),
    ],
)
def test_other_parameters_of_the_estimator(points, name, values):
    for value in values:
        refused(f"{name} = ", lambda v=value: GeodesicKMeans(**{name: v}).fit(points))


def test_numpy_numbers_and_large_ones_are_welcome(points):
    options = {"n_clusters": np.int8(3), "edge_power": np.float32(1), "max_iter": 10**20}
    first = GeodesicKMeans(**options, n_jobs=10**6, random_state=np.int64(0)).fit(points).labels_
    second = GeodesicKMeans(3, n_neighbors=10**20, whiten=np.bool_(True), verbose=False)
    assert len(set(first)) == len(set(second.fit(points).labels_)) == 3


@pytest.mark.parametrize("value", [v for v in NOT_INTEGERS if v is not None])
@pytest.mark.parametrize(
    "name", ["codes", "first_codes", "tokens", "neighbors", "smoothing", "random_state"]
)
def test_integers_of_the_quantiser(points, name, value):
    options = {"codes": 4, "metric": "euclidean", name: value}
    refused(f"{name} = ", lambda: GeodesicQuantizer(**options).fit(points))


def test_numbers_of_steps_that_would_never_end(points):
    for name in ("tokens", "smoothing"):
        options = {"codes": 4, "metric": "euclidean", name: 10**20}
        refused(f"{name} = ", lambda o=options: GeodesicQuantizer(**o).fit(points))


# --- arrays

NOT_REAL = {
    "text": (lambda x: x.astype(str), "dtype <U"),
    "bytes": (lambda x: x.astype("S8"), r"dtype \|S"),
    "complex": (lambda x: x.astype(complex), "dtype complex128; .* Complex data not supported"),
    "flags": (lambda x: x > 0, r"dtype bool; allowed: real numbers \(astype"),
    "dates": (lambda x: x.astype("M8[s]"), "dtype datetime64"),
    "spans": (lambda x: x.astype("m8[s]"), "dtype timedelta64"),
    "objects of text": (lambda x: x.astype(str).astype(object), "object with values of type str"),
    "objects of flags": (lambda x: (x > 0).astype(object), "object with values of type bool"),
    "objects of dates": (lambda x: np.full(x.shape, datetime.date(2000, 1, 1)), "type date"),
    "lists of text": (lambda x: x.astype(str).tolist(), "dtype <U"),
    "masked": (lambda x: np.ma.masked_greater(x, 0), "masked values; allowed: none"),
    "ragged": (lambda x: [[1.0], [2.0, 3.0]], "no array"),
}


@pytest.mark.parametrize("kind", NOT_REAL)
def test_arrays_of_anything_but_numbers(points, kind):
    bad, message = NOT_REAL[kind][0](np.abs(points) - 0.5), NOT_REAL[kind][1]
    kmeans = GeodesicKMeans(3, random_state=0).fit(points)
    refused(f"X .*{message}", lambda: GeodesicKMeans(3).fit(bad))
    refused(f"X .*{message}", lambda: kmeans.predict(bad))
    refused(f"X .*{message}", lambda: kmeans.transform(bad))
    refused(f"edge_points .*{message}", lambda: GeodesicKMeans(3).fit(points, edge_points=bad))
    quantizer = GeodesicQuantizer(4, metric="euclidean")
    refused(f"means .*{message}", lambda: quantizer.fit(bad))
    refused(f"log_variances .*{message}", lambda: quantizer.fit(points, bad))
    if kind != "flags" and kind != "ragged":
        bad = bad if isinstance(bad, list) else bad[:, 0]
        refused("sample_weight ", lambda: GeodesicKMeans(3).fit(points, sample_weight=bad))


def test_other_forms_of_numbers_are_welcome(points):
    expected = GeodesicKMeans(3, random_state=0).fit(points).labels_
    others = points.tolist(), points.astype(object), np.ma.array(points), points.astype("g")
    for given in others:
        assert (GeodesicKMeans(3, random_state=0).fit(given).labels_ == expected).all()
    whole = GeodesicKMeans(3, random_state=0).fit(np.arange(30).reshape(10, 3))
    assert whole.cluster_centers_.dtype == np.float64
    quantizer = GeodesicQuantizer(4, metric="euclidean").fit(points)
    same = GeodesicQuantizer(4, metric="euclidean").fit(points.tolist())
    assert (same.encode(points.tolist()) == quantizer.encode(points)).all()


@pytest.mark.parametrize("weights", [np.zeros(60), [0] * 60])
def test_some_weight_is_needed(points, weights):
    with pytest.raises(ValueError, match="at least one non-zero"):
        GeodesicKMeans(3).fit(points, None, weights)


# --- ways


@pytest.mark.parametrize("row", [-1, 60, 9999, 10**20, True, 1.0, "1", None, np.nan, [1]])
def test_ways_lead_from_row_to_row(points, row):
    kmeans = GeodesicKMeans(3, random_state=0).fit(points)
    refused("end = .*at least 0, at most 59", lambda: kmeans.path(0, row))
    refused("start = .*at least 0, at most 59", lambda: kmeans.path(row, 0))
    assert kmeans.path(np.int64(0), np.uint8(7))[-1] == 7


def test_ways_across_a_graph_that_was_cut_end(points):
    kmeans = GeodesicKMeans(3, random_state=0).fit(points)
    kmeans.graph_ = sparse.csr_matrix(kmeans.graph_.shape)
    refused("no way from node", lambda: kmeans.path(0, 9))
    line = np.arange(60.0)[:, None]
    graph = PointGraph.of(line, 5)
    refused("points has dtype bool", lambda: PointGraph.of(line > 3, 5))
    refused(r"ends of shape \(2, 1\)", lambda: graph.shortest_paths(line[:1], line[-2:]))
    refused("starts .* holds nan", lambda: graph.shortest_paths([[np.nan]], line[-1:]))
    cut = PointGraph(graph.geometry, sparse.csr_matrix(graph.matrix.shape), graph.rows)
    refused("no way from node", lambda: cut.shortest_paths(line[:1], line[-1:]))


# --- latents and tokens


@pytest.mark.parametrize(
    ("means", "log_variances", "message"),
    [
        (np.inf, 0, r"means of shape \(60, 3\) holds inf"),
        (1e101, 0, r"means holds 1e\+101; allowed: -1e\+100 to 1e\+100"),
        (0, np.nan, r"log_variances of shape \(60, 3\) holds nan"),
        (0, 1e6, r"log_variances holds 1e\+06; allowed: -80 to 80"),
        (0, -1e6, r"log_variances holds -1e\+06; allowed: -80 to 80"),
        (0, 81, "log_variances holds 81"),
    ],
)
def test_latents_beyond_what_float64_can_square(points, means, log_variances, message):
    one, two = points.copy(), points.copy()
    one[5], two[5] = means, log_variances
    refused(message, lambda: GeodesicQuantizer(4).fit(one, two))
    fitted = GeodesicQuantizer(4).fit(points, points)
    refused(message, lambda: fitted.encode(one, two))


@pytest.mark.parametrize("metric", ["precision", "fisher", "euclidean"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_extremes_that_are_allowed(points, metric, sign):
    spread = np.where(points[:, :1] > 0, 80.0, -80.0) * sign + 0 * points
    quantizer = GeodesicQuantizer(4, 2, metric=metric)
    tokens = quantizer.fit(points * 1e18, spread).encode(points * 1e18, spread)
    assert np.isfinite(quantizer.decode(tokens)).all()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[0, 4]], "tokens: 4 at position 1; allowed: 0 to 3"),
        ([[-1, 0]], "tokens: -1 at position 0; allowed: 0 to 3"),
        ([[0.0, 1.0]], "tokens has dtype float64"),
        ([[True, False]], "tokens has dtype bool"),
        ([["0", "1"]], "tokens has dtype <U1"),
        ([[0]], r"tokens of shape \(1, 1\); allowed: \(N, 2\)"),
        ([0, 1], r"tokens of shape \(2,\); allowed: \(N, 2\)"),
        (np.ma.array([[0, 1]], mask=[[0, 1]]), "tokens has masked values"),
    ],
)
def test_tokens_that_nothing_was_encoded_to(points, tokens, message):
    quantizer = GeodesicQuantizer(4, 2, metric="euclidean").fit(points)
    refused(message, lambda: quantizer.decode(tokens))
    assert quantizer.decode(np.array([[3, 0]], np.uint8)).shape == (1, 3)


@pytest.mark.parametrize("clustering", ["geodesic", "euclidean"])
def test_fewer_latents_than_codes_are_said_to_be(points, clustering):
    few = np.repeat(points[:5], 12, axis=0)
    quantizer = GeodesicQuantizer(8, metric="euclidean", clustering=clustering)
    with pytest.warns(UserWarning, match="codes = 8, but position 0 has 5 distinct codes"):
        quantizer.fit(few)
    np.testing.assert_allclose(quantizer.decode(quantizer.encode(few)), few)


def test_levels_with_nothing_left_to_tell_are_said_to_be(points):
    few = np.repeat(points[:8], 9, axis=0)
    with pytest.warns(UserWarning, match="codes = 8, but position 1 has . distinct codes, for its"):
        quantizer = GeodesicQuantizer(8, 2, metric="euclidean", neighbors=3).fit(few)
    np.testing.assert_allclose(quantizer.decode(quantizer.encode(few)), few, atol=1e-12)


@pytest.mark.parametrize(
    ("decoded", "message"),
    [
        (lambda z: z[:-1], r"decode\(latents\) of shape \(59, 3\); allowed: \(60, D\)"),
        (lambda z: z[:, 0], r"decode\(latents\) of shape \(60,\)"),
        (lambda z: z * np.nan, r"decode\(latents\) of shape \(60, 3\) holds nan"),
        (lambda z: None, r"decode\(latents\) of shape \(\)"),
    ],
)
def test_decoders_give_a_row_of_pixels_for_each_latent(points, decoded, message):
    quantizer = GeodesicQuantizer(4, metric="pullback")
    refused(message, lambda: quantizer.fit(points, 0 * points, decoded))


def test_a_graph_in_pieces_says_what_helps(rng):
    islands = rng.standard_normal((60, 2)) + 50 * rng.integers(0, 2, (60, 1))
    with pytest.warns(UserWarning, match=r"graph had . components; .* more neighbours connect"):
        GeodesicQuantizer(4, metric="euclidean", neighbors=3).fit(islands)
