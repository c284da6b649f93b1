"""Rows of few channels joined to long ones, for which NumPy's inner loop costs no more than the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

LONG = 1 << 11
"""Elements in a row that is long enough for NumPy's inner loop."""


def has_no_gaps(shape: Sequence[int], strides: Sequence[int], size: int) -> bool:
    """Whether an array is in C order, with elements of this size."""
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n > 1 and stride != size:
            return False
        size *= n
    return True


def most_joined(columns: int) -> int:
    """How many rows must be joined to make one long row."""
    return 1 << max(0, (LONG // columns).bit_length() - 1)


@lru_cache(maxsize=1024)
def joined(n: int, images: int, most: int) -> int:
    """How many of n rows (of several images) to join into one: a divisor of n, if possible of the rows of one image."""
    fold = math.gcd(n, most)
    for whole in (n // images, n):
        if 2 * fold <= most:
            fold = max(fold, next(i for i in range(min(most, whole), 0, -1) if whole % i == 0))
    return fold
