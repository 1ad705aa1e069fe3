"""
A digit, token by token
=======================

A small VAE learns the digits that come with scikit-learn. Its latents, not its network, then get
codes: 16 for the first token and 64 for each of four that follow. A latent is the sum of its
tokens' codes, so the first ones alone make a rough image, and each further one adds detail.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from geovq import GeodesicQuantizer
from geovq.batches import as_pixels, in_batches
from geovq.data.sets import load_images
from geovq.params.sections import TrainVAE
from geovq.training.vae import train_vae

digits = load_images("digits")
train, validation, test = (as_pixels(split.images) for split in vars(digits).values())
network = {"architecture": "mlp", "latent_dim": 20, "hidden": [256]}
steps = {"max_steps": 500, "evaluate_every": 100, "patience": 500, "tolerance": 0.0}
adam = {"learning_rate": 0.002, "schedule": "cosine", "batch_size": 128}
vae, _ = train_vae(train, validation, TrainVAE(**network, **steps, **adam, kl_weight=1.0), seed=0)

quantizer = GeodesicQuantizer(64, tokens=5, first_codes=16)
quantizer.fit(*(part.numpy() for part in in_batches(vae.encode, train)))
means, log_variances = in_batches(vae.encode, test[:10])
tokens = quantizer.encode(means.numpy(), log_variances.numpy())

rows, sums = {"the image": test[:10]}, np.zeros(means.shape)
for t, codes in enumerate(quantizer.codebooks()):
    sums = sums + codes[tokens[:, t]]
    rows[f"{t + 1} token{'s' * (t > 0)}"] = torch.from_numpy(sums).float()
rows["no codes"] = means

figure, grid = plt.subplots(len(rows), 10, figsize=(8, 6), layout="constrained")
for line, (name, latents) in zip(grid, rows.items(), strict=True):
    images = latents if name == "the image" else in_batches(vae.decode, latents)[0].sigmoid()
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axes, image in zip(line, images, strict=True):
        axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
plt.show()
