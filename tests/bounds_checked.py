"""Fits in which every index of the compiled loop is checked.

    NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=an/empty/folder python -m tests.bounds_checked

Prints how many were fitted. `tests/test_compiled_loop.py` runs it.
"""

import sys
import warnings

import numpy as np
import pytest
from scipy import sparse

from checks.fuzz_estimator import draw, run
from geovq import GeodesicKMeans
from geovq.clustering.fasterpam import _pop
from geovq.errors import InputError


def graph(edges, lengths, n):
    lengths = np.broadcast_to(np.asarray(lengths, float), len(edges))
    return sparse.csr_matrix(sparse.coo_array((lengths, np.transpose(edges)), (n, n)))


def star(n, lengths=1):
    return graph([(0, i) for i in range(1, n)], lengths, n)


def chain(n, lengths=1):
    return graph([(i, i + 1) for i in range(n - 1)], lengths, n)


def complete(n, lengths=1):
    return graph([(i, j) for i in range(n) for j in range(i)], lengths, n)


def cases(random):
    """Graphs with ties, zeros, and heaps that outgrow their first arrays."""
    yield from (star(1200), star(1200, 0), star(40, random.integers(0, 2, 39)))
    yield from (chain(1200), chain(60, 0), chain(50, random.integers(0, 3, 49)))
    yield from (complete(60), complete(30, 0), complete(30, random.integers(0, 3, 435)))
    yield from (star(2), chain(3, [0, 1]), graph([(0, 1)], 0, 2), sparse.csr_matrix((1, 1)))
    yield chain(40, 10.0 ** random.integers(-200, 200, 39))
    yield graph([(i, (i + 1) % 50) for i in range(50)], 1, 50)


def main() -> None:
    """Fit all of them."""
    warnings.simplefilter("ignore")
    with pytest.raises(IndexError):  # or else nothing is checked
        _pop(np.empty(1), np.empty(1, np.int64), 3)
    fits = 0
    for each in cases(np.random.default_rng(0)):
        n = each.shape[0]
        for k in {1, min(2, n), min(n, 17), min(n, 60)}:
            found = GeodesicKMeans(k, metric="precomputed", random_state=0).fit(each)
            assert len(set(found.node_medoids_)) == k
            assert (found.predict(each) == found.labels_).all()
            fits += 1
    with pytest.raises(InputError, match="2 components"):
        GeodesicKMeans(1, metric="precomputed").fit(sparse.block_diag([star(4), chain(3)], "csr"))
    for number in range(50):
        case = draw(number)
        run(case)
        assert not case.faults, case
        fits += 1
    sys.stdout.write(f"{fits} fits\n")


if __name__ == "__main__":
    main()
