"""One training, step by step: what `geovq.training.loop.fit` drives."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geovq.errors import TrainingError, TrainingWarning

if TYPE_CHECKING:
    from geovq.params.sections import Budget
    from geovq.training.checkpoints import State

__all__ = ["Loss", "Run", "Training"]

LOOK = 100  # steps between two looks at whether the loss is a number: each waits for the device

Loss = Callable[..., Tensor]


@dataclass
class Run:
    """How far a training has come, in plain values."""

    best_score: float
    mark: float  # the last score that was better by more than the tolerance
    best_step: int = 0
    mark_step: int = 0
    step: int = 0
    start: int = 0  # of the next batch, in the order of the present epoch
    finished: bool = False
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)


class Training:
    """A model, its optimiser, and all that decides what the next step does."""

    run: Run
    best: dict[str, Tensor]  # weights

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        train: Sequence[Tensor],
        validation: Sequence[Tensor],
        budget: Budget,
        seed: int,
        title: str,
        device: torch.device,
    ) -> None:
        self.model, self.loss, self.budget, self.seed = model, loss, budget, seed
        self.title = title
        model.to(device).train()
        self.train, self.validation = ([t.to(device) for t in x] for x in (train, validation))
        self.order = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator(device).manual_seed(seed)
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=budget.learning_rate, fused=True)
        self.running = torch.zeros((), device=device)  # sum of the losses since the last look
        self.rows = torch.empty(0, dtype=torch.int64, device=device)  # of the present epoch

    def begin(self) -> Run:
        score = _validate(self.model, self.loss, self.validation, self.seed)
        if not math.isfinite(score):
            raise TrainingError(
                f"{self.title}: the loss is {score} before the first step; look for values in the "
                "data that are huge or no numbers"
            )
        self.run = Run(score, score, finished=self.budget.max_steps < 1)
        self.best = deepcopy(self.model.state_dict())
        return self.run

    def step(self) -> None:
        run, budget = self.run, self.budget
        if run.start + budget.batch_size > len(self.rows):
            rows = torch.randperm(len(self.train[0]), generator=self.order)
            self.rows, run.start = rows.to(self.rows.device), 0
        batch = self.rows[run.start : run.start + budget.batch_size]
        run.start += budget.batch_size
        if budget.schedule == "cosine":
            share = run.step / budget.max_steps
            for group in self.optimizer.param_groups:
                group["lr"] = budget.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        self.optimizer.zero_grad(set_to_none=True)
        value = self.loss(*(tensor[batch] for tensor in self.train), generator=self.noise).mean()
        value.backward()
        self.optimizer.step()
        self.running += value.detach()
        run.step += 1
        if run.step % LOOK == 0:
            self.check(self.running.item())

    def evaluate(self) -> dict[str, float]:
        run, budget = self.run, self.budget
        steps = (run.step - 1) % budget.evaluate_every + 1
        mean = self.check(self.running.item() / steps)
        self.running.zero_()
        score = self.check(_validate(self.model, self.loss, self.validation, self.seed))
        curve = {"train": mean, "validation": score}
        run.history.append((run.step, curve))
        if score < run.best_score:
            run.best_score, run.best_step = score, run.step
            self.best = deepcopy(self.model.state_dict())
        if score < run.mark - budget.tolerance * abs(score):
            run.mark, run.mark_step = score, run.step
        run.finished = run.step == budget.max_steps or run.step - run.mark_step >= budget.patience
        return curve

    def check(self, loss: float) -> float:
        """A mean or a sum of losses, if it is a number."""
        if math.isfinite(loss):
            return loss
        rate = self.budget.learning_rate
        raise TrainingError(
            f"{self.budget.key('learning_rate')} = {rate}: {self.title}: by step {self.run.step} "
            f"the loss is {loss}; lower it, to {rate / 10:g}, say"
        )

    def state(self) -> State:
        """All that `restore` needs; of a training that has ended, what it came to."""
        tensors = {f"best/{name}": tensor for name, tensor in self.best.items()}
        if not self.run.finished:
            tensors |= {f"model/{name}": t for name, t in self.model.state_dict().items()}
            for i, moments in self.optimizer.state_dict()["state"].items():
                tensors |= {f"adam/{i}/{name}": tensor for name, tensor in moments.items()}
            tensors |= {"order": self.order.get_state(), "noise": self.noise.get_state()}
            tensors["rows"] = self.rows
        return tensors, asdict(self.run)

    def restore(self, saved: State) -> Run:
        tensors, values = saved
        self.run = Run(**values)
        self.best = _below("best", tensors)
        if not self.run.finished:
            self.model.load_state_dict(_below("model", tensors))
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _below("adam", tensors).items():
                i, _, kind = name.partition("/")
                moments.setdefault(int(i), {})[kind] = tensor
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
            self.order.set_state(tensors["order"])
            self.noise.set_state(tensors["noise"])
            self.rows = tensors["rows"].to(self.rows.device)
        return self.run

    def warn(self, tuning: bool) -> None:
        """Say so where the weights that are kept are those it began with."""
        run, budget = self.run, self.budget
        if run.best_step or not run.step:
            return
        if tuning and min(curve["train"] for _, curve in run.history) <= run.best_score:
            return  # it learnt, but nothing that held for other images
        warnings.warn(
            f"{self.title}: none of {run.step} steps lowered the validation loss, "
            f"{run.best_score:.4g}, and all is as it was before; lower "
            f"{budget.key('learning_rate')} = {budget.learning_rate}, or raise "
            f"{budget.key('max_steps')} = {budget.max_steps}",
            TrainingWarning,
            stacklevel=3,
        )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, by the rest of their names."""
    return {
        n.removeprefix(f"{prefix}/"): t for n, t in tensors.items() if n.startswith(f"{prefix}/")
    }


@torch.no_grad()
def _validate(model: nn.Module, loss: Loss, validation: Sequence[Tensor], seed: int) -> float:
    """Mean loss, with the same noise at every call; added up on the CPU, for MPS has no float64."""
    model.eval()
    noise = torch.Generator(validation[0].device).manual_seed(seed)
    batches = zip(*(tensor.split(1000) for tensor in validation), strict=True)
    total = sum(loss(*batch, generator=noise).cpu().double().sum().item() for batch in batches)
    model.train()
    return float(total / len(validation[0]))
