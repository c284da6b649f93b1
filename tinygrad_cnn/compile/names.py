"""The names of globals and attributes in bytecode, and which code and classes belong to the user."""

from __future__ import annotations

import dis
import functools
import inspect
import os
import sys
import sysconfig
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..core.frames import is_library

NUMPY = str(np.__path__[0])
STANDARD = (sysconfig.get_path("stdlib"), os.path.dirname(dis.__file__))
"""The standard library's folders: in a browser, Python's modules are in a zip file next to the first."""

OURS = (__name__.partition(".")[0], "numpy")
"""Packages whose objects change on their own: only attributes are compared that code names while it can reach the object."""

CALLED_BY_LOAD = sys.version_info >= (3, 12)
"""Whether one instruction loads both attributes and methods for an immediate call."""

BY_STRING = {"getattr", "hasattr", "setattr", "delattr", "attrgetter", "methodcaller"}
"""If code uses one of these names, its strings may be names of attributes."""

WHOLE = {"vars", "__dict__", "dir", "asdict", "astuple", "fields", "getmembers"}
"""If code uses one of these names, it may read all attributes of an object."""


class Names(NamedTuple):
    """The names in code: global variables, attributes, methods called at once, and strings, which may be any of them."""

    globals: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    strings: frozenset[str] = frozenset()

    def joined(self, *others: Names) -> Names:
        """The union of these names and those of others."""
        return Names(*(frozenset[str]().union(*kind) for kind in zip(self, *others, strict=True)))


@functools.cache
def names_of(code: CodeType) -> Names:
    """The names in a function's code and in the functions it defines."""
    globals, attributes, methods, is_matching = set[str](), set[str](), set[str](), False
    for step in dis.get_instructions(code):
        name = step.argval
        if step.opname.endswith(("_GLOBAL", "_NAME")):
            globals.add(name)
        elif step.opname == "IMPORT_FROM":
            attributes.add(name)
        elif step.opname == "LOAD_METHOD" or (
            CALLED_BY_LOAD and step.opname == "LOAD_ATTR" and step.arg and step.arg & 1
        ):
            methods.add(name)
        elif step.opname.endswith("_ATTR"):
            attributes.add(name)
        is_matching |= step.opname == "MATCH_CLASS"
    inner = Names().joined(*(names_of(part) for part in code.co_consts if isinstance(part, CodeType)))
    strings = _strings(code.co_consts) | inner.strings
    own = Names(*map(frozenset, (globals, attributes | strings if is_matching else attributes, methods, strings)))
    return own.joined(inner)


def _strings(constant: Any) -> frozenset[str]:
    if isinstance(constant, tuple | frozenset):
        return frozenset[str]().union(*map(_strings, constant))
    return name_parts(constant) if isinstance(constant, str) else frozenset()


def name_parts(text: str) -> frozenset[str]:
    """The names in a text that could be an attribute, a dotted path of attributes, or a part of one, as in f"layer_{i}"."""
    return frozenset(part for part in text.split(".") if f"_{part}".isidentifier() and part)


@functools.cache
def named_by_methods(kind: type) -> frozenset[str]:
    """The attributes that the methods of a class use, in generated wrappers around them too."""
    functions = [inspect.unwrap(function_of(value) or value) for value in vars(kind).values()]
    named = Names().joined(*(names_of(f.__code__) for f in functions if isinstance(f, FunctionType)))
    return named.attributes | named.methods


def kinds_of(thing: Any) -> list[type]:
    """The classes of an object (of a class: its bases and metaclasses) that belong to the user."""
    line: tuple[type, ...] = (*(thing.__mro__ if isinstance(thing, type) else ()), *type(thing).__mro__)
    return [kind for kind in line if not _is_foreign_module(kind.__module__)]


def function_of(value: Any) -> Any:
    """The function behind a property, a class method and the like."""
    if isinstance(value, property):
        return value.fget
    if isinstance(value, classmethod | staticmethod):
        return value.__func__
    if isinstance(value, functools.cached_property | functools.partialmethod):
        return value.func
    if isinstance(value, functools.singledispatchmethod):
        return value.dispatcher
    return None


@functools.cache
def is_users(path: str | None) -> bool:
    """Whether code in a file is user code. Code of this package is not: it reports its reads to the tracer."""
    if path is None or path.startswith((NUMPY, "<frozen ")) or is_library(path):
        return False
    return not path.startswith(STANDARD) or "-packages" in path


@functools.cache
def serves_users(path: str) -> bool:
    """Whether code in a file is user code, or of a package that user code calls: not of this one."""
    return not is_library(path)


def is_users_module(module: ModuleType) -> bool:
    """Whether a module is user code; one without a file may be."""
    path = vars(module).get("__file__")
    return not _is_foreign_module(module.__name__) if path is None else is_users(path)


def _is_foreign_module(name: str) -> bool:
    first = name.partition(".")[0]
    return first in sys.stdlib_module_names or first in OURS
