"""The Python state that a captured run reads: found while it runs, compared before each replay, put back if it fails.

A replay repeats array operations and not the Python between them. It is right as long as everything that this Python read is
unchanged: closures, globals, attributes of modules and of the user's own objects, the contents of their lists and dicts. A
profile function sees which of the user's code runs; the names in that code say what it can read.
"""

from __future__ import annotations

import functools
import pickle
import random
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import is_
from types import CellType, CodeType, FrameType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, TypeAlias

import numpy as np

from .. import hooks
from ..anomaly import WRITTEN
from ..graph import Leaf, Node, Op
from ..tensor import Tensor
from .same import typed

SMALL_BYTES = 1 << 12
"""An array that Python code can reach is compared by value up to this size."""

MANY = 4096
"""Of a longer list or dict only the length is compared."""

FEW = 256
"""A longer list is compared by a loop."""

FOREIGN = (__file__.rpartition("program")[0], str(np.__path__[0]), "<frozen ")
STANDARD = sysconfig.get_path("stdlib")
"""Where code lies that is not the user's. This package tells the tracer what it reads."""

CONSTANT = (bool, int, float, complex, str, bytes, type(None), type(...), np.generic, np.dtype, range, slice)
"""Types of values in which nothing can be changed."""


CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
IMPURE = {
    "print",
    "input",
    "urandom",
    "datetime.now",
    "datetime.utcnow",
    "date.today",
    *CLOCKS,
    *(f"{c}_ns" for c in CLOCKS),
}
"""Built-in functions that write or read what no comparison sees."""


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
        self.terms = terms or self._compared

    def _compared(self, bind: Bind, found: tuple[Any, ...]) -> list[str]:
        look, same = bind(self.look), bind(_same)
        return [f"{same}({look}(), {bind(found)})"]

    def change(self) -> str | None:
        """What is there now that was not found, in words."""
        now = self.look()
        if len(now) != len(self.found):
            return f"the length of {self.label} changed"
        for i, (a, b) in enumerate(zip(self.found, now, strict=True)):
            if a is not b and typed(a) != typed(b):
                if not self.names:
                    return f"{self.label} changed"
                return f"`{self.names[i]}`{self.label} was {a!r:.40} and is {b!r:.40}"
        return None


