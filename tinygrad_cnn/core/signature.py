"""Check an op's declaration (names, inputs, parameters) before code is generated for it."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from .codegen import IN_SHAPE, JOINT, TAKEN, TAKEN_FORM, Signature

OUT = "out"


def explained(doc: str | None) -> str | None:
    """A docstring with rules such as ``a' = g b``, and a sentence that says what these letters mean."""
    if doc is None:
        return None
    # A hundred times faster than a search of the whole text, of which each word could begin a rule.
    rules = [rule for line in doc.split("\n") if "' =" in line for rule in re.findall(r"(?:\w+', )*\w+' =", line)]
    if not (rules or re.search(r" g\b", doc)):
        return doc
    names = dict.fromkeys(re.findall(r"\w+(?=')", " ".join(rules)))
    marked = ", ".join(f"{name}'" for name in names)
    others = f", and {marked} with respect to {', '.join(names)}" if names else ""
    return f"{doc.rstrip()}\n\n    Here g is the gradient with respect to y{others}.\n    "


def asked(rule: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a rule's parameters."""
    if isinstance(rule, FunctionType) and not hasattr(rule, "__wrapped__"):
        code = rule.__code__  # ten times faster than `inspect`
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(inspect.signature(rule).parameters)


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


def check_names(where: str, served: Sequence[str], rule: Callable[..., Any], legal: Sequence[str]) -> None:
    """TypeError, beginning with `where`, if the rule for the inputs `served` asks for other names than the legal ones."""
    unknown = ", ".join(f"`{n}`" for n in asked(rule) if n not in legal)
    if unknown:
        inputs = ", ".join(f"`{n}`" for n in served)
        raise TypeError(f"{where}: the rule for {inputs} names {unknown}; legal names are {', '.join(legal)}")


def declared(
    raw: Callable[..., Any],
    given: inspect.Signature,
    residuals: tuple[str, ...],
    ufunc: np.ufunc | None,
    linear: tuple[str, ...] = (),
    composed: tuple[str, ...] = (),
) -> Signature:
    """The signature of an op defined by `raw`, or by `ufunc` with raw's names. TypeError if the declaration is ill-formed."""
    parameters = given.parameters.values()
    variadic = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    inputs = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    keywords = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in (OUT, *composed))
    reserved = sorted({"g", "y", "i", IN_SHAPE, OUT, *JOINT} & {*inputs, *variadic, *keywords, *residuals})
    if reserved:
        raise TypeError(f"op {raw.__name__}: {', '.join(reserved)} are names with a meaning in rules; rename them")
    if not raw.__name__.isidentifier() or keyword.iskeyword(raw.__name__):
        raise TypeError(f"op {raw.__name__}: the name must be an identifier, as `def` gives it; a lambda has none")
    taken = sorted(n for n in (*inputs, *variadic, *keywords, *residuals) if n in TAKEN or TAKEN_FORM.search(n))
    if taken:
        raise TypeError(
            f"op {raw.__name__}: {', '.join(taken)} may clash with names in the function that is written for the op; "
            "rename names that begin or end with `_`, end with `_n`, or are builtins"
        )
    if bool(inputs) == bool(variadic) or len(variadic) > 1 or any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise TypeError(
            f"op {raw.__name__}: array inputs are positional (a, b) or all variadic (*xs), the rest keyword-only; "
            f"got {given}"
        )
    unknown = [n for n in linear if n not in inputs]
    if unknown:
        raise TypeError(
            f"op {raw.__name__}: `linear` names {', '.join(unknown)}; it must name inputs: {', '.join(inputs or variadic)}"
        )
    optional = frozenset(p.name for p in parameters if p.name in inputs and p.default is None)
    lost = [p.name for p in parameters if p.name in inputs and p.default is not p.empty and p.default is not None]
    if lost:
        raise TypeError(
            f"op {raw.__name__}: `{lost[0]}` has a default, which an input may not have, other than None; if it is a "
            f"parameter and no array, write it behind a star: *, {lost[0]}=..."
        )
    required = frozenset(p.name for p in parameters if p.name in keywords and p.default is p.empty)
    names = tuple(inputs or variadic)
    if ufunc is not None and (ufunc.nin, ufunc.nout) != (len(names), 1):
        raise TypeError(
            f"op {raw.__name__}: `ufunc` is {ufunc.__name__}, of {ufunc.nin} inputs and {ufunc.nout} outputs; the op has "
            f"{len(names)} and 1, and they must agree: declare a function with a body"
        )
    found = Signature(raw.__name__, names, keywords, required, residuals, bool(variadic), optional)
    found.composed = composed
    return found
