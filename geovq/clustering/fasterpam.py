"""FasterPAM swaps on a graph, without a distance matrix: the one compiled loop.

FasterPAM (Schubert & Rousseeuw 2021, https://arxiv.org/abs/2008.05171) keeps the nearest and the
second nearest centre of every point, which is all it takes to know what the objective becomes
when a candidate replaces any one of the K centres. Here a candidate is measured by one Dijkstra
run that is cut off wherever the second nearest centre is no farther: beyond, the candidate can
change nothing, so about 1.1·N/K nodes are settled. Applying a swap repairs only the nodes it
touches.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from geovq.clustering.compiled import compiled
from geovq.clustering.loop_checks import check_graph, check_weights
from geovq.clustering.medoids import assign

__all__ = ["improve", "two_nearest"]

# Candidates measured before any of them is applied; fixed, so that threads do not matter.
BATCH = 64
KEPT = 500  # candidates tried again in the next round


class State(NamedTuple):
    """Nearest (`d1`, `c1`) and second nearest (`d2`, `c2`) centre of each node, by position."""

    d1: np.ndarray
    c1: np.ndarray
    d2: np.ndarray
    c2: np.ndarray


@compiled
def _grown(array):  # type: ignore[no-untyped-def]
    return np.concatenate((array, np.empty_like(array)))


@compiled
def _push(keys, values, size, key, value):  # type: ignore[no-untyped-def]
    """Add to a binary heap that has room; its size grows by one."""
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if keys[parent] <= key:
            break
        keys[i], values[i] = keys[parent], values[parent]
        i = parent
    keys[i], values[i] = key, value


@compiled
def _pop(keys, values, size):  # type: ignore[no-untyped-def]
    """Take the least off a binary heap, `size` entries remain."""
    key, value = keys[size], values[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[i], values[i] = keys[child], values[child]
        i = child
    keys[i], values[i] = key, value


@compiled
def _seconds(indptr, indices, lengths, d1, c1, d2, c2, nodes):  # type: ignore[no-untyped-def]
    """Find the second nearest centres of `nodes`; the nearest of all and the others' are known.

    The second nearest centre of a node is the nearest or the second nearest of the node before it
    on the path, so it comes in over an edge.
    """
    keys, values, size = np.empty(1024), np.empty(1024, np.int64), 0
    for node in nodes:
        for edge in range(indptr[node], indptr[node + 1]):
            other, length = indices[edge], lengths[edge]
            if c1[other] != c1[node]:
                if d1[other] + length < d2[node]:
                    d2[node], c2[node] = d1[other] + length, c1[other]
            elif d2[other] + length < d2[node]:
                d2[node], c2[node] = d2[other] + length, c2[other]
        if d2[node] < np.inf:
            if size == len(keys):
                keys, values = _grown(keys), _grown(values)
            _push(keys, values, size, d2[node], node)
            size += 1
    while size:
        distance, node = keys[0], values[0]
        size -= 1
        _pop(keys, values, size)
        if distance > d2[node]:
            continue
        center = c2[node]
        for edge in range(indptr[node], indptr[node + 1]):
            other, far = indices[edge], distance + lengths[edge]
            if far < d2[other] and center != c1[other]:
                d2[other], c2[other] = far, center
                if size == len(keys):
                    keys, values = _grown(keys), _grown(values)
                _push(keys, values, size, far, other)
                size += 1


@compiled
def _remove(indptr, indices, lengths, d1, c1, d2, c2, gone):  # type: ignore[no-untyped-def]
    """Take a centre away: its nodes move up their second nearest and look for a new one."""
    affected = np.flatnonzero((c1 == gone) | (c2 == gone))
    for node in affected:
        if c1[node] == gone:
            d1[node], c1[node] = d2[node], c2[node]
        d2[node], c2[node] = np.inf, -1
    _seconds(indptr, indices, lengths, d1, c1, d2, c2, affected)


@compiled
def _insert(indptr, indices, lengths, d1, c1, d2, c2, start, center):  # type: ignore[no-untyped-def]
    """Make a node a centre: whatever is nearer to it than to its second nearest takes note."""
    keys, values, size = np.empty(1024), np.empty(1024, np.int64), 1
    keys[0], values[0] = 0.0, start
    while size:
        distance, node = keys[0], values[0]
        size -= 1
        _pop(keys, values, size)
        if distance >= d2[node] or c1[node] == center:
            continue
        if distance < d1[node]:
            d2[node], c2[node] = d1[node], c1[node]
            d1[node], c1[node] = distance, center
        else:
            d2[node], c2[node] = distance, center
        for edge in range(indptr[node], indptr[node + 1]):
            other, far = indices[edge], distance + lengths[edge]
            if far < d2[other] and c1[other] != center:
                if size == len(keys):
                    keys, values = _grown(keys), _grown(values)
                _push(keys, values, size, far, other)
                size += 1


@compiled
def _gains(indptr, indices, lengths, weights, d1, c1, d2, loss, candidates):  # type: ignore[no-untyped-def]
    """Change of the objective when each candidate replaces the centre it had best replace."""
    k = len(loss)
    # The shortest way found to a node, or where none is shorter than to its second centre, that.
    bound = d2.copy()
    touched = np.empty(len(d2), np.int64)
    keys, values = np.empty(1024), np.empty(1024, np.int64)
    changes, replaced = np.zeros(len(candidates)), np.zeros(len(candidates), np.int64)
    for number, candidate in enumerate(candidates):
        if d1[candidate] == 0.0:  # a centre, or in no place better than one
            continue
        own = np.zeros(k)  # what the removal of each centre costs less, thanks to the candidate
        shared = 0.0
        keys[0], values[0], size = 0.0, candidate, 1
        bound[candidate], touched[0], count = 0.0, candidate, 1
        while size:
            distance, node = keys[0], values[0]
            size -= 1
            _pop(keys, values, size)
            if distance > bound[node]:
                continue
            if k == 1:
                own[0] += weights[node] * (distance - d1[node])
            elif distance < d1[node]:
                shared += weights[node] * (distance - d1[node])
                own[c1[node]] += weights[node] * (d1[node] - d2[node])
            else:
                own[c1[node]] += weights[node] * (distance - d2[node])
            for edge in range(indptr[node], indptr[node + 1]):
                other, far = indices[edge], distance + lengths[edge]
                if far < bound[other]:
                    if bound[other] == d2[other]:
                        touched[count] = other
                        count += 1
                    bound[other] = far
                    if size == len(keys):
                        keys, values = _grown(keys), _grown(values)
                    _push(keys, values, size, far, other)
                    size += 1
        own += loss
        replaced[number] = np.argmin(own)
        changes[number] = shared + own[replaced[number]]
        for i in range(count):
            bound[touched[i]] = d2[touched[i]]
    return changes, replaced


def _graph(matrix: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return matrix.indptr, matrix.indices, matrix.data


def two_nearest(matrix: sparse.csr_matrix, centers: np.ndarray) -> State:
    """Two nearest centres of every node.

    Parameters
    ----------
    matrix : csr_matrix of shape (N, N)
        Symmetric edge lengths.
    centers : ndarray of shape (K,)
        Distinct nodes.

    Returns
    -------
    State
        Distances are infinite and centres −1 where there is none.
    """
    check_graph(matrix, centers)
    n = matrix.shape[0]
    labels, distances = assign(matrix, centers)
    state = State(distances, labels, np.full(n, np.inf), np.full(n, -1))
    _seconds(*_graph(matrix), *state, np.arange(n))
    return state


def _removal_loss(state: State, weights: np.ndarray, k: int) -> np.ndarray:
    """What the objective rises by when a centre is taken away; (K,)."""
    if k == 1:
        return np.zeros(1)
    return np.bincount(state.c1, weights * (state.d2 - state.d1), k)


def improve(
    matrix: sparse.csr_matrix,
    weights: np.ndarray,
    centers: np.ndarray,
    candidates: np.ndarray,
    rounds: int,
    threads: int = 1,
    report: Callable[[int], Any] = lambda done: None,
) -> np.ndarray:
    """Swap centres for candidates as long as the objective falls.

    Parameters
    ----------
    matrix : csr_matrix of shape (N, N)
        Symmetric edge lengths, connected.
    weights : ndarray of shape (N,), float64
    centers : ndarray of shape (K,), int64
        Distinct nodes.
    candidates : ndarray of shape (C,), int64
        Nodes that may become centres, in the order they are tried.
    rounds : int
        At most; the first tries all candidates, the others the best 500 of the one before.
    threads : int
        Candidates are measured in parallel; the result does not depend on how many at once.
    report : callable
        Told how many more candidates have been measured.

    Returns
    -------
    ndarray of shape (K,), int64
    """
    check_weights(matrix, weights, candidates)
    k, threads = len(centers), min(max(threads, 1), BATCH)
    # Renumbered cell by cell, from the centre outwards, what a run touches lies together.
    state = two_nearest(matrix, centers)
    order = np.lexsort((state.d1, state.c1))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    rows, weights = matrix[order], weights[order]
    graph = rows.indptr, place.astype(rows.indices.dtype)[rows.indices], rows.data
    centers, candidates = place[centers], place[candidates]
    state = State(*(array[order] for array in state))
    loss = _removal_loss(state, weights, k)
    least = -1e-9 * float(weights @ state.d1)

    def gains(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _gains(*graph, weights, state.d1, state.c1, state.d2, loss, part)

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            swaps, seen = 0, []
            for start in range(0, len(candidates), BATCH):
                batch = candidates[start : start + BATCH]
                parts = list(pool.map(gains, np.array_split(batch, threads)))
                changes = np.concatenate([part[0] for part in parts])
                replaced = np.concatenate([part[1] for part in parts])
                seen.append(changes)
                fresh = True
                for i in np.argsort(changes, kind="stable"):
                    if changes[i] >= least:
                        break
                    change, slot = changes[i], replaced[i]
                    if not fresh:  # the swaps just made may have taken its gain away
                        (change,), (slot,) = gains(batch[i : i + 1])
                    if change < least:
                        _remove(*graph, *state, slot)
                        _insert(*graph, *state, batch[i], slot)
                        centers[slot] = batch[i]
                        loss = _removal_loss(state, weights, k)
                        fresh, swaps = False, swaps + 1
                report(len(batch))
            if not swaps:
                break
            # Hardly any other can gain after the first round: the next tries the best again.
            best = np.argsort(np.concatenate(seen), kind="stable")[:KEPT]
            candidates = candidates[np.sort(best)]
    return order[centers]
