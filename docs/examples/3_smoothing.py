"""
What smoothing does to edges
============================

Neighbours are found once. Then every point moves to the mean of itself and its neighbours, a few
times over, and edges are measured between the moved points. Noise goes first: beside edges inside a
class, those that lead from one class to another grow longer and longer. The clusters gain from it
only so far, as the index says. The points are the pixels of scikit-learn's digits; no label is used
but to colour and to score.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from geovq import GeodesicKMeans

points, labels = load_digits(return_X_y=True)

figure, grid = plt.subplots(1, 3, figsize=(9, 3), sharex=True, layout="constrained")
for axes, steps in zip(grid, (0, 5, 20), strict=True):
    kmeans = GeodesicKMeans(10, edge_power=2, smoothing=steps, random_state=0).fit(points)
    edges, classes = kmeans.graph_.tocoo(), labels[kmeans.node_rows_]
    between = classes[edges.row] != classes[edges.col]
    lengths = np.log10(edges.data / np.median(edges.data))
    for which, name, color in ((~between, "in a class", "0.6"), (between, "between", "#D55E00")):
        style = {"color": color, "alpha": 0.7, "label": name}
        axes.hist(lengths[which], bins=60, range=(-2, 3), density=True, **style)
    agreement = adjusted_rand_score(labels, kmeans.labels_)
    axes.set_title(f"smoothing = {steps}\nadjusted Rand index {agreement:.2f}", fontsize=10)
    axes.set_xlabel("edge / median edge, log10")
    axes.set_yticks([])
    axes.spines[["left", "top", "right"]].set_visible(False)
grid[0].legend(frameon=False, fontsize=9)
plt.show()
