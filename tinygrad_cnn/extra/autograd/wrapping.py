"""NumPy's and SciPy's functions as ones that record: with arrays they are the functions themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...core.registry import numpy_ops
from ...numpy_api import dispatch
from .recording import Rules
from .trees import counted, holds, values

PLAIN = (np.isscalar, np.iterable, np.array_repr, np.array_str, np.array2string, np.unique)
"""Functions that are called on values."""


def recording(function: Callable[..., Any], module: str, other: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """`function`, which records if it is given a Tensor, or a list with one.

    Then `other` is called, or the op that the library has for a function of NumPy's. ``defvjp`` can replace
    its rules; ``defjvp`` alone changes nothing.
    """
    rules = Rules(function)
    ufunc = isinstance(function, np.ufunc)

    def called(*args: Any, **kwargs: Any) -> Any:
        if not holds(args) and not (kwargs and holds(kwargs.values())):
            return function(*args, **kwargs)
        if rules.pull is not None:
            return rules.record(args, kwargs)
        if other is not None:
            return counted(other(*args, **kwargs))
        if ufunc:
            op = None if kwargs else numpy_ops.get(function)
            return counted(op(*args) if op else dispatch.array_ufunc(function, "__call__", args, kwargs))  # type: ignore[arg-type]
        if function in PLAIN:
            return function(*values(args), **values(kwargs))
        return counted(dispatch.array_function(function, args, kwargs))

    functools.update_wrapper(called, function, updated=())
    called.__module__ = module
    called.fun = function  # type: ignore[attr-defined]
    called.rules = rules  # type: ignore[attr-defined]
    for method in ("accumulate", "at", "outer", "reduce", "reduceat") if ufunc else ():
        setattr(called, method, getattr(function, method))
    return called


def refusing(function: Callable[..., Any], module: str, why: str) -> Callable[..., Any]:
    """`function`, which raises a TypeError if it is given a Tensor, until ``defvjp`` or ``defjvp`` gives it a rule."""
    rules = Rules(function)

    def called(*args: Any, **kwargs: Any) -> Any:
        if holds(args) or holds(kwargs.values()):
            if rules.pull is not None or rules.push is not None:
                return rules.record(args, kwargs)
            raise TypeError(f"{module.rpartition('autograd.')[2]}.{function.__name__}: {why}")
        return function(*args, **kwargs)

    functools.update_wrapper(called, function, updated=())
    called.__module__ = module
    called.fun = function  # type: ignore[attr-defined]
    called.rules = rules  # type: ignore[attr-defined]
    return called


def wrapped(source: Mapping[str, Any], module: str) -> dict[str, Any]:
    """The public names of a module of NumPy: its functions record, and everything else is unchanged."""
    found = {}
    for name, value in source.items():
        if name.startswith("_") and name != "__version__":
            continue
        is_function = isinstance(value, np.ufunc) or (callable(value) and not isinstance(value, type))
        found[name] = recording(value, module) if is_function else value
    return found
