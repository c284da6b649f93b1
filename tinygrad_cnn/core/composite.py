"""Functions composed of ops, as users call them: lists that hold Tensors are converted, and PyTorch's keywords answered."""

from __future__ import annotations

import functools
import inspect
import linecache
from collections.abc import Callable, MutableMapping
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from ..names.keywords import unexpected
from .codegen import answering_head
from .operands import FINE, ODD, gather
from .signature import explained

F = TypeVar("F", bound=Callable[..., Any])


def accept_lists(namespace: MutableMapping[str, Any], replace: MutableMapping[Any, Any]) -> None:
    """Let the public functions of a module take lists that hold Tensors wherever a parameter is annotated as ``Array``.

    Ops accept such lists already. A function composed of ops may ask for a shape first, and NumPy would read the values.
    Modules that imported a function earlier keep the original, so calls within the library cost nothing.
    The values of `replace` are functions; they are replaced too.
    """
    for name in namespace["__all__"]:
        function = namespace[name]
        if inspect.isfunction(function) and not hasattr(function, "op"):
            function.__doc__ = explained(function.__doc__)
            namespace[name] = accepting = accepting_lists(function)
            replace.update({key: accepting for key, value in replace.items() if value is function})


def accepting_lists(function: F) -> F:
    """`function`, with list arguments converted to Tensors if their parameters are annotated as ``Array``.

    It is generated with the parameters of `function`, and those of PyTorch's that it answers (:func:`answering_head`).
    """
    given = inspect.signature(function).parameters.values()
    heads: list[str] = []
    passed: list[str] = []
    lines: list[str] = []
    scope: dict[str, Any] = {"__name__": function.__module__}
    for p in given:
        name = p.name
        if p.kind is p.VAR_KEYWORD:
            return function
        if p.kind is p.KEYWORD_ONLY and "*" not in "".join(heads):
            heads.append("*")
        if p.default is not p.empty:
            scope[f"_default_{name}"] = p.default
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        heads.append(f"{star}{name}" if p.default is p.empty else f"{name}=_default_{name}")
        passed.append(f"{name}={name}" if p.kind is p.KEYWORD_ONLY else star + name)
        if p.annotation in ("Array", "TensorLike"):
            each = (
                "{0} = [_gather(x, {1!r}) if {2} else x for x in {0}]" if star else "if {2}: {0} = _gather({0}, {1!r})"
            )
            lines.append("    " + each.format(name, function.__name__, ODD.format("x" if star else name, "_FINE")))
    head = answering_head(function.__name__, heads, [p.name for p in given], keyword_only=True)
    if not lines and len(head) == 1:
        return function
    source = "\n".join([*head, *lines, f"    return _function({', '.join(passed)})", ""])
    filename = f"<{function.__name__}: call>"

    def build() -> Any:
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        found: dict[str, Any] = {}
        exec(compile(source, filename, "exec"), scope, found)
        made = found[function.__name__]
        accepting.__defaults__, accepting.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
        accepting.__code__ = made.__code__
        return accepting

    scope |= {"_function": function, "_gather": gather, "_FINE": FINE, "_ndarray": np.ndarray}
    scope |= {"_unexpected": unexpected, "_build": build}
    accepting: Any = FunctionType(_build_and_call.__code__, scope, function.__name__)
    functools.update_wrapper(accepting, function)
    return accepting  # type: ignore[no-any-return]


def _build_and_call(*args: Any, **kwargs: Any) -> Any:
    """A function before its code is generated, on the first call."""
    return _build()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821
