"""Affine maps: the linear layer's, a product of matrices with a bias added, and elementwise scale and shift."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..core.graph import Array, op
from ..kernels.matmul import multiply, multiplying
from .binders import bind
from .geometry import shape_of
from .linalg import matmul
from .reduce import sum
from .shape import broadcast_to, reshape, sum_to

__all__ = ["linear"]


@op
def linear(x: Array, w: Array, b: Array = None, *, out: Array = None) -> Array:
    """y = x w^T + b.   x' = g w,  w' = g^T x,  b' = g, the last two summed over the leading axes.

    It is x @ w.T + b, but the gradient lies in memory as w does, and y is written once.

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
    if b is not None and shape_of("linear", "b", b) != sizes[:1]:
        raise ValueError(f"linear: `b` has shape {b.shape}; it must be {sizes[:1]}, one bias for each row of `w`")
    if len(shape) == 2:
        y = multiply(x, w.T, out)
    else:
        y = multiply(x.reshape(math.prod(shape[:-1]), sizes[1]), w.T).reshape(*shape[:-1], sizes[0])
    if b is None:
        return y if out is None or y is out else np.positive(y, out=out)
    into = out if out is not None else y if np.result_type(y, b) == y.dtype else None
    return np.add(y, b, out=into)


@bind(linear)
def _arranged(x: Array, w: Array, b: Array = None, *, out: Array) -> Callable[[], object] | None:
    if x.ndim != 2:
        return None
    product = multiplying(x, w.T, out)
    if b is None:
        return product

    def run() -> None:
        product()
        np.add(out, b, out=out)

    return run


def _w(g: Array, x: Array, in_shape: tuple[int, ...]) -> Array:
    count = math.prod(g.shape[:-1])
    rows, features = (reshape(a, shape=(count, n)) for a, n in ((g, in_shape[0]), (x, in_shape[1])))
    return matmul(rows.swapaxes(0, 1), features)


linear.vjp(
    x=lambda g, w: matmul(g, w),
    w=_w,
    b=lambda g: sum(g, axis=tuple(range(g.ndim - 1))),
)


@op
def affine(x: Array, w: Array, b: Array = None) -> Array:
    """y = x w + b, with w and b broadcast to x's shape; without b for None.   x' = g w,  w' = sum of g x,  b' = sum of g."""
    return x * w if b is None else x * w + b


@op
def product_to(a: Array, b: Array, *, shape: tuple[int, ...]) -> Array:
    """y = a b, of one shape, summed over what broadcasting `shape` to it repeats.   a' = g b,  b' = g a."""
    return np.sum(a * b, repeated(a.shape, shape)).reshape(shape)


def repeated(whole: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `whole` along which broadcasting `shape` to it repeats elements."""
    extra = len(whole) - len(shape)
    return tuple(i for i, n in enumerate(whole) if i < extra or shape[i - extra] != n)


affine.vjp(
    x=lambda g, w: affine(g, w),
    w=lambda g, x, in_shape: product_to(g, x, shape=in_shape),
    b=lambda g, in_shape: sum_to(g, shape=in_shape),
)
product_to.vjp(
    a=lambda g, b: broadcast_to(g, shape=b.shape) * b,
    b=lambda g, a: broadcast_to(g, shape=a.shape) * a,
)
