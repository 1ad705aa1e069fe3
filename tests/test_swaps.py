import subprocess
import sys

import kmedoids
import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra

from geovq.clustering.fasterpam import (
    State,
    _gains,
    _graph,
    _insert,
    _removal_loss,
    _remove,
    improve,
    two_nearest,
)
from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import build_graph


@pytest.fixture(params=[1, 2, 7])
def setting(request, rng):
    """A graph, its full distances, point weights and K centres."""
    points = rng.standard_normal((150, 3))
    matrix = build_graph(Geometry(points, 6, points)).matrix
    weights = rng.integers(1, 4, 150).astype(float)
    return matrix, dijkstra(matrix), weights, rng.choice(150, request.param, replace=False)


def objective(full, weights, centers):
    return weights @ full[centers].min(0)


def same(state: State, full, centers):
    ordered = np.sort(full[centers], axis=0)
    np.testing.assert_allclose(state.d1, ordered[0])
    np.testing.assert_allclose(full[centers[state.c1], np.arange(len(full))], ordered[0])
    if len(centers) > 1:
        np.testing.assert_allclose(state.d2, ordered[1])
        np.testing.assert_allclose(full[centers[state.c2], np.arange(len(full))], ordered[1])
    else:
        assert np.isinf(state.d2).all()


def test_two_nearest_are_the_brute_force_ones(setting):
    matrix, full, _, centers = setting
    same(two_nearest(matrix, centers), full, centers)


def test_gains_are_recomputed_objective_differences(setting):
    matrix, full, weights, centers = setting
    state, k = two_nearest(matrix, centers), len(centers)
    candidates = np.setdiff1d(np.arange(150), centers)
    loss = _removal_loss(state, weights, k)
    changes, replaced = _gains(
        *_graph(matrix), weights, state.d1, state.c1, state.d2, loss, candidates
    )
    before = objective(full, weights, centers)
    for candidate, change, slot in zip(candidates, changes, replaced, strict=True):
        options = []
        for gone in range(k):
            swapped = centers.copy()
            swapped[gone] = candidate
            options.append(objective(full, weights, swapped) - before)
        assert change == pytest.approx(min(options), abs=1e-9)
        assert change == pytest.approx(options[slot], abs=1e-9)


def test_the_state_after_a_swap_is_the_state_from_scratch(setting, rng):
    matrix, full, _, centers = setting
    state = two_nearest(matrix, centers)
    for candidate in rng.permutation(np.setdiff1d(np.arange(150), centers))[:20]:
        slot = rng.integers(len(centers))
        _remove(*_graph(matrix), *state, slot)
        _insert(*_graph(matrix), *state, candidate, slot)
        centers[slot] = candidate
        same(state, full, centers)


def test_swaps_end_where_fasterpam_does(setting):
    matrix, full, _, centers = setting
    weights = np.ones(150)
    found = improve(matrix, weights, centers, np.arange(150), rounds=20)
    assert len(set(found)) == len(centers)
    assert objective(full, weights, found) <= objective(full, weights, centers)
    rivals = [
        kmedoids.fasterpam(full, len(centers), random_state=seed, init="random").loss
        for seed in range(5)
    ]
    assert objective(full, weights, found) <= np.mean(rivals) * 1.02
    # No single swap is left that would help.
    assert (improve(matrix, weights, found, np.arange(150), rounds=1) == found).all()


def test_no_swap_is_left_that_would_help_by_the_weights(setting):
    matrix, full, _, centers = setting
    weights = np.where(np.arange(150) < 20, 50.0, 1.0)
    found = improve(matrix, weights, centers, np.arange(150), rounds=20)
    least = objective(full, weights, found)
    for slot in range(len(found)):
        others = np.delete(found, slot)
        for candidate in range(150):
            assert objective(full, weights, np.append(others, candidate)) > least * (1 - 1e-8)


def test_every_swap_lowers_the_objective(setting, monkeypatch):
    matrix, full, _, centers = setting
    sums, real = [full[centers].min(0).sum()], _insert

    def noted(*arguments):
        real(*arguments)
        sums.append(State(*arguments[3:7]).d1.sum())

    monkeypatch.setattr("geovq.clustering.fasterpam._insert", noted)
    improve(matrix, np.ones(150), centers, np.arange(150), rounds=1)
    assert len(sums) > 1
    assert (np.diff(sums) < 0).all()


def test_threads_change_nothing(setting):
    matrix, _, weights, centers = setting
    first, second = (
        improve(matrix, weights, centers, np.arange(150), 3, threads) for threads in (1, 3)
    )
    assert (first == second).all()


def test_duplicate_nodes_and_zero_edges_are_no_trap(rng):
    points = np.repeat(rng.standard_normal((30, 2)), 2, axis=0)
    matrix = build_graph(Geometry(points, 6, points)).matrix
    found = improve(matrix, np.ones(60), np.arange(5), np.arange(60), rounds=5)
    assert len(set(found)) == 5


def test_importing_compiles_nothing():
    code = (
        "import geovq, geovq.clustering.fasterpam as swaps;"
        "loops = [f for f in vars(swaps).values() if hasattr(f, 'signatures')];"
        "assert len(loops) >= 5 and not any(f.signatures for f in loops)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
