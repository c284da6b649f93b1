"""Functions composed of ops, as users call them: lists that hold Tensors are converted."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, MutableMapping
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from .codegen import become, build_and_call, made
from .operands import FINE, ODD, gather
from .signature import explained, parameters

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
    """`function`, with list arguments converted to Tensors if their parameters are annotated as ``Array``."""
    given = parameters(function)
    arrays = [name for name, annotation in (given or {}).items() if annotation in ("Array", "TensorLike")]
    if not arrays:
        return function

    def build() -> Any:
        return become(accepting, _written(function, arrays, scope))

    scope = {"__name__": function.__module__, "_function": function, "_gather": gather, "_FINE": FINE, "_unfit": _unfit}
    scope |= {"_ndarray": np.ndarray, "_build": build}
    accepting: Any = FunctionType(build_and_call.__code__, scope, function.__name__)
    functools.update_wrapper(accepting, function)
    return accepting  # type: ignore[no-any-return]


def _unfit(name: str, error: AttributeError) -> TypeError:
    return TypeError(f"{name}: an argument is not what it must be, such as an array or a number: {error}")


def _written(function: Callable[..., Any], arrays: Collection[str], scope: dict[str, Any]) -> Any:
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
    head = f"def {function.__name__}({', '.join(heads)}):"
    call = [
        f"    try: return _function({', '.join(passed)})",
        f"    except AttributeError as _error: raise _unfit({function.__name__!r}, _error) from _error",
    ]
    source = "\n".join([head, *lines, *call, ""])
    return made(f"<{function.__name__}: call>", source, scope)
