"""The exceptions geovq raises for input it cannot use."""

__all__ = ["InputError", "WeightsFileError"]


class InputError(ValueError):
    """Bad input: the message names the parameter or file, its value, and what is allowed."""


class WeightsFileError(InputError):
    """A file of weights, once written by geovq, that is absent or not whole."""
