"""The content of a page with random pictures, for the tests of it."""

import json
import re

import numpy as np

from geovq.report.page import Codebook, Content, TokenSteps, Way

TOKENIZERS = ("geodesic", "euclidean", "vqvae")
CODES, TOKENS, IMAGES, SHAPE, GRID = 9, 6, 70, (8, 12), (2, 3)


def scores(labelled=True):
    row = {"bits_per_image": 19.0, "bce": 30.0, "code_length": 5.0, "total": 35.0}
    for key in ("codes_used", "perplexity", "ar_bits_per_token", "marginal_bits_per_token", "psnr"):
        row[key] = 4.0
    for key in ("purity", "recognition", "frechet_reconstructions", "frechet_samples"):
        row[key] = 0.5 if labelled else None
    data = {"dataset": "npz", "test_images": IMAGES, "pixel_entropy": 20.0}
    data |= {"mean_image_bce": 60.0, "frechet_floor": 1.0}
    data["recognition"] = 0.9 if labelled else None
    vae = {key: row[key] for key in ("bce", "total", "psnr", "recognition")} | {"kl": 5.0}
    return {"data": data, "vae": vae} | dict.fromkeys(TOKENIZERS, row)


def draw_codebook(rng, positions=1, grid=None, codes=CODES, images=IMAGES, shape=SHAPE):
    """The last code is used by no image."""
    edges = rng.integers(1, 30, size=(codes, codes))
    tokens = rng.integers(codes - 1, size=(images, positions))
    tokens[: codes - 1, 0] = np.arange(codes - 1)
    return Codebook(rng.random((codes, *shape)), tokens, edges + edges.T, grid)


def draw_content(rng, labelled=True, layout="residual", shape=SHAPE):
    images = rng.integers(256, size=(IMAGES, *shape), dtype=np.uint8)
    shown = np.linspace(0, IMAGES - 1, 12).astype(int)
    books, steps = {}, {}
    for name in TOKENIZERS:
        count = TOKENS if layout == "product" else 1
        books[name] = [draw_codebook(rng, shape=shape) for _ in range(count)]
        if layout == "grid":
            books[name] = [draw_codebook(rng, TOKENS, GRID, shape=shape)]
        nats = np.sort(rng.uniform(30, 60, (12, TOKENS)))[:, ::-1]
        bits = np.log2(CODES) * np.arange(1, TOKENS + 1)
        steps[name] = TokenSteps(bits, nats.mean(0), rng.random((12, TOKENS, *shape)), nats)
    step = np.arange(1.0, 9.0)
    return Content(
        scores=scores(labelled),
        test_images=images,
        test_labels=np.arange(IMAGES) % 3 if labelled else None,
        reconstructions={"originals": images[shown], "VQ-VAE": rng.random((12, *shape))},
        samples={"VQ-VAE: temperature 1": rng.random((12, *shape))},
        shown=shown,
        codebooks=books,
        steps=steps,
        ways=[
            Way(4, 5, *rng.random((2, 11, *shape)), 1),
            Way(0, 3, *rng.random((2, 11, *shape)), 2),
        ],
        curves={
            name: {"train": (step, 60 / step), "validation": (step, 70 / step)}
            for name in ("VAE", "VQ-VAE", "priors")
        },
        neighbors=10,
        params={"seed": 0, "train_vae.hidden": [512, 512]},
    )


def embedded(page):
    """What the script knows."""
    return json.loads(re.search(r'<script type="application/json".*?>(.*?)</script>', page)[1])
