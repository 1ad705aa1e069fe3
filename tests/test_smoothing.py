"""The study of smoothing: what it calls a share of variance, a detour and a contrast."""

import json

import numpy as np
import pytest

from geovq import GeodesicKMeans
from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import build_graph, smooth
from geovq.errors import InputError
from studies.latent_spaces import SPACES
from studies.smoothing.page import Results
from studies.smoothing.run import SMOOTHINGS, Modes, averaged, contrast, detour, main

pytestmark = pytest.mark.filterwarnings("ignore:the 10-NN graph had")


@pytest.fixture
def clusters(rng):
    """600 points around six centres: two dimensions of clusters, eight of noise."""
    labels = rng.integers(6, size=600)
    centers = np.zeros((6, 10))
    centers[:, :2] = 4 * rng.standard_normal((6, 2))
    return centers[labels] + rng.standard_normal((600, 10)), labels


def geometry_of(points):
    return Geometry(points, 10, points)


def test_modes_hold_all_variance_of_their_own_signals_and_none_of_others(clusters):
    graph = build_graph(geometry_of(clusters[0])).matrix
    every = Modes.of(graph, 40)
    few = Modes(every.vectors[:, :12], every.degrees)
    signals = every.vectors / np.sqrt(every.degrees)[:, None]
    assert few.share(signals[:, [3]]) == pytest.approx(1)
    assert few.share(7 - 2 * signals[:, [1, 11]]) == pytest.approx(1)
    assert few.share(signals[:, [20]]) == pytest.approx(0, abs=1e-6)
    assert few.share(signals[:, [3, 20]]) == pytest.approx(0.5, abs=1e-6)
    # The slowest modes come first: neighbours differ least.
    a, b = graph.nonzero()
    differences = ((signals[a] - signals[b]) ** 2).sum(0)
    assert differences[1] < differences[11] < differences[39]


def test_averages_leave_the_slow_modes(clusters, rng):
    geometry = geometry_of(clusters[0])
    modes = Modes.of(build_graph(geometry).matrix, 12)
    shares = [modes.share(points) for points in averaged(geometry, SMOOTHINGS)]
    assert (np.diff(shares) > 0).all()
    assert shares[-1] > 0.95
    assert modes.share(rng.standard_normal((600, 50))) == pytest.approx(11 / 599, rel=0.2)


@pytest.mark.parametrize("steps", [1, 8])
def test_averages_are_those_of_the_library(clusters, steps):
    geometry = geometry_of(clusters[0])
    (points,) = averaged(geometry, [steps])
    # The library whitens what it has averaged: the same up to an affine map.
    whitened = np.column_stack([smooth(geometry, steps).edge_points, np.ones(len(points))])
    mapped = whitened @ np.linalg.lstsq(whitened, points, rcond=None)[0]
    np.testing.assert_allclose(mapped, points, atol=1e-6)


def test_detours_are_longer_where_space_is_curved(rng):
    flat = rng.random((2000, 2))
    angle = 1.9 * np.pi * flat[:, 0]
    rolled = np.column_stack([np.cos(angle), np.sin(angle), flat[:, 1]])
    found = [detour(build_graph(geometry_of(x)).matrix, x, 0) for x in (flat, rolled)]
    assert 1 <= found[0] < 1.15
    assert found[1] > found[0] + 0.1


def test_smoothing_lengthens_edges_between_classes(clusters):
    points, labels = clusters
    found = []
    for steps in (0, 8):
        fitted = GeodesicKMeans(6, edge_power=2, smoothing=steps, random_state=0).fit(points)
        found.append(contrast(fitted, labels))
        shuffled = contrast(fitted, np.random.default_rng(0).permutation(labels))
        assert shuffled == pytest.approx(1, abs=0.15)
    assert found[1] > 1.2 * found[0]


def test_correlation_counts_spaces_not_seeds():
    def row(space, seed, share, purity):
        same = {"space": f"space {space}", "seed": seed, "k_means": [0.5, 0.5]}
        return same | {"share": [share, 1.0], "geodesic": [0.5, purity]}

    rows = [
        row(i, seed, 0.1 * i + 0.01 * seed, 0.9 - 0.05 * i) for i in range(5) for seed in (0, 1)
    ]
    correlation, chance = Results(rows, (0, 20)).correlation("share", "smoothing")
    assert correlation == pytest.approx(-1)
    assert chance == pytest.approx(2 / 120)  # of the 120 orders of five, this and its reverse
    assert np.isnan(Results(rows[:6], (0, 20)).correlation("share", "smoothing")).all()


@pytest.mark.slow
def test_the_study_runs_and_goes_on_where_it_stopped(tmp_path, capsys):
    spaces = ["vae-10", "vae-32", "ae-20", "pca-20"]
    kept = tmp_path / "kept"
    arguments = [str(tmp_path / "out"), "--quick", "--models", str(kept), "--spaces", *spaces]
    main([*arguments, "--seeds", "1"])
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [row["space"] for row in found["rows"]] == [SPACES[name].title for name in spaces]
    for row in found["rows"]:
        assert (np.diff(row["share"][:4]) > 0).all()
        assert row["detour"] >= 1
        assert row["noise_share"] < row["label_share"] < 1
        assert all(0.1 < value <= 1 for key in ("geodesic", "k_means") for value in row[key])
    page = (tmp_path / "out" / "page.md").read_text()
    assert all(f"| {SPACES[name].title} " in page for name in spaces)
    assert "n = 4" in page
    for name in ("filter", "prediction"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 20_000

    before = (tmp_path / "out" / "scores.json").read_text()
    main([*arguments, "--seeds", "1"])
    assert (tmp_path / "out" / "scores.json").read_text() == before
    assert (tmp_path / "out" / "page.md").read_text() == page
    (kept / "digits-quick" / "networks.json").write_text("{}")
    with pytest.raises(InputError, match="other settings"):
        main(arguments)
