"""GeodesicKMeans against brute force, and what fuzzing it has found."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from checks.fuzz_estimator import Case, draw, run, shortest
from geovq import GeodesicKMeans

pytestmark = pytest.mark.filterwarnings("ignore:the .*-NN graph had")


@pytest.mark.parametrize("first", range(0, 160, 40))
def test_random_cases_are_what_brute_force_says(first):
    refused = 0
    for number in range(first, first + 40):
        case = draw(number)
        reason = run(case)
        assert not case.faults, f"{number}: {case}"
        assert reason is None or "no row of zeros" in reason
        refused += reason is not None
    assert refused < 8


def test_the_fuzzer_counts_what_it_finds():
    command = [sys.executable, "-m", "checks.fuzz_estimator", "--executions", "3"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert told.splitlines()[-1] == "3 executions: crash 0, hang 0, wrong 0, refused 0"


def found(points, weights=None, unseen=None, **options):
    """What a case's checks say."""
    points = np.asarray(points)
    given = {"metric": "euclidean", "edge_power": 1.0, "random_state": 0} | options
    case = Case(points, given, weights, unseen if unseen is not None else points + 0.1, "found")
    assert run(case) is None
    return case.faults


def test_a_node_behind_a_centre_on_which_another_lies():
    """Node 2 is as far from both centres, which are 0 apart: it belongs to the first."""
    ends = np.array([[0, 1, 1, 2, 0, 2], [1, 0, 2, 1, 2, 0]])
    graph = sparse.csr_matrix(sparse.coo_array(([0.0, 0, 2, 2, 9, 9], ends), (3, 3)))
    kmeans = GeodesicKMeans(3, metric="precomputed", random_state=0).fit(graph)
    assert kmeans.labels_[kmeans.medoid_indices_].tolist() == [0, 1, 2]
    kmeans = GeodesicKMeans(2, metric="precomputed", n_init=5, random_state=0).fit(graph)
    full = shortest(np.array([[np.inf, 0, 9], [0, np.inf, 2], [9, 2, np.inf]]))
    distances = full[kmeans.node_medoids_]
    others = np.setdiff1d(range(3), kmeans.node_medoids_)
    assert (kmeans.labels_[others] == distances.argmin(0)[others]).all()


@pytest.mark.parametrize("decimals", [0, 1])
def test_ties_of_rounded_points(rng, decimals):
    """`predict` named another of two centres equally far, in 262 of 4,000 such fits."""
    for _ in range(12):
        points = np.round(rng.standard_normal((40, 2)), decimals)
        weights = rng.integers(0, 3, 40).astype(float)
        weights[0] = 1
        assert not found(points, weights, n_clusters=4, n_neighbors=4)


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_smoothing_that_makes_all_points_one(power):
    """Whitening blew up what rounding left of their differences, to 1e139."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((4, 2)) * [1, 30]
    options = {"n_neighbors": 5, "smoothing": 3, "edge_power": power, "whiten": True}
    assert not found(points, n_clusters=1, **options)


def test_float32_points_are_joined_by_their_nearest_pairs(rng):
    """The nearest of many nearly equal pairs was looked for in float32."""
    points = rng.standard_normal((30, 4)) + 1e6 * rng.integers(0, 3, (30, 1))
    assert not found(points.astype(np.float32), n_clusters=3, n_neighbors=3)


def test_copies_are_no_fill_values():
    """More than half of the points are alike; the rest is a billion away."""
    points = np.array([[0.0]] * 7 + [[1e9]] * 3)
    assert not found(points, n_clusters=2, n_neighbors=1)


def test_groups_far_apart(rng):
    for gap in (1e3, 1e7, 1e9):
        points = rng.standard_normal((60, 3)) + gap * rng.integers(0, 2, (60, 1))
        assert not found(points, n_clusters=3, n_neighbors=4)
