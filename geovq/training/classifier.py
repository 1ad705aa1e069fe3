"""The judge of reconstructions and samples: cross-entropy of the labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from geovq.models.classifier import Classifier
from geovq.params.sections import TrainClassifier
from geovq.training import loop
from geovq.weights import initial_weights

__all__ = ["train_classifier"]


def train_classifier(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    params: TrainClassifier,
    seed: int,
    checkpoints: Path | None = None,
) -> Classifier:
    """Minimise the cross-entropy.

    Parameters
    ----------
    train, validation : pair of Tensor
        Pixels (N, H, W) in [0, 1], and labels (N,), int64. There are as many classes as the
        highest label of both tells; one without a training image is merely never recognised.
    params : TrainClassifier
    seed : int
        Of the weights and the batches.
    checkpoints : Path, optional
        As in `geovq.training.vae.train_vae`.
    """
    classes = int(max(train[1].max(), validation[1].max())) + 1
    with initial_weights(seed):
        classifier = Classifier(train[0].shape[1:], classes)

    def loss(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return F.cross_entropy(classifier(images), labels, reduction="none")

    run = partial(loop.fit, seed=seed, checkpoints=checkpoints)
    run(classifier, loss, train, validation, params, title="classifier")
    return classifier
