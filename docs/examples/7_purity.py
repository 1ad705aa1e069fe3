"""
What one token says
===================

How much of an image's class is in its first token, by the number of codes: geodesic k-means on
smoothed edges, plain geodesic k-means, and Euclidean k-means, under the same vote. It is a
demonstration: one small VAE of one small data set, and no setting was tuned. Quote
:doc:`the study of five VAEs </results/index>` instead.
"""

import matplotlib.pyplot as plt
import numpy as np

from geovq import GeodesicQuantizer
from geovq.batches import as_pixels, in_batches
from geovq.data.sets import load_images
from geovq.evaluation.semantics import purity
from geovq.params.sections import TrainVAE
from geovq.report.figures import COLORS
from geovq.training.vae import train_vae

digits = load_images("digits")
splits = [as_pixels(split.images) for split in vars(digits).values()]
network = {"architecture": "mlp", "latent_dim": 20, "hidden": [256]}
steps = {"max_steps": 500, "evaluate_every": 100, "patience": 500, "tolerance": 0.0}
adam = {"learning_rate": 0.002, "schedule": "cosine", "batch_size": 128}
vae, _ = train_vae(*splits[:2], TrainVAE(**network, **steps, **adam, kl_weight=1.0), seed=0)
train, _, test = ([part.numpy() for part in in_batches(vae.encode, split)] for split in splits)

rows = {
    "geodesic, smoothed": {"smoothing": 5, "edge_power": 2.0},
    "geodesic": {},
    "k-means": {"clustering": "euclidean"},
}
codes, seeds = [8, 16, 32, 64], range(3)
figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
for color, (name, options) in zip(COLORS, rows.items(), strict=False):
    scores = np.empty((len(codes), len(seeds)))
    for i, k in enumerate(codes):
        for seed in seeds:
            quantizer = GeodesicQuantizer(k, random_state=seed, **options).fit(*train)
            scores[i, seed] = purity(quantizer.encode(*test)[:, 0], digits.test.labels)
    axes.plot(np.log2(codes), scores.mean(1), "o-", color=color, label=name)
    axes.fill_between(np.log2(codes), scores.min(1), scores.max(1), color=color, alpha=0.15)
axes.set(xlabel="bits per image", ylabel="label purity, test images")
axes.set_title(f"{len(test[0])} test images; mean and range of 3 clusterings", fontsize=10)
axes.legend(frameon=False)
plt.show()
