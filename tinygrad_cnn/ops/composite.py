"""Functions composed of ops, as users call them: lists that hold Tensors are converted."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, MutableMapping
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from ..core.operands import FINE, ODD, PLAIN
from ..core.registry import namespace
from ..generated import become, build_and_call, head, made
from .lists import gather

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
        if inspect.isfunction(function):
            function.__doc__ = explained(function.__doc__)
            if not hasattr(function, "op"):
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

    scope = {"__name__": function.__module__, "_function": function, "_gather": gather, "_unfit": _unfit}
    scope |= {"_ndarray": np.ndarray, "_build": build}
    accepting: Any = FunctionType(build_and_call.__code__, scope, function.__name__)
    functools.update_wrapper(accepting, function)
    return accepting  # type: ignore[no-any-return]


def _unfit(name: str, error: AttributeError) -> TypeError:
    return TypeError(f"{name}: an argument is not what it must be, such as an array or a number: {error}")


PASSED: dict[Any, str] = {inspect.Parameter.KEYWORD_ONLY: "{0}={0}", inspect.Parameter.VAR_POSITIONAL: "*{0}"}
"""How a parameter is passed on, by its kind, if not by its position."""


def _written(function: Callable[..., Any], arrays: Collection[str], scope: dict[str, Any]) -> Any:
    """The function that :func:`accepting_lists` describes, whose parameters `arrays` may be lists; `scope` is its globals."""
    scope |= {"Tensor": (Tensor := namespace["Tensor"]), "_FINE": FINE | {Tensor}, "_PLAIN": PLAIN}
    name, parameters = function.__name__, inspect.signature(function).parameters
    passed = [PASSED.get(p.kind, "{0}").format(n) for n, p in parameters.items()]
    source = head(name, parameters.values(), scope)
    source += f"    if not (Tensor is {' is '.join(map('{}.__class__'.format, arrays))}):\n"
    for n in arrays:
        if f"*{n}" in passed:
            source += f"        {n} = [_gather(x, '{name}') if {ODD.format('x')} else x for x in {n}]\n"
        else:
            source += f"        if {ODD.format(n)}: {n} = _gather({n}, '{name}')\n"
    source += f"    try: return _function({', '.join(passed)})\n"
    source += f"    except AttributeError as _error: raise _unfit('{name}', _error) from _error\n"
    return made(f"<{name}: call>", source, scope)


RULE, NAME, GRADIENT = re.compile(r"(?:\w+', )*\w+' ="), re.compile(r"\w+(?=')"), re.compile(r" g\b")


def explained(doc: str | None) -> str | None:
    """A docstring with rules such as ``a' = g b``, and a sentence that says what these letters mean."""
    if doc is None:
        return None
    rules = [line for line in doc.split("\n") if "' =" in line] if "' =" in doc else ()
    if not (rules or (" g" in doc and GRADIENT.search(doc))):
        return doc
    names = dict.fromkeys([name for line in rules for rule in RULE.findall(line) for name in NAME.findall(rule)])
    marked = ", ".join(f"{name}'" for name in names)
    others = f", and {marked} with respect to {', '.join(names)}" if names else ""
    return f"{doc.rstrip()}\n\n    Here g is the gradient with respect to y{others}.\n    "


def parameters(function: Any) -> dict[str, Any] | None:
    """The annotations of a function's parameters by name; None if it takes any keyword."""
    if {"__signature__", "__wrapped__"}.isdisjoint(vars(function)):
        code, known = (
            function.__code__,
            function.__annotations__,
        )  # `inspect` would take a tenth of the library's import
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
        takes_any = code.co_flags & inspect.CO_VARKEYWORDS
        return None if takes_any else {name: known.get(name) for name in code.co_varnames[:count]}
    given = inspect.signature(function).parameters
    return None if any(p.kind is p.VAR_KEYWORD for p in given.values()) else {n: p.annotation for n, p in given.items()}
