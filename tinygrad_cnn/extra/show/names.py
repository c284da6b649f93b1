"""Names of Tensors, arrays and modules: those of the caller's variables, of parameters, arguments and modules."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...core.node import Leaf, Node
from ...nn import Module
from ...tensor import Tensor

MANY = 100
"""The most elements of a list or dict that are searched for Tensors."""


class Names:
    """The names and kinds of Tensors, arrays and modules, by identity. The first name of an object counts."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str, str]] = {}
        self._places: dict[Node | Leaf, str] = {}
        self._modules: dict[int, tuple[Any, str]] = {}
        self._paths: weakref.WeakKeyDictionary[Module, dict[int, str]] = weakref.WeakKeyDictionary()

    def add(self, value: Any, name: str, kind: str = "") -> None:
        """Name a Tensor or an array, unless it has a name."""
        if id(value) not in self._known:
            self._known[id(value)] = (value, name, kind)
            if isinstance(value, Tensor) and value._node is not None:
                self._places.setdefault(value._node, name)

    def add_module(self, module: Module, name: str = "") -> None:
        """Name a module, its parameters and its buffers."""
        prefix = f"{name}." if name else ""
        self._modules.setdefault(id(module), (module, name))
        for path, parameter in module.named_parameters():
            self.add(parameter, prefix + path, "parameter")
        for path, buffer in module.named_buffers():
            self.add(buffer, prefix + path, "buffer")

    def add_variables(self, variables: Mapping[str, Any]) -> None:
        """Name the values of variables: Tensors, arrays, modules, and short lists and dicts of these."""
        named = [(name, value) for name, value in list(variables.items()) if not name.startswith("_")]
        for name, value in named:
            if isinstance(value, Tensor | np.ndarray):
                self.add(value, name)
        for name, value in named:
            if isinstance(value, Module):
                self.add_module(value, name)
            elif isinstance(value, list | tuple | dict) and len(value) <= MANY:
                for key, each in value.items() if isinstance(value, dict) else enumerate(value):
                    if isinstance(each, Tensor | np.ndarray):
                        self.add(each, f"{name}[{key!r}]")
                    elif isinstance(each, Module):
                        self.add_module(each, f"{name}[{key!r}]")

    def of(self, value: Any) -> tuple[str, str]:
        """The name and the kind of a Tensor or array, each empty if unknown."""
        known = self._known.get(id(value))
        if known is not None:
            return known[1], known[2]
        return (self.of_place(value._node), "") if isinstance(value, Tensor) and value._node is not None else ("", "")

    def of_place(self, place: Node | Leaf) -> str:
        """The name of a node or leaf of a graph."""
        return self._places.get(place, "")

    def of_module(self, module: Module, within: Module | None) -> str:
        """The name of a module: its path in the calling module, else the name of a variable, else ""."""
        if within is not None:
            if within not in self._paths:
                self._paths[within] = {id(each): path for path, each in within.named_modules()}
            path = self._paths[within].get(id(module))
            if path:
                return path
        return self._modules[id(module)][1] if id(module) in self._modules else ""

    def tensors(self) -> Iterator[Tensor]:
        """All Tensors that have a name."""
        return (value for value, _, _ in list(self._known.values()) if isinstance(value, Tensor))
