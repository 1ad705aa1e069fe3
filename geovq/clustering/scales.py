"""Powers of two by which numbers are scaled before they are squared."""

from __future__ import annotations

import numpy as np

__all__ = ["exponent", "largest", "scaled"]

SAFE = 300  # binary exponent up to which squares, and sums of them, stay within float64
SAFE_SINGLE = 55  # float32


def largest(array: np.ndarray) -> float:
    """Largest magnitude, without a copy of the array; 0 of none."""
    return max(float(array.max(initial=0)), -float(array.min(initial=0)))


def exponent(array: np.ndarray) -> int:
    """The e for which `np.ldexp(array, e)` can be squared: 0 for all but extreme numbers.

    Scaling by 2**e rounds nothing, so that what is computed and scaled back is the same bit by bit.
    """
    found = int(np.frexp(largest(array))[1])
    return 0 if abs(found) <= (SAFE_SINGLE if array.dtype == np.float32 else SAFE) else -found


def scaled(array: np.ndarray) -> np.ndarray:
    """The array times 2**`exponent`: itself, as a rule."""
    power = exponent(array)
    return np.ldexp(array, power) if power else array