class State:
    """What one run read so far."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.impure: str | None = None  # what the run did that a replay cannot repeat
        self.changed: str | None = None  # what the run changed of what it read
        self._known: dict[int, Any] = {}  # by identity, objects that were there before the run
        self._done: set[Any] = set()
        self._functions: dict[int, list[FunctionType]] = {}  # those that can be reached, by the identity of their code
        self._users: set[int] = set()  # the user's code among it, and what it defines
        self._arrays: list[tuple[np.ndarray, Place]] = []
        self._seeds = _seeds()

    @contextmanager
    def watching(self, function: Any, arguments: Iterable[Any]) -> Iterator[None]:
        """The context of the run."""
        code = _code_of(function)
        names = frozenset[str]() if code is None or _is_foreign(code) else _names(code)
        for thing in (function, *arguments):
            self.note(thing, names)
        profiled = sys.getprofile() is not None  # by someone else; then only the function's own names are known
        if not profiled:
            sys.setprofile(self._profile)
        try:
            yield
        finally:
            if not profiled:
                sys.setprofile(None)
        for name, after in _seeds().items():
            if after != self._seeds[name]:
                self.impure = f"draws from `{name}`, and a replay would not draw anew; use tinygrad_cnn.rand or randn"
        self.changed = self.change()

    def change(self, guarded: bool = False) -> str | None:
        """What is not as the run found it, in words."""
        places = (place for place in self.places if place.guarded or not guarded)
        return next((text for place in places if (text := place.change())), None)

    def restore(self) -> None:
        """Put back what the run changed."""
        for place in self.places:
            if place.put is not None and place.change():
                place.put(place.found)
        random.setstate(pickle.loads(self._seeds["random"]))
        np.random.set_state(pickle.loads(self._seeds["np.random"]))  # noqa: NPY002

    def guard(self, follows: Callable[[np.ndarray], bool]) -> Callable[[], bool]:
        """A function that says whether all is as the run found it. Arrays that the program follows by itself do not count."""
        for array, place in self._arrays:
            place.guarded = not follows(array)
        places = [place for place in self.places if place.guarded]
        return _conjunction(places, lambda: self.change(guarded=True) is None)

    # What is found

    def note(self, thing: Any, names: frozenset[str] = frozenset()) -> None:
        """Something from before the run, which code with these names can reach."""
        if isinstance(thing, (*CONSTANT, Tensor, Op, Leaf, Node)) or (id(thing), names) in self._done:
            return
        self._done.add((id(thing), names))
        self._known[id(thing)] = thing
        if isinstance(thing, FunctionType):
            self._functions.setdefault(id(thing.__code__), []).append(thing)
            if _is_foreign(thing.__code__):
                self._cells(thing, names)
            else:
                self._users.update(map(id, _codes(thing.__code__)))
        elif isinstance(thing, MethodType):
            self.note(thing.__func__, names)
            self.note(thing.__self__, names)
        elif isinstance(thing, functools.partial):
            for part in (thing.func, *thing.args, *thing.keywords.values()):
                self.note(part, names)
        elif isinstance(thing, np.ndarray):
            self._array(thing)
        elif isinstance(thing, np.random.Generator):
            self._generator(thing)
        elif isinstance(thing, list | tuple | dict | set | frozenset):
            self._contents(thing, names)
        else:
            if getattr(type(thing), "_guard_all", False):
                self.module(thing)
            self._attributes(thing, names)

    def module(self, module: Any) -> None:
        """A module that takes part: all of its attributes, and the modules below it."""
        if (id(module), "all") in self._done:
            return
        self._done.add((id(module), "all"))
        self._known[id(module)] = module
        own, name = vars(module), type(module).__name__
        names = tuple(own)

        def terms(bind: Bind, found: tuple[Any, ...]) -> list[str]:
            values, here = found[2 + len(names) :], bind(own)
            kind = [f"{bind(module)}.__class__ is {bind(found[0])}", f"{bind(found[0])}.forward is {bind(found[1])}"]
            return [*kind, *_entries(bind, here, dict(zip(names, values, strict=True)))]

        def look() -> tuple[Any, ...]:
            return module.__class__, module.__class__.forward, *own, *own.values()

        def put(found: tuple[Any, ...]) -> None:
            own.clear()
            own.update(zip(names, found[2 + len(names) :], strict=True))

        shown = ("__class__", "forward", *(f"name of {n}" for n in names), *names)
        self.places.append(Place(f" of {name}", look, put, shown, terms=terms))
        self._methods(type(module).__mro__, "forward")
        for value in own.values():
            self.note(value)

    def value(self, tensor: Tensor) -> None:
        """A Tensor from outside whose values are read in Python."""
        if (id(tensor._data), "value") not in self._done:
            self._done.add((id(tensor._data), "value"))
            self.places.append(_values("the value of a Tensor that the function reads", tensor._data))

    def hooks(self, leaves: Iterable[Tensor]) -> None:
        """The hooks on leaves of the graph."""
        nodes = [leaf._node for leaf in leaves if leaf._node is not None]

        def look() -> tuple[Any, ...]:
            return tuple([h for n in nodes if hasattr(n, "hooks") for h in n.hooks.values()]) if hooks.ever else ()

        terms: Terms = lambda bind, found: [f"{bind(hooks)}.changes == {hooks.changes}"]  # noqa: E731
        self.places.append(Place("a hook on a Tensor", look, terms=terms))

    def _cells(self, function: FunctionType, names: frozenset[str]) -> None:
        if (id(function), "cells") in self._done:
            return
        self._done.add((id(function), "cells"))
        cells = function.__closure__ or ()
        if not cells:
            return

        def look() -> tuple[Any, ...]:
            return tuple(map(_content, cells))

        def put(found: tuple[Any, ...]) -> None:
            for cell, value in zip(cells, found, strict=True):
                if value is not MISSING:
                    cell.cell_contents = value

        def terms(bind: Bind, found: tuple[Any, ...]) -> list[str]:
            filled = [(cell, value) for cell, value in zip(cells, found, strict=True) if value is not MISSING]
            return [f"{bind(cell)}.cell_contents is {bind(value)}" for cell, value in filled]

        self.places.append(Place(f" of {function.__name__}", look, put, function.__code__.co_freevars, terms=terms))
        for value in look():
            self.note(value, names)

    def _attributes(self, thing: Any, names: frozenset[str]) -> None:
        """Those attributes of an object, a class or an imported module that the code names."""
        is_module = isinstance(thing, ModuleType)
        if not names or (is_module and _is_foreign_file(getattr(thing, "__file__", None))):
            return
        line: tuple[type, ...] = thing.__mro__ if isinstance(thing, type) else () if is_module else type(thing).__mro__
        kinds = [kind for kind in line if not _is_foreign_module(kind.__module__)]
        self._methods(kinds)
        inherited = {name for kind in kinds for name in names & vars(kind).keys()}
        if not isinstance(thing, type) and (own := getattr(thing, "__dict__", None)) is not None:
            everything = getattr(type(thing), "_guard_all", False)
            found = (names & own.keys()) | inherited
            if found and not everything:
                self._items(thing, own, found, f" of {_title(thing)}", names)
            elif everything:
                for name in names & own.keys():
                    self.note(own[name], names)
        for kind in kinds:
            found = {n for n in names & vars(kind).keys() if not isinstance(vars(kind)[n], MemberDescriptorType)}
            if found:
                self._items(kind, vars(kind), found, f" of {kind.__name__}", names)
        slots = sorted(n for n in inherited if any(isinstance(vars(k).get(n), MemberDescriptorType) for k in kinds))
        if slots and not isinstance(thing, type):

            def look() -> tuple[Any, ...]:
                return tuple([getattr(thing, name, MISSING) for name in slots])

            def put(found: tuple[Any, ...]) -> None:
                for name, value in zip(slots, found, strict=True):
                    if value is not MISSING:
                        setattr(thing, name, value)

            self.places.append(Place(f" of {_title(thing)}", look, put, slots))
            for value in look():
                self.note(value, names)

    def _methods(self, kinds: Iterable[type], *names: str) -> None:
        """The methods of classes that Python calls by itself, or that have these names."""
        for kind in kinds:
            for name, value in vars(kind).items():
                if name in names or (name.startswith("__") and isinstance(value, FunctionType)):
                    self.note(value)

    def _items(self, owner: Any, mapping: Any, found: Iterable[str], label: str, names: frozenset[str]) -> None:
        """The values of some names in the namespace of an object."""
        wanted = tuple(n for n in sorted(found) if (id(owner), n) not in self._done and not n.startswith("__"))
        self._done.update((id(owner), n) for n in wanted)
        get, absent = mapping.get, (MISSING,) * len(wanted)

        def look() -> tuple[Any, ...]:
            return tuple(map(get, wanted, absent))

        def put(seen: tuple[Any, ...]) -> None:
            for name, value in zip(wanted, seen, strict=True):
                if value is MISSING:
                    mapping.pop(name, None)
                elif get(name, MISSING) is not value and isinstance(owner, type):
                    setattr(owner, name, value)
                elif get(name, MISSING) is not value:
                    mapping[name] = value

        def terms(bind: Bind, found: tuple[Any, ...]) -> list[str]:
            here, absent = bind(get), bind(MISSING)
            return [f"{here}({n!r}, {absent}) is {bind(value)}" for n, value in zip(wanted, found, strict=True)]

        if wanted:
            self._known[id(owner)] = owner
            self.places.append(Place(label, look, put, wanted, terms=terms))
        for name in found:
            value = get(name)
            self.note(next((f for n in ("fget", "__func__", "func") if (f := getattr(value, n, None))), value), names)

    def _contents(self, thing: Any, names: frozenset[str]) -> None:
        """What is in a list, tuple, dict or set."""
        parts = list(thing.values() if isinstance(thing, dict) else thing)
        if not isinstance(thing, tuple | frozenset) and (id(thing), "contents") not in self._done:
            self._done.add((id(thing), "contents"))
            self.places.append(_container(thing))
        for part in parts[:MANY]:
            self.note(part, names)

    def _array(self, array: np.ndarray) -> None:
        if array.nbytes <= SMALL_BYTES and array.dtype.kind in "biufcSU" and (id(array), "array") not in self._done:
            self._done.add((id(array), "array"))
            self.places.append(_values("the value of an array that the function can reach", array))
            self._arrays.append((array, self.places[-1]))

    def _generator(self, generator: np.random.Generator) -> None:
        if (id(generator), "generator") not in self._done:
            self._done.add((id(generator), "generator"))
            state = pickle.dumps(generator.bit_generator.state)
            look = lambda: (pickle.dumps(generator.bit_generator.state) == state,)  # noqa: E731
            put = lambda _: setattr(generator.bit_generator, "state", pickle.loads(state))  # noqa: E731
            self.places.append(Place("the state of a generator that Python draws from", look, put, guarded=False))

    # What runs

    def _profile(self, frame: FrameType, event: str, called: Any) -> None:
        if id(frame.f_code) not in self._users or _runs_op(frame.f_back):
            return
        if event == "call":
            self._enter(frame)
        elif event == "c_call" and called.__qualname__ in IMPURE:
            self.impure = f"calls `{called.__qualname__}`, which a replay would not repeat"

    def _enter(self, frame: FrameType) -> None:
        """The names of code that begins to run are looked up where it can look them up: globals, closure, arguments."""
        code, names = frame.f_code, _names(frame.f_code)
        if (code, id(frame.f_globals)) not in self._done:
            self._done.add((code, id(frame.f_globals)))
            shared = frame.f_globals
            found = {n for n in code.co_names if n in shared and not isinstance(shared[n], ModuleType)}
            modules = [shared[n] for n in code.co_names if isinstance(shared.get(n), ModuleType)]
            self._items(shared, shared, found, f" in {shared.get('__name__', 'the globals')}", names)
            for module in modules:
                self.note(module, names)
        for function in self._functions.get(id(code), ()):
            self._cells(function, names)
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 2]:
            thing = frame.f_locals.get(name)
            if id(thing) in self._known:
                self.note(thing, names)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return MISSING


def _values(label: str, array: np.ndarray) -> Place:
    """A place that is the values of an array."""
    before = array.tobytes()
    copy = array.copy()
    return Place(label, lambda: (array.tobytes() == before,), lambda _: np.copyto(array, copy))


def _container(thing: Any) -> Place:
    """A place that is what is in a list, dict or set."""
    if len(thing) > MANY:
        return Place(f"a {type(thing).__name__}", lambda: (len(thing),))
    if isinstance(thing, dict):

        def put_items(found: tuple[Any, ...]) -> None:
            thing.clear()
            thing.update(zip(found[: len(found) // 2], found[len(found) // 2 :], strict=True))

        def terms(bind: Bind, found: tuple[Any, ...]) -> list[str]:
            half = len(found) // 2
            return _entries(bind, bind(thing), dict(zip(found[:half], found[half:], strict=True)))

        return Place("a dict", lambda: (*thing, *thing.values()), put_items, terms=terms)

    def put(found: tuple[Any, ...]) -> None:
        thing.clear()
        (thing.update if isinstance(thing, set) else thing.extend)(found)

    def elements(bind: Bind, found: tuple[Any, ...]) -> list[str]:
        here = bind(thing)
        return [f"len({here}) == {len(found)}", *(f"{here}[{i}] is {bind(value)}" for i, value in enumerate(found))]

    ordered = isinstance(thing, list) and len(thing) <= FEW
    return Place(f"a {type(thing).__name__}", lambda: (*thing,), put, terms=elements if ordered else None)


def _entries(bind: Bind, here: str, entries: dict[Any, Any]) -> list[str]:
    """That a dict has these entries and no others."""
    shown = [(repr(key) if isinstance(key, str) else bind(key), bind(value)) for key, value in entries.items()]
    return [f"len({here}) == {len(entries)}", *(f"{here}[{key}] is {value}" for key, value in shown)]


def _same(now: tuple[Any, ...], found: tuple[Any, ...]) -> bool:
    return len(now) == len(found) and all(map(is_, now, found))


def _conjunction(places: Iterable[Place], otherwise: Callable[[], bool]) -> Callable[[], bool]:
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
        except (AttributeError, LookupError):
            pass
        return otherwise()
    return holds
"""
    exec(text, scope)
    return scope["make"](*bound)  # type: ignore[no-any-return]


