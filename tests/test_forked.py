"""A fit in a forked process ends, though the parent's OpenMP threads did not come along."""

import os
import subprocess
import sys

import pytest

CODE = """
import os, signal, sys
import numpy as np
from geovq import GeodesicKMeans, GeodesicQuantizer

points = np.random.default_rng(0).random((3000, 20))

def work():
    kmeans = GeodesicKMeans(5, n_jobs=2, random_state=0).fit(points)
    quantizer = GeodesicQuantizer(16, 2, metric="euclidean").fit(points)
    return kmeans.labels_, kmeans.predict(points + 0.01), quantizer.encode(points)

expected = work()
if os.fork() == 0:
    signal.alarm(120)  # what hangs ends
    same = all((a == b).all() for a, b in zip(expected, work()))
    os._exit(0 if same else 3)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_fits_the_same():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, timeout=300)
