"""What is read back from files of fitted estimators: every array is checked when it is taken."""

from __future__ import annotations

import inspect
import json
import os
from typing import Any, NoReturn

import numpy as np

from geovq.clustering.geometry import Geometry, Length
from geovq.errors import InputError

__all__ = ["PathLike", "SavedArrays", "saved_parameters"]

PathLike = str | os.PathLike[str]


def saved_parameters(path: PathLike, named: dict[str, np.ndarray], cls: type) -> dict[str, Any]:
    """Constructor arguments out of a file.

    Raises
    ------
    InputError
        There are none, or not those of `cls`.
    """
    try:
        found = json.loads(str(named["parameters"]))
        inspect.signature(cls).bind(**found)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: no parameters of a {cls.__name__} ({error})") from None
    return found


class SavedArrays:
    """Arrays of a file, each of which is checked when it is taken."""

    def __init__(self, path: PathLike, named: dict[str, np.ndarray], prefix: str = "") -> None:
        self.path, self.named, self.prefix = path, named, prefix

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.named

    def numbers(self, name: str, *shape: int | None) -> np.ndarray:
        """Finite numbers of a shape, of which None may be anything."""
        array = self._shaped(name, shape)
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            self._refuse(name, "finite numbers")
        return array

    def rows(self, name: str, count: int, below: int, least: int = 0) -> np.ndarray:
        """`count` integers from `least` to `below` - 1."""
        array = self._shaped(name, (count,))
        if array.dtype.kind not in "iu" or (
            count and (array.min() < least or array.max() >= below)
        ):
            self._refuse(name, f"integers from {least} to {below - 1}")
        return array

    def names(self, name: str, count: int) -> np.ndarray:
        """So many texts, as objects."""
        array = self._shaped(name, (count,))
        if array.dtype.kind != "U":
            self._refuse(name, "text")
        return array.astype(object)

    def number(self, name: str, least: float, most: float) -> float:
        """One number."""
        value = self.numbers(name)
        if not least <= value <= most:
            self._refuse(name, f"{least:g} to {most:g}")
        return value.item()

    def geometry(self, length: Length) -> Geometry:
        """Of points, and edge points if they are others."""
        n, _ = self.numbers("points", None, None).shape
        self.number("neighbors", min(1, n - 1), n)
        self.number("power", np.finfo(float).tiny, np.finfo(float).max)
        names = {"points", "neighbors", "power"}
        if "order" in self:
            if self._shaped("order", ()) not in (1, np.inf):
                self._refuse("order", "1 or infinite")
            names.add("order")
        for name in ("edge_points", "half_smoothed"):
            if name in self:
                self.numbers(name, n, None)
                names.add(name)
        return Geometry.restore({name: self.named[self.prefix + name] for name in names}, length)

    def _shaped(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        array = self.named.get(self.prefix + name)
        if array is None:
            raise InputError(f"{self.path}: no array {self.prefix + name!r}")
        if len(array.shape) != len(shape) or any(
            wanted not in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
        ):
            self._refuse(name, f"shape {shape}")
        return array

    def _refuse(self, name: str, allowed: str) -> NoReturn:
        array = self.named[self.prefix + name]
        raise InputError(
            f"{self.path}: {self.prefix + name} of shape {array.shape}, {array.dtype}: damaged; "
            f"allowed: {allowed}"
        )
