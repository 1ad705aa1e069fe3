"""Images → VAE weights and the posteriors of every split."""

import torch
from torch import Tensor

from geovq.data import Images
from geovq.models import VAE
from geovq.params import Params
from geovq.store import save_json, save_module, save_npz
from geovq.training import as_pixels, fit, in_batches
from stages.common import IMAGES, LATENTS, METRICS, MODELS, curves, run


def main(params: Params) -> None:
    p = params.train_vae
    images = Images.load(IMAGES)
    pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
    torch.manual_seed(params.seed)
    vae = VAE(images.train.images.shape[1:], p.latent_dim, p.hidden)

    def negative_elbo(batch: Tensor, generator: torch.Generator) -> Tensor:
        bce, kl = vae(batch, generator)
        return bce + kl

    with curves("train_vae") as log:
        best = fit(
            vae,
            negative_elbo,
            [pixels["train"]],
            [pixels["validation"]],
            p,
            seed=params.seed,
            log=log,
            title="VAE",
        )
    posteriors = {}
    for name, split in pixels.items():
        means, log_variances = in_batches(vae.encode, split)
        posteriors[f"{name}_means"] = means.numpy()
        posteriors[f"{name}_log_variances"] = log_variances.numpy()
    save_module(MODELS / "vae.safetensors", vae)
    save_npz(LATENTS, **posteriors)
    save_json(METRICS / "train_vae.json", {"validation_total": best})


if __name__ == "__main__":
    run(main)
