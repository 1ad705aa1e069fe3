"""Codes → refined codes, decoder and tokens: `python -m stages.refine geodesic`."""

import sys
from functools import partial

import torch

from geovq.batches import as_pixels, in_batches
from geovq.codec.tokenizer import PostHocTokenizer, code_vectors
from geovq.data.splits import Images
from geovq.errors import InputError
from geovq.files.store import load_module, load_npz, save_json, save_module, save_npz
from geovq.models.vae import VAE
from geovq.params.sections import Params
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.training.checkpoints import discard
from geovq.training.refinement import Split, refined
from stages.common import (
    CODEBOOKS,
    CODES,
    IMAGES,
    LATENTS,
    METRICS,
    MODELS,
    POSTHOC,
    TOKENS,
    checkpoints,
    run,
)


def main(params: Params, name: str) -> None:
    if name not in POSTHOC:
        raise InputError(f"quantiser = {name!r}; allowed: {', '.join(POSTHOC)}")
    images, latents = Images.load(IMAGES), load_npz(LATENTS, kind="latents")
    pixels = {split: as_pixels(part.images) for split, part in vars(images).items()}
    codes = load_npz(CODES / f"{name}.npz", "vocabulary", *pixels, kind="codes")
    vocabulary = codes.pop("vocabulary")
    tokens = {split: torch.from_numpy(array) for split, array in codes.items()}
    vae = load_module(MODELS / "vae.safetensors", VAE)
    quantizer = GeodesicQuantizer.load(CODEBOOKS / f"{name}.npz")
    kept = checkpoints(f"refine_{name}")
    rows = {
        split: Split(tokens[split], pixels[split], torch.from_numpy(latents[f"{split}_means"]))
        for split in pixels
    }
    pair = rows["train"], rows["validation"]
    model, chosen, found = refined(vae, quantizer, *pair, params.refine, params.seed, kept)
    tokens["train"], tokens["validation"] = chosen
    (tokens["test"],) = in_batches(model.search, *rows["test"], title="test tokens")
    save_module(MODELS / f"decoder_{name}.safetensors", model)
    vectors = code_vectors(PostHocTokenizer(vae, quantizer, model)).numpy()
    save_npz(TOKENS / f"{name}.npz", "tokens", vocabulary=vocabulary, vectors=vectors, **tokens)
    save_json(METRICS / f"refine_{name}.json", {f"validation_bce_{k}": v for k, v in found.items()})
    discard(kept)
    print(f"{name}: validation bce " + ", ".join(f"{k} {v:.2f}" for k, v in found.items()))


if __name__ == "__main__":
    run(partial(main, name=sys.argv[1] if len(sys.argv) == 2 else ""))
