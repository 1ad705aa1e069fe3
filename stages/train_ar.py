"""Tokens of one tokeniser → its autoregressive prior: `python -m stages.train_ar geodesic`."""

import math
import sys
from functools import partial

import torch

from geovq.errors import InputError
from geovq.files.store import load_npz, save_json, save_module
from geovq.params.sections import Params
from geovq.training.checkpoints import discard
from geovq.training.prior import train_prior
from stages.common import METRICS, MODELS, TOKENIZERS, TOKENS, checkpoints, curves, run


def main(params: Params, name: str) -> None:
    if name not in TOKENIZERS:
        raise InputError(f"tokenizer = {name!r}; allowed: {', '.join(TOKENIZERS)}")
    needed = "vocabulary", "vectors", "train", "validation"
    tokens = load_npz(TOKENS / f"{name}.npz", *needed, kind="tokens")
    vocabulary = [int(codes) for codes in tokens["vocabulary"]]
    kept = checkpoints(f"train_ar_{name}")
    with curves(f"train_ar_{name}") as log:
        prior, best = train_prior(
            torch.from_numpy(tokens["train"]),
            torch.from_numpy(tokens["validation"]),
            vocabulary,
            params.train_ar,
            params.seed,
            log,
            title=f"prior of {name}",
            vectors=torch.from_numpy(tokens["vectors"]),
            checkpoints=kept,
        )
    save_module(MODELS / f"ar_{name}.safetensors", prior)
    bits = best / math.log(2) / len(vocabulary)
    save_json(METRICS / f"train_ar_{name}.json", {"validation_bits_per_token": bits})
    discard(kept)


if __name__ == "__main__":
    run(partial(main, name=sys.argv[1] if len(sys.argv) == 2 else ""))
