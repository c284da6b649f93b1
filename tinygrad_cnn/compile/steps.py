"""What a captured run consists of: values, and the steps that compute them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Op
from ..tensor import Tensor


class CaptureError(RuntimeError):
    """A function does what cannot be captured: the message says what, why, and the way out."""


@dataclass(eq=False, slots=True)
class Value:
    """An array that a step computes, that an argument brings, or that lies outside of the program: by reference."""

    array: np.ndarray  # as it is in the capture, with the shape, dtype and memory order that it will have
    origin: str  # "step", "argument" or "outside"
    number: int  # in the order of the run; -1 outside
    base: Value | None = None  # the value whose memory this one is a view of

    @property
    def root(self) -> Value:
        """The value that owns the memory."""
        return self if self.base is None else self.base

    @property
    def identity(self) -> Any:
        """What it has in common with the value in its place in another run."""
        return self.array if self.origin == "outside" else self.number

    def release(self) -> None:
        """Free the memory of the array; shape and dtype stay."""
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
    kept: bool = False  # even if nothing reads its outputs
    several: bool = False  # whether `call` returns a tuple
    line: tuple[str, int] = ("", 0)  # of the user's code

    @property
    def reads(self) -> list[Value]:
        """The values that it reads."""
        return [v for v in flat((self.inputs, self.params)) if isinstance(v, Value)]


class Form(NamedTuple):
    """What a rule asks of a parent node."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf of the graph whose gradient a run reads or replaces: from outside, or the Tensor that is argument `number`."""

    tensor: Tensor | None
    number: int = -1

    @property
    def identity(self) -> Any:
        """What it has in common with the leaf in its place in another run."""
        return id(self.tensor), self.number


def flat(tree: Any) -> list[Any]:
    """The leaves of nested tuples, lists, dicts and slices."""
    found: list[Any] = []
    mapped(found.append, tree)
    return found


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Nested tuples, lists, dicts and slices with ``function(leaf)`` in the place of each leaf; ``slice(0, 2)`` is a leaf."""
    if type(tree) in (tuple, list):
        return type(tree)(mapped(function, branch) for branch in tree)
    if type(tree) is dict:
        return {key: mapped(function, branch) for key, branch in tree.items()}
    if isinstance(tree, slice):
        bounds = (tree.start, tree.stop, tree.step)
        if not all(bound is None or type(bound) is int for bound in bounds):
            return slice(*(mapped(function, bound) for bound in bounds))
    return function(tree)
