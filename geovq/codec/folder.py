"""The folder of a codec: names of its files, what it is, and that they belong together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geovq.errors import InputError
from geovq.files.marks import check_files
from geovq.files.store import load_json
from geovq.quantization.rate import bits_per_image

__all__ = [
    "CARD",
    "CODEBOOK",
    "DECODER",
    "END_TO_END",
    "INFO",
    "KIND",
    "PRIOR",
    "VAE_WEIGHTS",
    "about",
    "load_info",
]

KIND = "model"  # of the folder, in its mark
VAE_WEIGHTS = "vae.safetensors"
CODEBOOK = "codebook.npz"
DECODER = "decoder.safetensors"
PRIOR = "prior.safetensors"
INFO = "info.json"
CARD = "README.md"  # for people, who may change it

# Tokenisers that are one network: name, as of files, stages and metrics, and title.
END_TO_END = {"vqvae": "VQ-VAE"}


def about(
    *,
    latent_dim: int,
    vocabulary: Sequence[int],
    refined: bool,
    prior: bool,
    rows: Sequence[int],
    figures: Mapping[str, float],
    settings: Mapping[str, Any],
    image_size: Sequence[int] | None = None,
    vae: str | None = None,
) -> dict[str, Any]:
    """What there is to know about a codec, in plain values: the content of `info.json`.

    Parameters
    ----------
    latent_dim : int
    vocabulary : sequence of int
        Codes at each position.
    refined, prior : bool
        Whether it has refined codes, and a prior.
    rows : pair of int
        Of the training and the validation split.
    figures : mapping
        Measured on the latter: nats or bits per image.
    settings : mapping
        That it was fitted with.
    image_size : sequence of int, optional
        Where it codes images.
    vae : str, optional
        Whose networks it codes them with: 'geovq', the user's 'own', or one of `END_TO_END`.
    """
    return {
        "image_size": None if image_size is None else list(image_size),
        "latent_dim": latent_dim,
        "vocabulary": list(vocabulary),
        "bits_per_image": bits_per_image(vocabulary),
        "vae": vae,
        "refined": refined,
        "prior": prior,
        "training_rows": rows[0],
        "validation_rows": rows[1],
        "validation": dict(figures),
        "settings": dict(settings),
    }


def load_info(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what there is to know about a codec without loading it; its files are checked.

    Raises
    ------
    InputError
        The folder holds no codec, or one of which a file is absent, damaged or another's.
    """
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; allowed: a model that geovq fitted")
    mark = check_files(folder, KIND, loose=(CARD,))
    info = load_json(Path(folder) / INFO)
    if isinstance(info, dict) and {"vae", "refined", "prior"} <= info.keys():
        whole = info["vae"] in END_TO_END
        wanted = {INFO, f"{info['vae']}.safetensors" if whole else CODEBOOK}
        wanted |= {VAE_WEIGHTS} if info["vae"] == "geovq" else set()
        wanted |= {DECODER} if info["refined"] else set()
        wanted |= {PRIOR} if info["prior"] else set()
        if wanted == mark.files.keys() - {CARD}:
            return info
    raise InputError(f"{folder}: not a model that geovq fitted")
