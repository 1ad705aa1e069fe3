"""Images → VAE weights and the posteriors of every split."""

from geovq.batches import as_pixels, in_batches
from geovq.data.splits import Images
from geovq.files.store import save_json, save_module, save_npz
from geovq.params.sections import Params
from geovq.training.checkpoints import discard
from geovq.training.vae import train_vae
from stages.common import IMAGES, LATENTS, METRICS, MODELS, checkpoints, curves, run


def main(params: Params) -> None:
    images = Images.load(IMAGES)
    pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
    kept = checkpoints("train_vae")
    with curves("train_vae") as log:
        vae, reached = train_vae(
            pixels["train"],
            pixels["validation"],
            params.train_vae,
            params.seed,
            log,
            kept,
            rate=params.geodesic_quantize.rate,
        )
    posteriors = {}
    for name, split in pixels.items():
        means, log_variances = in_batches(vae.encode, split)
        posteriors[f"{name}_means"] = means.numpy()
        posteriors[f"{name}_log_variances"] = log_variances.numpy()
    save_module(MODELS / "vae.safetensors", vae)
    save_npz(LATENTS, "latents", **posteriors)
    found = {
        "kl_weight": reached.kl_weight,
        "validation_bce": reached.bce,
        "validation_kl": reached.kl,
        "validation_loss": reached.negative_elbo,
    }
    save_json(METRICS / "train_vae.json", found)
    discard(kept)


if __name__ == "__main__":
    run(main)
