"""Products of vectors, matrices and tensors, the linear layer, and the trace.

In docstrings, g is the incoming gradient and a' the gradient with respect to a.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements, op
from .elementwise import mul
from .geometry import shape_of
from .real import is_integer
from .rearrange import diagonal
from .reduce import sum
from .shape import different_axes, expand_dims, reshape, squeeze, sum_to, transpose

__all__ = ["bilinear", "dot", "linear", "matmul", "tensordot", "trace"]

Axes: TypeAlias = int | Sequence[int]


@op(numpy=np.matmul, linear=["a", "b"])
def matmul(a: Array, b: Array) -> Array:
    """y = a b, as np.matmul: a 1-D a is a row, a 1-D b a column, and leading axes broadcast.

    a' = g b^T,  b' = a^T g, summed over the leading axes that were broadcast.
    """
    left, right = np.shape(a), np.shape(b)
    if not left or not right:
        raise ValueError("matmul: a 0-d input has no axis to contract; use `*` to multiply by a scalar")
    rows = right[-min(2, len(right))]
    if left[-1] != rows:
        raise ValueError(
            f"matmul: `a` {left} has {left[-1]} columns but `b` {right} has {rows} rows; they must agree: check the shapes or "
            "transpose one"
        )
    return np.matmul(a, b)


def _row(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) > 1 else (1, *shape)


def _column(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) > 1 else (*shape, 1)


def _as_matrices(g: Array, left: tuple[int, ...], right: tuple[int, ...]) -> Array:
    """g with the axes restored that a 1-D left or right input dropped from the product."""
    return reshape(g, shape=(*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1]))


def _matmul_a(g: Array, b: Array, in_shape: tuple[int, ...]) -> Array:
    if len(in_shape) <= b.ndim == 2:
        return matmul(g, b.T)
    if b.ndim == 1 < len(in_shape):
        return reshape(g, shape=(*in_shape[:-1], 1)) * b
    left, right = _row(in_shape), _column(b.shape)
    whole = matmul(_as_matrices(g, left, right), reshape(b, shape=right).swapaxes(-1, -2))
    return reshape(sum_to(whole, shape=left), shape=in_shape)


def _matmul_b(g: Array, a: Array, in_shape: tuple[int, ...]) -> Array:
    if len(in_shape) <= a.ndim == 2:
        return matmul(a.T, g)
    if a.ndim == 1 and len(in_shape) == 2:
        return reshape(a, shape=(*a.shape, 1)) * g
    left, right = _row(a.shape), _column(in_shape)
    a, g = reshape(a, shape=left), _as_matrices(g, left, right)
    if len(right) == 2 and g.ndim > 2:  # one matrix for every a: a single product over the stacked rows
        a, g = (reshape(m, shape=(math.prod(m.shape[:-1]), m.shape[-1])) for m in (a, g))
    return reshape(sum_to(matmul(a.swapaxes(-1, -2), g), shape=right), shape=in_shape)


matmul.vjp(a=_matmul_a, b=_matmul_b)


@op(linear=["x", "w"], complex=True)
def linear(x: Array, w: Array, b: Array = None) -> Array:
    """y = x w^T + b.   x' = g w,  w' = g^T x,  b' = g, the last two summed over the leading axes.

    The same as x @ w.T + b, but w' has the memory order of w, and y is written once.

    Args:
        x: (..., in_features).
        w: (out_features, in_features), PyTorch's order.
        b: (out_features,), or None.

    Raises:
        ValueError: if the sizes disagree.

    >>> import tinygrad_cnn as tg
    >>> tg.linear(tg.Tensor([[1.0, 2.0]]), tg.Tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), tg.ones(3)).tolist()
    [[12.0, 18.0, 24.0]]
    """
    shape, sizes = shape_of("linear", "x", x), shape_of("linear", "w", w)
    if len(sizes) != 2:
        raise ValueError(f"linear: `w` has shape {sizes}; it must be (out_features, in_features): reshape it")
    if shape[-1:] != sizes[1:]:
        raise ValueError(
            f"linear: `x` has shape {shape} but `w` {sizes} expects {sizes[1]} features; the last axes must agree: reshape or "
            "flatten `x`, or transpose `w`"
        )
    if b is None:
        return np.matmul(x, w.T)
    if shape_of("linear", "b", b) != sizes[:1]:
        raise ValueError(f"linear: `b` has shape {b.shape}; it must be {sizes[:1]}, one bias for each row of `w`")
    return np.matmul(x, w.T) + b


def _linear_w(g: Array, x: Array, in_shape: tuple[int, ...]) -> Array:
    if g.ndim != 2:
        count = math.prod(g.shape[:-1])
        g, x = reshape(g, shape=(count, in_shape[0])), reshape(x, shape=(count, in_shape[1]))
    return matmul(g.T, x)


linear.vjp(x=lambda g, w: matmul(g, w), w=_linear_w, b=lambda g: sum(g, axis=tuple(range(g.ndim - 1))))
linear.jvp(b=lambda t: t)


implements(np.linalg.matmul)(matmul)


def bilinear(x1: Array, x2: Array, weight: Array, bias: Array = None) -> Tensor:
    """y_k = x1^T weight_k x2 + bias_k over the last axes.   x1' = sum of g_k weight_k x2,  weight_k' = sum of g_k x1 x2^T.

    Args:
        x1: (..., in1).
        x2: (..., in2), with x1's leading axes.
        weight: (out, in1, in2).
        bias: (out,), or None.

    Returns:
        (..., out).

    Raises:
        ValueError: for shapes that do not match.
    """
    one, two, sizes = (shape_of("bilinear", n, x) for n, x in (("x1", x1), ("x2", x2), ("weight", weight)))
    fits = len(sizes) == 3 and one and two and one[:-1] == two[:-1] and (one[-1], two[-1]) == sizes[1:]
    if not fits or (bias is not None and np.shape(bias) != sizes[:1]):
        raise ValueError(
            f"bilinear: `x1` {one}, `x2` {two}, `weight` {sizes} and `bias` {None if bias is None else np.shape(bias)} must be "
            "(..., in1), (..., in2), (out, in1, in2) and (out,) or None"
        )
    out, n, m = sizes
    maps = reshape(transpose(weight, axes=(0, 2, 1)), shape=(out * m, n))
    rows = reshape(linear(x1, maps), shape=(*one[:-1], out, m))
    y = squeeze(matmul(rows, expand_dims(x2, -1)), -1)
    return y if bias is None else y + bias


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Array, b: Array, axes: int | tuple[Axes, Axes] = 2) -> Tensor:
    """y = products of a and b summed over pairs of axes; the remaining axes of a, then those of b, are the result's axes.

    Args:
        a, b: arrays or Tensors.
        axes: n, for the last n axes of `a` with the first n of `b`; or two lists, the axes of `a` and those of `b`.

    Raises:
        ValueError: if an axis is out of bounds or repeated, or if the numbers of axes or their sizes disagree.
    """
    left, right = np.shape(a), np.shape(b)
    if is_integer(axes):
        if not 0 <= axes <= min(len(left), len(right)):
            raise ValueError(
                f"tensordot: `axes` is {axes}; it must be from 0 to the number of axes of `a` {left} and of `b` {right}"
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
    y = matmul(_matrix(a, rows, ours), _matrix(b, theirs, columns))
    shape = (*(left[i] for i in rows), *(right[i] for i in columns))
    return y if y.shape == shape else reshape(y, shape=shape)


def _matrix(a: Array, rows: Sequence[int], columns: Sequence[int]) -> Array:
    """a as a matrix with these axes as rows and columns."""
    sizes, order = np.shape(a), [*rows, *columns]
    shape = (math.prod(sizes[i] for i in rows), math.prod(sizes[i] for i in columns))
    if order != sorted(order):
        a = transpose(a, axes=tuple(order))
    return a if np.shape(a) == shape else reshape(a, shape=shape)


@implements(np.dot)
def dot(a: Array, b: Array) -> Tensor:
    """y = sum of products over the last axis of a and the second-last (or only) axis of b; a scalar multiplies.

    Raises:
        ValueError: if the sizes of the two axes disagree.
    """
    return summed("dot", a, b, -min(2, np.ndim(b)))


def summed(name: str, a: Array, b: Array, axis: int) -> Tensor:
    """The sum of products over the last axis of a and `axis` of b."""
    left, right = np.shape(a), np.shape(b)
    if not left or not right:
        return mul(a, b)
    if left[-1] != right[axis]:
        raise ValueError(
            f"{name}: axis -1 of `a` {left} has size {left[-1]} but axis {axis} of `b` {right} has size {right[axis]}; they "
            "must agree"
        )
    if len(left) < 3 and len(right) < 3 and axis == -min(2, len(right)):
        return matmul(a, b)
    return tensordot(a, b, (-1, axis))


@implements(np.trace)
def trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, *, dtype: DTypeLike | None = None) -> Tensor:
    """y = the sum over a diagonal of a, chosen as in ``diagonal``, in `dtype`.   a' = g on that diagonal."""
    return sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)
