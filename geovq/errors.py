"""The exceptions geovq raises for input it cannot use, and its warnings of poor training."""

__all__ = ["InputError", "TrainingError", "TrainingWarning", "WeightsFileError"]


class InputError(ValueError):
    """Bad input: the message names the parameter or file, its value, and what is allowed."""


class TrainingError(InputError):
    """A training that came to no numbers: the message names the parameter to change."""


class TrainingWarning(UserWarning):
    """A training that ended, but poorly: the message names the parameter to change."""


class WeightsFileError(InputError):
    """A file of weights, once written by geovq, that is absent or not whole."""
