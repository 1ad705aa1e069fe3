"""What holds for any points: properties of geodesics and of GeodesicKMeans."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist

from geovq import GeodesicKMeans
from geovq.clustering.geometry import Geometry
from geovq.clustering.graph import build_graph

pytestmark = pytest.mark.filterwarnings("ignore")

# Few decimals: ties, copies and collinear points are common.
clouds = st.integers(4, 40).flatmap(
    lambda n: arrays(np.float64, (n, 2), elements=st.integers(-50, 50).map(lambda i: i / 4))
)
quick = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def distances(points, k):
    return dijkstra(build_graph(Geometry(points, k, points)).matrix)


@quick
@given(clouds, st.integers(1, 6))
def test_geodesics_are_a_metric_no_shorter_than_straight_lines(points, k):
    points = np.unique(points, axis=0)
    if len(points) < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        d = distances(points, min(k, len(points) - 1))
    assert np.isfinite(d).all()
    assert (np.diag(d) == 0).all()
    np.testing.assert_allclose(d, d.T)
    assert (d[:, :, None] <= d[:, None, :] + d.T[None] + 1e-9).all()
    assert (d >= cdist(points, points) - 1e-9).all()


@quick
@given(clouds, st.integers(1, 5), st.integers(1, 6))
def test_any_cloud_is_clustered_by_the_nearest_of_its_medoids(points, clusters, k):
    clusters = min(clusters, len(points))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kmeans = GeodesicKMeans(clusters, n_neighbors=k, random_state=0).fit(points)
    full = dijkstra(kmeans.graph_)[kmeans.node_medoids_]
    np.testing.assert_allclose(kmeans.node_distances_, full.min(0), atol=1e-9)
    nodes = np.arange(full.shape[1])
    np.testing.assert_allclose(full[kmeans.node_labels_, nodes], full.min(0), atol=1e-9)
    # No cell is empty, and training points get their distance back.
    assert set(kmeans.labels_) == set(range(len(kmeans.medoid_indices_)))
    np.testing.assert_allclose(-kmeans.score(points), kmeans.inertia_, atol=1e-6)
