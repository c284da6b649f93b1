"""Names in a file as attribute paths, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from .parts import Part, Scope

DEEPEST = 16
"""The most parts of a path. A name with more dots is one part."""

LONGEST = 1000
"""The most characters of a name that become a path."""

RESERVED = frozenset([*dir(Part()), *dir(Scope()), "input_names", "names", "opset", "output_names", "ports", "program"])
"""Attributes that the modules of a file have."""


class Paths:
    """Assigns paths to names, each path once. Dots in a name lead into submodules.

    An underscore is added to a part that is empty, an attribute of every module or taken, until it is none of these.
    """

    def __init__(self) -> None:
        self._scopes: dict[tuple[str, ...], tuple[str, ...]] = {(): ()}
        self._taken: set[tuple[str, ...]] = set()
        self._next: dict[tuple[str, ...], int] = {}  # by path of a node, the number of the next node of this name

    def scope(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """The path of a submodule, the same for the same parts."""
        if parts not in self._scopes:
            self._scopes[parts] = self.attribute(parts[:-1], parts[-1])
        return self._scopes[parts]

    def attribute(self, scope: tuple[str, ...], name: str) -> tuple[str, ...]:
        """A new path of a parameter, a buffer or a module in a submodule."""
        above = self.scope(scope)
        while not name or name in RESERVED or (*above, name) in self._taken:
            name += "_"
        self._taken.add((*above, name))
        return (*above, name)

    def node(self, scope: tuple[str, ...], name: str) -> tuple[str, ...]:
        """A new path of a node in a submodule. Many nodes may have one name, so they are numbered."""
        wanted = (*self.scope(scope), name)
        if wanted in self._taken:
            number = self._next.get(wanted, 1)
            while (*wanted[:-1], f"{name}_{number}") in self._taken:
                number += 1
            self._next[wanted] = number + 1
            name = f"{name}_{number}"
        return self.attribute(scope, name)


def split(name: str) -> tuple[str, ...]:
    """The parts of a name."""
    parts = name.split(".")
    return (name.replace(".", "_")[:LONGEST],) if len(parts) > DEEPEST or len(name) > LONGEST else tuple(parts)


def paths(names: Iterable[str], among: Paths | None = None) -> dict[str, str]:
    """For each name a path of its own: the name itself, its dots leading into submodules, where that can be.

    >>> paths(["conv.weight", "train", "a", "a.b", "a..b"])
    {'conv.weight': 'conv.weight', 'train': 'train_', 'a': 'a', 'a.b': 'a_.b', 'a..b': 'a_._.b'}
    """
    among = Paths() if among is None else among
    return {name: ".".join(among.attribute((parts := split(name))[:-1], parts[-1])) for name in names}


def call_of_module(node: str) -> tuple[str, ...] | None:
    """The call of a module that a node's name says it belongs to, as exporters write it; None if the name has no slash.

    Exporters number further calls of a module: PyTorch writes "act_1", and this package "act#2".

    >>> call_of_module("/layer1/layer1.0/conv1/Conv"), call_of_module("0#2/Gemm"), call_of_module("/Add")
    (('layer1', '0', 'conv1'), ('0#2',), ())
    """
    if "/" not in node:
        return None
    whole: list[str] = []
    for part in filter(None, node[:LONGEST].split("/")[:-1]):
        if whole and part.startswith(whole[-1] + "."):  # PyTorch repeats the name of a container before its item
            whole[-1] = part
        else:
            whole.append(part)
    parts = tuple(filter(None, ".".join(whole).split(".")))
    return parts if len(parts) < DEEPEST else ()


def module_of(call: tuple[str, ...], known: Set[tuple[str, ...]], exact: bool) -> tuple[str, ...]:
    """The module that is called in a call. `known` modules own parameters; `exact`: this package wrote the names.

    >>> module_of(("a#2", "fc_1"), {("a",), ("a", "fc")}, False), module_of(("fc_1",), set(), False)
    (('a', 'fc'), ('fc_1',))
    """
    found: tuple[str, ...] = ()
    for part in call:
        bare = re.sub(r"#\d+$" if exact else r"[#_]\d+$", "", part)
        is_number = exact or "#" in part or ((*found, part) not in known and (*found, bare) in known)
        found = (*found, bare if is_number else part)
    return found
