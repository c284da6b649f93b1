"""Functions that are made from source text, at their first call, and whose lines tracebacks show."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Iterable
from typing import Any


def head(name: str, parameters: Iterable[inspect.Parameter], scope: dict[str, Any]) -> str:
    """The first line of a function. Defaults that cannot be written out are put into its globals, `scope`."""
    shown = []
    for p in parameters:
        if not (p.default is None or p.default is p.empty or type(p.default) in (bool, int, str)):
            scope[f"_default_{p.name}"] = p.default
            p = p.replace(default=_Written(f"_default_{p.name}"))
        shown.append(p.replace(annotation=p.empty))
    return f"def {name}{inspect.Signature(shown)}:\n"


class _Written(str):
    """Source as the default of a parameter."""

    __slots__ = ()
    __repr__ = str.__str__


def made(filename: str, source: str, scope: dict[str, Any]) -> Any:
    """The function that `source` defines in the globals `scope`; tracebacks show its lines."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    found: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), scope, found)
    return found.popitem()[1]


def build_and_call(*args: Any, **kwargs: Any) -> Any:
    """The code of a function until its first call: build it, by the `_build` among its globals, then call it."""
    return _build()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def become(function: Any, made: Any) -> Any:
    """`function`, with the code and the defaults of another one of the same globals."""
    function.__defaults__, function.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
    function.__code__ = made.__code__
    return function
