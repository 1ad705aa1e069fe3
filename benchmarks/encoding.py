"""What it takes to encode an image: milliseconds with and without the search, beside the VQ-VAE's.

    python -m benchmarks.encoding

Models and test images are those of the last run of the pipeline; the time is the least of some
rounds, ratios are to the VQ-VAE's.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from tabulate import tabulate

from geovq import Codec
from geovq.codec.folder import END_TO_END
from geovq.codec.tokenizer import PostHocTokenizer
from geovq.data.splits import Images
from stages.common import CODECS, IMAGES, POSTHOC

ROUNDS = 5


def milliseconds(codec: Codec, images: np.ndarray) -> float:
    """Of one image, when all are encoded at once; the least of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        codec.encode(images)
        times.append(time.perf_counter() - start)
    return 1000 * min(times) / len(images)


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    images = Images.load(IMAGES).test.images
    found = {}
    for name, title in END_TO_END.items():
        found[title] = milliseconds(Codec.load(CODECS / name), images)
    rival = next(iter(found.values()))
    for name in POSTHOC:
        codec = Codec.load(CODECS / name)
        tokenizer = codec.tokenizer
        assert isinstance(tokenizer, PostHocTokenizer)
        found[f"{name}, searched"] = milliseconds(codec, images)
        tokenizer.code_decoder = None
        found[f"{name}, not searched"] = milliseconds(codec, images)
    rows = [[name, f"{ms:.3f}", f"{ms / rival:.1f}"] for name, ms in found.items()]
    headers = [f"{len(images):,} images", "ms an image", f"times {next(iter(found))}'s"]
    print(tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right")))


if __name__ == "__main__":
    main()
