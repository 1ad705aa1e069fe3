"""The compiled loop: what it is given is checked, and so is every index, in a build for that."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from geovq.clustering.compiled import compiled
from geovq.clustering.fasterpam import improve, two_nearest
from geovq.errors import InputError

PATH = np.array([[0, 1, 0, 0], [1, 0, 2, 0], [0, 2, 0, 3], [0, 0, 3, 0.0]])


def path(**changed):
    """A path of four nodes, with some of the arrays of its CSR form replaced."""
    matrix = sparse.csr_matrix(PATH)
    for name, array in changed.items():
        setattr(matrix, name, array)
    return matrix


def test_no_index_leaves_its_array(tmp_path):
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.bounds_checked"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "102 fits\n"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": np.array([1, 1, 2, 2, 3, np.inf])}, "lengths from 0, inf in sum"),
        ({"data": np.array([1, 1, 2, 2, 3, np.nan])}, "lengths from nan"),
        ({"data": np.array([1, 1, -2, -2, 3, 3.0])}, "lengths from -2"),
        ({"data": np.full(6, 1e308)}, "inf in sum"),
        ({"data": np.array([1, 1, 2, 2, 3, 3])}, "lengths"),
        ({"data": np.array([1, 1, 2, 2, 3, 4.0])}, "edges of one direction"),
        ({"data": np.ones(5)}, "indptr"),
        ({"indptr": np.array([0, 1, 3, 2, 6])}, "indptr"),
        ({"indptr": np.array([1, 1, 3, 5, 6])}, "indptr"),
        ({"indptr": np.array([0, 1, 3, 5, 7])}, "indptr"),
        ({"indices": np.array([1, 0, 2, 1, 4, 2], np.int32)}, "indices; allowed: 0 to 3"),
        ({"indices": np.array([1, 0, 2, 1, -1, 2], np.int32)}, "indices"),
    ],
)
def test_graphs_that_would_break_the_loop_are_refused(changed, message):
    with pytest.raises(InputError, match=message):
        two_nearest(path(**changed), np.array([0]))


def test_other_graphs_are_refused():
    with pytest.raises(InputError, match=r"shape \(4, 3\)"):
        two_nearest(sparse.csr_matrix(PATH[:, :3]), np.array([0]))
    with pytest.raises(InputError, match="2 components"):
        two_nearest(sparse.block_diag([PATH, PATH], "csr"), np.array([0]))


@pytest.mark.parametrize("centers", [[4], [-1], [1, 1], [], [0.0], [[0]]])
def test_centres_are_distinct_nodes(centers):
    with pytest.raises(InputError, match="centers"):
        two_nearest(path(), np.array(centers, None if centers else int))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": np.ones(3)}, r"weights of shape \(3,\)"),
        ({"weights": np.ones(4, int)}, "weights of shape .* int64"),
        ({"weights": np.array([1, 1, 1, -1.0])}, "weights from -1"),
        ({"weights": np.array([1, 1, 1, np.nan])}, "weights from nan"),
        ({"weights": np.full(4, 1e308)}, "weights"),
        ({"candidates": np.array([4])}, "candidates"),
        ({"candidates": np.array([-1])}, "candidates"),
        ({"candidates": np.array([0.5])}, "candidates"),
    ],
)
def test_weights_and_candidates_are_checked(changed, message):
    given = {"weights": np.ones(4), "candidates": np.arange(4)} | changed
    with pytest.raises(InputError, match=message):
        improve(path(), centers=np.array([0]), rounds=1, **given)


def test_rows_in_any_order_are_one_graph():
    matrix = path(
        indices=np.array([1, 2, 0, 3, 1, 2], np.int32), data=np.array([1, 2, 1, 3, 2, 3.0])
    )
    matrix.has_sorted_indices = False
    assert two_nearest(matrix, np.array([0, 3])).d1.tolist() == [0, 1, 3, 0]


def test_without_a_place_for_it_nothing_is_kept(monkeypatch):
    """As in an install that cannot be written, where there is no home either."""
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    assert compiled(lambda x: x + 1)(1) == 2


@pytest.mark.parametrize(
    ("name", "trouble"), [("save", OSError(28, "No space left on device")), ("load", EOFError())]
)
def test_a_cache_that_fails_stops_nothing(monkeypatch, name, trouble):
    def fail(*arguments):
        raise trouble

    monkeypatch.setattr(f"numba.core.caching.IndexDataCacheFile.{name}", fail)
    assert compiled(lambda x: x + 2)(1) == 3


def test_what_was_compiled_is_kept(tmp_path):
    """A second process compiles nothing."""
    code = (
        "import numpy as np; from geovq.clustering.fasterpam import _push;"
        "_push(np.empty(4), np.empty(4, np.int64), 0, 1.0, 1);"
        "print(sum(_push.stats.cache_hits.values()), sum(_push.stats.cache_misses.values()))"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    found = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert found == ["0 1\n", "1 0\n"]
