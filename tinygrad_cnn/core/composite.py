"""Functions composed of ops, as users call them: lists that hold Tensors are converted, and PyTorch's keywords answered."""

from __future__ import annotations

import functools
import inspect
import linecache
from collections.abc import Callable, Collection, MutableMapping
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from .codegen import answering_head
from .keywords import foreign, unexpected
from .operands import FINE, ODD, gather
from .signature import explained

F = TypeVar("F", bound=Callable[..., Any])


def accept_lists(namespace: MutableMapping[str, Any], replace: MutableMapping[Any, Any]) -> None:
    """Let the public functions of a module take lists that hold Tensors wherever a parameter is annotated as ``Array``.

    Ops accept such lists already. A function composed of ops may ask for a shape first, and NumPy would read the values.
    Modules that imported a function earlier keep the original, so calls within the library cost nothing.
    The values of `replace` are functions; they are replaced too.
    """
    accepting = {}
    for name in namespace["__all__"]:
        function = namespace[name]
        if inspect.isfunction(function) and not hasattr(function, "op"):
            function.__doc__ = explained(function.__doc__)
            namespace[name] = accepting[function] = accepting_lists(function)
    replace.update({key: accepting[value] for key, value in replace.items() if value in accepting})


def accepting_lists(function: F) -> F:
    """`function`, with list arguments converted to Tensors if their parameters are annotated as ``Array``.

    It is generated with the parameters of `function`, and those of PyTorch's that it answers (:func:`answering_head`).
    """
    plain = inspect.unwrap(function)
    code, annotations = plain.__code__, plain.__annotations__  # `inspect.signature` would take a tenth of the import
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)]
    arrays = [name for name in names if annotations.get(name) in ("Array", "TensorLike")]
    if code.co_flags & inspect.CO_VARKEYWORDS or not (arrays or foreign(function.__name__, names)):
        return function

    def build() -> Any:
        made = _made(function, arrays, scope)
        accepting.__defaults__, accepting.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
        accepting.__code__ = made.__code__
        return accepting

    scope = {"__name__": function.__module__, "_function": function, "_gather": gather, "_FINE": FINE}
    scope |= {"_ndarray": np.ndarray, "_unexpected": unexpected, "_build": build}
    accepting: Any = FunctionType(_build_and_call.__code__, scope, function.__name__)
    functools.update_wrapper(accepting, function)
    return accepting  # type: ignore[no-any-return]


def _made(function: Callable[..., Any], arrays: Collection[str], scope: dict[str, Any]) -> Any:
    """The function that :func:`accepting_lists` describes, whose parameters `arrays` may be lists; `scope` is its globals."""
    heads: list[str] = []
    passed: list[str] = []
    lines: list[str] = []
    given = inspect.signature(function).parameters
    for name, p in given.items():
        if p.kind is p.KEYWORD_ONLY and "*" not in "".join(heads):
            heads.append("*")
        if p.default is not p.empty:
            scope[f"_default_{name}"] = p.default
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        heads.append(f"{star}{name}" if p.default is p.empty else f"{name}=_default_{name}")
        passed.append(f"{name}={name}" if p.kind is p.KEYWORD_ONLY else star + name)
        if name in arrays:
            each = (
                "{0} = [_gather(x, {1!r}) if {2} else x for x in {0}]" if star else "if {2}: {0} = _gather({0}, {1!r})"
            )
            lines.append("    " + each.format(name, function.__name__, ODD.format("x" if star else name, "_FINE")))
    head = answering_head(function.__name__, heads, [*given], keyword_only=True)
    source = "\n".join([*head, *lines, f"    return _function({', '.join(passed)})", ""])
    filename = f"<{function.__name__}: call>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    found: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), scope, found)
    return found[function.__name__]


def _build_and_call(*args: Any, **kwargs: Any) -> Any:
    """A function before its code is generated, on the first call."""
    return _build()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821
