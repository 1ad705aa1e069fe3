"""Who is told how a fit goes: loggers of experiments, say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from geovq.errors import InputError
from geovq.training.loop import Log

__all__ = ["Callback", "Listeners"]


class Callback(Protocol):
    """An object of yours with these two methods, for `Codec.fit(callbacks=[...])`.

    What a callback raises ends the fit; checkpoints stay, so that the next one may go on.
    """

    def on_step(self, title: str, step: int, values: dict[str, float]) -> None:
        """After every evaluation of a training.

        Parameters
        ----------
        title : str
            Of the training: `VAE`, `refining the codes`, `refining the decoder`, `round 1` and so
            on, `tuning the decoder again`, `prior`.
        step : int
            Optimiser steps so far, from 1 in each training. Of one that is resumed, or was done
            before, all evaluations are told again.
        values : dict
            `train` and `validation`: mean losses in nats per image.
        """

    def on_end(self, info: Mapping[str, Any]) -> None:
        """After a fit that came to its end, with the `info` of the codec."""


class Listeners:
    """Callbacks, all of which are told.

    Parameters
    ----------
    callbacks : sequence of Callback

    Raises
    ------
    InputError
        There is no list of them, or one lacks a method.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        if not isinstance(callbacks, list | tuple):
            kind = type(callbacks).__name__
            raise InputError(f"callbacks: a {kind}; allowed: a list of objects")
        for callback in callbacks:
            for name in ("on_step", "on_end"):
                if not callable(getattr(callback, name, None)):
                    raise InputError(
                        f"callbacks: {type(callback).__name__} has no method {name}; allowed: "
                        "objects with on_step(title, step, values) and on_end(info)"
                    )
        self.callbacks = tuple(callbacks)

    def log(self, title: str) -> Log:
        """Where the evaluations of a training go, as in `geovq.training.loop.fit`."""

        def log(step: int, values: dict[str, float]) -> None:
            for callback in self.callbacks:
                callback.on_step(title, step, dict(values))

        return log

    def end(self, info: Mapping[str, Any]) -> None:
        """Say that the fit has ended, and with what."""
        for callback in self.callbacks:
            callback.on_end(info)
