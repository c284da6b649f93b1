"""Names in a file as attribute paths, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ..nn import Module

DEEPEST = 16
"""The most parts of a path. A name with more dots is one part."""


def paths(names: Iterable[str]) -> dict[str, str]:
    """For each name a path of its own: the name itself, its dots leading into submodules, where that can be.

    An underscore is added to a part that is empty, an attribute of every module or taken, until it is none of these.

    >>> paths(["conv.weight", "train", "a", "a.b", "a..b"])
    {'conv.weight': 'conv.weight', 'train': 'train_', 'a': 'a', 'a.b': 'a_.b', 'a..b': 'a_._.b'}
    """
    found: dict[str, str] = {}
    leaves: set[str] = set()
    scopes: dict[str, str] = {}  # by path as it was named, the path
    taken: set[str] = set()

    def fitting(above: str, part: str) -> str:
        while not part or hasattr(Module, part) or above + part in taken:
            part += "_"
        taken.add(above + part)
        return above + part

    for name in names:
        parts = name.split(".")
        if len(parts) > DEEPEST or len(name) > 1000:
            parts = [name.replace(".", "_")[:1000]]
        named = path = ""
        for part in parts[:-1]:
            named += part + "."
            if named not in scopes:
                scopes[named] = fitting(path, part) + "."
            path = scopes[named]
        found[name] = fitting(path, parts[-1])
        leaves.add(found[name])
    return found
