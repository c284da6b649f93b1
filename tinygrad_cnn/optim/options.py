"""The words in which an optimizer declares its options and state, and checks of what options may be.

A check gives the value in plain Python, or raises a TypeError or ValueError that says what it must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Options: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Any], Any]

ALWAYS = None
"""In a table of slots, in place of the option that calls for the slot."""

STEP = "step"
"""The slot that counts the updates of a parameter. The others hold arrays."""


def _within(rule: str, low: float, high: float) -> Check:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"it must be {rule}")
        if not (low <= value < high and value > -math.inf):
            raise ValueError(f"it must be {rule}")
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"it must be {rule}") from None

    return check


finite = _within("a finite number", -math.inf, math.inf)
non_negative = _within("a finite number of at least 0", 0, math.inf)
fraction = _within("a number in [0, 1)", 0, 1)


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool):
        raise TypeError("it must be True or False")
    return bool(value)


def fractions(value: Any) -> tuple[float, float]:
    """A pair of numbers in [0, 1)."""
    rule = "it must be a pair of numbers in [0, 1)"
    if not isinstance(value, tuple | list):
        raise TypeError(rule)
    if len(value) != 2:
        raise ValueError(rule)
    try:
        return fraction(value[0]), fraction(value[1])
    except (TypeError, ValueError) as error:
        raise type(error)(rule) from None
