"""The one training loop: steps, early stopping, the best weights, progress and curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

if TYPE_CHECKING:
    from geovq.params import Budget

__all__ = ["Log", "as_pixels", "best_device", "fit", "in_batches"]

Log = Callable[[int, dict[str, float]], None]
Loss = Callable[..., Tensor]


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def as_pixels(images: np.ndarray) -> Tensor:
    """8-bit images (N, H, W) → float32 in [0, 1]."""
    return torch.from_numpy(images).float().div_(255)


@torch.no_grad()
def in_batches(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    *tensors: Tensor,
    size: int = 1000,
    title: str = "",
) -> list[Tensor]:
    """Apply a function to row batches, without gradients, and join each of its results.

    With a title there is a progress bar.
    """
    device = best_device()
    parts = []
    with tqdm(total=len(tensors[0]), desc=title, disable=not title) as bar:
        for rows in zip(*(tensor.split(size) for tensor in tensors), strict=True):
            result = function(*(row.to(device) for row in rows))
            parts.append(result if isinstance(result, tuple) else (result,))
            bar.update(len(rows[0]))
    return [torch.cat(column).cpu() for column in zip(*parts, strict=True)]


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
        Of the progress bar.

    Returns
    -------
    float
        The best mean validation loss.
    """
    device = best_device()
    model.to(device).train()
    train, validation = ([t.to(device) for t in tensors] for tensors in (train, validation))
    order = torch.Generator().manual_seed(seed)
    noise = torch.Generator(device).manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=budget.learning_rate, fused=True)
    cosine = budget.schedule == "cosine"

    best, best_state = _validate(model, loss, validation, seed), deepcopy(model.state_dict())
    mark, mark_step = best, 0  # the last score that was better by more than the tolerance
    running = torch.zeros((), device=device)
    rows = torch.empty(0, dtype=torch.int64, device=device)
    start = 0
    with tqdm(total=budget.max_steps, desc=title, unit="step", mininterval=1) as bar:
        for step in range(1, budget.max_steps + 1):
            if start + budget.batch_size > len(rows):
                rows, start = torch.randperm(len(train[0]), generator=order).to(device), 0
            batch = rows[start : start + budget.batch_size]
            start += budget.batch_size
            if cosine:
                share = (step - 1) / budget.max_steps
                for group in optimizer.param_groups:
                    group["lr"] = budget.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
            optimizer.zero_grad(set_to_none=True)
            value = loss(*(tensor[batch] for tensor in train), generator=noise).mean()
            value.backward()
            optimizer.step()
            running += value.detach()
            bar.update()

            last = step == budget.max_steps
            if step % budget.evaluate_every and not last:
                continue
            score = _validate(model, loss, validation, seed)
            steps = (step - 1) % budget.evaluate_every + 1
            curve = {"train": running.item() / steps, "validation": score}
            running.zero_()
            bar.set_postfix({name: f"{number:.2f}" for name, number in curve.items()})
            if log is not None:
                log(step, curve)
            if score < best:
                best, best_state = score, deepcopy(model.state_dict())
            if score < mark - budget.tolerance * abs(score):
                mark, mark_step = score, step
            elif step - mark_step >= budget.patience:
                bar.total = step  # done, and the bar says so
                break
    model.load_state_dict(best_state)
    model.eval()
    return best


@torch.no_grad()
def _validate(model: nn.Module, loss: Loss, validation: Sequence[Tensor], seed: int) -> float:
    """Mean loss, with the same noise at every call."""
    model.eval()
    noise = torch.Generator(validation[0].device).manual_seed(seed)
    batches = zip(*(tensor.split(1000) for tensor in validation), strict=True)
    total = sum(loss(*batch, generator=noise).double().sum().item() for batch in batches)
    model.train()
    return float(total / len(validation[0]))
