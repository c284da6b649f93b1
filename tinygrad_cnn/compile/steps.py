"""What a captured run consists of: values, and the steps that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Op
from ..tensor import Tensor


class CaptureError(RuntimeError):
    """A function does what cannot be captured: the message says what, why, and the way out."""


@dataclass(eq=False, slots=True)
class Value:
    """An array that a step makes, that an argument brings, or that lies outside: by reference."""

    array: np.ndarray  # as it is in the capture, with the shape, dtype and memory order that it will have
    origin: str  # "step", "argument" or "outside"
    number: int  # in the order in which the run met them
    base: Value | None = None  # the value whose memory it looks at

    @property
    def root(self) -> Value:
        """The value that has the memory."""
        return self if self.base is None else self.base

    @property
    def identity(self) -> Any:
        """What it has in common with the value in its place in another run."""
        return self.array if self.origin == "outside" else (self.origin, self.number)

    def release(self) -> None:
        """Free the memory of the array, of which only shape and dtype are needed from now on."""
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
    kept: bool = False  # even if nothing uses its outputs
    several: bool = False  # whether `call` returns a tuple
    line: tuple[str, int] = ("", 0)  # of the user's code

    @property
    def does(self) -> Any:
        """The op or the function that it calls."""
        return self.op or self.call

    @property
    def reads(self) -> list[Value]:
        """The values that it reads."""
        return [v for v in flat((self.inputs, self.params)) if isinstance(v, Value)]


class Form(NamedTuple):
    """What a rule asks of a parent node."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class LeafRef:
    """Where a program finds a leaf: the leaf itself, or the Tensor that a call passes as argument `number`."""

    __slots__ = ("number", "tensor")

    def __init__(self, tensor: Tensor, number: int | None = None) -> None:
        self.tensor, self.number = tensor, number

    @property
    def identity(self) -> Any:
        """What it has in common with the reference in its place in another run."""
        return id(self.tensor) if self.number is None else ("argument", self.number)


def flat(tree: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists, dicts and slices."""
    if isinstance(tree, tuple | list):
        for branch in tree:
            yield from flat(branch)
    elif isinstance(tree, dict):
        yield from flat(list(tree.values()))
    elif isinstance(tree, slice):
        yield from _bounds(tree)
    else:
        yield tree


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Nested tuples, lists, dicts and slices with ``function(leaf)`` in the place of each leaf.

    A slice of Python's integers is a leaf.
    """
    if type(tree) in (tuple, list):
        return type(tree)(mapped(function, branch) for branch in tree)
    if type(tree) is dict:
        return {key: mapped(function, branch) for key, branch in tree.items()}
    if isinstance(tree, slice) and not all(part is None or type(part) is int for part in _bounds(tree)):
        return slice(*(mapped(function, part) for part in _bounds(tree)))
    return function(tree)


def _bounds(each: slice) -> tuple[Any, Any, Any]:
    return each.start, each.stop, each.step
