"""The folder of a codec → what it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geovq.batches import best_device
from geovq.codec.folder import CODEBOOK, DECODER, PRIOR, VAE_WEIGHTS, load_info
from geovq.codec.tokenizer import Autoencoder, PostHocTokenizer, Tokenizer, ready
from geovq.files.store import load_module
from geovq.models.code_decoder import CodeDecoder
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.quantization.quantizer import GeodesicQuantizer

__all__ = ["NETWORKS", "load_parts"]

NETWORKS = {"vqvae": VQVAE}  # of `END_TO_END`

Parts = tuple[GeodesicQuantizer | None, Tokenizer | None, Prior | None, dict[str, Any]]


def load_parts(folder: Path, vae: Autoencoder | None) -> Parts:
    """Read what `Codec.save` wrote, on the best device.

    Parameters
    ----------
    folder : Path
    vae : Autoencoder, optional
        The user's own, if it was fitted with one.

    Raises
    ------
    InputError
        A file is absent or not whole.
    """
    info, device = load_info(folder), best_device()
    prior = load_module(folder / PRIOR, Prior).to(device) if info["prior"] else None
    if (name := info["vae"]) in NETWORKS:
        network = load_module(folder / f"{name}.safetensors", NETWORKS[name])
        return None, network.to(device), prior, info
    quantizer = GeodesicQuantizer.load(folder / CODEBOOK)
    tokenizer = model = None
    if info["vae"] == "geovq":
        vae = load_module(folder / VAE_WEIGHTS, VAE)
    if info["refined"]:
        model = load_module(folder / DECODER, CodeDecoder).to(device)
    if vae is not None:
        tokenizer = PostHocTokenizer(ready(vae), quantizer, model)
    return quantizer, tokenizer, prior, info
