"""What a compiled function returns: which parts of it a program makes, and how the whole is put together again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core.graph import Leaf
from ..tensor import Tensor
from ..transforms.pytree import leaves, rebuild
from .signature import array_of
from .trace import Capture


class Results:
    """How to make what the function returns out of what the program returns."""

    def __init__(self, name: str, result: Any, stand_ins: Sequence[Tensor], capture: Capture) -> None:
        positions = {id(t): i for i, t in enumerate(stand_ins)}
        memory = {id(t._array): i for i, t in enumerate(stand_ins)}
        self.values: list[Any] = []  # those that the program returns
        self.compared: list[Any] = []  # by which two runs can be told apart
        found: list[partial[Any]] = []
        for path, leaf in leaves(result):
            if id(leaf) in positions:
                found.append(partial(_argument, positions[id(leaf)]))
                self.compared.append((path, "argument", positions[id(leaf)]))
            elif isinstance(leaf, Tensor) and id(leaf._array) in memory:
                found.append(partial(_detached, memory[id(leaf._array)]))
                self.compared.append((path, "memory of an argument", memory[id(leaf._array)]))
            elif isinstance(leaf, Tensor) and isinstance(leaf._node, Leaf) and capture.is_made(leaf):
                found.append(partial(_leaf, len(self.values)))
                self.values.append(capture.of(leaf))
                self.compared.append((path, "leaf", self.values[-1]))
            elif isinstance(leaf, Tensor) and isinstance(leaf._node, Leaf):
                found.append(partial(_constant, leaf))
                self.compared.append((path, "leaf", id(leaf)))
            elif isinstance(leaf, Tensor):
                found.append(partial(_value, len(self.values)))
                self.values.append(capture.of(leaf))
                self.compared.append((path, self.values[-1]))
            elif leaf is None or isinstance(leaf, bool | int | float | str | bytes | np.generic):
                found.append(partial(_constant, leaf))
                self.compared.append((path, leaf))
            else:
                raise TypeError(
                    f"compile: `{name}` returns a {type(leaf).__name__}{f' at {path}' if path else ''}; it must return "
                    "Tensors, plain Python values, and lists, tuples and dicts of them"
                )
        self.single = found[0] if isinstance(result, Tensor) else None
        self.is_value = self.single is not None and len(self.values) == 1 and self.single.func is _value
        self.found, self.tree = found, rebuild(result, found)

    def __call__(self, values: tuple[Any, ...], given: list[Any]) -> Any:
        if self.is_value:
            return Tensor._of(values[0])
        if self.single is not None:
            return self.single(values, given)
        return rebuild(self.tree, [make(values, given) for make in self.found])


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


def _constant(constant: Any, values: tuple[Any, ...], given: list[Any]) -> Any:
    return constant
