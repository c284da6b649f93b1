"""Elementwise scale and shift, and the sums that their gradients need.

In docstrings, g is the incoming gradient and a' the gradient with respect to a.
"""

from __future__ import annotations

import numpy as np

from ..core.graph import Array, op
from .shape import broadcast_to, sum_to

__all__: list[str] = []


@op(linear=["x", "w"], complex=True)
def affine(x: Array, w: Array, b: Array = None) -> Array:
    """y = x w + b, with w and b broadcast to x's shape; b may be None.   x' = g w,  w' = sum of g x,  b' = sum of g."""
    return x * w if b is None else x * w + b


@op(linear=["a", "b"])
def product_to(a: Array, b: Array, *, shape: tuple[int, ...]) -> Array:
    """y = a b, for equal shapes, summed over the axes along which `shape` is broadcast.   a' = g b,  b' = g a."""
    return np.sum(a * b, repeated(a.shape, shape)).reshape(shape)


def repeated(whole: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `whole` along which an array of `shape` is repeated by broadcasting."""
    extra = len(whole) - len(shape)
    return tuple(i for i, n in enumerate(whole) if i < extra or shape[i - extra] != n)


affine.vjp(
    x=lambda g, w: affine(g, w),
    w=lambda g, x, in_shape: product_to(g, x, shape=in_shape),
    b=lambda g, in_shape: sum_to(g, shape=in_shape),
)
affine.jvp(b=lambda t: t)
product_to.vjp(
    a=lambda g, b: broadcast_to(g, shape=b.shape) * b,
    b=lambda g, a: broadcast_to(g, shape=a.shape) * a,
)
