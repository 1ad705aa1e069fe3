"""Ways through a point cloud start and end where they should; the study of what they decode to."""

import json

import numpy as np
import pytest
from sklearn.datasets import make_circles

from geovq import GeodesicKMeans
from geovq.clustering.paths import PointGraph, resample
from geovq.errors import InputError
from studies.paths.page import KINDS, METHODS
from studies.paths.run import FRAMES, draw_pairs, main

pytestmark = pytest.mark.filterwarnings("ignore:the 10-NN graph had")


def length(path):
    return np.linalg.norm(np.diff(path, axis=0), axis=1).sum()


def test_frames_are_equally_far_apart(rng):
    bent = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 1.0]])
    frames = resample(bent, 9)
    np.testing.assert_allclose(frames[[0, -1]], bent[[0, -1]])
    np.testing.assert_allclose(np.linalg.norm(np.diff(frames, axis=0), axis=1), 0.5)
    path = rng.standard_normal((12, 5)).cumsum(0)
    frames = resample(path, 4001)
    np.testing.assert_array_equal(frames[[0, -1]], path[[0, -1]])
    steps = np.linalg.norm(np.diff(frames, axis=0), axis=1)
    # A frame on each side of a corner are nearer to each other than along the way.
    np.testing.assert_allclose(np.median(steps), length(path) / 4000, rtol=1e-6)
    assert (steps < length(path) / 4000 * (1 + 1e-6)).all()
    np.testing.assert_array_equal(resample(np.ones((2, 3)), 4), np.ones((4, 3)))


def test_in_a_convex_body_geodesics_are_nearly_straight(rng):
    points = rng.random((4000, 2))
    starts, ends = np.array([[0.1, 0.1], [0.2, 0.8]]), np.array([[0.9, 0.8], [0.7, 0.3]])
    paths = PointGraph.of(points, 10).shortest_paths(starts, ends)
    for start, end, path in zip(starts, ends, paths, strict=True):
        np.testing.assert_array_equal(path[[0, -1]], [start, end])
        straight = np.linalg.norm(end - start)
        assert straight <= length(path) < 1.1 * straight
        line = resample(np.stack([start, end]), FRAMES)
        assert np.linalg.norm(resample(path, FRAMES) - line, axis=1).max() < 0.1


def test_around_a_hole_geodesics_keep_to_the_points():
    points, ring = make_circles(2000, factor=0.3, noise=0.02, random_state=0)
    points = points[ring == 0]
    starts, ends = np.array([[1.0, 0.05]]), np.array([[-1.0, 0.05]])
    (path,) = PointGraph.of(points, 10).shortest_paths(starts, ends)
    assert np.linalg.norm(path, axis=1).min() > 0.9
    assert length(path) == pytest.approx(np.pi, rel=0.1)


@pytest.mark.parametrize(("smoothing", "power"), [(0, 1.0), (5, 2.0)])
def test_paths_between_training_points_are_those_of_the_estimator(rng, smoothing, power):
    points = rng.standard_normal((400, 3))
    options = {"smoothing": smoothing, "edge_power": power, "random_state": 0}
    fitted = GeodesicKMeans(4, **options).fit(points)
    graph = PointGraph.of(points, 10, smoothing, power)
    for a, b in ((0, 1), (7, 300)):
        (path,) = graph.shortest_paths(points[[a]], points[[b]])
        rows = fitted.path(a, b)
        # A start that is a training point may step to it first, which costs nothing.
        distinct = path[np.append(True, np.diff(path, axis=0).any(1))]
        np.testing.assert_allclose(distinct, points[rows])


def test_shared_edges_are_counted_once_and_copies_of_a_point_are_one_node(rng):
    points = rng.standard_normal((60, 3))
    cloud = np.concatenate([points, points[:20]])
    codes = np.concatenate([rng.integers(5, size=60), rng.integers(5, size=20)])
    graph = PointGraph.of(cloud, 4)
    assert sorted(graph.rows) == list(range(60))
    shared = graph.shared_edges(codes, 6)
    expected = np.zeros((6, 6), int)
    for i, j in zip(*graph.matrix.nonzero(), strict=True):
        if i < j:
            a, b = codes[graph.rows[[i, j]]]
            expected[a, b] += 1
            if a != b:
                expected[b, a] += 1
    np.testing.assert_array_equal(shared, expected)
    assert np.triu(shared).sum() == graph.matrix.nnz / 2
    with pytest.raises(InputError, match=r"codes from 0 to 4; allowed: 0 to count - 1 = 3"):
        graph.shared_edges(codes, 4)


def test_pairs_are_of_the_kinds_they_are_called(rng):
    labels = rng.integers(3, size=200)
    pairs = draw_pairs(labels, 30)
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    assert not same[:30].any()
    assert same[30:].all()
    assert (pairs[:, 0] != pairs[:, 1]).all()


@pytest.mark.slow
def test_the_study_runs_and_goes_on_where_it_stopped(tmp_path, capsys):
    kept = tmp_path / "kept"
    arguments = [str(tmp_path / "out"), "--quick", "--models", str(kept), "--seeds", "2"]
    main(arguments)
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (found["seeds"], found["pairs"]) == (2, 10)
    rows = {(row["pairs"], row["method"]): row for row in found["rows"]}
    assert set(rows) == {(kind, method) for kind in KINDS for method in METHODS}
    for row in rows.values():
        assert len(row["confidence"]) == FRAMES
        assert 0.1 <= row["least"] <= row["mean"] <= 1
    for kind in KINDS:
        straight, plain, _ = (rows[kind, method] for method in METHODS)
        assert straight["vertices"] == 2 < plain["vertices"]
        assert plain["distance"] < straight["distance"]
        # All ways between two images begin and end with the same decoded image.
        assert plain["confidence"][0] == pytest.approx(straight["confidence"][0], abs=1e-5)
        assert plain["confidence"][-1] == pytest.approx(straight["confidence"][-1], abs=1e-5)
    page = (tmp_path / "out" / "page.md").read_text()
    assert all(page.count(f" {method} ") >= 2 for method in METHODS)
    for name in ("confidence", "strips"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 20_000

    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    main(arguments)
    assert before == {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    assert (tmp_path / "out" / "page.md").read_text() == page
