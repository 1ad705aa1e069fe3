"""Images → VQ-VAE weights and tokens: the end-to-end baseline."""

import torch
from torch import Tensor

from geovq.data import Images
from geovq.evaluation.distortion import bce
from geovq.models import VQVAE
from geovq.params import Budget, Params
from geovq.store import save_json, save_module, save_npz
from geovq.training import Log, as_pixels, fit, in_batches
from stages.common import IMAGES, METRICS, MODELS, TOKENS, curves, run


def main(params: Params) -> None:
    p = params.train_vqvae
    images = Images.load(IMAGES)
    pixels = {name: as_pixels(split.images) for name, split in vars(images).items()}
    torch.manual_seed(params.seed)
    vqvae = VQVAE(
        images.train.images.shape[1:],
        params.train_vae.latent_dim,
        params.train_vae.hidden,
        p.vocabulary,
        p.layout,
        p.commitment,
        p.codebook_update,
    )

    def loss(batch: Tensor, generator: torch.Generator) -> Tensor:
        reconstruction, penalty = vqvae(batch)
        # The codebook's terms grow with the latents' scale: weights are chosen by bce alone.
        return reconstruction + penalty if vqvae.training else reconstruction

    def train(budget: Budget, title: str, log: Log | None = None) -> float:
        return fit(
            vqvae,
            loss,
            [pixels["train"]],
            [pixels["validation"]],
            budget,
            seed=params.seed,
            log=log,
            title=title,
        )

    vqvae.quantizing = False
    warmup = {"max_steps": p.warmup_steps, "schedule": "constant"}
    train(p.model_copy(update=warmup), "VQ-VAE, not yet quantised")
    vqvae.quantizing = True
    vqvae.place_codes(pixels["train"], params.seed)
    main_budget = p.model_copy(update={"max_steps": p.max_steps - p.warmup_steps})
    with curves("train_vqvae") as log:
        train(main_budget, "VQ-VAE", log)

    tokens = {name: in_batches(vqvae.encode, split)[0] for name, split in pixels.items()}
    (logits,) = in_batches(vqvae.decode, tokens["validation"])
    save_module(MODELS / "vqvae.safetensors", vqvae)
    save_npz(TOKENS / "vqvae.npz", vocabulary=vqvae.vocabulary, **tokens)
    save_json(METRICS / "train_vqvae.json", {"validation_bce": bce(logits, pixels["validation"])})


if __name__ == "__main__":
    run(main)
