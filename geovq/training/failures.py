"""Trainings that end well by their loss and yet came to nothing: a warning that says what to do."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from torch import Tensor

from geovq.errors import TrainingWarning
from geovq.models.distortion import mean_image_distortion

if TYPE_CHECKING:
    from geovq.models.likelihood import Likelihood
    from geovq.params.sections import Budget

__all__ = ["check_loss", "warn"]

WORSE = 1.01  # than what needs no network: so many times its nats
ENOUGH = 10_000  # images for a mean


def check_loss(
    name: str,
    loss: float,
    train: Tensor,
    validation: Tensor,
    likelihood: Likelihood,
    params: Budget,
) -> None:
    """Warn where the loss is above that of the mean of all images."""
    some = train[:: -(-len(train) // ENOUGH)]
    alone = mean_image_distortion(some, validation, likelihood)
    if loss > WORSE * alone:
        warn(
            f"the {name} is worse than the mean of all images, {loss:.4g} against {alone:.4g} "
            f"nats an image; raise {params.key('max_steps')} = {params.max_steps}, or lower "
            f"{params.key('learning_rate')} = {params.learning_rate}"
        )


def warn(message: str) -> None:
    """Warn whoever called what trained the model."""
    warnings.warn(message, TrainingWarning, stacklevel=4)
