"""The study of semantic codes: rivals find what is there, costs are costs, and it goes on."""

import argparse
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import smooth
from geovq.errors import InputError
from geovq.models.distortion import distortion
from geovq.models.likelihood import Bernoulli
from geovq.params.reading import load_params
from studies.common import quick
from studies.semantics.clusterings import (
    Decayed,
    Evened,
    Fisher,
    Geodesic,
    Iterated,
    KMeans,
    Leiden,
    SmoothedKMeans,
    Spectral,
    averaged,
    shared_neighbors,
)
from studies.semantics.latents import Run, ensembles, kept_in, sampled
from studies.semantics.page import findings
from studies.semantics.run import GRID, Study, main
from studies.semantics.scores import GREY, class_scores, mean_image_bce

CLUSTERS = 6


@pytest.fixture
def planted(rng):
    """Points (600, 5) around six centres that lie well apart, and whose they are."""
    labels = rng.integers(CLUSTERS, size=600)
    centers = 6 * np.eye(CLUSTERS)[:, :5]
    return (centers[labels] + rng.standard_normal((600, 5))).astype(np.float32), labels


@pytest.mark.filterwarnings("ignore:the 10-NN graph had")
@pytest.mark.parametrize(
    "method",
    [
        Geodesic(),
        Geodesic(2, 5),
        Geodesic(2, 5, 20, whitened=False),
        Decayed(2, 5),
        Iterated(2, 6),
        Evened(2, 5),
        KMeans(),
        SmoothedKMeans(5),
        Spectral(CLUSTERS),
        Leiden(),
    ],
    ids=str,
)
def test_every_method_finds_planted_clusters(planted, method):
    points, labels = planted
    found = method(points, CLUSTERS, 0)
    assert found.dtype == np.int64
    assert adjusted_rand_score(labels, found) > 0.95
    np.testing.assert_array_equal(found, method(points, CLUSTERS, 0))


@pytest.mark.filterwarnings("ignore:the 10-NN graph had")
def test_fisher_edges_of_equal_precisions_are_straight(planted):
    points, _ = planted
    posteriors = np.hstack([points, np.full_like(points, 9)])  # lengths, three times as long
    straight = Geodesic(2, 5, whitened=False)(points, CLUSTERS, 0)
    assert adjusted_rand_score(Fisher(2, 5)(posteriors, CLUSTERS, 0), straight) == 1


def test_leiden_gives_as_many_communities_as_asked(planted):
    for codes in (10, 16, 40):
        assert len(np.unique(Leiden()(planted[0], codes, 0))) == pytest.approx(codes, abs=1)
    fewest = Leiden()(planted[0], 1, 0)  # but never fewer than there are components
    assert len(np.unique(fewest)) <= CLUSTERS


def test_shared_neighbors_are_jaccard_indices(planted):
    points = planted[0][:80]
    around = np.linalg.norm(points[:, None] - points, axis=2).argsort(1)[:, :6]
    pairs, weights = shared_neighbors(points, 5)
    for (i, j), weight in zip(pairs, weights, strict=True):
        a, b = set(around[i]), set(around[j])
        assert i in b or j in a
        assert weight == pytest.approx(len(a & b) / len(a | b))
    assert len(pairs) == len({frozenset((i, j)) for i in range(80) for j in around[i] if j != i})


def test_averages_are_those_that_smoothing_whitens(planted):
    points = planted[0]
    rows = averaged(points, 10, 4)
    rows -= rows.mean(0)
    whitened = smooth(Geometry(points, 10, points), 4).edge_points
    # Whitening is one linear map.
    residual = rows @ np.linalg.lstsq(rows, whitened)[0] - whitened
    assert abs(residual).max() < 1e-8


