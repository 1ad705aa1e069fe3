"""
Unseen points, and a file between
=================================

A fitted estimator goes into one npz file and comes back from it. A point that it never saw walks to
one of its nearest training points, and from there along the graph: `predict` says to which centre,
`transform` how far it is to each.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from geovq import GeodesicKMeans
from geovq.report.figures import COLORS

random = np.random.default_rng(0)
turn = 3 * np.pi * np.sqrt(random.random(1500))
points = turn[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
points += random.normal(0, 0.35, points.shape)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "spiral.npz"
    GeodesicKMeans(5, random_state=0).fit(points).save(path)
    kmeans = GeodesicKMeans.load(path)

side = np.linspace(-11, 11, 200)
unseen = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
cells = kmeans.predict(unseen).reshape(200, 200)
distance = kmeans.transform(unseen)[:, 0].reshape(200, 200)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
left.pcolormesh(side, side, cells, cmap=ListedColormap(COLORS[:5]), alpha=0.35)
left.set_title("predict: the cell of every place")
drawn = right.contourf(side, side, distance, levels=15, cmap="viridis_r", alpha=0.8)
figure.colorbar(drawn, label="geodesic distance")
right.set_title("transform: the way to the first centre")
for axes, centers in ((left, kmeans.cluster_centers_), (right, kmeans.cluster_centers_[:1])):
    axes.scatter(*points.T, c="black", s=1)
    axes.scatter(*centers.T, c="white", edgecolors="black", marker="*", s=160)
    axes.set_axis_off()
    axes.set_aspect("equal")
plt.show()
