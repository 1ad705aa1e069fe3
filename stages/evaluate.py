"""Everything → the results table and the pictures."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from geovq.batches import as_pixels, best_device, in_batches
from geovq.codec.folder import END_TO_END
from geovq.codec.tokenizer import PostHocTokenizer, Tokenizer
from geovq.data.splits import Images
from geovq.evaluation import Judge, score_data, score_tokenizer, score_vae
from geovq.files.store import load_module, load_npz, save_figure, save_json
from geovq.files.writing import new_file
from geovq.models.classifier import Classifier
from geovq.models.distortion import distortion
from geovq.params.sections import Params
from geovq.report import figures
from geovq.report.examples import SHOWN, reconstructions, samples, spread
from geovq.report.table import NAMES, Scores
from geovq.report.words import remarks
from stages.common import (
    CODES,
    CURVES,
    IMAGES,
    LATENTS,
    METRICS,
    MODELS,
    PICTURES,
    PLOTS,
    PRIORS,
    TOKENIZERS,
    load_fitted,
    run,
)

MAPPED = 2000  # points of the latent map


def main(params: Params) -> None:
    device = best_device()
    images = Images.load(IMAGES)
    train, test = as_pixels(images.train.images), as_pixels(images.test.images)
    labels = images.test.labels
    classifier = load_module(MODELS / "classifier.safetensors", Classifier).to(device)
    judge = Judge(
        classifier if classifier.config["classes"] > 1 else None,
        test,
        None if labels is None else torch.from_numpy(labels),
    )
    vae, _, tokenizers, priors, tokens = load_fitted()

    scores = {
        "data": score_data(params.prepare.dataset, train, test, judge, vae.likelihood),
        "vae": score_vae(vae, test, judge, params.seed),
    }
    for name, tokenizer in tokenizers.items():
        scores[name] = score_tokenizer(
            tokenizer,
            priors[name],
            test,
            torch.from_numpy(tokens[name]["train"]),
            torch.from_numpy(tokens[name]["test"]),
            judge,
            temperatures=params.evaluate.temperatures,
            seed=params.seed,
        )
        if isinstance(tokenizer, PostHocTokenizer):
            codes = load_npz(CODES / f"{name}.npz", "test", kind="codes")["test"]
            unrefined = PostHocTokenizer(tokenizer.vae, tokenizer.quantizer)
            (logits,) = in_batches(unrefined.decode, torch.from_numpy(codes))
            scores[name]["bce_unrefined"] = distortion(logits, test, unrefined.likelihood)
    for remark in remarks(scores):
        print(f"warning: {remark}")

    shown = {name: torch.from_numpy(tokens[name]["test"]) for name in TOKENIZERS}
    few = spread(len(test))
    some = {name: codes[few] for name, codes in shown.items()}
    rows = {
        "reconstructions": reconstructions(vae, tokenizers, some, test[few]),
        "samples": samples(vae, tokenizers, priors, params.evaluate.temperatures, params.seed),
    }
    for picture, images_of in rows.items():
        save_figure(PICTURES / f"{picture}.png", figures.image_rows(images_of, SHOWN))
    draw_codes(tokenizers, shown)
    draw_map(tokenizers, shown, labels, params.seed)
    draw_curves()
    save_json(METRICS / "evaluate.json", scores)
    save_json(METRICS / "summary.json", summary(scores))


def summary(scores: Scores) -> dict[str, Any]:
    """A dozen figures, which `dvc metrics show` and `dvc exp show` have room for."""
    kept = {"vae": ("bce", "total")} | dict.fromkeys(TOKENIZERS, ("bce", "total", "purity"))
    few = {name: {key: scores[name][key] for key in keys} for name, keys in kept.items()}
    return {"bits": scores["geodesic"]["bits_per_image"], **few}


def draw_codes(tokenizers: dict[str, Tokenizer], codes: dict[str, Tensor]) -> None:
    usage, prototypes = {}, {}
    for name, tokenizer in tokenizers.items():
        which, counted = tokenizer.layout.counted(codes[name])
        title = f"{NAMES[name]}, {which}"
        usage[title] = np.bincount(counted, minlength=tokenizer.vocabulary[0])
        prototypes[title] = tokenizer.prototypes().detach().sigmoid().cpu().numpy()
    save_figure(PICTURES / "codebooks.png", figures.codebooks(prototypes, usage))
    save_figure(PICTURES / "code_usage.png", figures.usage(usage))


def draw_map(
    tokenizers: dict[str, Tokenizer],
    codes: dict[str, Tensor],
    labels: np.ndarray | None,
    seed: int,
) -> None:
    means = load_npz(LATENTS, "test_means", kind="latents")["test_means"][:MAPPED]
    colorings = {} if labels is None else {"class": labels[:MAPPED]}
    for name, tokenizer in tokenizers.items():
        which, position = tokenizer.layout.mapped
        colorings[f"{NAMES[name]}, {which}"] = codes[name][:MAPPED, position].numpy()
    places = figures.embed(means, seed)
    save_figure(PICTURES / "latent_map.png", figures.latent_map(places, colorings))


def draw_curves() -> None:
    """Draw the curves that training logged, and join each model's into one table."""
    tables = {}
    for name in ("train_vae", *(f"train_{name}" for name in (*END_TO_END, *PRIORS))):
        live = CURVES / name / "plots" / "metrics"
        train, validation = (
            np.loadtxt(live / f"{curve}.tsv", skiprows=1, ndmin=2)
            for curve in ("train", "validation")
        )
        table = tables[name] = np.column_stack([train, validation[:, 1]])
        with new_file(PLOTS / "curves" / f"{name}.csv", ".csv") as stream:
            np.savetxt(
                stream, table, "%.6g", delimiter=",", header="step,train,validation", comments=""
            )
    save_figure(PICTURES / "training_curves.png", figures.curves(figures.training_panels(tables)))


if __name__ == "__main__":
    run(main)
