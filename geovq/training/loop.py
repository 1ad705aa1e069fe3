"""The one training loop: steps, early stopping, best weights, progress, curves, checkpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn
from tqdm.auto import tqdm

from geovq.batches import best_device
from geovq.training.checkpoints import Checkpoint, fingerprint
from geovq.training.steps import Loss, Training

if TYPE_CHECKING:
    from geovq.params.sections import Budget

__all__ = ["Log", "Watch", "fit"]

Log = Callable[[int, dict[str, float]], None]
Watch = Callable[[str], Log]  # the title of a training → where its evaluations go


def fit(
    model: nn.Module,
    loss: Loss,
    train: Sequence[Tensor],
    validation: Sequence[Tensor],
    budget: Budget,
    *,
    seed: int,
    log: Log | None = None,
    title: str = "training",
    tuning: bool = False,
    checkpoints: Path | None = None,
) -> float:
    """Train a model in place and leave it with its best weights on the validation split.

    Parameters
    ----------
    model : torch.nn.Module
        Moved to the best device.
    loss : callable
        `loss(*batch, generator=...)` → (n,), the loss of each image; whatever is random in it
        must come from the generator.
    train, validation : sequence of Tensor
        Tensors of equal length each; a batch is the same rows of all.
    budget : Budget
        Learning rate, schedule, batch size, steps, and early stopping.
    seed : int
        Of the batches' order and of the loss's noise.
    log : callable, optional
        `log(step, {'train': ..., 'validation': ...})` at every evaluation.
    title : str
        Of the progress bar, and what messages call the training.
    tuning : bool
        Whether the model is good as it comes: not to improve it is then no failure.
    checkpoints : Path, optional
        Folder with a file, named by the title, of what the training has come to, written now and
        then and when it has ended. The same training goes on from there, with the result that it
        would have had undisturbed; all evaluations so far are logged again.

    Returns
    -------
    float
        The best mean validation loss.

    Raises
    ------
    TrainingError
        The loss is infinite or no number. The last checkpoint stays.

    Warns
    -----
    TrainingWarning
        No evaluation was better than the model as it came.
    """
    kept = saved = None
    if checkpoints is not None:
        facts = {
            "title": title,
            "seed": seed,
            "budget": budget.model_dump(),
            "model": [type(model).__name__, getattr(model, "config", None)],
            "trained": [name for name, p in model.named_parameters() if p.requires_grad],
        }
        weights = model.state_dict().values()
        path = checkpoints / f"{re.sub('[^a-z0-9]+', '_', title.lower())}.safetensors"
        kept = Checkpoint(path, fingerprint(facts, [*weights, *train, *validation]))
        saved = kept.load()
    training = Training(model, loss, train, validation, budget, seed, title, best_device())
    run = training.begin() if saved is None else training.restore(saved)
    for step, curve in run.history:
        if log is not None:
            log(step, curve)
    name = f"{title}, resumed" if saved else title
    with tqdm(
        total=budget.max_steps, initial=run.step, desc=name, unit="step", mininterval=1
    ) as bar:
        while not run.finished:
            training.step()
            bar.update()
            if run.step % budget.evaluate_every and run.step != budget.max_steps:
                continue
            curve = training.evaluate()
            bar.set_postfix({key: f"{number:.2f}" for key, number in curve.items()})
            if log is not None:
                log(run.step, curve)
            if kept is not None and (run.finished or kept.due()):
                kept.save(*training.state())
        bar.total = run.step  # done, and the bar says so
    model.load_state_dict(training.best)
    model.eval()
    training.warn(tuning)
    return run.best_score
