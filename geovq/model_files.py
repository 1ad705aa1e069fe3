"""The folder of a fitted codec: names of its files, and the one that says what it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from geovq.errors import InputError
from geovq.store import load_json

__all__ = ["CODEBOOK", "DECODER", "FILES", "INFO", "PRIOR", "WEIGHTS", "load_info"]

WEIGHTS = "vae.safetensors"
CODEBOOK = "codebook.npz"
DECODER = "decoder.safetensors"
PRIOR = "prior.safetensors"
INFO = "info.json"
FILES = (WEIGHTS, CODEBOOK, DECODER, PRIOR, INFO)


def load_info(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what there is to know about a codec without loading it.

    Raises
    ------
    InputError
        The folder holds no codec.
    """
    path = Path(folder) / INFO
    info = load_json(path)
    if not isinstance(info, dict) or not {"vae", "refined", "prior"} <= info.keys():
        raise InputError(f"{path}: not of a model that geovq fitted")
    return info
