"""How a process that geovq starts ends: in one line, with a status that tells what ended it."""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NoReturn

from geovq.errors import InputError, not_installed

__all__ = ["INTERRUPTED", "TERMINATED", "ended_while_importing", "fail", "in_one_line"]

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def fail(message: str, status: int) -> NoReturn:
    """End the process with a message."""
    sys.stderr.write(f"error: {message}\n")
    sys.exit(status)


@contextmanager
def in_one_line(bad_input: int) -> Iterator[None]:
    """Let whatever goes wrong in the block end the process with one line, not with a traceback.

    The exit status is `bad_input` for an `InputError`, 1 for what the system refused and for too
    little memory, 130 for Ctrl-C and 143 for SIGTERM, at which the block is left as by an error, so
    that nothing half written stays. Warnings are lines too, and what a terminal of another encoding
    cannot show is written as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    with _sigterm_raises():
        try:
            yield
        except InputError as error:
            fail(str(error), bad_input)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)
        except OSError as error:
            fail(str(error), 1)
        except MemoryError:
            fail("out of memory", 1)
        except ModuleNotFoundError as error:
            fail(not_installed(error), 1)
        except RuntimeError as error:  # which torch and the threads of the system raise for it
            if "allocate" in str(error):
                fail("out of memory", 1)
            if "new thread" in str(error):
                fail(str(error), 1)
            raise


def ended_while_importing(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Be the `sys.excepthook` of what imports for seconds before it comes to `in_one_line`."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("error: interrupted\n")
    elif issubclass(kind, MemoryError):
        sys.stderr.write("error: out of memory\n")
    elif isinstance(error, ModuleNotFoundError):
        sys.stderr.write(f"error: {not_installed(error)}\n")
    else:
        sys.__excepthook__(kind, error, trace)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Have SIGTERM leave the block by SystemExit, unless somebody else handles it already."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would stop the cleaning up
    # The line comes last, when progress bars are closed.
    atexit.register(os.write, 2, b"error: terminated\n")
    sys.exit(TERMINATED)
