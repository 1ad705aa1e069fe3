"""The one exception geovq raises for input it cannot use."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input: the message names the parameter or file, its value, and what is allowed."""
