"""
From one digit to another
=========================

Halfway along the straight line between two latents the decoder may find itself where it never was.
The geodesic goes from image to image that it was trained on. Here are both ways from a 1 to a 6, in
equal steps; decoded, the geodesic shows digits, some of another class, where the line shows blends.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from geovq import GeodesicKMeans
from geovq.batches import as_pixels, in_batches
from geovq.data.sets import load_images
from geovq.params.sections import TrainVAE
from geovq.training.vae import train_vae

digits = load_images("digits")
train, validation, _ = (as_pixels(split.images) for split in vars(digits).values())
network = {"architecture": "mlp", "latent_dim": 20, "hidden": [256]}
steps = {"max_steps": 500, "evaluate_every": 100, "patience": 500, "tolerance": 0.0}
adam = {"learning_rate": 0.002, "schedule": "cosine", "batch_size": 128}
vae, _ = train_vae(train, validation, TrainVAE(**network, **steps, **adam, kl_weight=1.0), seed=0)
means = in_batches(vae.encode, train)[0].numpy()

kmeans = GeodesicKMeans(10, edge_power=3, random_state=0).fit(means)
start, end = (np.flatnonzero(digits.train.labels == label)[0] for label in (1, 6))
ways = {"straight": means[[start, end]], "geodesic": means[kmeans.path(start, end)]}

figure, grid = plt.subplots(2, 11, figsize=(9, 2), layout="constrained")
for line, (name, way) in zip(grid, ways.items(), strict=True):
    gone = np.append(0, np.linalg.norm(np.diff(way, axis=0), axis=1).cumsum())
    places = np.linspace(0, gone[-1], 11)
    latents = np.column_stack([np.interp(places, gone, column) for column in way.T])
    images = in_batches(vae.decode, torch.from_numpy(latents).float())[0].sigmoid()
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axes, image in zip(line, images, strict=True):
        axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
plt.show()
