"""Malformed input of every kind, and what has to be said of it."""

from collections.abc import Iterator
from itertools import chain

from tests.malformed import arguments, arrays, folders
from tests.malformed.kit import Case

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """All of them."""
    return chain(arguments.cases(), arrays.cases(), folders.cases())
