"""How a program of geovq ends when it is told to: soon, with one line, and without a traceback."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["exit_on_signals"]

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def exit_on_signals() -> Callable[[], None]:
    """Turn SIGINT and SIGTERM into `SystemExit` with status 130 and 143, as a shell has it.

    What is being written is cleaned up on the way out, as after any exception.

    Returns
    -------
    callable
        It puts things back as they were.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    # One that is ignored, as in a shell's background, stays so.
    before = {n: signal.getsignal(n) for n in WORDS if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, _leave)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


def _leave(number: int, frame: FrameType | None) -> None:
    # The line comes last, when progress bars are closed.
    atexit.register(print, f"error: {WORDS[signal.Signals(number)]}", file=sys.stderr)
    sys.exit(128 + number)
