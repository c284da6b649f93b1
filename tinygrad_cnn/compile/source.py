"""Generated Python functions, and the objects that they refer to."""

from __future__ import annotations

import linecache
import textwrap
import weakref
from itertools import count
from typing import Any

from ..core.codegen import made

_serial = count(1)


class Constants:
    """Objects that a generated function refers to, by name. They become closure variables, which Python reads fastest."""

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def add(self, thing: Any, prefix: str = "k") -> str:
        """The name of an object; a new name begins with `prefix`."""
        if id(thing) not in self._names:
            name = f"{prefix if prefix.isidentifier() else 'k'}{len(self._objects)}"
            self._names[id(thing)], self._objects[name] = name, thing
        return self._names[id(thing)]

    def define(self, source: str, title: str) -> Any:
        """The function that `source` defines; tracebacks show its lines under this title."""
        name = source[len("def ") : source.index("(")]
        text = f"def make({', '.join(self._objects)}):\n{textwrap.indent(source, '    ')}    return {name}\n"
        filename = f"<{title} {next(_serial)}>"
        function = made(filename, text, {})(*self._objects.values())
        weakref.finalize(function.__code__, linecache.cache.pop, filename, None).atexit = False
        return function
