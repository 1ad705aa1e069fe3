"""How long a fit will take, told after its first steps."""

from __future__ import annotations

import sys
import time

from tqdm.auto import tqdm

from geovq.codec.settings import Settings
from geovq.params.sections import Budget
from geovq.training.loop import Log, Watch

__all__ = ["Pace"]

READ_BACK = 0.001  # seconds between two evaluations, if they are those of an earlier call


class Pace:
    """Passes evaluations on, and says once what time all trainings of a fit may take.

    Parameters
    ----------
    chosen : Settings
        Whose `max_steps` are counted; a step of each training is taken to be as long as one of the
        first.
    watch : callable
        Where evaluations go.
    """

    def __init__(self, chosen: Settings, watch: Watch) -> None:
        vae, refine, prior = chosen.train_vae, chosen.refine, chosen.train_ar
        tuned: list[Budget] = []
        if refine is not None:
            rounds = [refine.round] * refine.rounds
            tuned = [refine.codes, refine.decoder, *rounds, refine.decoder_again]
        budgets = [budget for budget in (vae, *tuned, prior) if budget is not None]
        self.steps = sum(budget.max_steps for budget in budgets)
        self.watch = watch
        self.told = False

    def __call__(self, title: str) -> Log:
        """As `watch`."""
        log = self.watch(title)
        last: tuple[float, int] | None = None

        def also(step: int, values: dict[str, float]) -> None:
            nonlocal last
            now = time.monotonic()
            if last is not None and not self.told and now - last[0] > READ_BACK:
                self._tell((now - last[0]) / (step - last[1]))
            last = now, step
            log(step, values)

        return also

    def _tell(self, seconds: float) -> None:
        self.told = True
        took = tqdm.format_interval(self.steps * seconds)
        tqdm.write(
            f"All trainings take about {took} at most ({self.steps:,} steps); less if some stop "
            "early",
            file=sys.stderr,
        )
