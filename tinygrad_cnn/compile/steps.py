"""The parts of a captured run: values, and the steps that compute them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Op
from ..tensor import Tensor


class CaptureError(RuntimeError):
    """A function cannot be captured: the message gives the place, the reason and the remedy."""


@dataclass(eq=False, slots=True)
class Value:
    """An array in a captured run: computed by a step, passed as an argument, or used from outside by reference."""

    array: np.ndarray  # the captured array; replays have its shape, dtype and memory order
    origin: str  # "step", "argument" or "outside"
    number: int  # in the order of the run; -1 for outside values
    base: Value | None = None  # the value of whose memory this one is a view

    @property
    def root(self) -> Value:
        """The value that owns the memory."""
        return self if self.base is None else self.base

    @property
    def identity(self) -> Any:
        """A key that is equal for corresponding values in two runs."""
        return self.array if self.origin == "outside" else self.number

    def release(self) -> None:
        """Free the memory of the array, but keep its shape and dtype."""
        self.array = np.broadcast_to(np.zeros((), self.array.dtype), self.array.shape)


@dataclass(eq=False, slots=True)
class Step:
    """One call. Inputs and parameters are nested tuples, lists, dicts and slices of values and constants."""

    name: str
    call: Callable[..., Any]
    inputs: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[Value | None, ...] = ()
    op: Op | None = None
    kept: bool = False  # whether it runs even if nothing reads its outputs
    several: bool = False  # whether `call` returns a tuple
    line: tuple[str, int] = ("", 0)  # in user code

    @property
    def reads(self) -> list[Value]:
        """The values that the step reads."""
        return [v for v in flat((self.inputs, self.params)) if isinstance(v, Value)]


class Form(NamedTuple):
    """The properties of a parent node that a rule uses."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A graph leaf whose gradient a run reads or replaces: an outside Tensor, or the Tensor that is argument `number`."""

    tensor: Tensor | None
    number: int = -1

    @property
    def identity(self) -> Any:
        """A key that is equal for corresponding leaves in two runs."""
        return id(self.tensor), self.number


def flat(tree: Any) -> list[Any]:
    """The leaves of nested tuples, lists, dicts and slices."""
    found: list[Any] = []
    mapped(found.append, tree)
    return found


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Nested tuples, lists, dicts and slices with ``function(leaf)`` in place of each leaf; ``slice(0, 2)`` is a leaf."""
    if type(tree) in (tuple, list):
        return type(tree)(mapped(function, branch) for branch in tree)
    if type(tree) is dict:
        return {key: mapped(function, branch) for key, branch in tree.items()}
    if isinstance(tree, slice):
        bounds = (tree.start, tree.stop, tree.step)
        if not all(bound is None or type(bound) is int for bound in bounds):
            return slice(*(mapped(function, bound) for bound in bounds))
    return function(tree)
