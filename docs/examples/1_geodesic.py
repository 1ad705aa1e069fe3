"""
Straight, or along the data
===========================

The straight line between two ends of a rolled-up sheet leaves the sheet. The geodesic, a shortest
path on the k-NN graph, stays on it and passes through points that exist.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_swiss_roll

from geovq import GeodesicKMeans
from geovq.report.plots import plot_path

points, along = make_swiss_roll(1500, noise=0.2, random_state=0)
kmeans = GeodesicKMeans(8, random_state=0).fit(points)
start, end = along.argmin(), along.argmax()


def draw(axes, rows, label, **style):
    length = np.linalg.norm(np.diff(points[rows], axis=0), axis=1).sum()
    plot_path(points[:, [0, 2]], rows, label=f"{label}: {length:.0f}", ax=axes, lw=2, **style)


figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
axes.scatter(*points[:, [0, 2]].T, c=along, cmap="viridis", s=5, alpha=0.4)
draw(axes, [start, end], "straight line", color="#D55E00", marker="")
draw(axes, kmeans.path(start, end), "geodesic")
axes.set_title("a Swiss roll from its end, and the lengths of two ways")
axes.legend(loc="upper left", frameon=False)
axes.set_axis_off()
axes.set_aspect("equal")
plt.show()
