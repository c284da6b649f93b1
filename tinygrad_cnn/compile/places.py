"""Places that a captured run reads Python state from: what is there, whether it is still the same, and how it is put back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import is_
from types import CellType
from typing import Any, TypeAlias

import numpy as np

from .same import typed

MANY = 4096
"""Of a longer list or dict only the length is compared."""

FEW = 256
"""A longer list is compared by a loop."""


class _Missing:
    def __repr__(self) -> str:
        return "absent"


MISSING: Any = _Missing()

Bind: TypeAlias = Callable[[Any], str]
Terms: TypeAlias = Callable[[Bind, tuple[Any, ...]], list[str]]


class Place:
    """Somewhere that the run read: `look` gives the objects that are there, `put` writes those that it found at first.

    `names`, if given, has one name for each object. What is not `guarded` may change between calls, but not in the run.
    `terms(bind, found)` gives Python expressions that are true while the same objects are there, with `bind` for their names.
    """

    def __init__(
        self,
        label: str,
        look: Callable[[], tuple[Any, ...]],
        put: Callable[[tuple[Any, ...]], object] | None = None,
        names: Sequence[str] = (),
        guarded: bool = True,
        found: tuple[Any, ...] | None = None,
        terms: Terms | None = None,
    ) -> None:
        self.label, self.look, self.put, self.names, self.guarded = label, look, put, names, guarded
        self.found = look() if found is None else found
        self.last = self.found  # as Python or an effect left it
        self.terms = terms or self._compared
        self.added: Callable[[], list[Any]] = list

    def _compared(self, bind: Bind, found: tuple[Any, ...]) -> list[str]:
        return [f"{bind(_same)}({bind(self.look)}(), {bind(found)})"]

    def change(self, since: tuple[Any, ...] | None = None) -> str | None:
        """What is there now that was not found, or not `since`, in words."""
        now, before = self.look(), self.found if since is None else since
        if len(now) != len(before):
            return f"the length of {self.label} changed"
        for i, (a, b) in enumerate(zip(before, now, strict=True)):
            if a is not b and typed(a) != typed(b):
                if not self.names:
                    return f"{self.label} changed"
                return f"`{self.names[i]}`{self.label} was {a!r:.40} and is {b!r:.40}"
        return None

    def restore(self) -> None:
        """Put back what was found."""
        if self.put is not None:
            self.put(self.found)


def cells(label: str, names: Sequence[str], variables: Sequence[CellType]) -> Place:
    """The variables of a closure."""

    def look() -> tuple[Any, ...]:
        return tuple(map(_content, variables))

    def put(found: tuple[Any, ...]) -> None:
        for cell, value in zip(variables, found, strict=True):
            if value is not MISSING:
                cell.cell_contents = value

    def terms(bind: Bind, found: tuple[Any, ...]) -> list[str]:
        filled = [(cell, value) for cell, value in zip(variables, found, strict=True) if value is not MISSING]
        return [f"{bind(cell)}.cell_contents is {bind(value)}" for cell, value in filled]

    return Place(label, look, put, names, terms=terms)


def items(label: str, owner: Any, mapping: Any, names: Sequence[str]) -> Place:
    """Some names in the namespace of an object, a class or a module."""
    get, absent = mapping.get, (MISSING,) * len(names)

    def look() -> tuple[Any, ...]:
        return tuple(map(get, names, absent))

    def put(found: tuple[Any, ...]) -> None:
        for name, value in zip(names, found, strict=True):
            if get(name, MISSING) is value:
                continue
            if isinstance(owner, type):
                delattr(owner, name) if value is MISSING else setattr(owner, name, value)
            elif value is MISSING:
                mapping.pop(name, None)
            else:
                mapping[name] = value

    def terms(bind: Bind, found: tuple[Any, ...]) -> list[str]:
        here, missing = bind(get), bind(MISSING)
        return [f"{here}({n!r}, {missing}) is {bind(value)}" for n, value in zip(names, found, strict=True)]

    return Place(label, look, put, names, terms=terms)


def slots(label: str, thing: Any, names: Sequence[str]) -> Place:
    """Attributes that have no dict."""

    def look() -> tuple[Any, ...]:
        return tuple([getattr(thing, name, MISSING) for name in names])

    def put(found: tuple[Any, ...]) -> None:
        for name, value in zip(names, found, strict=True):
            if value is not MISSING:
                setattr(thing, name, value)

    return Place(label, look, put, names)


def form(thing: Any, own: Any, kinds: Sequence[type]) -> Place:
    """The class of an object, and how many attributes it and its class have: others might hide those that were found."""
    label = f"the class of {type(thing).__name__}, or its attributes,"

    def look() -> tuple[Any, ...]:
        return (thing.__class__, len(own), *[len(vars(kind)) for kind in kinds])

    def terms(bind: Bind, found: tuple[Any, ...]) -> list[str]:
        sizes = [f"len({bind(vars(kind))}) == {n}" for kind, n in zip(kinds, found[2:], strict=True)]
        return [f"{bind(thing)}.__class__ is {bind(found[0])}", f"len({bind(own)}) == {found[1]}", *sizes]

    before = frozenset(own)

    def put(found: tuple[Any, ...]) -> None:
        for name in own.keys() - before:
            del own[name]

    place = Place(label, look, put, terms=terms)
    place.added = lambda: [own[name] for name in own.keys() - before]
    return place


def contents(thing: Any) -> Place:
    """What is in a list, deque, dict or set."""
    label = f"a {type(thing).__name__}"
    if len(thing) > MANY:
        return Place(label, lambda: (len(thing),))
    if isinstance(thing, dict):

        def put_items(found: tuple[Any, ...]) -> None:
            thing.clear()
            thing.update(zip(found[: len(found) // 2], found[len(found) // 2 :], strict=True))

        def entries(bind: Bind, found: tuple[Any, ...]) -> list[str]:
            keys, values = found[: len(found) // 2], found[len(found) // 2 :]
            ordered = f"[*{bind(thing)}] == {bind([*keys])}"
            return [*_entries(bind, bind(thing), dict(zip(keys, values, strict=True))), ordered]

        exact = type(thing) is dict and all(
            isinstance(key, str) for key in thing
        )  # another may do more when it is asked
        return Place(label, lambda: (*thing, *thing.values()), put_items, terms=entries if exact else None)

    def put(found: tuple[Any, ...]) -> None:
        thing.clear()
        (thing.update if isinstance(thing, set) else thing.extend)(found)

    def elements(bind: Bind, found: tuple[Any, ...]) -> list[str]:
        here = bind(thing)
        return [f"len({here}) == {len(found)}", *(f"{here}[{i}] is {bind(value)}" for i, value in enumerate(found))]

    ordered = isinstance(thing, list | deque) and len(thing) <= FEW
    return Place(label, lambda: (*thing,), put, terms=elements if ordered else None)


def values(label: str, array: np.ndarray) -> Place:
    """The values of an array."""
    before, copy = array.tobytes(), array.copy()
    return Place(label, lambda: (array.tobytes() == before,), lambda _: np.copyto(array, copy))


def conjunction(places: Iterable[Place], otherwise: Callable[[], bool]) -> Callable[[], bool]:
    """A function that says whether the same objects are still in all places; if not, `otherwise` has the last word."""
    names: dict[int, str] = {}
    bound: list[Any] = []

    def bind(thing: Any) -> str:
        if id(thing) not in names:
            names[id(thing)] = f"k{len(bound)}"
            bound.append(thing)
        return names[id(thing)]

    terms = dict.fromkeys(term for place in places for term in place.terms(bind, place.found))
    scope: dict[str, Any] = {"otherwise": otherwise}
    text = f"""def make({", ".join(names.values())}):
    def holds():
        try:
            if {" and ".join(terms) or True}:
                return True
        except (AttributeError, LookupError, TypeError, ValueError):
            pass
        return otherwise()
    return holds
"""
    exec(text, scope)
    return scope.pop("make")(*bound)  # type: ignore[no-any-return]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return MISSING


def _entries(bind: Bind, here: str, entries: dict[Any, Any]) -> list[str]:
    """That a dict with names for keys has these entries and no others."""
    return [f"len({here}) == {len(entries)}", *(f"{here}[{key!r}] is {bind(value)}" for key, value in entries.items())]


def _same(now: tuple[Any, ...], found: tuple[Any, ...]) -> bool:
    return len(now) == len(found) and all(map(is_, now, found))
