"""The slots of an optimizer's state: a value for each parameter, its initial value, and the check of a saved value."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import Options, copied, finite, non_negative, shown
from ..tensor import Tensor
from .hyperparameters import Array

STEP = "step"
"""The slot that counts the updates of a parameter."""


def pairs(a: Array) -> Array:
    """The real and imaginary parts (..., 2) of a complex array, in its memory."""
    return a[..., None].view(a.real.dtype)


@dataclass(frozen=True)
class Slot:
    """An array like the parameter.

    Attributes:
        option: the option that needs the slot; None if it is always kept.
        start: the first value of every element, and of both parts of a complex one, or the name of the option that gives it.
    """

    option: str | None = None
    start: float | str = 0.0

    def is_needed(self, options: Options) -> bool:
        """Whether these options need the slot."""
        return self.option is None or bool(options.get(self.option))

    def shape(self, p: Array | Tensor) -> tuple[int, ...]:
        """The shape of the array: the parameter's."""
        return p.shape

    def first(self, p: Array, options: Options) -> Any:
        """The value before the first step."""
        start = self._start(options)
        return np.full_like(p, start * (1 + 1j) if p.dtype.kind == "c" else start, shape=self.shape(p))

    def read(self, value: Any, p: Tensor) -> Any:
        """A copy of a saved value. ValueError, with the value and the rule, if it is invalid."""
        array, shape = copied(value), self.shape(p)
        if array.shape != shape or array.dtype != p.dtype:
            wanted = "" if shape == p.shape else f", so this must be {shape}"
            raise ValueError(f"{array.dtype} {array.shape}; the parameter is {p.dtype} {p.shape}{wanted}")
        return array

    def _start(self, options: Options) -> float:
        return options[self.start] if isinstance(self.start, str) else self.start


def plain(value: Any) -> Any:
    """The number in an array without axes, of any library, also inside a tuple; any other value unchanged."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    try:
        array = copied(value)
    except ValueError:
        return value
    return array[()] if array.ndim == 0 else value


class Number(Slot):
    """One number for the whole parameter, updated by :meth:`Optimizer.advance` or :meth:`Optimizer.conclude`."""

    def first(self, p: Array, options: Options) -> Any:
        return self._start(options)

    def read(self, value: Any, p: Tensor) -> Any:
        try:
            return finite(plain(value))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{shown(value)}; {error}") from None


class Count(Slot):
    """The number of steps."""

    def first(self, p: Array, options: Options) -> Any:
        return 0

    def read(self, value: Any, p: Tensor) -> Any:
        try:
            number = plain(value)
            if non_negative(number) == int(number) < 2**63:
                return int(number)
        except (TypeError, ValueError):
            pass
        raise ValueError(f"{shown(value)}; it must be a whole number of steps")


class Ignored(Slot):
    """Entries that PyTorch saves and this library does not."""

    def is_needed(self, options: Options) -> bool:
        return False
