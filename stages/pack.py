"""Weights, codebooks and priors → a model folder each, such as `geovq fit` writes."""

import math
from typing import Any

from geovq.batches import best_device
from geovq.codec.codec import Codec
from geovq.codec.folder import END_TO_END, about
from geovq.codec.loading import NETWORKS
from geovq.codec.tokenizer import PostHocTokenizer
from geovq.files.store import load_json, load_module, load_npz
from geovq.models.code_decoder import CodeDecoder
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.params.sections import Params
from geovq.quantization.quantizer import GeodesicQuantizer
from stages.common import CODEBOOKS, CODECS, METRICS, MODELS, POSTHOC, TOKENS, run


def main(params: Params) -> None:
    vae = load_module(MODELS / "vae.safetensors", VAE).to(best_device())
    for name in POSTHOC:
        quantizer = GeodesicQuantizer.load(CODEBOOKS / f"{name}.npz")
        decoder = load_module(MODELS / f"decoder_{name}.safetensors", CodeDecoder)
        tokenizer = PostHocTokenizer(vae, quantizer, decoder.to(best_device()))
        figures = {
            "vae_loss": _figure("train_vae", "validation_loss"),
            "vae_kl": _figure("train_vae", "validation_kl"),
            "vae_kl_weight": _figure("train_vae", "kl_weight"),
            "bce": _figure(f"refine_{name}", "validation_bce_final"),
        }
        used = {"train_vae", "geodesic_quantize", "refine"}
        info = _about(params, name, figures, used, vae.config) | {"vae": "geovq", "refined": True}
        Codec(quantizer, tokenizer, _prior(name), info).save(CODECS / name)
    for name in END_TO_END:
        network = load_module(MODELS / f"{name}.safetensors", NETWORKS[name]).to(best_device())
        figures = {"bce": _figure(f"train_{name}", "validation_bce")}
        info = _about(params, name, figures, {"train_vae", f"train_{name}"}, network.config)
        Codec(None, network, _prior(name), info | {"vae": name}).save(CODECS / name)


def _figure(file: str, key: str) -> float:
    return load_json(METRICS / f"{file}.json")[key]


def _prior(name: str) -> Prior:
    return load_module(MODELS / f"ar_{name}.safetensors", Prior).to(best_device())


def _about(
    params: Params, name: str, figures: dict[str, float], used: set[str], network: dict[str, Any]
) -> dict[str, Any]:
    tokens = load_npz(TOKENS / f"{name}.npz", kind="tokens")
    vocabulary = [int(codes) for codes in tokens["vocabulary"]]
    bits = _figure(f"train_ar_{name}", "validation_bits_per_token") * len(vocabulary)
    nats = bits * math.log(2)
    coded = {"code_length": nats, "code_length_bits": bits, "total": figures["bce"] + nats}
    return about(
        latent_dim=network["latent_dim"],
        vocabulary=vocabulary,
        refined=False,
        prior=True,
        rows=[len(tokens["train"]), len(tokens["validation"])],
        figures=figures | coded,
        settings=params.model_dump(include={"seed", "train_ar", *used}),
        image_size=network["image_shape"],
    )


if __name__ == "__main__":
    run(main)
