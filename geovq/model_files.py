"""The folder of a fitted codec: names of its files, what it is, and that they belong together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from geovq.errors import InputError
from geovq.marks import check_files
from geovq.store import load_json

__all__ = ["CODEBOOK", "DECODER", "INFO", "KIND", "PRIOR", "WEIGHTS", "load_info"]

KIND = "model"  # of the folder, in its mark
WEIGHTS = "vae.safetensors"
CODEBOOK = "codebook.npz"
DECODER = "decoder.safetensors"
PRIOR = "prior.safetensors"
INFO = "info.json"


def load_info(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what there is to know about a codec without loading it; its files are checked.

    Raises
    ------
    InputError
        The folder holds no codec, or one of which a file is absent, damaged or another's.
    """
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; allowed: a model that geovq fitted")
    mark = check_files(folder, KIND)
    info = load_json(Path(folder) / INFO)
    wanted = {INFO, CODEBOOK}
    if isinstance(info, dict) and {"vae", "refined", "prior"} <= info.keys():
        wanted |= {WEIGHTS} if info["vae"] == "geovq" else set()
        wanted |= {DECODER} if info["refined"] else set()
        wanted |= {PRIOR} if info["prior"] else set()
        if wanted == mark.files.keys():
            return info
    raise InputError(f"{folder}: not a model that geovq fitted")
