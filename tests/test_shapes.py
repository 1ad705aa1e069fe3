"""Clusters that are no convex bodies: what KMeans cannot find."""

import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from benchmarks.shapes import SHAPES
from geovq import GeodesicKMeans

# A curved sheet has no gaps: where one part ends and the next begins is a matter of degree.
LEAST = {"Swiss roll": 0.65, "noisy S-curve": 0.8}


@pytest.mark.filterwarnings("ignore:the 10-NN graph had")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", SHAPES)
def test_curved_clusters_are_recovered(name, seed):
    shape = SHAPES[name](seed)
    k = int(shape.labels.max()) + 1
    found = GeodesicKMeans(k, random_state=0, **shape.options).fit_predict(shape.points)
    rival = KMeans(k, n_init=10, random_state=0).fit_predict(shape.points)
    score = adjusted_rand_score(shape.labels, found)
    assert score > LEAST.get(name, 0.98)
    assert score > adjusted_rand_score(shape.labels, rival) + 0.15
