"""What the studies share: their data set, budgets to try them with, how figures read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from geovq.data.sets import load_images
from geovq.data.splits import Images
from geovq.files.writing import new_file
from geovq.params.sections import Params, TrainVQVAE

Model = TypeVar("Model")
SCHEDULES = (0.25, 1)  # shares of max_steps


def parser(doc: str | None, seeds: int) -> argparse.ArgumentParser:
    """The arguments that every study takes; the first line of `doc` describes it."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    made.add_argument("folder", type=Path, help="where scores, page and pictures go")
    made.add_argument("--dataset", default="digits")
    made.add_argument("--root", type=Path, default=Path("data/raw"))
    made.add_argument("--seeds", type=int, default=seeds)
    made.add_argument("--quick", action="store_true", help="a few steps each, to see it run")
    return made


def images_of(options: argparse.Namespace, params: Params) -> Images:
    """The data set asked for, split as in the pipeline."""
    return load_images(
        options.dataset,
        root=options.root,
        file=params.prepare.file,
        validation_fraction=params.prepare.validation_fraction,
        test_fraction=params.prepare.test_fraction,
        seed=params.seed,
    )


def quick(params: Params) -> Params:
    """Budgets of a few steps, to see that everything runs."""
    few = {"max_steps": 20, "evaluate_every": 10}
    parts = {
        name: getattr(params.refine, name).model_copy(update=few)
        for name in ("codes", "decoder", "round")
    }
    return params.model_copy(
        update={
            "train_vae": params.train_vae.model_copy(update=few),
            "train_vqvae": params.train_vqvae.model_copy(update=few | {"warmup_steps": 5}),
            "train_classifier": params.train_classifier.model_copy(update=few),
            "refine": params.refine.model_copy(update=parts),
        }
    )


def schedules(settings: TrainVQVAE) -> list[TrainVQVAE]:
    """Lengths to choose from: with few codes a long cosine overfits before it cools down."""
    lengths = [round(share * settings.max_steps) for share in SCHEDULES]
    return [settings.model_copy(update={"max_steps": steps}) for steps in lengths]


def best_of(
    train: Callable[[TrainVQVAE], tuple[Model, float]], tried: Iterable[TrainVQVAE]
) -> tuple[Model, TrainVQVAE]:
    """Train with each of the settings; the model of lowest validation loss, and its settings."""
    found = [(*train(settings), settings) for settings in tried]
    model, _, settings = min(found, key=lambda one: one[1])
    return model, settings


def spread(values: np.ndarray, form: str = ".1f") -> str:
    """`mean ± standard deviation`, as far as there are values."""
    if len(values) < 2:
        return "".join(f"{value:{form}}" for value in values)
    return f"{values.mean():{form}} ± {values.std(ddof=1):{form.lstrip('+')}}"


def write_page(folder: Path, text: str) -> None:
    """What the page shows of the study."""
    with new_file(folder / "page.md", ".md") as stream:
        stream.write(f"{text}\n".encode())
