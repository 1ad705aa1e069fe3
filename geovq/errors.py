"""The exceptions geovq raises for input it cannot use, and its warnings of poor training."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "InputError",
    "TrainingError",
    "TrainingWarning",
    "WeightsFileError",
    "WriteError",
    "not_installed",
]


class InputError(ValueError):
    """Bad input: the message names the parameter or file, its value, and what is allowed."""


class TrainingError(InputError):
    """A training that came to no numbers: the message names the parameter to change."""


class TrainingWarning(UserWarning):
    """A training that ended, but poorly: the message names the parameter to change."""


class WeightsFileError(InputError):
    """A file of weights, once written by geovq, that is absent or not whole."""


class WriteError(OSError):
    """The system refused to write: the disk is full, say. What was there is as it was."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: not written: {reason}")
        self.reason = reason


def not_installed(error: ModuleNotFoundError) -> str:
    """What to do about a package that only an extra installs; the message as it is for others."""
    if error.name is None or error.name.partition(".")[0] == "geovq":
        return str(error)
    return f"{error.name} is not installed; all but the core needs: pip install 'geovq[images]'"
