import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from geovq import GeodesicKMeans, GeodesicQuantizer
from geovq.errors import InputError
from geovq.quantization.latent_metrics import METRICS, Latents
from geovq.quantization.layout import balanced_chunks, sample_cells
from geovq.quantization.levels import NearestCells, VoteCells, cell_means, k_means, majority


def decode(latents):
    return np.tanh(latents)


VARIANTS = [
    {},
    {"tokens": 3},
    {"tokens": 3, "first_codes": 4},
    {"tokens": 3, "layout": "product"},
    {"metric": "euclidean"},
    {"metric": "fisher", "tokens": 2},
    {"metric": "pullback", "tokens": 2},
    {"smoothing": 5, "edge_power": 2.0, "whiten": False},
]


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("assignment", ["vote", "geodesic"])
@pytest.mark.parametrize("clustering", ["geodesic", "euclidean"])
def test_round_trip_and_file(latents, tmp_path, options, assignment, clustering):
    means, log_variances = latents
    quantizer = GeodesicQuantizer(8, assignment=assignment, clustering=clustering, **options)
    quantizer.fit(means, log_variances, decode)
    tokens = quantizer.encode(means, log_variances, decode)
    assert tokens.shape == (300, quantizer.tokens)
    assert tokens.dtype == np.int64
    assert (tokens.max(0) < quantizer.vocabulary).all()
    decoded = quantizer.decode(tokens)
    assert decoded.shape == means.shape
    spread = ((means - means.mean(0)) ** 2).sum()
    assert ((means - decoded) ** 2).sum() < 0.6 * spread

    quantizer.save(tmp_path / "codebook.npz")
    again = GeodesicQuantizer.load(tmp_path / "codebook.npz")
    assert again.get_params() == quantizer.get_params()
    assert (again.encode(means, log_variances, decode) == tokens).all()
    assert (again.decode(tokens) == decoded).all()
    assert (again.codebooks()[0] == quantizer.codebooks()[0]).all()


def test_more_tokens_lower_the_distortion(latents):
    means, log_variances = latents
    errors = []
    for tokens in (1, 2, 4):
        quantizer = GeodesicQuantizer(8, tokens).fit(means, log_variances)
        errors.append(((means - quantizer.decode(quantizer.encode(means))) ** 2).sum())
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


@pytest.mark.parametrize("clustering", ["geodesic", "euclidean"])
def test_codes_are_the_means_of_their_cells(latents, clustering):
    means, log_variances = latents
    quantizer = GeodesicQuantizer(8, clustering=clustering).fit(means, log_variances)
    tokens = quantizer.encode(means)[:, 0]
    for code in np.unique(tokens):
        expected = means[tokens == code].mean(0)
        np.testing.assert_allclose(quantizer.decode([[code]])[0], expected)


def test_fisher_codes_are_precision_weighted(latents):
    means, log_variances = latents
    quantizer = GeodesicQuantizer(8, metric="fisher").fit(means, log_variances)
    tokens = quantizer.encode(means, log_variances)[:, 0]
    mine = tokens == tokens[0]
    precision = np.exp(-log_variances[mine])
    expected = (precision * means[mine]).sum(0) / precision.sum(0)
    np.testing.assert_allclose(quantizer.decode(tokens[:1, None])[0], expected)


def test_fisher_nearest_code_is_the_brute_force_argmin(latents):
    means, log_variances = latents[0], latents[1] + [0, -3, 1, -6, -1, -2]
    quantizer = GeodesicQuantizer(
        8, metric="fisher", clustering="euclidean", assignment="geodesic"
    ).fit(means, log_variances)
    codes = quantizer.codebooks()[0]
    distances = ((means[:, None] - codes) ** 2 / np.exp(log_variances)[:, None]).sum(2)
    assert (quantizer.encode(means, log_variances)[:, 0] == distances.argmin(1)).all()


def test_weighted_k_means_ends_at_weighted_means_of_nearest_points(latents):
    points, weights = latents[0], np.exp(-latents[1])
    labels, vectors = k_means(points, 8, 0, weights)
    np.testing.assert_allclose(vectors, cell_means(points, labels, vectors, weights))
    distances = (weights[:, None] * (points[:, None] - vectors) ** 2).sum(2)
    assert (labels == distances.argmin(1)).all()
    for seed in (0, 1):
        plain = KMeans(8, n_init=3, random_state=seed).fit(points)
        assert (k_means(points, 8, seed)[0] == plain.labels_).all()


def test_the_second_level_is_weighted_k_means_of_what_is_left_over(latents):
    means, log_variances = latents
    quantizer = GeodesicQuantizer(8, 2, metric="fisher").fit(means, log_variances)
    first, second = quantizer.levels_
    points, weights = means * quantizer.scale_, 1 / (np.exp(log_variances) * quantizer.scale_**2)
    rest = points - first.vectors[first.encode(points)]
    expected = NearestCells.fit(rest, 8, 0, weights)
    tokens = expected.encode(rest, weights)
    np.testing.assert_allclose(
        second.vectors, cell_means(rest, tokens, expected.vectors, weights), atol=1e-9
    )


