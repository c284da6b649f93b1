"""What a compiled function returns: which parts of it a program computes, and how the whole is put together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core.graph import Leaf
from ..tensor import Tensor
from ..transforms.pytree import leaves, rebuild
from .arguments import array_of
from .same import Held
from .steps import Value
from .trace import Capture

PLAIN = (bool, int, float, str, bytes, type(None), np.generic)


class Results:
    """How to make what the function returns of what the program returns."""

    def __init__(self, name: str, result: Any, stand_ins: Sequence[Tensor], capture: Capture) -> None:
        positions = {id(t): i for i, t in enumerate(stand_ins)}
        memory = {id(t._array): i for i, t in enumerate(stand_ins)}
        self.values: list[Value] = []  # what the program returns
        found: list[partial[Any]] = []
        for path, leaf in leaves(result):
            is_leaf = isinstance(leaf, Tensor) and isinstance(leaf._node, Leaf)
            if id(leaf) in positions:
                found.append(partial(_argument, positions[id(leaf)]))
            elif isinstance(leaf, Tensor) and id(leaf._array) in memory:
                found.append(partial(_detached, memory[id(leaf._array)]))
            elif is_leaf and not capture.is_made(leaf):
                found.append(partial(_outside, Held(leaf)))
            elif isinstance(leaf, Tensor):
                found.append(partial(_leaf if is_leaf else _value, len(self.values)))
                self.values.append(capture.of(leaf))
            elif isinstance(leaf, PLAIN):
                found.append(partial(_constant, leaf))
            else:
                raise TypeError(
                    f"compile: `{name}` returns a {type(leaf).__name__}{f' at {path}' if path else ''}; it must return "
                    "Tensors, plain Python values, and lists, tuples and dicts of them"
                )
        self._single = found[0] if isinstance(result, Tensor) else None
        self._is_value = self._single is not None and self._single.func is _value
        self._tree, self._found = rebuild(result, found), found
        self.compared = [[path for path, _ in leaves(result)], found, self.values]  # with those of another run

    def __call__(self, values: tuple[Any, ...], given: list[Any]) -> Any:
        """What the function returns, for the arrays that the program returns and the arguments that it was given."""
        if self._is_value:
            return Tensor._of(values[0])
        if self._single is not None:
            return self._single(values, given)
        return rebuild(self._tree, [make(values, given) for make in self._found])


def _value(i: int, values: tuple[Any, ...], given: list[Any]) -> Tensor:
    return Tensor._of(values[i])


def _leaf(i: int, values: tuple[Any, ...], given: list[Any]) -> Tensor:
    leaf = Tensor._of(values[i])
    leaf.requires_grad = True
    return leaf


def _detached(i: int, values: tuple[Any, ...], given: list[Any]) -> Tensor:
    return Tensor._of(array_of(given[i]))


def _argument(i: int, values: tuple[Any, ...], given: list[Any]) -> Tensor:
    return given[i] if isinstance(given[i], Tensor) else Tensor._of(given[i])


def _outside(leaf: Held, values: tuple[Any, ...], given: list[Any]) -> Any:
    return leaf.thing


def _constant(constant: Any, values: tuple[Any, ...], given: list[Any]) -> Any:
    return constant
