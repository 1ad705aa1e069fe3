"""The k-NN graph of a point cloud: symmetric, smoothed if asked for, of one component."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from geovq.clustering.geometry import Geometry
from geovq.clustering.lengths import measured, raised
from geovq.clustering.neighbors import nearest_neighbors
from geovq.clustering.scales import exponent, largest, scaled
from geovq.errors import InputError

__all__ = [
    "Graph",
    "as_graph",
    "averaging",
    "build_graph",
    "edges_to_nodes",
    "nearest_pairs",
    "padded_rows",
    "same_edges",
    "smooth",
    "symmetric",
    "tell_joins",
    "way_back",
]

MOST_SMOOTHING = 10_000  # steps; long before, all points have become one
LEAST = 1e-290  # below, a longest edge is so near to what float64 can hold that others lose digits


def padded_rows(matrix: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Stored entries of each row of (M, N) as indices and values (M, k), short rows padded."""
    counts = np.diff(matrix.indptr)
    if len(counts) and counts.min() == 0:
        row = int(counts.argmin())
        raise InputError(f"row {row} has no entry; allowed: an edge for every point")
    filled = np.arange(counts.max(initial=0)) < counts[:, None]
    indices, values = np.zeros(filled.shape, np.int64), np.full(filled.shape, np.inf)
    indices[filled], values[filled] = matrix.indices, matrix.data
    return indices, values


def as_graph(matrix: sparse.csr_matrix | np.ndarray, power: float = 1.0) -> sparse.csr_matrix:
    """Check a user's graph and make it symmetric: an edge both ways, the shorter of two lengths.

    Parameters
    ----------
    matrix : csr_matrix or ndarray of shape (N, N)
        Zeros of an array are no edges, stored zeros of a sparse matrix are.
    power : float
        Edges become `length ** power` long.

    Raises
    ------
    InputError
        Not square, a negative length, a power out of range, or more than one connected component.
    """
    if matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"X of shape {matrix.shape}; allowed with metric 'precomputed': (N, N)")
    graph = symmetric(matrix, power)
    if (count := connected_components(graph, directed=False)[0]) > 1:
        raise InputError(f"the graph has {count} components; allowed: 1")
    return graph


