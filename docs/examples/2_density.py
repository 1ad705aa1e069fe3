"""
Paths that follow the density
=============================

Two clusters that nearly touch are joined by a few edges, and every path takes them. With edges of
length to the power p, many short steps become cheaper than one long step: the path keeps to where
points are dense, bridges grow long, and clusters end at them.
"""

import matplotlib.pyplot as plt
from matplotlib.colors import ListedColormap
from sklearn.datasets import make_moons

from geovq import GeodesicKMeans
from geovq.report.plots import COLORS, plot_path

points, _ = make_moons(800, noise=0.11, random_state=3)
start, end = points[:, 0].argmin(), points[:, 0].argmax()

figure, grid = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
for axes, power in zip(grid, (1, 2, 4), strict=True):
    kmeans = GeodesicKMeans(2, edge_power=power, random_state=0).fit(points)
    axes.scatter(*points.T, c=kmeans.labels_, cmap=ListedColormap(COLORS[:2]), s=4, alpha=0.5)
    plot_path(points, kmeans.path(start, end), ax=axes)
    axes.set_title(f"edge_power = {power}", fontsize=10)
    axes.set_axis_off()
    axes.set_aspect("equal")
plt.show()
