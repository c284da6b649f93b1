"""Ops that are a NumPy ufunc, each declared in one statement: the ufunc, its formula and its rules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Concatenate, ParamSpec

import numpy as np

from ..core.graph import Array, OpFunction, op

P = ParamSpec("P")


def _declaring(inputs: Callable[Concatenate[Any, P], Any], differentiable: bool = True) -> Callable[..., OpFunction[P]]:
    """A function that declares ops with the input names of `inputs`."""

    def declare(ufunc: np.ufunc, doc: str, name: str = "", **rules: Callable[..., Any]) -> OpFunction[P]:
        raw = FunctionType(inputs.__code__, {}, name or ufunc.__name__)
        raw.__qualname__, raw.__doc__ = raw.__name__, doc
        raw.__module__ = sys._getframe(1).f_globals["__name__"]
        function: OpFunction[P] = op(ufunc=ufunc, differentiable=differentiable)(raw)
        if rules:
            function.vjp(**rules)
        return function

    return declare


def _one(a: Array) -> Any: ...


def _two(a: Array, b: Array) -> Any: ...


unary = _declaring(_one)
"""``unary(ufunc, doc, name, a=rule)`` declares an op of one input."""

binary = _declaring(_two)
"""``binary(ufunc, doc, name, a=rule, b=rule)`` declares an op of two inputs."""

discrete_unary, discrete_binary = _declaring(_one, differentiable=False), _declaring(_two, differentiable=False)
"""The same for ops without a gradient, whose results are Booleans or integers."""
