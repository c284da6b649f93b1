"""Rows for ops/linalg.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.ops import linalg as ops
from tinygrad_cnn.testing.cases import Arg, Case

from .fourier import parts

SHAPES = [(1, 1), (3, 3), (2, 1, 2, 2)]


def _identity(a: Any) -> Any:
    return np.eye(a.shape[-1], dtype=a.dtype)


def _dominant(f: Callable[..., Any]) -> Callable[..., Any]:
    """Called with a matrix whose diagonal outweighs the rest, so that it is far from singular."""
    return lambda a, *more, **params: f(a + 4 * _identity(a), *more, **params)


def _positive(f: Callable[..., Any]) -> Callable[..., Any]:
    """Called with a symmetric positive definite matrix."""
    return lambda a, **params: f(a @ a.swapaxes(-1, -2) + _identity(a), **params)


def _oblique(f: Callable[..., Any]) -> Callable[..., Any]:
    """Called with a complex matrix that is far from singular."""
    return lambda a: f(a * 1j + a.swapaxes(-1, -2) + 4 * _identity(a))


def _unit(shape: tuple[int, ...]) -> Arg:
    return Arg(shape, low=-1, high=1)


def _cofactors(a: Any) -> Any:
    return np.linalg.det(a)[..., None, None] * np.linalg.inv(a).swapaxes(-1, -2)


def _cofactors_along(a: Any, x: Any) -> Any:
    """The derivative of the cofactors of an invertible matrix in a direction."""
    inverse = np.linalg.inv(a)
    trace = np.trace(inverse @ x, axis1=-2, axis2=-1)[..., None, None]
    return np.linalg.det(a)[..., None, None] * ((trace * inverse - inverse @ x @ inverse).swapaxes(-1, -2))


def _first_dominant(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda arrays: f([arrays[0] + 4 * _identity(arrays[0]), *arrays[1:]])


CASES = [
    *(Case(ops.inv, (_unit(shape),), np.linalg.inv, via=_dominant) for shape in SHAPES),
    *(
        Case(f, (_unit(a), Arg(b)), np.linalg.solve, via=_dominant)
        for a, b in (((3, 3), (3, 2)), ((2, 1, 2, 2), (3, 2, 2)), ((2, 2), (2, 2, 1)))
        for f in (ops.solve, ops.solve_columns)
    ),
    *(
        Case(ops.solve, (_unit(a), Arg(b)), np.linalg.solve, via=_dominant)
        for a, b in (((3, 3), (3,)), ((2, 2, 2), (2,)))
    ),
    *(
        Case(ops.cofactors, (_unit(shape),) * len(more), g, sequence=True, via=_first_dominant)
        for shape in SHAPES
        for g, more in ((lambda ax: _cofactors(*ax), "a"), (lambda ax: _cofactors_along(*ax), "ax"))
    ),
    *(Case(ops.det, (_unit(shape),), np.linalg.det) for shape in SHAPES),  # singular matrices included
    *(
        Case(ops.slogdet, (_unit(shape),), np.linalg.slogdet, via=lambda f: lambda a: _dominant(f)(a)[1])
        for shape in SHAPES
    ),
    Case(ops.slogdet, (_unit((2, 2)),), np.linalg.slogdet, order=0, via=lambda f: lambda a: f(a)[0]),
    Case(ops.log_abs_det, (_unit((2, 2)),), lambda a: np.linalg.slogdet(a)[1], via=_dominant),
    Case(ops.det_sign, (_unit((2, 2, 2)),), lambda a: np.linalg.slogdet(a)[0], order=0),
    Case(ops.det_phase, (_unit((2, 3, 3)),), lambda a: np.linalg.slogdet(a)[0], via=lambda f: parts(_oblique(f))),
    *(Case(ops.cholesky, (_unit(shape),), np.linalg.cholesky, via=_positive) for shape in SHAPES),
    Case(ops.cholesky, (_unit((3, 3)),), np.linalg.cholesky, {"upper": True}, via=_positive),
    *(
        Case(ops.cholesky, (_unit((3, 3)),), np.linalg.cholesky, {"upper": upper}, via=_dominant)
        for upper in (False, True)
    ),
]
