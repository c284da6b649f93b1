"""Reads of Python state by a captured run, and the guard: one generated condition that all of them are unchanged."""

from __future__ import annotations

import functools
import pickle
from collections import deque
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, TypeAlias

import numpy as np

from .same import typed
from .source import Constants
from .undo import restorer

MANY = 4096
"""Of a longer list or dict only the length is compared."""

FEW = 256
"""A longer list is compared by a loop."""

Put: TypeAlias = Callable[[], object] | None

ERRORS = (AttributeError, LookupError, TypeError, ValueError)
"""Errors of an expression that finds nothing."""


MISSING: Any = type("Missing", (), {"__repr__": lambda self: "absent"})()


class Read:
    """A Python expression over `things`, which it calls {0}, {1} and so on, and its value: MISSING if it raises.

    `test` is an expression that is true only while the value is what was `found`, by default that it is the same object. `put`
    restores it. If a read is not `guarded`, its value may change between calls, but not during the run.
    """

    __slots__ = ("_look", "_test", "_things", "found", "guarded", "label", "last", "put")

    def __init__(self, label: str, expression: str, *things: Any, test: str = "", put: Put = None) -> None:
        self.label, self.put, self.guarded = label, put, True
        self._look, self._things = _function(expression), things
        self.found = self.last = self.look()
        self._test = test or ("True" if self.found is MISSING else f"{expression} is {{found}}")

    def look(self) -> Any:
        """The value now."""
        return self._look(*self._things)

    def change(self, before: Any) -> str | None:
        """How the value differs from `before`, in words."""
        now = self.look()
        if now is before or typed(now) == typed(before):
            return None
        return (
            f"{self.label} was {before!r:.40} and is {now!r:.40}" if self.label[0] == "`" else f"{self.label} changed"
        )

    def restore(self) -> None:
        """Restore what was found."""
        if self.put is not None and self.change(self.found):
            self.put()

    def test(self, name: Callable[[Any], str]) -> str:
        """The test, with ``name(thing)`` for a thing."""
        things = [repr(thing) if type(thing) in (str, int) else name(thing) for thing in self._things]
        return self._test.format(*things, found=name(self.found))


@functools.cache
def _function(expression: str) -> Callable[..., Any]:
    """The function that evaluates an expression."""
    scope: dict[str, Any] = {"ERRORS": ERRORS, "MISSING": MISSING}
    text = f"def look(a, b=0, c=0, d=0):\n try: return {expression.format(*'abcd')}\n except ERRORS: return MISSING"
    exec(
        compile(text, f"{__file__}: {expression}", "exec"), scope
    )  # in a file of the package, so not code of the user's
    return scope["look"]  # type: ignore[no-any-return]


def attribute(label: str, thing: Any, name: str) -> Read:
    """An attribute that is in no dict: a slot, or the content of a closure's cell."""
    read = Read(label, f"{{0}}.{name}", thing)
    read.put = functools.partial(_set_attribute, thing, name, read.found)
    return read


def item(label: str, owner: Any, mapping: Any, name: str) -> Read:
    """A name in a dict, or in the namespace of `owner`, an object, a class or a module."""
    test = "{0}[{1}] is {found}" if name in mapping else "{1} not in {0}"
    target, put = (owner, _set_attribute) if isinstance(owner, type) else (mapping, _set_item)
    read = Read(label, "{0}[{1}]", mapping, name, test=test)
    read.put = functools.partial(put, target, name, read.found)
    return read


def length(label: str, thing: Any, put: Put = None) -> Read:
    """The length of a container."""
    return Read(f"the length of {label}", "len({0})", thing, test="len({0}) == {found}", put=put)


def contents(thing: Any, most: int = MANY) -> list[Read]:
    """The contents of a list, deque, dict or set."""
    kind = f"a {type(thing).__name__}"
    if len(thing) > most:
        return [length(kind, thing)]
    put = restorer(thing)
    if type(thing) is dict and all(isinstance(key, str) for key in thing):  # another may do more when it is asked
        keys = Read(f"the keys of {kind}", "[*{0}]", thing, test="[*{0}] == {found}", put=put)
        return [keys, *(item(f"an entry of {kind}", thing, thing, key) for key in thing)]
    if isinstance(thing, list | deque) and len(thing) <= FEW:
        return [length(kind, thing, put), *(Read(kind, "{0}[{1}]", thing, i, put=put) for i in range(len(thing)))]
    expression = "(*{0}, *{0}.values())" if isinstance(thing, dict) else "(*{0},)"
    return [Read(kind, expression, thing, _same, test=f"{{1}}({expression}, {{found}})", put=put)]


def values(label: str, array: np.ndarray) -> Read:
    """The values of an array."""
    return Read(label, "{0}.tobytes()", array, test="{0}.tobytes() == {found}", put=restorer(array))


def generator_state(generator: Any) -> Read:
    """The state of a random generator."""
    return Read("a generator", "{0}({1})", pickle.dumps, generator, put=restorer(generator))


def guard(reads: Sequence[Read]) -> Callable[[], bool]:
    """A function that says whether all reads would find what they found.

    It tests for the same objects first. If one is another object, it compares values.
    """
    constants = Constants()
    tests = dict.fromkeys(read.test(constants.add) for read in reads)
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


def _same(now: tuple[Any, ...], found: tuple[Any, ...]) -> bool:
    return len(now) == len(found) and all(map(is_, now, found))


def _set_attribute(target: Any, name: str, value: Any) -> None:
    delattr(target, name) if value is MISSING else setattr(target, name, value)


def _set_item(mapping: Any, name: str, value: Any) -> None:
    if value is MISSING:
        mapping.pop(name, None)
    else:
        mapping[name] = value