def test_one_code_costs_the_mean_image_and_more_codes_less(rng):
    prototypes = torch.from_numpy(rng.random((8, 6, 5), dtype=np.float32))
    whose = torch.from_numpy(rng.integers(8, size=400))
    noise = torch.from_numpy(rng.normal(0, 0.05, (400, 6, 5)).astype(np.float32))
    images = (prototypes[whose] + noise).clamp(0, 1)
    train, test = images[:300], images[300:]

    def cost(codes):
        return mean_image_bce((codes[:300].numpy(), codes[300:].numpy()), (train, test))

    mean = train.mean(0).clamp(GREY, 1 - GREY).logit()
    one = cost(torch.zeros_like(whose))
    assert one == pytest.approx(distortion(mean.expand_as(test), test, Bernoulli()), rel=1e-5)
    costs = [one, cost(whose // 4), cost(whose // 2), cost(whose)]
    assert (np.diff(costs) < 0).all()
    # A code that no training image has is decoded to the mean of all.
    assert cost(torch.arange(400) // 300) == pytest.approx(one, rel=1e-5)


def test_class_scores_of_perfect_codes():
    labels = np.arange(30) % 3
    codes = (labels + 1) % 3
    scores = class_scores((codes, codes), (labels, labels), seed=0)
    assert set(scores.values()) == {1.0}


def test_an_ensemble_joins_scaled_neighbours_in_a_ring(rng):
    names = ("train", "validation", "test")
    runs = [
        Run(
            {n: np.full((4, 2), 1.0 + s) for n in names},
            np.arange(4),
            np.array([[1.0, 4.0]] * 3 + [[1.0, 16.0]]),
        )
        for s in range(4)
    ]
    joined = ensembles(runs, 3)
    assert len(joined) == 4
    np.testing.assert_allclose(joined[3].latents["test"][0], [4, 1.6, 1, 0.4, 2, 0.8])


def test_a_sampled_run_sees_its_share(rng):
    points = {n: rng.random((200, 30)) for n in ("train", "validation", "test")}
    runs = [sampled(points, seed, dimensions) for seed, dimensions in ((0, None), (1, 4))]
    assert [run.latents["train"].shape for run in runs] == [(180, 30), (180, 4)]
    assert runs[1].latents["test"].shape == (200, 4)
    assert (runs[0].rows != runs[1].rows).any()
    np.testing.assert_array_equal(runs[0].latents["train"], points["train"][runs[0].rows])


def test_networks_of_other_parameters_are_kept_elsewhere(tmp_path):
    assert kept_in(tmp_path, {"a": 1, "b": 2}) == kept_in(tmp_path, {"b": 2, "a": 1})
    assert kept_in(tmp_path, {"a": 1}) != kept_in(tmp_path, {"a": 2})


def test_what_is_said_of_rivals_follows_their_spread():
    def rows(*purities):
        return [
            {"codes": codes, "purity": [p - 0.01, p + 0.01], "bce": [100.0 - codes] * 2}
            for codes, p in zip((16, 32), purities, strict=True)
        ]

    said = findings({"geodesic": rows(0.8, 0.9), "k-means": rows(0.7, 0.8), "x": rows(0.805, 0.95)})
    assert "at 4 bits (0.800), k-means needs 5 bits" in said
    assert "and at which K: x at 32; the others nowhere" in said
    assert "| k-means                  | 16, 32         | nowhere" in said
    assert "nowhere" in findings({"geodesic": rows(0.8, 0.9), "k-means": rows(0.7, 0.8)})
    said = findings({"geodesic": rows(0.9, 0.9), "k-means": rows(0.7, 0.8)})
    assert "needs more than 5 bits" in said


@pytest.mark.slow
def test_the_study_runs_and_goes_on_where_it_stopped(tmp_path, capsys):
    arguments = [str(tmp_path), "--quick", "--seeds", "2", "--vqvae-seeds", "2"]
    arguments += ["--codes", "16", "32", "--models", str(tmp_path / "models")]
    main(arguments)
    file, page = tmp_path / "scores.json", tmp_path / "page.md"
    found, text = json.loads(file.read_text()), page.read_text()
    methods = ["geodesic", "k-means", "geodesic, plain", "k-means, smoothed", "spectral", "Leiden"]
    methods += ["geodesic, iterated", "geodesic, decay", "geodesic, even cells", "geodesic, Fisher"]
    methods += ["ensemble of 2, geodesic", "ensemble of 2, k-means", "VQ-VAE"]
    for method in methods:
        assert f"| {method} " in text
    assert "Not run" not in text
    assert "2 VAEs" in text
    assert all(len(row["purity"]) == 2 for row in found["rows"])
    assert all((tmp_path / f"{name}.png").exists() for name in ("purity", "choice", "cost"))

    # Scores are all it takes to write the page again; one that is missing is all it computes.
    found["rows"] = [row for row in found["rows"] if row["clustering"] != "spectral"]
    file.write_text(json.dumps(found))
    main(arguments)
    again = json.loads(file.read_text())["rows"]
    assert again[: len(found["rows"])] == found["rows"]
    assert {row["clustering"] for row in again[len(found["rows"]) :]} == {"spectral"}

    with pytest.raises(InputError, match="other parameters; delete it"):
        main([*arguments, "--seeds", "3"])


def test_cells_of_a_grid_are_clustered_together(tmp_path):
    options = argparse.Namespace(folder=tmp_path, dataset="digits", root=tmp_path, models=tmp_path)
    vars(options).update(latents="grid", seeds=1, kl_weight=None)
    (run,) = Study(options, quick(load_params("params.yaml"))).runs
    assert run.latents["test"].shape[1] == GRID["latent_dim"]


@pytest.mark.slow
def test_a_weight_of_the_kl_term_makes_other_networks(tmp_path, capsys):
    arguments = [str(tmp_path), "--quick", "--seeds", "2", "--codes", "16", "--kl-weight", "0.1"]
    main([*arguments, "--vqvae-seeds", "2", "--models", str(tmp_path / "models")])
    assert (
        json.loads((tmp_path / "scores.json").read_text())["about"]["train_vae"]["kl_weight"] == 0.1
    )
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("digits, KL weight 0.1;")
    assert "| VQ-VAE " in text


@pytest.mark.slow
def test_other_latents_need_no_network(tmp_path, capsys):
    arguments = [str(tmp_path), "--quick", "--seeds", "2", "--codes", "16"]
    main([*arguments, "--latents", "pca", "--models", str(tmp_path / "models")])
    text = (tmp_path / "page.md").read_text()
    assert "20 principal components" in text
    assert "VQ-VAE" not in text
    assert "ensemble" not in text
    assert not (tmp_path / "models").exists()