def test_lengths_and_scales_of_metrics_are_their_formulas(latents):
    means, variances = latents[0], np.exp(latents[1])
    posteriors = Latents(*latents)
    np.testing.assert_allclose(
        METRICS["precision"].scale(posteriors), 1 / np.sqrt(variances).mean(0)
    )
    chunk, fisher = np.array([4, 0, 3]), METRICS["fisher"]
    edges = fisher.edge_points(posteriors, chunk, None)
    found = fisher.length(edges[:100], edges[100:200])
    precisions = (1 / variances[:100] + 1 / variances[100:200]) / 2
    squares = ((means[:100] - means[100:200]) ** 2 * precisions)[:, chunk].sum(1)
    np.testing.assert_allclose(found, np.sqrt(squares))
    # The other dimensions of a chunk's latents are at the mean of the prior.
    decoded = METRICS["pullback"].edge_points(posteriors, chunk, decode)
    assert (decoded == np.where(np.isin(np.arange(6), chunk), np.tanh(means), 0)).all()


def test_precision_ignores_the_scale_of_a_dimension(latents):
    """Stretching a latent and its posterior alike changes no token."""
    means, log_variances = latents
    stretch = np.array([1, 10, 0.1, 5, 1, 3])
    first, second = GeodesicQuantizer(8, 2), GeodesicQuantizer(8, 2)
    first.fit(means, log_variances)
    second.fit(means * stretch, log_variances + 2 * np.log(stretch))
    assert (first.encode(means) == second.encode(means * stretch)).mean() > 0.99


def test_the_vote_is_the_majority_of_the_nearest(rng):
    points, labels = rng.standard_normal((80, 3)), rng.integers(4, size=80)
    level = VoteCells(np.zeros((4, 3)), points, labels, neighbors=7)
    queries = rng.standard_normal((50, 3))
    nearest = labels[np.argsort(cdist(queries, points), axis=1)[:, :7]]
    for code, votes in zip(level.encode(queries), nearest, strict=True):
        counts = np.bincount(votes, minlength=4)
        assert counts[code] == counts.max()


def test_of_equal_votes_the_nearer_wins():
    points = np.array([[0.0], [1.0], [2.0], [3.0]])
    level = VoteCells(np.zeros((2, 1)), points, np.array([0, 0, 1, 1]), neighbors=4)
    assert level.encode(np.array([[0.4], [2.6]])).tolist() == [0, 1]


def test_more_votes_win_however_far_away():
    assert majority(np.array([[1] * 4 + [0] * 5, [0] * 4 + [1] * 5]), 2).tolist() == [0, 1]


def test_many_votes_are_counted_piece_by_piece(rng, monkeypatch):
    votes = rng.integers(4, size=(50, 7))
    whole = majority(votes, 4)
    monkeypatch.setattr("geovq.quantization.levels.CHUNK", 8)
    assert (majority(votes, 4) == whole).all()


@pytest.mark.parametrize(
    "options",
    [
        {"edge_power": 3.0},
        {"smoothing": 4},
        {"smoothing": 4, "whiten": False},
        {"random_state": 5},
        {"neighbors": 4},
    ],
)
def test_the_partition_is_geodesic_k_means(latents, options):
    quantizer = GeodesicQuantizer(8, **options).fit(*latents)
    given = {"random_state": 0, "n_neighbors": 10} | options
    given["n_neighbors"] = given.pop("neighbors", 10)
    expected = GeodesicKMeans(8, **given).fit(latents[0] * quantizer.scale_).labels_
    assert (quantizer.levels_[0].labels == expected).all()
    assert quantizer.levels_[0].neighbors == given["n_neighbors"]


def test_the_partition_has_edges_of_the_metric(latents):
    fisher, posteriors = METRICS["fisher"], Latents(*latents)
    edges = fisher.edge_points(posteriors, np.arange(6), None)
    kmeans = GeodesicKMeans(8, metric=fisher.length, random_state=0)
    kmeans.fit(latents[0] * fisher.scale(posteriors), edge_points=edges)
    found = GeodesicQuantizer(8, metric="fisher").fit(*latents).levels_[0]
    assert (found.labels == kmeans.labels_).all()


def test_both_clusterings_obey_the_same_vote(latents):
    means, log_variances = latents
    quantizer = GeodesicQuantizer(8, clustering="euclidean").fit(means, log_variances)
    labels, _ = k_means(means * quantizer.scale_, 8, 0)
    expected = VoteCells(np.zeros((8, 6)), means * quantizer.scale_, labels, 10)
    assert (quantizer.encode(means)[:, 0] == expected.encode(means * quantizer.scale_)).all()


