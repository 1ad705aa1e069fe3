"""By what artefacts that belong together know each other: a hash of the arrays inside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

__all__ = ["fingerprint", "fingerprint_of"]


def fingerprint(arrays: Iterable[np.ndarray]) -> str:
    """The first 16 digits of the SHA-256 of arrays: their types, shapes and bytes, in order."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def fingerprint_of(module: nn.Module) -> str:
    """`fingerprint` of a module's weights."""
    return fingerprint(tensor.cpu().numpy() for tensor in module.state_dict().values())
