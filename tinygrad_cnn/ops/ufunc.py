"""Ops that are a NumPy ufunc, each declared in one statement: the ufunc, its formula and its rules."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, Concatenate, ParamSpec

import numpy as np

from ..core.graph import Array, OpFunction, op

P = ParamSpec("P")


def _declaring(
    module: str, inputs: Callable[Concatenate[Any, P], Any], differentiable: bool
) -> Callable[..., OpFunction[P]]:
    """A function that declares ops of a module, with the input names of `inputs`."""

    def declare(
        ufunc: np.ufunc, doc: str, name: str = "", *, complex: bool = False, **rules: Callable[..., Any]
    ) -> OpFunction[P]:
        raw = FunctionType(inputs.__code__, {}, name or ufunc.__name__)
        raw.__qualname__, raw.__doc__ = raw.__name__, doc
        raw.__module__ = module
        function: OpFunction[P] = op(ufunc=ufunc, differentiable=differentiable, complex=complex)(raw)
        if rules:
            function.vjp(**rules)
        return function

    return declare


def _one(a: Array) -> Any: ...


def _two(a: Array, b: Array) -> Any: ...


def ufuncs(
    module: str, differentiable: bool = True
) -> tuple[Callable[..., OpFunction[[]]], Callable[..., OpFunction[[Array]]]]:
    """Two functions that declare a module's ops of one and of two inputs.

    They are called ``unary(ufunc, doc, name, a=rule)`` and ``binary(ufunc, doc, name, a=rule, b=rule)``, with
    ``complex=True`` if the rules hold for complex inputs. The results of ops
    that are not differentiable are Booleans or integers.
    """
    return _declaring(module, _one, differentiable), _declaring(module, _two, differentiable)