def _seeds() -> dict[str, bytes]:
    """The state of the generators that Python and NumPy share."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    return {"random": pickle.dumps(random.getstate()), "np.random": pickle.dumps(legacy)}


@functools.cache
def _names(code: CodeType) -> frozenset[str]:
    """The names in a function's code, and the strings, which ``getattr`` may be given."""
    inner = [_names(part) for part in code.co_consts if isinstance(part, CodeType)]
    return frozenset(code.co_names).union(
        (c for c in code.co_consts if isinstance(c, str) and c.isidentifier()), *inner
    )


@functools.cache
def _codes(code: CodeType) -> list[CodeType]:
    """A function's code, and that of what it defines."""
    return [code, *(inner for part in code.co_consts if isinstance(part, CodeType) for inner in _codes(part))]


def _code_of(function: Any) -> CodeType | None:
    function = getattr(function, "__func__", function)
    return getattr(function, "__code__", None)


@functools.lru_cache(1 << 14)
def _is_foreign(code: CodeType) -> bool:
    return WRITTEN.fullmatch(code.co_filename) is not None or _is_foreign_file(code.co_filename)


def _is_foreign_file(path: str | None) -> bool:
    if path is None or path.startswith(FOREIGN):
        return True
    return path.startswith(STANDARD) and "-packages" not in path


def _is_foreign_module(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names or name.partition(".")[0] in (
        "numpy",
        __name__.partition(".")[0],
    )


def _runs_op(caller: FrameType | None) -> bool:
    """Whether a frame is that of an op that calls its function on arrays: the program will call that again."""
    return caller is not None and WRITTEN.fullmatch(caller.f_code.co_filename) is not None


def _title(thing: Any) -> str:
    return str(getattr(thing, "__name__", type(thing).__name__))
