"""Posteriors → codebooks and codes of the geodesic quantiser and its Euclidean twin."""

from geovq.batches import as_pixels, best_device
from geovq.codec.tokenizer import PostHocTokenizer
from geovq.data.splits import Images
from geovq.files.store import load_module, load_npz, save_json, save_npz
from geovq.models.distortion import distortion
from geovq.models.vae import VAE
from geovq.params.sections import Params
from geovq.quantization.quantizer import GeodesicQuantizer
from stages.common import CODEBOOKS, CODES, IMAGES, LATENTS, METRICS, MODELS, POSTHOC, run


def main(params: Params) -> None:
    latents = load_npz(LATENTS, kind="latents")
    vae = load_module(MODELS / "vae.safetensors", VAE).to(best_device())
    validation = as_pixels(Images.load(IMAGES).validation.images)
    scores = {}
    for clustering in POSTHOC:
        quantizer = GeodesicQuantizer(
            **params.geodesic_quantize.model_dump(),
            clustering=clustering,
            random_state=params.seed,
        )
        train = latents["train_means"], latents["train_log_variances"]
        tokenizer = PostHocTokenizer.fit(vae, quantizer, *train)
        tokens = {
            name: tokenizer.encode_latents(
                latents[f"{name}_means"], latents[f"{name}_log_variances"]
            )
            for name in ("train", "validation", "test")
        }
        logits = tokenizer.decode(tokens["validation"]).cpu()
        scores[clustering] = {
            "validation_bce": distortion(logits, validation, tokenizer.likelihood)
        }
        quantizer.save(CODEBOOKS / f"{clustering}.npz")
        save_npz(CODES / f"{clustering}.npz", "codes", vocabulary=quantizer.vocabulary, **tokens)
        print(f"{clustering}: validation bce {scores[clustering]['validation_bce']:.2f} nats")
    save_json(METRICS / "geodesic_quantize.json", scores)


if __name__ == "__main__":
    run(main)
