"""The Python state that a captured run reads: found while it runs, compared before each replay, put back if it fails.

A replay repeats array operations and not the Python between them. It is right as long as everything that this Python read is
unchanged: closures, globals, attributes of modules and of the user's own objects, the contents of their lists and dicts. A
profile function sees which of the user's code runs; the names in that code say what it can read.
"""

from __future__ import annotations

import functools
import gc
import pickle
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..core import hooks
from ..core.graph import Leaf, Node, Op
from ..tensor import Tensor, get_default_dtype
from . import places
from .names import BY_STRING, OURS, WHOLE, function_of, is_foreign_file, kinds_of, named_by_methods, names_of
from .places import MANY, Place

SMALL_BYTES = 1 << 12
"""An array that Python code can reach is compared by value up to this size."""

CONSTANT = (bool, int, float, complex, str, bytes, type(None), type(...), np.generic, np.dtype, range, slice)
"""Types of values in which nothing can be changed."""

CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
IMPURE = {
    "print", "input", "warn", "urandom", "datetime.now", "datetime.utcnow", "date.today", *CLOCKS,
    *(f"{clock}_ns" for clock in CLOCKS),
}  # fmt: skip
"""Built-in functions that write or read what no comparison sees."""


class State:
    """What one run read so far."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.impure: str | None = None  # what the run did that a replay cannot repeat
        self.changed: str | None = None  # what the run changed of what it read
        self.watched = True  # whether the code that ran was seen
        self._known: dict[int, Any] = {}  # by identity, objects that were there before the run
        self._done: set[Any] = set()
        self._names: frozenset[str] = frozenset()  # in the user's code that ran
        self._called: frozenset[str] = frozenset()  # of these names, those of methods that are called at once
        self._read: frozenset[str] = frozenset()  # and those of attributes that are read
        self._strings: frozenset[str] = frozenset()  # strings, which are names if code looks attributes up by them
        self._by_string = False
        self._open: list[Any] = []  # the user's objects, of which attributes with those names count
        self._functions: dict[int, list[FunctionType]] = {}  # by the identity of their code
        self._code: dict[int, tuple[CodeType, bool]] = {}  # by identity, with whether it is the user's
        self._arrays: list[tuple[np.ndarray, Place]] = []
        self._drawing: dict[int, Place] = {}  # generators that Python may draw from
        self._seeds, self._drew = _seeds(), False
        self._paused = False

    @contextmanager
    def watching(self, function: Any, arguments: Iterable[Any]) -> Iterator[None]:
        """The context of the run."""
        for thing in (function, *arguments):
            self.note(thing, frozenset())
        self.watched = sys.getprofile() is None or sys.gettrace() is None
        collecting, dtype = gc.isenabled(), get_default_dtype()
        gc.disable()  # whose callbacks are not the function's
        profiled = sys.getprofile() is not None
        if not profiled:
            sys.setprofile(self._profile)
        elif self.watched:
            sys.settrace(self._trace)
        try:
            yield
        finally:
            if not profiled:
                sys.setprofile(None)
            elif self.watched:
                sys.settrace(None)
            if collecting:
                gc.enable()
        for name, after in _seeds().items():
            if after != self._seeds[name] and (self._drew or "random" in self._names or not _other_threads()):
                self.impure = f"draws from `{name}`, and a replay would not draw anew; use tinygrad_cnn.rand or randn"
        if get_default_dtype() != dtype:
            self.impure = "sets the default dtype, and a replay would not"
        self.check()
        self.changed = self.changed or self.change(guarded=True)

    def check(self) -> None:
        """Note whether Python changed what the run reads since it began, or since the last effect."""
        changes = (text for place in self.places if (text := place.change(place.last)))
        self.changed = self.changed or next(changes, None)

    @contextmanager
    def effect(self) -> Iterator[None]:
        """The context of an effect, which a program calls again: what its Python reads does not count, nor what it changes."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False
            for place in self.places:
                place.last = place.look()

    def change(self, guarded: bool = False) -> str | None:
        """What is not as the run found it, in words."""
        found = (place for place in self.places if place.guarded or not guarded)
        return next((text for place in found if (text := place.change())), None)

    def new(self) -> set[int]:
        """By identity, what stands under names of objects that did not exist before the run."""
        return {id(value) for place in self.places for value in place.added()}

    def restore(self) -> None:
        """Put back what the run changed."""
        for place in self.places:
            if place.change():
                place.restore()
        if self._drew or "random" in self._names:
            random.setstate(pickle.loads(self._seeds["random"]))
            np.random.set_state(pickle.loads(self._seeds["np.random"]))  # noqa: NPY002

    def follow(self, follows: Callable[[np.ndarray], bool]) -> None:
        """The values of arrays that ops take do not count: a program reads them there."""
        for array, place in self._arrays:
            place.guarded = not follows(array)

    def guard(self) -> Callable[[], bool]:
        """A function that says whether all is as the run found it."""
        guarded = [place for place in self.places if place.guarded]
        return places.conjunction(guarded, lambda: self.change(guarded=True) is None)

    def forget_generator(self, generator: np.random.Generator) -> None:
        """The library draws from a generator, and says so: that its state moves is no change by Python."""
        place = self._drawing.get(id(generator))
        if place in self.places:
            self.places.remove(place)
        self._drawing.setdefault(id(generator), _NOWHERE)

    # What is found

    def note(self, thing: Any, names: frozenset[str]) -> None:
        """Something from before the run, which code with these names can reach."""
        if isinstance(thing, str) and thing.isidentifier():
            self._strings |= {thing}
            if self._by_string:
                self._read |= {thing}
                self._add_names(frozenset((thing,)))
        if isinstance(thing, (*CONSTANT, Tensor, Op, Leaf, Node)) or (id(thing), names) in self._done:
            return
        self._done.add((id(thing), names))
        self._known[id(thing)] = thing
        if isinstance(thing, FunctionType):
            self._function(thing, names)
        elif isinstance(thing, MethodType):
            self.note(thing.__func__, names)
            self.note(thing.__self__, names)
        elif isinstance(thing, functools.partial):
            for part in (thing.func, *thing.args, *thing.keywords.values()):
                self.note(part, names)
        elif isinstance(thing, np.ndarray):
            self._array(thing, names)
        elif isinstance(thing, np.random.Generator | np.random.RandomState | random.Random):
            self._generator(thing)
        elif isinstance(thing, list | tuple | dict | set | frozenset | deque):
            self._contents(thing, names)
        else:
            if hasattr(type(thing), "_is_module"):
                self.module(thing)
            self._object(thing, names)

    def module(self, module: Any) -> None:
        """A module of `nn` that takes part: what it has registered, and what methods of the package name."""
        if (id(module), "all") in self._done:
            return
        self._done.add((id(module), "all"))
        self._known[id(module)] = module
        own, line = vars(module), type(module).__mro__
        named = frozenset[str]().union(
            *(named_by_methods(kind) for kind in line if kind.__module__.startswith(OURS[0]))
        )
        wanted = {*module._kinds, *(named & own.keys()), "forward", "_kinds", "_hooks", "_pre_hooks", "_training"}
        self.places.append(places.form(module, own, [kind for kind in line if not kind.__module__.startswith(OURS[0])]))
        self.places.append(places.items(f" of {type(module).__name__}", module, own, sorted(wanted)))
        self._done.update((id(module), name) for name in wanted)
        self._methods(line, "forward")
        for name in wanted & own.keys():
            self.note(own[name], frozenset())
        self.note(module, frozenset())

    def value(self, tensor: Tensor) -> None:
        """A Tensor from outside whose values are read in Python."""
        if (id(tensor._array), "value") not in self._done:
            self._done.add((id(tensor._array), "value"))
            self.places.append(places.values("the value of a Tensor that the function reads", tensor._array))
            self._known[id(tensor._array)] = tensor._array

    def hooks(self, tensors: Iterable[Tensor]) -> None:
        """The hooks on leaves of the graph."""
        leaves = list(tensors)

        def look() -> tuple[Any, ...]:
            nodes = [t._node for t in leaves]
            return tuple([h for n in nodes if hasattr(n, "hooks") for h in n.hooks.values()])  # type: ignore[union-attr]

        count = hooks.changes
        terms: places.Terms = lambda bind, found: [f"{bind(hooks)}.changes == {count}"]  # noqa: E731
        self.places.append(Place("a hook on a Tensor", look, terms=terms))

    def _function(self, function: FunctionType, names: frozenset[str]) -> None:
        self._functions.setdefault(id(function.__code__), []).append(function)
        if not self._is_users(function.__code__):
            self._cells(function, names)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.note(default, names)
        if vars(function):
            self._open.append(function)
            self._attributes(function, self._names)
            self.note(vars(function).get("__wrapped__"), names)

    def _cells(self, function: FunctionType, names: frozenset[str]) -> None:
        variables = function.__closure__ or ()
        if variables and (id(function), "cells") not in self._done:
            self._done.add((id(function), "cells"))
            self.places.append(places.cells(f" of {function.__name__}", function.__code__.co_freevars, variables))
            for value in self.places[-1].found:
                self.note(value, names)

    def _object(self, thing: Any, names: frozenset[str]) -> None:
        """An object, a class or an imported module: of the user's, all names in their code count, else this code's."""
        if isinstance(thing, ModuleType):
            if not is_foreign_file(getattr(thing, "__file__", None)):
                self._open.append(thing)
                self._attributes(thing, self._names | names)
            return
        kinds, kind = kinds_of(thing), type(thing)
        if not kinds and (isinstance(thing, type) or kind.__module__.startswith(OURS)):
            if "_function" in (_dict(thing) or ()):  # of a compiled function, the plain one is called
                self.note(thing._function, names)
            self._attributes(thing, names)
            return
        self._open.append(thing)
        self._methods(kinds)
        own = _dict(thing)
        if own is not None and not isinstance(thing, type) and not hasattr(kind, "_is_module"):
            self.places.append(places.form(thing, own, kinds))
        self._attributes(thing, self._names | names)

    def _attributes(self, thing: Any, names: frozenset[str]) -> None:
        """Those attributes that the code names."""
        kinds, own = kinds_of(thing), None if isinstance(thing, type) else _dict(thing)
        if own is not None and not type(thing).__module__.startswith(OURS) and not WHOLE.isdisjoint(names):
            names = names.union(own)
        inherited = {name for kind in kinds for name in names & vars(kind).keys()}
        if own is not None:
            self._items(thing, own, (names & own.keys()) | inherited, f" of {_title(thing)}", names)
        members = set()
        for kind in kinds:
            found = names & vars(kind).keys()
            slots = {n for n in found if isinstance(vars(kind)[n], MemberDescriptorType)}
            members |= slots
            self._items(kind, vars(kind), found - slots, f" of {kind.__name__}", names)
        wanted = sorted(n for n in members if (id(thing), n) not in self._done)
        if wanted and not isinstance(thing, type):
            self._done.update((id(thing), n) for n in wanted)
            self.places.append(places.slots(f" of {_title(thing)}", thing, wanted))
            for value in self.places[-1].found:
                self.note(value, names)

    def _methods(self, kinds: Iterable[type], *names: str) -> None:
        """The methods of classes that Python calls by itself, or that have these names."""
        for kind in kinds:
            for name, value in list(vars(kind).items()):
                if name in names or (name.startswith("__") and isinstance(value, FunctionType)):
                    self.note(value, frozenset())

    def _items(self, owner: Any, mapping: Any, found: Iterable[str], label: str, names: frozenset[str]) -> None:
        """The values of some names in the namespace of an object."""
        called = self._called - self._read  # which no number, string or None can have been
        fresh = [
            n
            for n in sorted(found)
            if (id(owner), n) not in self._done
            and not n.startswith("__")
            and not (n in called and label[:3] == " of" and isinstance(mapping.get(n), CONSTANT))
        ]
        if fresh:
            self._done.update((id(owner), n) for n in fresh)
            self._known[id(owner)] = owner
            self.places.append(places.items(label, owner, mapping, fresh))
        for name in list(found):
            value = mapping.get(name)
            self.note(function_of(value) or value, names)

    def _contents(self, thing: Any, names: frozenset[str]) -> None:
        """What is in a list, tuple, dict, set or deque."""
        parts = [*thing, *thing.values()] if isinstance(thing, dict) else [*thing]
        if not isinstance(thing, tuple | frozenset) and (id(thing), "contents") not in self._done:
            self._done.add((id(thing), "contents"))
            self.places.append(places.contents(thing))
        for part in parts[: 2 * MANY]:
            self.note(part, names)
        if kinds_of(thing) or _dict(thing):
            self._object(thing, names)

    def _array(self, array: np.ndarray, names: frozenset[str]) -> None:
        if array.nbytes > SMALL_BYTES or (id(array), "array") in self._done:
            return
        self._done.add((id(array), "array"))
        if array.dtype.hasobject:
            self.places.append(Place("an array of objects", lambda: tuple(array.ravel().tolist())))
            self.note(array.ravel().tolist(), names)
        else:
            self.places.append(places.values("the value of an array that the function can reach", array))
            self._arrays.append((array, self.places[-1]))

    def _generator(self, generator: Any) -> None:
        if id(generator) not in self._drawing:
            place = Place(
                "the state of a generator that Python draws from", lambda: (_drawn(generator),), guarded=False
            )
            before = pickle.dumps(generator)
            place.put = lambda _: _wind_back(generator, pickle.loads(before))
            self._drawing[id(generator)] = place
            self.places.append(place)

    def _add_names(self, names: frozenset[str]) -> None:
        """What objects of the user's have under names that appear now."""
        fresh = names - self._names
        self._names |= fresh
        for thing in [*self._open] if fresh else ():
            self._attributes(thing, self._names if not WHOLE.isdisjoint(fresh) else fresh)

    # What runs

    def _is_users(self, code: CodeType) -> bool:
        known = self._code.get(id(code))
        if known is None:
            known = self._code[id(code)] = code, not is_foreign_file(code.co_filename)
        return known[1]

    def _profile(self, frame: FrameType, event: str, called: Any) -> None:
        if self._paused:
            return
        if event == "call":
            if self._is_users(frame.f_code):
                self._enter(frame)
            elif frame.f_code.co_filename == random.__file__:
                self._drew = True
        elif event == "c_call" and self._is_users(frame.f_code) and not _runs_op(frame.f_back):
            if called.__qualname__ in IMPURE:
                self.impure = f"calls `{called.__qualname__}`, which a replay would not repeat"
            elif getattr(called, "__self__", None) is random.random.__self__:  # type: ignore[attr-defined]
                self._drew = True

    def _trace(self, frame: FrameType, event: str, _: Any) -> None:
        """For a run under a profiler of the user's."""
        if self._is_users(frame.f_code) and not self._paused:
            self._enter(frame)

    def _enter(self, frame: FrameType) -> None:
        """Code of the user's begins to run: what it names is looked up where it can be, in globals, closure and arguments."""
        if _runs_op(frame.f_back):
            return  # an op's function, which a program calls again
        code, named = frame.f_code, names_of(frame.f_code)
        names = named.attributes | named.methods
        self._called |= named.methods
        self._read |= named.attributes
        self._strings |= named.strings
        self._by_string |= not BY_STRING.isdisjoint(named.globals | names)
        if self._by_string:
            names |= self._strings
            self._read |= self._strings
        names |= WHOLE & named.globals
        self._add_names(names)
        if (id(code), id(frame.f_globals)) not in self._done:
            self._done.add((id(code), id(frame.f_globals)))
            shared = frame.f_globals
            found = {n for n in named.globals if n in shared and not isinstance(shared[n], ModuleType)}
            modules = [shared[n] for n in named.globals if isinstance(shared.get(n), ModuleType)]
            imported = [sys.modules[n] for n in named.globals if n in sys.modules and n not in shared]
            self._items(shared, shared, found, f" in {shared.get('__name__', 'the globals')}", names)
            for module in (*modules, *imported):
                self.note(module, names)
        for function in list(self._functions.get(id(code), ())):
            self._cells(function, names)
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 2]:
            thing = frame.f_locals.get(name)
            if id(thing) in self._known:
                self.note(thing, names)
            elif type(thing) in (list, tuple, dict):  # that the call made
                for part in thing.values() if isinstance(thing, dict) else thing:  # type: ignore[union-attr]
                    if id(part) in self._known:
                        self.note(part, names)


_NOWHERE = Place("nothing", lambda: ())


def _other_threads() -> bool:
    """Whether threads other than this and the kernels' may draw from the shared generators, too."""
    return any(t is not threading.current_thread() and t.name != OURS[0] for t in threading.enumerate())


def _dict(thing: Any) -> Any:
    try:
        return object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None


def _drawn(generator: Any) -> bytes:
    return pickle.dumps(generator)


def _wind_back(generator: Any, before: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(before.getstate())
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = before.bit_generator.state
    else:
        generator.set_state(before.get_state(legacy=False))


def _seeds() -> dict[str, bytes]:
    """The state of the generators that Python and NumPy share."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    return {"random": pickle.dumps(random.getstate()), "np.random": pickle.dumps(legacy)}


def _runs_op(caller: FrameType | None) -> bool:
    """Whether a frame is that of an op that calls its function on arrays: the program will call that again."""
    return caller is not None and caller.f_code.co_filename.endswith(": call>")


def _title(thing: Any) -> str:
    return str(thing.__name__ if isinstance(thing, type | ModuleType | FunctionType) else type(thing).__name__)
