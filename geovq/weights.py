"""The random state that weights are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["initial_weights"]


@contextmanager
def initial_weights(seed: int = 0) -> Iterator[None]:
    """Weights of modules that are built inside come from `seed`; the caller's random state stays.

    Weights are drawn on the CPU: no other device's random state is touched.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
