"""Built-in functions and objects of the standard library: what they read or do that a replay would not repeat."""

from __future__ import annotations

import os
import sys
import threading
import weakref
import zlib
from collections import deque
from collections.abc import Collection, Iterator
from contextvars import ContextVar
from operator import attrgetter, methodcaller
from types import BuiltinMethodType, FrameType, MethodWrapperType, ModuleType
from typing import Any

import numpy as np

from .guard import MISSING, MOST, Read, contents, items
from .names import is_users, kinds_of, name_parts, named_by_methods, serves_users

SMALL_BYTES = 1 << 16
"""An array or buffer that Python code can reach is compared by value up to this size."""

LARGE_BYTES = 1 << 24
"""Up to this size, an array is compared during a captured run, though not before each replay."""

CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
IMPURE = {
    "print", "input", "warn", "urandom", "datetime.now", "datetime.utcnow", "date.today", *CLOCKS,
    *(f"{clock}_ns" for clock in CLOCKS),
}  # fmt: skip
"""Built-in functions with outputs or inputs that the guard cannot compare."""

FILES = {"open", "stat", "lstat", "access", "listdir", "scandir", "write", "writelines"}
"""Functions of files and streams. The standard library calls them for the user, as `pathlib` and `logging` do."""

ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}
"""If code uses one of these names, it may read environment variables."""

MORTAL = (weakref.ReferenceType, weakref.WeakValueDictionary, weakref.WeakKeyDictionary, weakref.WeakSet)
"""Weak references: a guard on the objects would keep them alive."""


def impurity(called: Any, frame: FrameType) -> str | None:
    """The name of a built-in function that a replay would not repeat, if `frame` calls it for user code; else None."""
    name = called.__name__
    if name in FILES:
        home = called.__module__ or type(getattr(called, "__self__", None)).__module__
        return name if home in ("_io", "io", "posix", "nt") and _serves_user(frame) else None
    name = called.__qualname__
    return name if name in IMPURE and is_users(frame.f_code.co_filename) else None


def _serves_user(frame: FrameType | None) -> bool:
    """Whether user code runs in a frame, or calls it through the standard library or NumPy."""
    while frame is not None and not is_users(frame.f_code.co_filename) and serves_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and is_users(frame.f_code.co_filename)


def environment() -> Read:
    """The environment variables."""
    now: Any = vars(os.environ)["_data"]
    return Read("an environment variable", ["*{0}.values()"], now, dict(now), tests=["{0} == {1}"])


def unfollowed(thing: Any) -> str | None:
    """What a run does with an object that a replay would not repeat, in words; None for other objects."""
    if isinstance(thing, MORTAL):
        return "reads a weak reference"
    if isinstance(thing, threading.local):
        return "reads a `threading.local`"
    if isinstance(thing, Iterator) and _is_standard(thing):
        return f"continues a {type(thing).__name__} from before the call"
    return None


def state_of(thing: Any) -> Read | None:
    """A read of the state of an object of the standard library that is not a list, dict or set; None for other objects."""
    if isinstance(thing, ContextVar):
        return Read(f"the variable `{thing.name}` of the context", ["{0}.get({1})"], thing, MISSING)
    if isinstance(thing, type | ModuleType) or not _is_standard(thing):
        return None
    if thing is os.environ:
        return environment()
    try:
        size = memoryview(thing).nbytes
    except TypeError:
        return contents(thing) if isinstance(thing, Collection) and len(thing) <= MOST else None
    test = "memoryview({0}).tobytes()"
    return (
        Read(f"a {type(thing).__name__}", [test], thing, tests=[f"{test} == {{found[0]}}"])
        if size <= SMALL_BYTES
        else None
    )


def used_by_methods(thing: Any) -> list[Read]:
    """Reads of the attributes that the methods of an object of the standard library use, as of an `Event` or a `Logger`."""
    own = getattr(thing, "__dict__", {})
    if not own or isinstance(thing, type | ModuleType) or not _is_standard(thing):
        return []
    names = own.keys() & frozenset[str]().union(*map(named_by_methods, type(thing).__mro__))
    found = [own[name] for name in sorted(names)]
    inner = [contents(part) for part in found if isinstance(part, list | dict | set | deque) and len(part) <= MOST]
    return [items(f"of a {type(thing).__name__}", thing, own, sorted(names)), *inner]


def checksum(array: np.ndarray) -> int | None:
    """A checksum of the values of an array; None if that takes long."""
    return None if array.nbytes > LARGE_BYTES or array.dtype.hasobject else zlib.crc32(array.tobytes())


def behind(thing: Any) -> Any:
    """The object whose method a built-in method is; None for other objects."""
    found = thing.__self__ if isinstance(thing, BuiltinMethodType | MethodWrapperType) else None
    return None if isinstance(found, ModuleType) else found


def names_in(thing: Any) -> frozenset[str]:
    """The attributes that an object of the module `operator` looks up."""
    if not isinstance(thing, attrgetter | methodcaller):
        return frozenset()
    return frozenset[str]().union(*(name_parts(part) for part in thing.__reduce__()[1] if isinstance(part, str)))


def _is_standard(thing: Any) -> bool:
    return type(thing).__module__.partition(".")[0] in sys.stdlib_module_names and not kinds_of(thing)
