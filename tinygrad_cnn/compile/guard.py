"""Reads of Python state by a captured run, and the guard: one generated condition that all of them are unchanged."""

from __future__ import annotations

import functools
import pickle
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np

from ..core.tracing import trace, tracer
from .same import typed
from .source import Constants
from .undo import restorer

MANY = 4096
"""Longer lists and dicts are compared with ``==``, which is fast, but does not distinguish 1 from True."""

MOST = 1 << 16
"""Longer lists and dicts are not compared: a function that reaches one is not compiled."""

FEW = 256
"""Longer lists are compared in a loop."""

ERRORS = (AttributeError, LookupError, TypeError, ValueError)
"""Errors of an expression whose object is missing."""

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "absent"})()


class Read:
    """Python expressions over `things`, written {0}, {1} and so on, and the values `found` for them.

    The tests are expressions too; all of them are true only while the values are unchanged. They refer to the values as
    {found[0]}, {found[1]} and so on. By default they test for identity. `put` restores the values found. If a read is not
    `guarded`, its values may change between calls, but not during the run.
    """

    __slots__ = ("_label", "_look", "_names", "_tests", "_things", "found", "guarded", "last", "put")

    def __init__(
        self, label: str, expressions: Sequence[str], *things: Any, tests: Sequence[str] = (), names: Sequence[str] = ()
    ) -> None:
        self._label, self._things, self._names, self.guarded = label, things, names, True
        self._look = _function(", ".join(expressions))
        self._tests: Sequence[str] = tests or [f"{text} is {{found[{i}]}}" for i, text in enumerate(expressions)]
        self.put: Callable[[], object] | None = None
        self.found = self.last = self.look()

    def look(self) -> tuple[Any, ...]:
        """The current values; MISSING if there are none."""
        return self._look(*self._things)

    def change(self, before: tuple[Any, ...]) -> str | None:
        """How the current values differ from `before`, in words."""
        now = self.look()
        if len(now) != len(before):
            return f"the length of {self._label} changed"
        for i, (a, b) in enumerate(zip(before, now, strict=True)) if not all(map(is_, now, before)) else ():
            if a is not b and typed(a) != typed(b):
                label = f"`{self._names[i]}` {self._label}" if self._names else self._label
                with trace(tracer().outer):  # the values of Tensors are shown, not read by the function
                    return f"{label} was {_shown(a)} and is {_shown(b)}" if label[0] == "`" else f"{label} changed"
        return None

    def restore(self) -> None:
        """Restore the values found."""
        if self.put is not None and self.change(self.found):
            self.put()

    def tests(self, name: Callable[[Any], str]) -> list[str]:
        """The tests, with ``name(thing)`` as the name of each thing."""
        things, found = [*map(name, self._things)], _Found(name, self.found)
        return [test.format(*things, found=found) for test in self._tests]


class _Found:
    """The names of found values, for use in the text of a test."""

    def __init__(self, name: Callable[[Any], str], values: tuple[Any, ...]) -> None:
        self._name, self._values = name, values

    def __getitem__(self, i: int) -> str:
        return self._name(self._values[i])


@functools.cache
def _function(expressions: str) -> Callable[..., tuple[Any, ...]]:
    """A function of things that evaluates the expressions."""
    scope: dict[str, Any] = {"ERRORS": ERRORS, "MISSING": MISSING}
    text = f"({expressions}{',' * bool(expressions)})".format(*(f"things[{i}]" for i in range(32)))
    text = f"def look(*things):\n try: return {text}\n except ERRORS: return (MISSING,)"
    exec(compile(text, __file__, "exec"), scope)  # under this filename, so that it does not count as user code
    return scope["look"]  # type: ignore[no-any-return]


def attribute(label: str, thing: Any, name: str) -> Read:
    """An attribute that is in no dict: a slot, or the content of a closure's cell."""
    text = f"{{0}}.{name}"
    read = Read(label, [text], thing)
    if read.found[0] is MISSING:  # the text alone would raise
        read = Read(label, [text], thing, _function(text), tests=["{1}({0})[0] is {found[0]}"])
    read.put = functools.partial(_put_attribute, thing, name, read.found[0])
    return read