def symmetric(
    matrix: sparse.csr_matrix | sparse.coo_matrix | np.ndarray, power: float
) -> sparse.csr_matrix:
    """An edge both ways, the shorter of two lengths, raised to a power; none from a node to itself.

    Raises
    ------
    InputError
        A negative length, or a power out of range.
    """
    edges = sparse.coo_matrix(matrix)
    _check_lengths(edges.data)
    n, off = edges.shape[0], edges.row != edges.col
    rows, columns, lengths = edges.row[off], edges.col[off], edges.data[off].astype(np.float64)
    keys = np.append(rows * np.int64(n) + columns, columns * np.int64(n) + rows)
    order = np.lexsort((np.append(lengths, lengths), keys))
    keys, kept = np.unique(keys[order], return_index=True)
    lengths = np.append(lengths, lengths)[order][kept]
    return sparse.csr_matrix((_usable(lengths, power), (keys // n, keys % n)), shape=(n, n))


def _check_lengths(lengths: np.ndarray) -> None:
    if (least := lengths.min(initial=0)) < 0:
        raise InputError(f"an edge is {least:g} long; allowed: lengths of at least 0")


def _usable(lengths: np.ndarray, power: float) -> np.ndarray:
    """Lengths to a power, if float64 holds the sum of them, and the longest without loss."""
    found = raised(lengths, power)
    with np.errstate(over="ignore"):
        total = found.sum()
    if total < np.inf and (not lengths.any() or found.max() > LEAST):
        return found
    raise InputError(
        f"edges up to {lengths.max():.3g} long, and {found.max():.3g} with edge_power = "
        f"{power:g}; allowed: {LEAST:.0e} at least for the longest, 1e+308 at most for the sum; "
        "put the data on another scale, or the power nearer to 1"
    )


def same_edges(a: sparse.csr_matrix, b: sparse.csr_matrix) -> bool:
    """Whether two graphs in canonical form are equal, length by length."""
    names = ("indptr", "indices", "data")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def edges_to_nodes(
    edges: sparse.csr_matrix | np.ndarray, graph: sparse.csr_matrix, power: float
) -> tuple[np.ndarray, np.ndarray]:
    """A user's edges (M, N) from unseen points to the nodes of a graph, as `Geometry.enter` has it.

    The rows of the very matrix that the graph was made of are its nodes.

    Raises
    ------
    InputError
        A row without an edge, a negative length, or a power that overflows.
    """
    if edges.shape == graph.shape and same_edges(symmetric(edges, power), graph):
        return np.arange(edges.shape[0])[:, None], np.zeros((edges.shape[0], 1))
    edges = sparse.csr_matrix(edges, copy=True)
    _check_lengths(edges.data)
    edges.data = raised(edges.data, power)
    return padded_rows(edges)


def way_back(before: np.ndarray, source: int, target: int) -> list[int]:
    """Nodes from `source` to `target`, by the predecessors of each node on its way from `source`.

    Raises
    ------
    InputError
        There is no way.
    """
    nodes = [int(target)]
    while nodes[-1] != source:
        nodes.append(int(before[nodes[-1]]))
        if nodes[-1] < 0:
            raise InputError(f"no way from node {source} to node {target}; allowed: one component")
    return nodes[::-1]


def averaging(geometry: Geometry) -> sparse.csr_matrix:
    """(N, N) rows that take the mean of a point and its k nearest: one step of smoothing."""
    n = len(geometry.points)
    members = np.column_stack([np.arange(n), geometry.indices])
    starts = np.arange(0, members.size + 1, members.shape[1])
    weights = np.full(members.size, 1 / members.shape[1])
    return sparse.csr_matrix((weights, members.ravel(), starts), shape=(n, n))


def smooth(geometry: Geometry, steps: int, whiten: bool = True) -> Geometry:
    """Measure edges on coordinates averaged over the neighbours, then whitened if asked for.

    Each step replaces a point by the mean of itself and its k nearest: a low-pass filter of the
    graph, after which edges see clusters instead of noise. The neighbours stay those of `points`.

    Parameters
    ----------
    geometry : Geometry
    steps : int
        At least 1.
    whiten : bool
        Give all principal components the same variance: averages shrink some more than others.
    """
    average = averaging(geometry)
    before = after = geometry.edge_points.astype(np.float64)
    for _ in range(steps):
        before, after = after, average @ after
    if whiten:
        # Whitening is affine, so averages commute with it.
        before, after = _whitened(before, after)
    smoothed = replace(geometry, edge_points=after, half_smoothed=before)
    smoothed.__dict__["indices"] = geometry.indices  # spares a second search
    return smoothed


def _whitened(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (N, G) in the coordinates that whiten the second."""
    if power := exponent(after):
        before, after = np.ldexp(before, power), np.ldexp(after, power)
    center = after.mean(0)
    variances, axes = np.linalg.eigh((after - center).T @ (after - center) / len(after))
    kept = variances > 1e-9 * variances.max()
    kept[-1] = True  # the largest, even where all points have become one:
    rounding = (1e-12 * largest(before - center)) ** 2
    whiten = axes[:, kept] / np.sqrt(np.maximum(variances[kept], rounding or 1.0))
    return (before - center) @ whiten, (after - center) @ whiten


@dataclass(frozen=True)
class Graph:
    """An undirected, connected k-NN graph.

    Attributes
    ----------
    matrix : csr_matrix of shape (N, N)
        Symmetric edge lengths; a length of zero is a stored zero.
    n_components : int
        Connected components before they were joined by their nearest pairs.
    joins : ndarray of shape (n_components - 1,)
        Lengths of the edges that joined them.
    """

    matrix: sparse.csr_matrix
    n_components: int
    joins: np.ndarray


def build_graph(geometry: Geometry) -> Graph:
    """Join two points when either is among the other's k nearest; then join the components.

    Warns
    -----
    UserWarning
        The graph had several components: how many, and how long the joining edges are.
    """
    n, k = geometry.indices.shape
    starts = np.arange(n + 1) * k
    edges = sparse.csr_matrix((np.ones(n * k, bool), geometry.indices.ravel(), starts), (n, n))
    edges = edges + edges.T  # either way, once
    count, component = connected_components(edges)
    joins = np.empty(0)
    if count > 1:
        a, b = nearest_pairs(geometry.points, component, geometry.order).T
        joins = geometry.lengths(geometry.edge_points, a, geometry.edge_points, b)
        ends = (np.append(a, b), np.append(b, a))
        edges = edges + sparse.csr_matrix((np.ones(2 * len(a), bool), ends), (n, n))
    graph = _measured(geometry, edges)
    if count > 1:
        tell_joins(f"{k}-NN graph", int(count), joins, graph, stacklevel=4)
    return Graph(graph, int(count), joins)


def tell_joins(
    what: str, count: int, joins: np.ndarray, graph: sparse.csr_matrix, stacklevel: int
) -> None:
    """Warn that a graph had so many components, and how long the edges are that joined them."""
    warnings.warn(
        f"the {what} had {count} components; joined by their nearest pairs, by edges "
        f"{joins.min():.3g} to {joins.max():.3g} long (the median edge of all: "
        f"{np.median(graph.data):.3g}); more neighbours connect it better",
        stacklevel=stacklevel,
    )


def _measured(geometry: Geometry, edges: sparse.csr_matrix) -> sparse.csr_matrix:
    """Lengths of symmetric edges, each measured once."""
    edges.sort_indices()
    upper = sparse.triu(edges, format="coo")
    rows = geometry.edge_points
    lengths = measured(geometry.length, rows, upper.row, rows, upper.col)
    lengths = _usable(lengths, geometry.power)
    # Numbers above 0 stand for lengths while both directions are put together, for sparse matrices
    # drop what adds up to zero.
    upper = upper.tocsr().astype(np.int32)
    upper.data[:] = np.arange(1, upper.nnz + 1)
    numbers = upper + upper.T
    graph = (lengths[numbers.data - 1], numbers.indices, numbers.indptr)
    return sparse.csr_matrix(graph, edges.shape)


def nearest_pairs(points: np.ndarray, component: np.ndarray, order: float) -> np.ndarray:
    """Edges (C − 1, 2) that join C components: each to what is nearest, until one is left."""
    component = component.copy()
    pairs = []
    while (count := component.max() + 1) > 1:
        sizes = np.bincount(component)
        joined = []
        for c in np.delete(np.arange(count), sizes.argmax()):
            inside, outside = np.flatnonzero(component == c), np.flatnonzero(component != c)
            found = nearest_neighbors(points[outside], points[inside], 1, order)
            nearest = outside[found[:, 0]]
            gaps = scaled(points[inside].astype(np.float64) - points[nearest])
            best = np.linalg.norm(gaps, order, axis=1).argmin()
            joined.append((inside[best], nearest[best]))
        links = sparse.coo_matrix(
            (np.ones(len(joined)), component[np.array(joined)].T), shape=(count, count)
        )
        # Two components may have chosen one another: a spanning forest keeps one edge of a cycle.
        pairs += _without_cycles(np.array(joined), component[np.array(joined)])
        component = connected_components(links, directed=False)[1][component]
    return np.array(pairs)


def _without_cycles(pairs: np.ndarray, ends: np.ndarray) -> list[tuple[int, int]]:
    from scipy.cluster.hierarchy import DisjointSet

    forest = DisjointSet(np.unique(ends))
    return [tuple(p) for p, (a, b) in zip(pairs, ends, strict=True) if forest.merge(a, b)]
