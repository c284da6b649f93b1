"""Products of vectors, matrices and tensors, and the trace. All but matmul are composed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..core.graph import Array, implements, op
from ..kernels.matmul import multiply, multiplying
from .binders import bind
from .elementwise import mul
from .rearrange import diagonal
from .reduce import sum
from .shape import different_axes, ravel, reshape, sum_to, transpose

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["dot", "inner", "matmul", "outer", "tensordot", "trace"]

Axes: TypeAlias = int | Sequence[int]


@op(numpy=np.matmul)
def matmul(a: Array, b: Array, *, out: Array = None) -> Array:
    """y = a b, as np.matmul: 1-D inputs are a row at the left and a column at the right, leading axes broadcast.

    a' = g b^T,  b' = a^T g, summed over the leading axes that were broadcast.
    """
    if a.__class__ is b.__class__ is np.ndarray and a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        return multiply(a, b, out)
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        raise ValueError("matmul: a 0-d input has no axis to contract; use `*` to multiply by a scalar")
    if np.shape(a)[-1] != np.shape(b)[0 if np.ndim(b) == 1 else -2]:
        raise ValueError(
            f"matmul: `a` {np.shape(a)} has {np.shape(a)[-1]} columns but `b` {np.shape(b)} has "
            f"{np.shape(b)[0 if np.ndim(b) == 1 else -2]} rows; they must agree: check the shapes or transpose one"
        )
    return multiply(a, b, out)


def _matrix_cotangent(g: Array, row: bool, column: bool) -> Array:
    """g with the axes back that a 1-D left or right input dropped from the product."""
    if row and column:
        return reshape(g, shape=(1, 1))
    if column:
        return reshape(g, shape=(*g.shape, 1))
    return reshape(g, shape=(*g.shape[:-1], 1, g.shape[-1])) if row else g


def _matmul_a(g: Array, b: Array, in_shape: tuple[int, ...]) -> Array:
    if len(in_shape) == b.ndim == 2:
        return matmul(g, b.swapaxes(0, 1))
    row, column = len(in_shape) == 1, b.ndim == 1
    g = _matrix_cotangent(g, row, column)
    b = reshape(b, shape=(-1, 1)) if column else b
    whole: Array = matmul(g, b.swapaxes(-1, -2))
    if whole.shape == in_shape:
        return whole
    return reshape(sum_to(whole, shape=(1, *in_shape) if row else in_shape), shape=in_shape)


def _matmul_b(g: Array, a: Array, in_shape: tuple[int, ...]) -> Array:
    if len(in_shape) == a.ndim == 2:
        return matmul(a.swapaxes(0, 1), g)
    row, column = a.ndim == 1, len(in_shape) == 1
    g = _matrix_cotangent(g, row, column)
    a = reshape(a, shape=(1, -1)) if row else a
    if len(in_shape) <= 2 and g.ndim > 2:  # one matrix serves every a: a single product over the stacked rows
        a, g = (reshape(m, shape=(math.prod(m.shape[:-1]), m.shape[-1])) for m in (a, g))
    whole: Array = matmul(a.swapaxes(-1, -2), g)
    if whole.shape == in_shape:
        return whole
    return reshape(sum_to(whole, shape=(*in_shape, 1) if column else in_shape), shape=in_shape)


bind(matmul)(multiplying)
matmul.vjp(a=_matmul_a, b=_matmul_b)


@implements(np.tensordot)
def tensordot(a: Array, b: Array, axes: int | tuple[Axes, Axes] = 2) -> Tensor:
    """y = products of a and b summed over pairs of axes; what remains of a, then of b, are the axes of the result.

    Args:
        a, b: arrays or Tensors.
        axes: n, for the last n axes of `a` with the first n of `b`; or two lists, the axes of `a` and those of `b`.

    Raises:
        ValueError: if an axis is out of bounds or repeated, or if the numbers of axes or their sizes disagree.
    """
    left, right = np.shape(a), np.shape(b)
    if isinstance(axes, int | np.integer):
        if not 0 <= axes <= min(len(left), len(right)):
            raise ValueError(
                f"tensordot: `axes` is {axes}; it must lie from 0 to the number of axes of `a` {left} and of `b` {right}"
            )
        axes = (range(len(left) - int(axes), len(left)), range(int(axes)))
    ours, theirs = (
        different_axes(f"tensordot: `{name}`", given, len(shape))
        for name, given, shape in zip("ab", axes, (left, right), strict=True)
    )
    if [left[i] for i in ours] != [right[i] for i in theirs]:
        raise ValueError(
            f"tensordot: the axes {ours} of `a` {left} and {theirs} of `b` {right} must be as many and of the same sizes"
        )
    rows = [i for i in range(len(left)) if i not in ours]
    columns = [i for i in range(len(right)) if i not in theirs]
    shared = math.prod(left[i] for i in ours)
    first = reshape(transpose(a, axes=(*rows, *ours)), shape=(math.prod(left[i] for i in rows), shared))
    second = reshape(transpose(b, axes=(*theirs, *columns)), shape=(shared, math.prod(right[i] for i in columns)))
    return reshape(matmul(first, second), shape=(*(left[i] for i in rows), *(right[i] for i in columns)))


@implements(np.dot)
def dot(a: Array, b: Array) -> Tensor:
    """y = the sum of products over the last axis of a and the last but one of b (or its only one); a scalar multiplies.

    Raises:
        ValueError: if the sizes of the two axes disagree.
    """
    if not np.ndim(a) or not np.ndim(b):
        return mul(a, b)
    _check_contraction("dot", a, b, -1, -min(2, np.ndim(b)))
    return tensordot(a, b, (-1, -min(2, np.ndim(b))))


@implements(np.inner)
def inner(a: Array, b: Array) -> Tensor:
    """y = the sum of products over the last axes of a and b; a scalar multiplies.

    Raises:
        ValueError: if the sizes of the two axes disagree.
    """
    if not np.ndim(a) or not np.ndim(b):
        return mul(a, b)
    _check_contraction("inner", a, b, -1, -1)
    return tensordot(a, b, (-1, -1))


def _check_contraction(name: str, a: Array, b: Array, ours: int, theirs: int) -> None:
    m, n = np.shape(a)[ours], np.shape(b)[theirs]
    if m != n:
        raise ValueError(
            f"{name}: axis {ours} of `a` {np.shape(a)} has size {m} but axis {theirs} of `b` {np.shape(b)} has size {n}; "
            "they must agree"
        )


@implements(np.outer)
def outer(a: Array, b: Array) -> Tensor:
    """y_ij = a_i b_j, of the flattened inputs."""
    return mul(reshape(a, shape=(-1, 1)), ravel(b))


@implements(np.trace)
def trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """y = the sum over a diagonal of a, which is chosen as for ``diagonal``.   a' = g on that diagonal."""
    return sum(diagonal(a, offset, axis1, axis2), axis=-1)
