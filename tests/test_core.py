"""The estimator and the quantiser stand alone: no torch, nothing of images, pages or pipelines."""

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
CORE = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]

ROOT = Path(__file__).parents[1]


def _closure(names):
    """Distributions, and all that they require."""
    found, left = set(), list(names)
    while left:
        requirement = Requirement(left.pop())
        if requirement.name not in found and (
            requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ):
            found.add(requirement.name)
            left += metadata.requires(requirement.name) or []
    return found


SCRIPT = """
import sys
from importlib.abc import MetaPathFinder

ABSENT = set(sys.argv[1:])

class Without(MetaPathFinder):
    '''As if nothing were installed but the core.'''
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
import numpy as np
from geovq import GeodesicKMeans, GeodesicQuantizer

points = np.random.default_rng(0).standard_normal((60, 4))
kmeans = GeodesicKMeans(3, smoothing=1, random_state=0).fit(points)
kmeans.save("kmeans.npz")
assert (GeodesicKMeans.load("kmeans.npz").predict(points) == kmeans.labels_).all()
for clustering in ("geodesic", "euclidean"):
    for assignment in ("vote", "geodesic"):
        quantizer = GeodesicQuantizer(4, 2, clustering=clustering, assignment=assignment)
        tokens = quantizer.fit(points, np.zeros_like(points)).encode(points, np.zeros_like(points))
        quantizer.save("codebook.npz")
        again = GeodesicQuantizer.load("codebook.npz")
        assert (again.encode(points, np.zeros_like(points)) == tokens).all()
        assert (again.decode(tokens) == quantizer.decode(tokens)).all()
try:
    from geovq import Codec
except ImportError as error:
    print(error)
import runpy
runpy.run_module("geovq", run_name="__main__")
"""


def test_the_core_needs_no_more_than_it_says(tmp_path):
    homes = metadata.packages_distributions()  # import names, and what installs them
    core = _closure(CORE)
    absent = [name for name, by in homes.items() if not core & set(by)]
    assert "torch" in absent
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *absent],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()  # all before it went well
    wanted = "is not installed; all but the core needs: pip install 'geovq[images]'"
    assert line.endswith(wanted), done.stderr
    assert done.stderr == f"error: click {wanted}\n"
