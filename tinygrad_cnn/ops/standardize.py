"""What every normalization layer shares: subtract a mean and divide by a standard deviation over some axes.

The statistics are computed once, by :func:`moments`, and handed on as an input without a gradient: they are a hint that
saves passes over memory, and the rules account for what they depend on.

References: Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167; Ba, Kiros and Hinton, "Layer normalization",
arXiv:1607.06450; Zhang and Sennrich, "Root mean square layer normalization", arXiv:1910.07467.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Array, op
from .shape import broadcast_to, sum_to

__all__: list[str] = []

Axes = tuple[int, ...]


@op
def product_to(a: Array, b: Array, *, shape: tuple[int, ...]) -> Array:
    """y = a b, of one shape, summed over what broadcasting `shape` to it repeats.   a' = g b,  b' = g a."""
    axes = list(range(np.ndim(a)))
    extra = len(axes) - len(shape)
    kept = [i for i in axes if i >= extra and shape[i - extra] == np.shape(a)[i]]
    return np.einsum(a, axes, b, axes, kept).reshape(shape)


product_to.vjp(a=lambda g, b: broadcast_to(g, shape=b.shape) * b,
               b=lambda g, a: broadcast_to(g, shape=a.shape) * a)  # fmt: skip


def over(shape: tuple[int, ...], axis: Axes) -> tuple[tuple[int, ...], int]:
    """`shape` with the axes in `axis` of size 1, and how many elements they have."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape)), math.prod(shape[i] for i in axis)


def _mean_product(a: Array, b: Array, axis: Axes) -> Any:
    shape, n = over(a.shape, axis)
    return product_to(a, b, shape=shape) * (1 / (n or 1))


@op
def moments(x: Array, *, axis: Axes, centred: bool = True) -> Array:
    """y = (mean, variance) of x over `axis`, stacked, the axes kept; (0, mean of x^2) if not `centred`. No gradient."""
    if not centred:
        square = _mean_product(x, x, axis)
        return np.stack([np.zeros_like(square), square])
    mean = np.mean(x, axis=axis, keepdims=True)
    deviation = x - mean
    return np.stack([mean, _mean_product(deviation, deviation, axis)])


@op
def standardize(x: Array, stats: Array = None, *, axis: Axes, eps: float, centred: bool = True) -> Array:
    """y = (x - mean) r over `axis` with r = 1 / sqrt(variance + eps); without the mean if not `centred`.

    x' = r (g - mean of g - y mean of (g y)), without the mean of g if not `centred`.  `stats` are x's moments, if at hand.
    """
    stats = moments(x, axis=axis, centred=centred) if stats is None else stats
    r = rstd(x, stats, axis=axis, eps=eps, centred=centred)
    if not centred:
        return np.multiply(x, r)
    y = x - stats[0]
    y *= r
    return y


@op
def rstd(x: Array, stats: Array = None, *, axis: Axes, eps: float, centred: bool = True) -> Array:
    """y = 1 / sqrt(variance of x over `axis` + eps), the axes kept.   x' = -g y^2 standardize(x) / n."""
    stats = moments(x, axis=axis, centred=centred) if stats is None else stats
    return 1 / np.sqrt(stats[1] + eps)


@op
def standardize_dx(u: Array, s: Array, r: Array, *, axis: Axes, centred: bool) -> Array:
    """y = r (u - mean of u - s mean of (u s)) over `axis`, without the mean of u if not `centred`.

    As a function of u it is its own adjoint.   s' = -r (g mean of (u s) + u mean of (g s)),  r' = sum of g y / r.
    """
    y = np.multiply(s, -_mean_product(u, s, axis))
    y += u
    if centred:
        y -= np.mean(u, axis=axis, keepdims=True)
    y *= r
    return y


def _mean(a: Array, axis: Axes) -> Array:
    return a.mean(axis=axis, keepdims=True)


standardize.vjp(
    x=lambda g, y, x, stats, axis, eps, centred: standardize_dx(
        g, y, rstd(x, stats, axis=axis, eps=eps, centred=centred), axis=axis, centred=centred
    )
)
rstd.vjp(
    x=lambda g, y, x, stats, axis, eps, centred: (
        -(g * y * y * (1 / (over(x.shape, axis)[1] or 1))) * standardize(x, stats, axis=axis, eps=eps, centred=centred)
    )
)
standardize_dx.vjp(
    u=lambda g, s, r, axis, centred: standardize_dx(g, s, r, axis=axis, centred=centred),
    s=lambda g, u, s, r, axis: -r * (g * _mean(u * s, axis) + u * _mean(g * s, axis)),
    r=lambda g, y, r, axis: (g * y).sum(axis=axis, keepdims=True) / r,
)


@op
def affine(x: Array, w: Array, b: Array) -> Array:
    """y = x w + b, with w and b broadcast to x's shape.   x' = g w,  w' = sum of g x,  b' = sum of g."""
    y = np.multiply(x, w)
    return np.add(y, b, out=y if np.result_type(y, b) == y.dtype else None)


affine.vjp(
    x=lambda g, w: g * w,
    w=lambda g, x, in_shape: product_to(g, x, shape=in_shape),
    b=lambda g, in_shape: sum_to(g, shape=in_shape),
)
