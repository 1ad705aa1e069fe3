"""The search for K medoids of a graph: a Euclidean start, FasterPAM swaps, Lloyd steps."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from geovq.clustering.fasterpam import improve
from geovq.clustering.medoids import assign, candidates, euclidean_start, lloyd
from geovq.clustering.scales import scaled

__all__ = ["find_medoids"]

ROUNDS = 3  # of swaps


def find_medoids(
    matrix: sparse.csr_matrix,
    space: np.ndarray | None,
    weights: np.ndarray,
    k: int,
    *,
    n_init: int,
    max_iter: int,
    random: np.random.RandomState,
    init: str | np.ndarray = "k-means",
    threads: int = 1,
    progress: bool = False,
) -> tuple[np.ndarray, int]:
    """Minimise Σ_i w_i d(x_i, c(i)) over K centres.

    Parameters
    ----------
    matrix : csr_matrix of shape (N, N)
        Symmetric edge lengths, connected.
    space : ndarray of shape (N, G), optional
        Coordinates in which cells have means. Without any, no start is Euclidean but random, and
        swaps do all the work.
    weights : ndarray of shape (N,), float64
    k : int
        At most N.
    n_init : int
        Starts; the best result is kept.
    max_iter : int
        Lloyd steps at most.
    random : RandomState
    init : {'k-means', 'random'} or ndarray of shape (K,), int64
        How centres are drawn; or the nodes that they are at first.
    threads : int
        That measure swaps; the result does not depend on how many.
    progress : bool

    Returns
    -------
    centers : ndarray of shape (K,), int64
        Nodes.
    iterations : int
        Lloyd steps of the best start, at least 1.
    """
    weights = scaled(weights)
    if space is not None:
        space = scaled(_varying(space))
    tried = candidates(matrix, k)
    best, steps, least = np.empty(0, np.int64), 1, np.inf
    with tqdm(desc="swaps", unit="node", disable=not progress) as bar:
        for _ in range(n_init):
            if isinstance(init, np.ndarray):
                centers = init
            elif space is None or init == "random":
                centers = random.choice(len(weights), k, replace=False)
            else:
                centers = euclidean_start(space, weights, k, random)
            centers = improve(matrix, weights, centers, tried, ROUNDS, threads, bar.update)
            iterations = 1
            if space is not None:
                centers, iterations = lloyd(matrix, space, weights, centers, max_iter)
            objective = weights @ assign(matrix, centers)[1]
            if objective < least:
                best, steps, least = centers, max(iterations, 1), objective
    return best, steps


def _varying(space: np.ndarray) -> np.ndarray:
    """Constant columns, whose mean rounding would blur however large they are, as zeros."""
    low, high = space.min(0), space.max(0)
    constant = (low == high) & (low != 0)
    return np.where(constant, 0, space) if constant.any() else space