def items(where: str, owner: Any, mapping: Any, names: Sequence[str]) -> Read:
    """Some names in the namespace of `owner`, an object, a class or a module."""
    tests = [_item(name, i) if name in mapping else f"{name!r} not in {{0}}" for i, name in enumerate(names)]
    read = Read(where, [f"{{0}}.get({name!r}, MISSING)" for name in names], mapping, tests=tests, names=names)
    read.put = functools.partial(_put_items, owner, mapping, dict(zip(names, read.found, strict=True)))
    return read


def form(label: str, thing: Any, namespaces: Sequence[Any]) -> Read:
    """A class, or that of an object, with its bases, and the sizes of its namespaces: a new name could hide a known one."""
    line = "{0}.__mro__" if isinstance(thing, type) else "{0}.__class__.__mro__"
    lengths = [f"len({{{i}}})" for i in range(1, len(namespaces) + 1)]
    tests = [f"{line} is {{found[0]}}", *(f"{text} == {{found[{i}]}}" for i, text in enumerate(lengths, 1))]
    return Read(label, [line, *lengths], thing, *namespaces, tests=tests)


def contents(thing: Any, most: int = MANY) -> Read:
    """The contents of a list, deque, dict, set or another collection."""
    label, n = f"a {type(thing).__name__}", len(thing)
    parts, found = ["*{0}"], (*thing,)
    if isinstance(thing, Mapping):
        parts, found = ["*{0}", "*{0}.values()"], (*thing, *thing.values())
    if n > most:
        return Read(label, parts, thing, [*found], tests=[f"[{', '.join(parts)}] == {{1}}"])
    if type(thing) is dict and all(type(key) is str for key in thing):  # other mappings may run code on access
        tests = ["[*{0}] == {1}", *(_item(key, n + i) for i, key in enumerate(thing))]
        read = Read(label, parts, thing, [*thing], tests=tests)
    elif isinstance(thing, list | deque) and n <= FEW:
        read = Read(label, parts, thing, tests=[f"len({{0}}) == {n}", *(_item(i, i) for i in range(n))])
    else:
        read = Read(label, parts, thing, _same, found, tests=[f"{{1}}(({', '.join(parts)},), {{2}})"])
    read.put = restorer(thing)
    return read


def values(label: str, array: np.ndarray) -> Read:
    """The values of an array."""
    read = Read(label, ["{0}.tobytes()"], array, tests=["{0}.tobytes() == {found[0]}"])
    read.put = restorer(array)
    return read


def generator_state(generator: Any) -> Read:
    """The state of a random generator."""
    read = Read("a generator", ["{0}({1})"], pickle.dumps, generator)
    read.put = restorer(generator)
    return read


def guard(reads: Sequence[Read]) -> Callable[[], bool]:
    """A function that returns whether all reads would find the same values.

    It tests for identity first. If an object was replaced, it compares values.
    """
    constants = Constants()
    tests = dict.fromkeys(test for read in reads for test in read.tests(constants.add))
    errors, scan = constants.add(ERRORS), constants.add(lambda: not any(read.change(read.found) for read in reads))
    source = f"""def holds():
    try:
        if {" and ".join(tests) or True}:
            return True
    except {errors}:
        pass
    return {scan}()
"""
    return constants.define(source, "guard")  # type: ignore[no-any-return]


def _item(key: Any, i: int) -> str:
    """The test that an item of a container is the i-th found value."""
    text = repr(key).replace("{", "{{").replace("}", "}}")
    return f"{{0}}[{text}] is {{found[{i}]}}"


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.40}"
    except Exception:  # of the user's own `__repr__`
        return f"a {type(value).__name__}"


def _same(now: tuple[Any, ...], found: tuple[Any, ...]) -> bool:
    return len(now) == len(found) and all(map(is_, now, found))


def _put_attribute(target: Any, name: str, value: Any) -> None:
    delattr(target, name) if value is MISSING else setattr(target, name, value)


def _put_items(owner: Any, mapping: Any, found: dict[str, Any]) -> None:
    for name, value in found.items():
        if mapping.get(name, MISSING) is value:
            continue
        if isinstance(owner, type):
            _put_attribute(owner, name, value)
        elif value is MISSING:
            del mapping[name]
        else:
            mapping[name] = value
