"""Everything → the page of the run, one file to open in a browser."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from geovq.batches import as_pixels
from geovq.clustering.paths import PointGraph
from geovq.codec.folder import END_TO_END
from geovq.data.splits import Images
from geovq.files.store import load_npz
from geovq.files.writing import new_file
from geovq.params.sections import Params
from geovq.report import figures
from geovq.report.examples import reconstructions, samples, spread
from geovq.report.page import Codebook, Content, render
from geovq.report.page.codebooks import Quantized, codebooks
from geovq.report.page.explore import choose_pairs, decode_ways, token_by_token
from stages.common import (
    IMAGES,
    LATENTS,
    METRICS,
    PLOTS,
    POSTHOC,
    PRIORS,
    load_fitted,
    run,
)


def main(params: Params) -> None:
    images = Images.load(IMAGES)
    pixels = as_pixels(images.test.images)
    latents = load_npz(LATENTS, "train_means", "test_means", kind="latents")
    vae, quantizer, tokenizers, priors, tokens = load_fitted()
    test = {name: torch.from_numpy(splits["test"]) for name, splits in tokens.items()}
    shown = spread(len(pixels))

    # What ways follow: the graph of whole latents, with the lengths that the geodesic codes have.
    settings = params.geodesic_quantize
    scale = quantizer.scale_
    graph = PointGraph.of(
        latents["train_means"] * scale,
        settings.neighbors,
        settings.smoothing,
        settings.edge_power,
        settings.whiten,
    )
    quantized: dict[tuple[str, ...], Quantized] = {
        POSTHOC: Quantized.by_quantizer(quantizer, vae, latents["train_means"]),  # alike for both
        **{
            (name,): Quantized.by_network(tokenizers[name], as_pixels(images.train.images))
            for name in END_TO_END
        },
    }
    books: dict[str, list[Codebook]] = {}
    for names, points in quantized.items():
        alike = {name: tokenizers[name] for name in names}
        books |= codebooks(alike, points, tokens, settings.neighbors, params.seed)
    pairs = choose_pairs(images.test.labels, len(pixels), params.seed)
    some = {name: codes[shown] for name, codes in test.items()}
    content = Content(
        scores=json.loads((METRICS / "evaluate.json").read_text()),
        test_images=images.test.images,
        test_labels=images.test.labels,
        reconstructions=reconstructions(vae, tokenizers, some, pixels[shown]),
        samples=samples(vae, tokenizers, priors, params.evaluate.temperatures, params.seed),
        shown=shown.numpy(),
        codebooks=books,
        steps={
            name: token_by_token(tokenizer, test[name], pixels, shown)
            for name, tokenizer in tokenizers.items()
        },
        ways=decode_ways(vae, graph, scale, latents["test_means"], pairs),
        curves=figures.training_panels(curves()),
        neighbors=settings.neighbors,
        params=dict(flat(params.model_dump(exclude={"prepare": {"root", "file"}}))),
    )
    with new_file(PLOTS / "report.html", ".html") as stream:
        stream.write(render(content).encode())


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values by their full names; lists are values."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def curves() -> dict[str, np.ndarray]:
    """Training curves by stage: columns step, train, validation."""
    names = ["train_vae", *(f"train_{name}" for name in (*END_TO_END, *PRIORS))]
    return {
        name: np.loadtxt(PLOTS / "curves" / f"{name}.csv", delimiter=",", skiprows=1, ndmin=2)
        for name in names
    }


if __name__ == "__main__":
    run(main)
