"""The public names that the pages in docs/api show. It needs no Sphinx: the tests use it, too.

A page lists names as imports in blocks that are fenced with ``{names}``, or with ``{names} needs scipy`` where these can be
imported only if that package is installed. A name is shown as users write it: by the first public
module on the way to its definition that has it, with ``tg`` for the package.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import itertools
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinygrad_cnn as tg

PACKAGE = "tinygrad_cnn"
PAGES = Path(__file__).parents[1] / "api"
BLOCK = re.compile(r"^```\{names\}(?: needs (\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
IMPORT = re.compile(r"from ([\w.]+) import (\*|\w+(?:, \w+)*)")


@dataclass(frozen=True, eq=False)
class Entry:
    """A documented object, or a member of a class, with the path by which it is imported."""

    path: str
    thing: Any
    owner: Entry | None = None

    @property
    def shown(self) -> str:
        """The name as users write it."""
        if self.owner:
            return f"{self.owner.shown}.{self.path.rpartition('.')[2]}"
        module, _, name = self.path.rpartition(".")
        if module not in namespaces():
            return name
        reached = module.split(".")[1:2]
        if reached == ["extra"]:
            path = self.path.removeprefix(f"{PACKAGE}.extra")
            return "tg" + path.replace(".show.", ".viz.")  # `tg.show` is the function
        return self.path if reached and reached[0] not in tg.__all__ else "tg" + self.path.removeprefix(PACKAGE)


@functools.cache
def namespaces() -> dict[str, types.ModuleType]:
    """The public modules: the package, the modules in the ``__all__`` of a public one, and those imported by their names."""
    needs = {"extra.special": "scipy", "extra.sklearn": "sklearn", "extra.jax": "jax"}
    others = [
        "testing",
        "testing.strategies",
        *(name for name, needed in needs.items() if importlib.util.find_spec(needed)),
    ]
    found = {PACKAGE: tg} | {f"{PACKAGE}.{name}": importlib.import_module(f"{PACKAGE}.{name}") for name in others}
    waiting = [tg]
    while waiting:
        module = waiting.pop()
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, types.ModuleType) and thing.__name__ not in found:
                found[thing.__name__] = thing
                waiting.append(thing)
    return found


@functools.cache
def listed(block: str) -> list[Entry]:
    """What a block of imports lists, without members of classes.

    Raises:
        ValueError: if a line is not an import of names.
        AttributeError: if a module does not have a name.
    """
    entries = []
    for line in block.strip().splitlines():
        match = IMPORT.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"{line!r} is not of the form `from module import name, name` or `from module import *`")
        module = importlib.import_module(match[1])
        names = module.__all__ if match[2] == "*" else match[2].split(", ")
        things = {name: getattr(module, name) for name in names}
        entries += [Entry(_path(module.__name__, name, thing), thing) for name, thing in things.items()]
    return [entry for entry in entries if not isinstance(entry.thing, types.ModuleType)]


def identity(thing: Any) -> int:
    """The same for a function and for its wrapper: public modules hold wrappers, which explain calls that fail."""
    return id(inspect.unwrap(thing) if inspect.isfunction(thing) else thing)


def _path(module: str, name: str, thing: Any) -> str:
    parts = module.split(".")
    for n in range(1, len(parts) + 1):
        public = namespaces().get(".".join(parts[:n]))
        if public and name in vars(public) and identity(vars(public)[name]) == identity(thing):
            return f"{public.__name__}.{name}"
    return f"{thing.__module__}.{name}"


@functools.cache
def pages() -> dict[str, list[Entry]]:
    """What each page shows, by the name of its file, without members of classes."""
    return {
        path.name: [
            entry
            for needed, block in BLOCK.findall(path.read_text(encoding="utf-8"))
            if not needed or importlib.util.find_spec(needed)
            for entry in listed(block)
        ]
        for path in sorted(PAGES.glob("*.md"))
    }


@functools.cache
def by_identity() -> dict[int, Entry]:
    """The entry of each object, without members. What is listed twice has the shortest of its paths, and its first place."""
    found: dict[int, Entry] = {}
    for entry in itertools.chain(*pages().values()):
        known = found.setdefault(identity(entry.thing), entry)
        if entry.path.count(".") < known.path.count("."):
            found[identity(entry.thing)] = entry
    return found


@functools.cache
def documented() -> dict[str, Entry]:
    """Every entry, members too, by the path under which it is imported."""
    return {each.path: each for entry in by_identity().values() for each in (entry, *members(entry))}


def members(entry: Entry) -> Iterator[Entry]:
    """The public methods and properties of a class, with those of bases that no page shows.

    Left out are ops, which are shown as functions, and what a base that is shown has under the same name.
    """
    cls = entry.thing
    if not inspect.isclass(cls):
        return
    own = [
        c for c in cls.__mro__ if c.__module__.startswith(PACKAGE) and (c is cls or identity(c) not in by_identity())
    ]
    known = {name for base in cls.__mro__ if base not in own for name in vars(base)}
    found: dict[str, Any] = {}
    for base in own:
        found |= {name: value for name, value in vars(base).items() if name not in found}
    for name, value in found.items():
        if name.startswith("_") or name in known or identity(getattr(value, "__func__", value)) in by_identity():
            continue
        if isinstance(value, types.FunctionType | property | classmethod | staticmethod) and doc(value):
            yield Entry(f"{entry.path}.{name}", value, entry)


def doc(thing: Any) -> str:
    """The docstring of this object itself, which constants do not have."""
    thing = getattr(thing, "__func__", thing)
    return inspect.cleandoc(thing.__doc__ or "") if callable(thing) or isinstance(thing, property) else ""


def meant(name: str, entry: Entry | None = None) -> Entry | None:
    """What a name in the text of a page, or in the docstring of `entry`, refers to; None if no page shows it.

    It is a path such as ``tg.nn.Linear`` or ``tinygrad_cnn.nn.Linear``, or, in a docstring, a member of the same class, a
    name of the same module, or else the end of a path.
    """
    path = re.sub(r"^(tg|nn)\b", lambda m: {"tg": PACKAGE, "nn": f"{PACKAGE}.nn"}[m[0]], name)
    if entry is not None:
        cls = entry.owner or entry
        if found := documented().get(f"{cls.path}.{name}"):
            return found
        if path.partition(".")[0] != PACKAGE:
            module = inspect.getmodule(inspect.unwrap(getattr(entry.thing, "fget", entry.thing)))
            path = f"{getattr(module, '__name__', PACKAGE)}.{path}"
    if found := _reached(path):
        return found
    if entry is None:
        return None
    ends = [each for each in documented().values() if each.path.endswith(f".{name}")]
    return min(ends, key=lambda each: each.path.count("."), default=None)


def _reached(path: str) -> Entry | None:
    """The entry of what a path leads to, also by another way than the one that is shown."""
    parts = path.split(".")
    thing: Any = tg
    owner: Any = None
    for i, part in enumerate(parts[1:], 1):
        owner, thing = thing, getattr(thing, part, None)
        if thing is None:  # a module that is hidden by a function of the same name, or that nobody has imported
            try:
                thing = importlib.import_module(".".join(parts[: i + 1]))
            except ImportError:
                return None
    if found := by_identity().get(identity(thing)):
        return found
    if inspect.isclass(owner):
        for base in owner.__mro__:
            shown = by_identity().get(identity(base))
            if shown and (found := documented().get(f"{shown.path}.{parts[-1]}")):
                return found
        return by_identity().get(identity(vars(owner).get(parts[-1])))
    return None


def class_named(name: str) -> Entry | None:
    """The class of this name, if there is one."""
    found = [each for each in by_identity().values() if inspect.isclass(each.thing) and each.thing.__name__ == name]
    return found[0] if len(found) == 1 else None
