"""Linear algebra."""

from __future__ import annotations

import numpy as np

from ..graph import Array, op
from .shape import reshape, sum_to

__all__ = ["matmul"]


@op(numpy=np.matmul)
def matmul(a: Array, b: Array) -> Array:
    """y = a b, as np.matmul: 1-D inputs are a row at the left and a column at the right, leading axes broadcast.

    a' = g b^T,  b' = a^T g, summed over the leading axes that were broadcast.
    """
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        raise ValueError("matmul: a 0-d input has no axis to contract; use `*` to multiply by a scalar")
    if np.shape(a)[-1] != np.shape(b)[0 if np.ndim(b) == 1 else -2]:
        raise ValueError(
            f"matmul: `a` {np.shape(a)} has {np.shape(a)[-1]} columns but `b` {np.shape(b)} has "
            f"{np.shape(b)[0 if np.ndim(b) == 1 else -2]} rows; they must agree: check the shapes or transpose one"
        )
    return np.matmul(a, b)


def _matrix_cotangent(g: Array, row: bool, column: bool) -> Array:
    """g with the axes back that a 1-D left or right input dropped from the product."""
    if row and column:
        return reshape(g, shape=(1, 1))
    if column:
        return reshape(g, shape=(*g.shape, 1))
    return reshape(g, shape=(*g.shape[:-1], 1, g.shape[-1])) if row else g


def _matmul_a(g: Array, b: Array, in_shape: tuple[int, ...]) -> Array:
    row, column = len(in_shape) == 1, b.ndim == 1
    g = _matrix_cotangent(g, row, column)
    b = reshape(b, shape=(-1, 1)) if column else b
    whole = g @ b.swapaxes(-1, -2)
    return reshape(sum_to(whole, shape=(1, *in_shape) if row else in_shape), shape=in_shape)


def _matmul_b(g: Array, a: Array, in_shape: tuple[int, ...]) -> Array:
    row, column = a.ndim == 1, len(in_shape) == 1
    g = _matrix_cotangent(g, row, column)
    a = reshape(a, shape=(1, -1)) if row else a
    if len(in_shape) <= 2 and g.ndim > 2:  # one matrix serves every a: a single product over the stacked rows
        a, g = (reshape(m, shape=(-1, m.shape[-1])) for m in (a, g))
    whole = a.swapaxes(-1, -2) @ g
    return reshape(sum_to(whole, shape=(*in_shape, 1) if column else in_shape), shape=in_shape)


matmul.vjp(a=_matmul_a, b=_matmul_b)