@pytest.mark.parametrize("metric", ["euclidean", "precision", "fisher"])
def test_cells_of_a_grid_share_one_codebook(latents, metric, tmp_path):
    """A grid is the one-token quantiser of its cells."""
    both = [np.hstack([x, x[::-1] - 0.1]) for x in latents]
    cells = [x.reshape(-1, 6) for x in both]
    quantizer = GeodesicQuantizer(8, 2, layout="grid", metric=metric).fit(*both)
    alone = GeodesicQuantizer(8, 1, metric=metric).fit(*cells)
    tokens = quantizer.encode(*both)
    assert tokens.shape == (300, 2)
    assert (tokens.ravel() == alone.encode(*cells)[:, 0]).all()
    np.testing.assert_allclose(
        quantizer.decode(tokens).reshape(-1, 6), alone.decode(tokens.reshape(-1, 1))
    )
    quantizer.save(tmp_path / "grid.npz")
    assert (GeodesicQuantizer.load(tmp_path / "grid.npz").encode(*both) == tokens).all()


def test_a_shared_codebook_is_fitted_on_a_sample(latents, monkeypatch):
    monkeypatch.setattr("geovq.quantization.layout.SAMPLE", 100)
    both = [np.hstack([x, x]) for x in latents]
    quantizer = GeodesicQuantizer(8, 2, layout="grid").fit(*both)
    assert quantizer.levels_[0].points.shape == (100, 6)
    assert (quantizer.encode(*both)[:, 0] == quantizer.encode(*both)[:, 1]).all()


@pytest.mark.parametrize("metric", ["precision", "fisher"])
def test_of_sampled_cells_means_and_variances_are_those_of_the_same_rows(
    latents, metric, monkeypatch
):
    monkeypatch.setattr("geovq.quantization.layout.SAMPLE", 100)
    both = [np.hstack([x, x[::-1] - 0.1]) for x in latents]
    rows = sample_cells(600, 3)
    given = {"metric": metric, "random_state": 3}
    quantizer = GeodesicQuantizer(8, 2, layout="grid", **given).fit(*both)
    alone = GeodesicQuantizer(8, **given).fit(*(x.reshape(-1, 6)[rows] for x in both))
    assert (quantizer.levels_[0].vectors == alone.levels_[0].vectors).all()


def test_empty_cells_keep_their_code():
    found = cell_means(np.ones((3, 2)), np.array([0, 0, 2]), np.full((4, 2), 7.0))
    assert found.tolist() == [[1, 1], [7, 7], [1, 1], [7, 7]]


def test_a_product_has_chunks_of_equal_kl_and_a_partition_of_each(latents):
    means, log_variances = latents[0] * [1, 1, 3, 0.3, 2, 1], latents[1] + [0, -3, 1, -6, -1, -2]
    quantizer = GeodesicQuantizer(8, 3, layout="product").fit(means, log_variances)
    kl = ((means**2 + np.exp(log_variances) - log_variances - 1) / 2).mean(0)
    for found, expected in zip(quantizer.chunks_, balanced_chunks(kl, 3), strict=True):
        assert (found == expected).all()
    assert [type(level) for level in quantizer.levels_] == [VoteCells] * 3


def test_as_many_codes_as_latents(latents):
    quantizer = GeodesicQuantizer(300).fit(*latents)
    np.testing.assert_allclose(quantizer.decode(quantizer.encode(latents[0])), latents[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codes": 301}, "codes = 301; allowed: 2 to the number of latents, 300"),
        ({"first_codes": 301}, "first_codes = 301; allowed"),
        ({"neighbors": 300}, "neighbors = 300; allowed: 1 to 299"),
        ({"tokens": 4, "layout": "product"}, "tokens = 4: .* latent_dim = 6 .* divisors"),
        ({"tokens": 0}, "tokens = 0; allowed: at least 1"),
        ({"metric": "cosine"}, "metric = 'cosine'; allowed: euclidean, precision"),
        ({"layout": "tree"}, "layout = 'tree'; allowed: residual, product, grid"),
        ({"tokens": 4, "layout": "grid"}, "tokens = 4: .* grid .* latent_dim = 6 .* divisors"),
        ({"layout": "grid", "metric": "pullback"}, "metric = 'pullback'; allowed with layout grid"),
        ({"assignment": "nearest"}, "assignment = 'nearest'; allowed: vote, geodesic"),
        ({"metric": "pullback"}, "decode = None; metric pullback"),
        ({"metric": "fisher", "smoothing": 3}, "smoothing = 3; allowed with metric fisher: 0"),
    ],
)
def test_bad_parameters_are_named(latents, options, message):
    with pytest.raises(InputError, match=message):
        GeodesicQuantizer(**({"codes": 8} | options)).fit(*latents)


def test_bad_latents_are_named(latents):
    means, log_variances = latents
    with pytest.raises(InputError, match="log_variances = None"):
        GeodesicQuantizer(8).fit(means)
    with pytest.raises(InputError, match=r"log_variances of shape \(300, 5\)"):
        GeodesicQuantizer(8).fit(means, log_variances[:, :5])
    with pytest.raises(InputError, match=r"means of shape .* finite"):
        GeodesicQuantizer(8).fit(np.where(means > 2, np.nan, means), log_variances)
    quantizer = GeodesicQuantizer(8).fit(means, log_variances)
    with pytest.raises(InputError, match=r"\(300, 5\); allowed: \(N, 6\)"):
        quantizer.encode(means[:, :5])
