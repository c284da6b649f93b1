"""The results of a compiled function: their parts, and how each part is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import node
from ..tensor import Tensor
from ..transforms.pytree import leaves, rebuild
from .arguments import array_of
from .steps import Leaf, Value
from .trace import Capture

PLAIN = (bool, int, float, str, bytes, type(None), np.generic)


@dataclass(frozen=True, slots=True)
class Part:
    """A constant, if `make` is None; else ``make(x)``, where x is the array of a value or, for a leaf, an argument."""

    make: Callable[[Any], Any] | None
    what: Any

    def now(self, given: Sequence[Any]) -> Any:
        """The part in the captured run, with arguments `given`."""
        if self.make is None:
            return self.what
        if isinstance(self.what, Leaf):
            return self.make(given[self.what.number])
        return self.make(self.what.array.copy() if self.what.root.origin == "outside" else self.what.array)


class Results:
    """The parts of a function's result, in the same nested containers."""

    def __init__(self, name: str, result: Any, stand_ins: Sequence[Tensor], capture: Capture) -> None:
        positions = {id(t): i for i, t in enumerate(stand_ins)}
        memory = {id(t._array): i for i, t in enumerate(stand_ins)}
        self.parts: list[Part] = []
        for path, leaf in leaves(result):
            is_leaf = isinstance(leaf, Tensor) and isinstance(leaf._node, node.Leaf)
            if id(leaf) in positions:
                part = Part(_as_tensor, Leaf(None, positions[id(leaf)]))
            elif isinstance(leaf, Tensor) and id(leaf._array) in memory:
                part = Part(_detached, Leaf(None, memory[id(leaf._array)]))
            elif isinstance(leaf, PLAIN) or (is_leaf and not capture.is_made(leaf)):
                part = Part(None, leaf)
            elif isinstance(leaf, Tensor):
                part = Part(_as_leaf if is_leaf else Tensor._of, capture.of(leaf))
            else:
                raise TypeError(
                    f"compile: `{name}` returns a {type(leaf).__name__}{f' at {path}' if path else ''}; it must return "
                    "Tensors, plain Python values, and lists, tuples and dicts of them"
                )
            self.parts.append(part)
        self.tree = rebuild(result, self.parts)

    @property
    def values(self) -> list[Value]:
        """The values that a program computes or refers to."""
        return [part.what for part in self.parts if isinstance(part.what, Value)]

    @property
    def compared(self) -> list[Any]:
        """The parts that must be alike in two runs."""
        return [(path, part.make, part.what) for path, part in leaves(self.tree)]

    def now(self, given: Sequence[Any]) -> Any:
        """The result of the captured run, with arguments `given`."""
        return rebuild(self.tree, [part.now(given) for part in self.parts])


def _as_tensor(argument: Any) -> Tensor:
    return argument if isinstance(argument, Tensor) else Tensor._of(argument)


def _detached(argument: Any) -> Tensor:
    return Tensor._of(array_of(argument))


def _as_leaf(array: np.ndarray) -> Tensor:
    leaf = Tensor._of(array)
    leaf.requires_grad = True
    return leaf
