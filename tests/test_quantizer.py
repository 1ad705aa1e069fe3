import numpy as np
import pytest
from scipy.spatial.distance import cdist

from geovq import GeodesicQuantizer
from geovq.errors import InputError
from geovq.levels import VoteCells, cell_means, k_means
from geovq.quantizer import balanced_chunks


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
    means, log_variances = latents
    quantizer = GeodesicQuantizer(
        8, metric="fisher", clustering="euclidean", assignment="geodesic"
    ).fit(means, log_variances)
    codes = quantizer.codebooks()[0]
    distances = ((means[:, None] - codes) ** 2 / np.exp(log_variances)[:, None]).sum(2)
    assert (quantizer.encode(means, log_variances)[:, 0] == distances.argmin(1)).all()


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
    monkeypatch.setattr("geovq.quantizer.SAMPLE", 100)
    both = [np.hstack([x, x]) for x in latents]
    quantizer = GeodesicQuantizer(8, 2, layout="grid").fit(*both)
    assert quantizer.levels_[0].points.shape == (100, 6)
    assert (quantizer.encode(*both)[:, 0] == quantizer.encode(*both)[:, 1]).all()


def test_empty_cells_keep_their_code():
    found = cell_means(np.ones((3, 2)), np.array([0, 0, 2]), np.full((4, 2), 7.0))
    assert found.tolist() == [[1, 1], [7, 7], [1, 1], [7, 7]]


def test_chunks_are_balanced_by_kl():
    kl = np.array([9, 1, 5, 4, 3, 2.0])
    chunks = balanced_chunks(kl, 2)
    assert sorted(np.concatenate(chunks)) == list(range(6))
    assert [len(c) for c in chunks] == [3, 3]
    assert abs(kl[chunks[0]].sum() - kl[chunks[1]].sum()) <= 2
    assert abs(kl[:3].sum() - kl[3:].sum()) == 6


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
        GeodesicQuantizer(8).fit(np.full_like(means, np.nan), log_variances)
    quantizer = GeodesicQuantizer(8).fit(means, log_variances)
    with pytest.raises(InputError, match=r"\(300, 5\); allowed: \(N, 6\)"):
        quantizer.encode(means[:, :5])
