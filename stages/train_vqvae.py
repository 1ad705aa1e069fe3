"""Images → VQ-VAE weights and tokens: the end-to-end baseline."""

from geovq.batches import as_pixels, in_batches
from geovq.codec.tokenizer import code_vectors
from geovq.data.splits import Images
from geovq.files.store import save_json, save_module, save_npz
from geovq.models.distortion import distortion
from geovq.params.sections import Params
from geovq.training.checkpoints import discard
from geovq.training.vqvae import train_vqvae
from stages.common import IMAGES, METRICS, MODELS, TOKENS, checkpoints, curves, run


def main(params: Params) -> None:
    images = Images.load(IMAGES)
    pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
    kept = checkpoints("train_vqvae")
    with curves("train_vqvae") as log:
        vqvae, _ = train_vqvae(
            pixels["train"],
            pixels["validation"],
            params.train_vqvae,
            params.train_vae,
            params.seed,
            log,
            kept,
        )
    tokens = {name: in_batches(vqvae.encode, split)[0] for name, split in pixels.items()}
    (logits,) = in_batches(vqvae.decode, tokens["validation"])
    save_module(MODELS / "vqvae.safetensors", vqvae)
    vectors = code_vectors(vqvae).numpy()
    save_npz(TOKENS / "vqvae.npz", "tokens", vocabulary=vqvae.vocabulary, vectors=vectors, **tokens)
    best = distortion(logits, pixels["validation"], vqvae.likelihood)
    save_json(METRICS / "train_vqvae.json", {"validation_bce": best})
    discard(kept)


if __name__ == "__main__":
    run(main)
