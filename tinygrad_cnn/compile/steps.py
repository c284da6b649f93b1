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
    base: Value | None = None  # the value whose memory it looks at

    @property
    def root(self) -> Value:
        """The value that has the memory."""
        return self if self.base is None else self.base


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
    def reads(self) -> list[Value]:
        """The values that it reads."""
        return [v for v in flat((self.inputs, self.params)) if isinstance(v, Value)]


class Form(NamedTuple):
    """What a rule asks of a parent node."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Place:
    """Where a leaf is found when the program runs: the leaf itself, or whatever Tensor an argument brings."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def flat(tree: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists, dicts and slices."""
    if isinstance(tree, tuple | list):
        for branch in tree:
            yield from flat(branch)
    elif isinstance(tree, dict):
        yield from flat(list(tree.values()))
    elif isinstance(tree, slice):
        yield from (tree.start, tree.stop, tree.step)
    else:
        yield tree
