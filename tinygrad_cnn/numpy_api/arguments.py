"""NumPy's arguments, where a function of NumPy is called on Tensors: each goes to ours by name, or is refused with a reason.

NumPy's order of parameters is its own: the third one of ``np.sum`` is a dtype, and that of ``tinygrad_cnn.sum`` says whether
to keep axes. So a call is bound to NumPy's signature first.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Function = Callable[..., Any]

HARMLESS: dict[str, tuple[Any, ...]] = {
    "copy": (True,), "order": ("C", "K"), "device": ("cpu",), "overwrite_input": (True,), "stable": (True,),
    "subok": (True, False), "kind": ("quicksort", "heapsort", "mergesort", "stable", "introselect"),
    "casting": ("same_kind",), "where": (True,),
}  # fmt: skip
"""Values that change nothing: every result is a new Tensor in C order, every sort is stable."""

REASONS = {
    "out": "nothing recorded is ever written; use y = tinygrad_cnn.{op}(...)",
    "where": "it would leave parts of the result undefined; use tinygrad_cnn.where(condition, result, other)",
    "dtype": "convert before or after: x.astype(dtype)",
    "signature": "convert before: x.astype(dtype)",
    "casting": "convert before or after: x.astype(dtype)",
    "order": "how memory is laid out is no part of a Tensor's value; leave it out",
    "subok": "every result is a Tensor; leave it out",
    "device": "there is one device, the processor; leave it out",
    "copy": "every result may share memory; give copy=True or leave it out",
    "kind": "every sort is stable; leave it out",
    "stable": "every sort is stable; leave it out",
    "axes": "move the axes with moveaxis, before and after",
    "axis": "move the axis with moveaxis",
    "keepdims": "restore the axes with expand_dims",
    "overwrite_input": "nothing recorded is ever written; leave it out",
    "interpolation": "it is called method=",
    "bias": "it has no effect; leave it out",
    "ddof": "it has no effect; leave it out",
    "full": "take singular values and rank from np.linalg.svd of tinygrad_cnn.vander(x, deg + 1)",
    "cov": "compute it from tinygrad_cnn.linalg.inv of V^T V, with V = tinygrad_cnn.vander(x, deg + 1)",
    "reflect_type": "pad with tinygrad_cnn.concatenate",
}
"""The reasons for which arguments of NumPy's are refused, and what to do."""


_NO_VALUE = inspect.signature(np.sum).parameters["keepdims"].default


class Refused(TypeError):
    """NumPy can do what was asked for, and no op can. Users see a TypeError."""


class Places(NamedTuple):
    """How the parameters of a function of NumPy's correspond to those of ours."""

    theirs: inspect.Signature
    names: dict[str, str]
    """Our name for each of NumPy's parameters that has one."""
    ours: frozenset[str]
    leading: int
    """The number of parameters with the same position in both."""
    first: int
    """The number of our positional-only parameters."""


@functools.cache
def places(function: Function, standing: Function) -> Places | None:
    """The correspondence by name; for arrays, whose names differ, by position. None if NumPy's function has no signature."""
    try:
        theirs = inspect.signature(function)
    except ValueError:
        return None
    own = list(inspect.signature(standing).parameters.values())
    ours = [p.name for p in own]
    names = {name: name for name in theirs.parameters if name in ours}
    for (name, p), mine in zip(theirs.parameters.items(), own, strict=False):
        required = mine.default is mine.empty and (p.kind is p.VAR_POSITIONAL) == (mine.kind is mine.VAR_POSITIONAL)
        if name not in ours and mine.name not in theirs.parameters and required:
            names[name] = mine.name
    leading = 0
    for name, mine in zip(theirs.parameters, own, strict=False):
        if names.get(name) != mine.name or mine.kind is mine.KEYWORD_ONLY:
            break
        leading += 100 if mine.kind is mine.VAR_POSITIONAL else 1
    first = sum(p.kind is p.POSITIONAL_ONLY for p in own)
    return Places(theirs, names, frozenset(ours), leading, first)


def call(function: Function, standing: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The arguments of our function for a call of NumPy's. TypeError for an argument that ours does not take."""
    if function is np.where and len(args) == 1 and not kwargs:
        return np.nonzero(*args)
    found = places(function, standing)
    if found is None or (len(args) <= found.leading and found.ours.issuperset(kwargs)):
        return standing(*args, **kwargs)
    variadic = any(p.kind is p.VAR_POSITIONAL for p in found.theirs.parameters.values())
    given = dict(kwargs) if variadic else dict(found.theirs.bind_partial(*args, **kwargs).arguments)
    if not variadic and "kwargs" in given:
        given.update(given.pop("kwargs"))
    passed = {}
    for name, value in given.items():
        if value is _NO_VALUE:
            continue
        if name in found.names:
            passed[found.names[name]] = value
        elif not _says_nothing(name, value, found.theirs):
            raise refusal(f"np.{function.__name__}", standing, name)
    if variadic:
        return standing(*args, **passed)
    order = [*inspect.signature(standing).parameters][: found.first]
    return standing(*(passed.pop(name) for name in order), **passed)


def _says_nothing(name: str, value: Any, theirs: inspect.Signature | None) -> bool:
    """Whether an argument has no effect here."""
    default = theirs.parameters[name].default if theirs is not None and name in theirs.parameters else None
    return value is default or value is None or (isinstance(value, str | bool) and value in HARMLESS.get(name, ()))


def ufunc_arguments(ufunc: np.ufunc, standing: Function, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a ufunc that ours takes. TypeError for any other that would have an effect."""
    ours = inspect.signature(standing).parameters
    passed = {name: value for name, value in kwargs.items() if name in ours}
    for name, value in kwargs.items():
        if name not in ours and not _says_nothing(name, value, None):
            raise refusal(f"np.{ufunc.__name__}", standing, name)
    return passed


def refusal(name: str, standing: Function, keyword: str) -> Refused:
    """The error for an argument of NumPy's that ours does not take."""
    op = standing.__name__.removeprefix("_numpy_")
    why = REASONS.get(keyword, "tinygrad_cnn.{op} does not take it").format(op=op)
    return Refused(f"{name}: `{keyword}=` is refused beside a Tensor: {why}")
