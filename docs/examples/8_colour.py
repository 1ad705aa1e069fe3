"""
Photographs, a token a cell
===========================

A small convolutional VAE learns patches of two photographs, its pixels being 8-bit levels of red,
green and blue. Its latents are a grid of 8 × 8 cells, and every cell gets one token of a codebook
that all share. The patches shown come from a part of the photographs that training never saw, the
last of them those of the most detail. Below them is what is decoded from latents and from tokens;
bits/dim are the mean over all such patches, without what latents or tokens cost.
"""

import math

import matplotlib.pyplot as plt
import torch

from geovq import GeodesicQuantizer
from geovq.batches import as_pixels, in_batches
from geovq.data.sets import load_images
from geovq.models.code_decoder import CodeDecoder
from geovq.models.distortion import distortion
from geovq.params.sections import Refine, TrainVAE
from geovq.training.refinement import refine
from geovq.training.vae import train_vae

splits = [as_pixels(split.images[:2000]) for split in vars(load_images("photographs")).values()]
network = {"architecture": "conv", "latent_dim": 512, "hidden": [24, 48], "likelihood": "logistic"}
steps = {"max_steps": 600, "evaluate_every": 100, "patience": 600, "tolerance": 0.0}
adam = {"learning_rate": 0.01, "schedule": "cosine", "batch_size": 32}
vae, _ = train_vae(*splits[:2], TrainVAE(**network, **steps, **adam, kl_weight=1.0), seed=0)
posteriors = [[part.numpy() for part in in_batches(vae.encode, split)] for split in splits]
quantizer = GeodesicQuantizer(64, tokens=64, layout="grid").fit(*(p[:200] for p in posteriors[0]))
tokens = [torch.from_numpy(quantizer.encode(*latents)) for latents in posteriors]
model, budget = CodeDecoder.of(vae, quantizer), {**steps, **adam, "learning_rate": 0.002}
refine(model, tokens[:2], splits[:2], Refine(codes={"max_steps": 0}, decoder=budget), seed=0)

shown = splits[2].diff(dim=2).abs().mean((1, 2, 3)).argsort()[800::50]  # by detail
means = torch.from_numpy(posteriors[2][0])
rows = {"patches": None, "latents": (vae.decode, means), "tokens": (model.decode, tokens[2])}
figure, grid = plt.subplots(3, 10, figsize=(9, 3), layout="constrained")
for line, (name, decoded) in zip(grid, rows.items(), strict=True):
    images, label = splits[2], name
    if decoded is not None:
        (logits,) = in_batches(*decoded)
        nats = distortion(logits, splits[2], (model if name == "tokens" else vae).likelihood)
        images, label = logits.sigmoid(), f"{name}\n{nats / math.log(2) / 3072:.2f} bits/dim"
    line[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axes, image in zip(line, images[shown], strict=True):
        axes.imshow(image.numpy())
        axes.set(xticks=[], yticks=[])
plt.show()
