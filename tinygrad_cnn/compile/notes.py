"""The Python state that code can read: found from the objects that it reaches and from the names in it.

A replay repeats array operations, but not the Python code between them. That is correct while all state that this code read
is unchanged: closures, globals, attributes of modules and of the user's objects, the contents of their lists and dicts.
"""

from __future__ import annotations

import functools
import gc
import random
import sys
from collections import deque
from collections.abc import Iterable
from types import CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..core.graph import Op
from ..core.node import Leaf, Node
from ..tensor import Tensor
from .guard import MANY, MOST, Read, attribute, contents, form, generator_state, items, values
from .names import (
    BY_STRING,
    OURS,
    WHOLE,
    Names,
    function_of,
    is_users,
    is_users_module,
    kinds_of,
    name_parts,
    named_by_methods,
    names_of,
)
from .standard import (
    ENVIRONMENT,
    SMALL_BYTES,
    behind,
    checksum,
    environment,
    names_in,
    state_of,
    unfollowed,
    used_by_methods,
)

CONSTANT = (bool, int, float, complex, str, bytes, type(None), type(...), np.generic, np.dtype, range, slice)
"""Types of immutable values."""

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
NONE = frozenset[str]()


class Notes:
    """Reads of the state that code can reach, as it was when it was noted."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.arrays: list[tuple[np.ndarray, Read]] = []  # arrays that Python can reach, with the reads of their values
        self.large: list[tuple[np.ndarray, int | None]] = []  # larger ones, with their checksums before the run
        self.generators: dict[int, Read] = {}
        self.namespaces: list[tuple[Any, frozenset[str]]] = []  # of objects, with their names before the run
        self.impure: str | None = None  # an action of the run that a replay cannot repeat
        self.known: dict[int, Any] = {}  # by id, objects that existed before the run
        self.names = NONE  # the names in the user code that ran, of those that may be attributes
        self._done: set[tuple[int, Any]] = set()  # the (id, subject) pairs already noted
        self._named = Names()  # the names in the user code that ran
        self._parts = NONE  # strings of which code may build the names of attributes
        self._open: list[Any] = []  # the user's objects; their attributes with such names are read
        self._functions: dict[int, list[FunctionType]] = {}  # by the id of their code
        self._inner: dict[int, CodeType] = {}  # by id, the code of functions that code of the run defines
        # By the id of their code, methods that Python or the library calls.
        self._special: dict[int, list[tuple[type, str]]] = {}
        self._knows_environment = False

    def note(self, *things: Any, names: frozenset[str] = NONE) -> None:
        """Note the state of objects from before the run that code with these names can read."""
        try:
            for thing in things:
                self._note(thing, names)
        except RecursionError:
            self.impure = "reads objects that refer to one another in too long a chain to compare before each replay"

    def _note(self, thing: Any, names: frozenset[str]) -> None:
        if isinstance(thing, str) and (parts := name_parts(thing) - self._named.strings):
            self._learn(Names(strings=parts))
        is_constant = isinstance(thing, CONSTANT) and (type(thing) in CONSTANT or not kinds_of(thing))
        if is_constant or isinstance(thing, Tensor | Op | Leaf | Node) or not self.is_new(thing, names):
            return
        if isinstance(thing, FunctionType):
            self._function(thing, names)
        elif isinstance(thing, functools._lru_cache_wrapper):  # its function may not run, if the result is cached
            self.note(thing.__wrapped__, names=names)
            if isinstance(code := getattr(thing.__wrapped__, "__code__", None), CodeType) and is_users(
                code.co_filename
            ):
                self.code(code, thing.__wrapped__.__globals__)
        elif isinstance(thing, MethodType):
            self.note(thing.__func__, thing.__self__, names=names)
        elif isinstance(thing, functools.partial):
            self.note(thing.func, *thing.args, thing.keywords, names=names)
        elif isinstance(thing, np.ndarray):
            self._array(thing, names)
        elif isinstance(thing, GENERATORS):
            self.generators.setdefault(id(thing), generator_state(thing))
        elif isinstance(thing, list | tuple | dict | set | frozenset | deque):
            self._contents(thing, names)
        elif (reason := unfollowed(thing)) is not None:
            self.impure = reason
        elif (read := state_of(thing)) is not None:
            self._read(read, names)
        elif (owner := behind(thing)) is not None:
            self.note(owner, names=names)
        elif named := names_in(thing):
            self._learn(Names(attributes=named))
        else:
            self.reads += used_by_methods(thing)
            if hasattr(type(thing), "_is_module"):
                self.module(thing)
            self._object(thing, names)

    def module(self, module: Any) -> None:
        """Note the registered members of an `nn` module, and the attributes that the package's methods use."""
        if not self.is_new(module, "what it has"):
            return
        own, line = vars(module), type(module).__mro__
        ours = [kind for kind in line if kind.__module__.startswith(OURS[0])]
        named = own.keys() & NONE.union(*map(named_by_methods, ours))
        hooks = {"_hooks", "_pre_hooks", "_backward_hooks", "_backward_pre_hooks"}
        wanted = {*module._kinds, *named, *hooks, "forward", "_kinds", "_training"}
        self._form(module, own, [kind for kind in line if kind not in ours])
        self._items(module, own, wanted, f"of {_title(module)}", None)
        self._methods(line, "forward")
        self.note(module)

    def is_new(self, thing: Any, subject: Any) -> bool:
        """Whether this is the first note about a subject of an object."""
        key = (id(thing), subject)
        if key in self._done:
            return False
        self._done.add(key)
        self.known[id(thing)] = thing
        return True

    def _function(self, function: FunctionType, names: frozenset[str]) -> None:
        self._functions.setdefault(id(function.__code__), []).append(function)
        if is_users(function.__code__.co_filename):
            parts = ["__code__", "__defaults__", "__kwdefaults__"]
            self.reads.append(Read(f"the function {function.__name__}", [f"{{0}}.{part}" for part in parts], function))
            if function.__kwdefaults__:
                self.reads.append(contents(function.__kwdefaults__))
        else:
            self._cells(function, names)
            self._learn(Names(globals=frozenset((function.__name__,))))
        self.note(*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), names=names)
        if vars(function):
            self._open.append(function)
            self._attributes(function, self.names)
            self.note(vars(function).get("__wrapped__"), names=names)

    def _cells(self, function: FunctionType, names: frozenset[str]) -> None:
        """The variables of a closure."""
        if self.is_new(function, "its cells"):
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                self._read(attribute(f"`{name}` of {function.__name__}", cell, "cell_contents"), names)

    def _object(self, thing: Any, names: frozenset[str]) -> None:
        """An object, a class or an imported module. For the user's objects, the names in all user code are looked up."""
        if isinstance(thing, ModuleType):
            if is_users_module(thing):
                self._open.append(thing)
                self._attributes(thing, self.names | names)
                self.note(vars(thing).get("__getattr__"))
            return
        kinds, kind, own = kinds_of(thing), type(thing), _dict(thing)
        if hasattr(kind, "_has_settings"):
            ours = [base for base in kind.__mro__ if base.__module__.startswith(OURS[0])]
            named = NONE.union(*map(named_by_methods, ours))
            self._items(thing, own, own.keys() & named, f"of {_title(thing)}", None)
        if not kinds and (isinstance(thing, type) or kind.__module__.startswith(OURS)):
            if "_function" in (own or ()):  # of a compiled function, the plain one is called
                self.note(thing._function, names=names)
            self._attributes(thing, names)
            return
        self._open.append(thing)
        self._methods(kinds)
        if isinstance(thing, type):
            self.reads.append(
                form(f"the class {_title(thing)}, its bases or their attributes", thing, [*map(vars, kinds)])
            )
        elif own is not None and not hasattr(kind, "_is_module"):
            self._form(thing, own, kinds)
        self._attributes(thing, self.names | names)

    def _form(self, thing: Any, own: Any, kinds: Iterable[type]) -> None:
        """The class of an object, and how many attributes it and its classes have: a new one could hide one that was found."""
        label = f"the class of {_title(thing)}, or its attributes,"
        self.reads.append(form(label, thing, [own, *map(vars, kinds)]))
        self.namespaces.append((own, frozenset(own)))

    def _attributes(self, thing: Any, names: frozenset[str]) -> None:
        """The attributes that code with these names can read."""
        kinds, own, where = kinds_of(thing), None if isinstance(thing, type) else _dict(thing), f"of {_title(thing)}"
        if self._parts:
            every = own.keys() if own is not None else NONE.union(*(vars(kind).keys() for kind in kinds))
            names = names.union(name for name in every if any(part in name for part in self._parts))
        if own is not None and not type(thing).__module__.startswith(OURS) and not WHOLE.isdisjoint(names):
            names = names.union(own)
        if own is not None:
            inherited = NONE.union(*(names & vars(kind).keys() for kind in kinds))
            self._items(thing, own, (names & own.keys()) | inherited, where, names)
        for kind in kinds:
            found = names & vars(kind).keys()
            slots = {name for name in found if isinstance(vars(kind)[name], MemberDescriptorType)}
            self._items(kind, vars(kind), found - slots, f"of {kind.__name__}", names)
            for name in sorted(slots if not isinstance(thing, type) else ()):
                if self.is_new(thing, name):
                    self._read(attribute(f"`{name}` {where}", thing, name), names)

    def _methods(self, kinds: Iterable[type], *names: str) -> None:
        """Methods that Python or the library calls: special methods, and those with the given names."""
        for kind in kinds:
            for name, value in list(vars(kind).items()):
                if name in names or (name.startswith("__") and isinstance(value, FunctionType)):
                    self.note(value)
                    if isinstance(value, FunctionType):
                        self._special.setdefault(id(value.__code__), []).append((kind, name))

    def _items(self, owner: Any, mapping: Any, found: Iterable[str], where: str, names: frozenset[str] | None) -> None:
        """The values of some names in the namespace of an object.

        With `names`, a constant is left out if code only calls its name and never reads it: that is another object's method.
        """
        called = self._named.methods - self._named.attributes if names is not None and where[:2] == "of" else NONE
        fresh = []
        for name in sorted(found):
            is_special = name.startswith("__") and name not in self._named.attributes | self._named.globals
            is_other = is_special or (name in called and isinstance(mapping.get(name), CONSTANT))
            if not is_other and self.is_new(owner, name):
                fresh.append(name)
        if fresh:
            self.reads.append(items(where, owner, mapping, fresh))
        for value in [mapping.get(name) for name in found]:
            self.note(function_of(value) or value, names=names or NONE)

    def _contents(self, thing: Any, names: frozenset[str]) -> None:
        """The contents of a list, tuple, dict, set or deque."""
        parts, is_fixed = (
            [*thing, *thing.values()] if isinstance(thing, dict) else [*thing],
            isinstance(thing, tuple | frozenset),
        )
        inner = [part for part in parts if not isinstance(part, CONSTANT)]
        if len(inner) > 2 * MANY or (len(thing) > MOST and not is_fixed):
            self.impure = (
                f"reads a {type(thing).__name__} of {len(thing):,} elements, too many to compare before each replay"
            )
            return
        if not is_fixed and self.is_new(thing, "its contents"):
            self.reads.append(contents(thing))
        self.note(*parts[: 2 * MANY], *inner, names=names)
        if kinds_of(thing) or _dict(thing):
            self._object(thing, names)

    def _array(self, array: np.ndarray, names: frozenset[str]) -> None:
        if not self.is_new(array, "its elements"):
            return
        if array.nbytes > SMALL_BYTES:
            self.large.append((array, checksum(array)))
        elif array.dtype.hasobject:
            tests = [f"{{0}}.item({i}) is {{found[{i}]}}" for i in range(array.size)]
            self.reads.append(Read("an array of objects", ["*{0}.ravel().tolist()"], array, tests=tests))
            self.note(array.ravel().tolist(), names=names)
        else:
            self.reads.append(values("the value of an array that the function can reach", array))
            self.arrays.append((array, self.reads[-1]))

    def _read(self, read: Read, names: frozenset[str]) -> None:
        self.reads.append(read)
        self.note(*read.found, names=names)

    # Names in code

    def _learn(self, named: Names) -> frozenset[str]:
        """The attributes that code can look up. New names are looked up in objects that were noted before, too."""
        self._named = every = self._named.joined(named)
        names = named.attributes | named.methods
        if not BY_STRING.isdisjoint(every.globals | every.attributes | every.methods):
            names |= every.strings
            self._named, self._parts = every._replace(attributes=every.attributes | every.strings), every.strings
        names |= WHOLE & named.globals
        if not self._knows_environment and not ENVIRONMENT.isdisjoint(names | named.globals):
            self._knows_environment = True
            self.reads.append(environment())
        fresh = names - self.names
        self.names |= fresh
        for thing in [*self._open] if fresh else ():
            self._attributes(thing, self.names if not WHOLE.isdisjoint(fresh) else fresh)
        return names

    def code(self, code: CodeType, shared: dict[str, Any]) -> frozenset[str]:
        """The state that code of the user names: its globals, in `shared`, and its closures. Returns names of attributes."""
        named = names_of(code)
        names = self._learn(named)
        for kind, name in self._special.pop(id(code), ()):
            if self.is_new(kind, name):
                self.reads.append(items(f"of {kind.__name__}", kind, vars(kind), [name]))
        if self.is_new(code, id(shared)):
            modules = {name for name in named.globals if isinstance(shared.get(name), ModuleType)}
            found = named.globals | (named.strings & shared.keys() if "globals" in named.globals else NONE)
            self._items(shared, shared, found - modules, f"in {shared.get('__name__', 'the globals')}", names)
            imported = ((named.globals - shared.keys()) | named.strings) & sys.modules.keys()
            self._items(sys.modules, sys.modules, imported, "in sys.modules", names)
            self.note(*map(shared.get, modules), names=names)
        self._inner.update((id(part), part) for part in code.co_consts if isinstance(part, CodeType))
        for function in list(self._functions.get(id(code), ())) or self._without_holder(code):
            self._cells(function, names)
        return names

    def _without_holder(self, code: CodeType) -> list[FunctionType]:
        """Functions with this code, if it has a closure, and neither noted objects nor code of the run led to them.

        They are held by something that is not followed, such as an op, a cache or a handler of `logging`.
        """
        is_method_of_dataclass = "__create_fn__" in code.co_qualname  # its closure has types and defaults
        if not code.co_freevars or id(code) in self._inner or is_method_of_dataclass:
            return []
        if not self.is_new(code, "its functions"):  # the search goes through all objects of the process
            return []
        return [function for function in gc.get_referrers(code) if isinstance(function, FunctionType)]


def _dict(thing: Any) -> Any:
    try:
        return object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None


def _title(thing: Any) -> str:
    return str(thing.__name__ if isinstance(thing, type | ModuleType | FunctionType) else type(thing).__name__)
