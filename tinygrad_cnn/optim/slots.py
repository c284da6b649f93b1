"""What an optimizer may keep for each parameter: how a slot starts, and how it is read back from a saved state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tensor import Tensor
from .options import Array, Options

STEP = "step"
"""The slot that counts the updates of a parameter."""


@dataclass(frozen=True)
class Slot:
    """An array like the parameter.

    Attributes:
        option: the option that calls for the slot; None if it is always kept.
        start: the first value of every element, or the name of the option that gives it.
    """

    option: str | None = None
    start: float | str = 0.0

    def called_for(self, options: Options) -> bool:
        """Whether these options need the slot."""
        return self.option is None or bool(options.get(self.option))

    def first(self, p: Array, options: Options) -> Any:
        """What the slot holds before the first step."""
        return np.full_like(p, options[self.start] if isinstance(self.start, str) else self.start)

    def read(self, value: Any, p: Tensor) -> Any:
        """A copy of what was saved. ValueError that says what it is and must be."""
        if not isinstance(value, np.ndarray | Tensor):
            raise ValueError(f"a {type(value).__name__}; it must be an array")
        if value.shape != p.shape or value.dtype != p.dtype:
            raise ValueError(f"{value.dtype} {value.shape}; the parameter is {p.dtype} {p.shape}")
        return np.array(value)


def _scalar(value: Any) -> Array | None:
    """The number in a Python number or an array without axes, or None."""
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array if array.ndim == 0 and array.dtype.kind in "iuf" else None


class Number(Slot):
    """One number for the whole parameter, moved by :meth:`Optimizer.advance`."""

    def first(self, p: Array, options: Options) -> Any:
        return self.start

    def read(self, value: Any, p: Tensor) -> Any:
        number = _scalar(value)
        if number is None or not np.isfinite(number):
            raise ValueError(f"{value!r}; it must be a finite number")
        return float(number)


class Count(Slot):
    """A count of steps."""

    def first(self, p: Array, options: Options) -> Any:
        return 0

    def read(self, value: Any, p: Tensor) -> Any:
        number = _scalar(value)
        if number is None or not 0 <= number < 2**63 or number != np.floor(number):
            raise ValueError(f"{value!r}; it must be a whole number of steps")
        return int(number)
