"""What every normalization layer shares: subtract a mean and divide by a standard deviation over some axes.

The statistics are computed once, by :func:`moments`, and handed on as an input without a gradient: they are a hint that
saves passes over memory, and the rules account for what they depend on.

References: Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167; Ba, Kiros and Hinton, "Layer normalization",
arXiv:1607.06450; Zhang and Sennrich, "Root mean square layer normalization", arXiv:1910.07467.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.graph import Array, op
from ..kernels import batch_norm
from ..kernels import channelwise as kernel
from ..kernels.parallel.task import Work
from ..kernels.sums import means, product_sums
from .binders import bind
from .reduce import mean, sum
from .shape import broadcast_to, sum_to

__all__: list[str] = []

Axes = tuple[int, ...]


@op
def product_to(a: Array, b: Array, *, shape: tuple[int, ...]) -> Array:
    """y = a b, of one shape, summed over what broadcasting `shape` to it repeats.   a' = g b,  b' = g a."""
    a, b = np.asarray(a), np.asarray(b)
    extra = a.ndim - len(shape)
    repeated = tuple(i for i in range(a.ndim) if i < extra or shape[i - extra] != a.shape[i])
    return product_sums(a, b, repeated).reshape(shape)


product_to.vjp(a=lambda g, b: broadcast_to(g, shape=b.shape) * b,
               b=lambda g, a: broadcast_to(g, shape=a.shape) * a)  # fmt: skip


def over(shape: tuple[int, ...], axis: Axes) -> tuple[tuple[int, ...], int]:
    """`shape` with the axes in `axis` of size 1, and how many elements they have."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape)), math.prod(shape[i] for i in axis)


def _mean_product(a: Array, b: Array, axis: Axes) -> Any:
    return product_sums(a, b, axis, over(a.shape, axis)[1] or 1)


@op
def moments(x: Array, *, axis: Axes, centred: bool = True, out: Array = None) -> Array:
    """y = (mean, variance) of x over `axis`, stacked, the axes kept; (0, mean of x^2) if not `centred`. No gradient.

    An x without elements, of which nothing is standardized, has moments of 0.
    """
    x = np.asarray(x)
    if not x.size:
        dtype = x.dtype if x.dtype.kind == "f" else np.float64
        y = np.empty((2, *over(x.shape, axis)[0]), dtype) if out is None else out
        y.fill(0)
        return y
    if centred:
        return batch_norm.moments(x, axis, out)
    with np.errstate(over="ignore"):
        square = _mean_product(x, x, axis)
    return np.concatenate([np.zeros_like(square)[None], square[None]], out=out)


@bind(moments, ["x"])
def _measuring(x: Array, *, axis: Axes, centred: bool, out: Array) -> Work | None:
    return batch_norm.measuring(x, axis, out) if centred and x.size else None


@op(in_place=True)
def standardize(
    x: Array, stats: Array = None, *, axis: Axes, eps: float, centred: bool = True, out: Array = None
) -> Array:
    """y = (x - mean) r over `axis` with r = 1 / sqrt(variance + eps); without the mean if not `centred`.

    x' = r (g - mean of g - y mean of (g y)), without the mean of g if not `centred`.  `stats` are x's moments, if at hand.
    """
    stats = moments(x, axis=axis, centred=centred) if stats is None else stats
    r = rstd(x, stats, axis=axis, eps=eps, centred=centred)
    x = np.asarray(x)
    centre = [(np.subtract, stats[0])] if centred else []
    return kernel.chain(x, *centre, (np.multiply, r), out=out)


@op
def rstd(x: Array, stats: Array = None, *, axis: Axes, eps: float, centred: bool = True) -> Array:
    """y = 1 / sqrt(variance of x over `axis` + eps), the axes kept.   x' = -g y^2 standardize(x) / n."""
    stats = moments(x, axis=axis, centred=centred) if stats is None else stats
    return batch_norm.rstd(np.asarray(x), stats, eps, axis, centred)


@op
def standardize_dx(u: Array, s: Array, r: Array, *, axis: Axes, centred: bool, out: Array = None) -> Array:
    """y = r (u - mean of u - s mean of (u s)) over `axis`, without the mean of u if not `centred`.

    As a function of u it is its own adjoint.   s' = -r (g mean of (u s) + u mean of (g s)),  r' = sum of g y / r.
    """
    u, s = np.asarray(u), np.asarray(s)
    if not s.size:
        return np.empty_like(s) if out is None else out
    product = _mean_product(u, s, axis)
    centre = [(np.subtract, means(u, axis))] if centred else []
    return kernel.chain(s, (np.multiply, -product), (np.add, u), *centre, (np.multiply, r), out=out)


def _mean(a: Array, axis: Axes) -> Array:
    return mean(a, axis=axis, keepdims=True)


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
    r=lambda g, y, r, axis: sum(g * y, axis=axis, keepdims=True) / r,
)


@op(in_place=True)
def normalized(
    x: Array, w: Array, b: Array, stats: Array = None, *, axis: Axes, eps: float, out: Array = None
) -> Array:
    """y = (x - mean) r w + b over `axis`, along which w and b have size 1.

    x' = w r (g - mean of g - s mean of (g s)),  w' = sum of g s,  b' = sum of g,  with s = (x - mean) r.
    """
    x = np.asarray(x)
    stats = moments(x, axis=axis) if stats is None else stats
    return batch_norm.normalize(x, stats, w, b, eps, axis, out)


@bind(normalized, ["x", "y"], in_place=True)
def _normalizing(
    x: Array, w: Array, b: Array, stats: Array = None, *, axis: Axes, eps: float, out: Array
) -> Work | None:
    return None if stats is None else batch_norm.normalizing(x, stats, w, b, eps, axis, out)


@op
def correlations(u: Array, x: Array, stats: Array = None, *, axis: Axes, eps: float, out: Array = None) -> Array:
    """y = (sum of u, sum of u s) over `axis`, stacked, the axes kept, with s = standardize(x).   u' = g[0] + g[1] s."""
    u, x = np.asarray(u), np.asarray(x)
    stats = moments(x, axis=axis) if stats is None else stats
    return batch_norm.correlate(u, x, stats, eps, axis, out)


@bind(correlations, ["u", "x"])
def _correlating(u: Array, x: Array, stats: Array = None, *, axis: Axes, eps: float, out: Array) -> Work | None:
    return None if stats is None else batch_norm.correlating(u, x, stats, eps, axis, out)


@op(in_place=True)
def normalized_dx(
    u: Array, x: Array, w: Array, sums: Array = None, stats: Array = None, *, axis: Axes, eps: float, out: Array = None
) -> Array:
    """y = w r (u - mean of u - s mean of (u s)) over `axis`, with s = standardize(x).  `sums` are correlations, if at hand.

    As a function of u it is its own adjoint.  w' = sum of g y / w,  x' through s and r: see :func:`standardize_dx`.
    """
    u, x = np.asarray(u), np.asarray(x)
    stats = moments(x, axis=axis) if stats is None else stats
    sums = correlations(u, x, stats, axis=axis, eps=eps) if sums is None else sums
    return batch_norm.pull(u, x, w, sums, stats, eps, axis, out)


@bind(normalized_dx, ["u", "x", "y"], in_place=True)
def _pulling(
    u: Array, x: Array, w: Array, sums: Array = None, stats: Array = None, *, axis: Axes, eps: float, out: Array
) -> Work | None:
    if sums is None or stats is None:
        return None
    return batch_norm.pulling(u, x, w, sums, stats, eps, axis, out)


def _hint(a: Array) -> Array:
    """Without a gradient: the rules account for what a hint depends on."""
    return a.detach() if hasattr(a, "detach") else a


def _standard(x: Array, stats: Array, axis: Axes, eps: float) -> tuple[Array, Array]:
    """s and r."""
    return standardize(x, stats, axis=axis, eps=eps), rstd(x, stats, axis=axis, eps=eps)


def _normalized_dxx(g: Array, y: Array, u: Array, x: Array, w: Array, stats: Array, axis: Axes, eps: float) -> Array:
    """x' of normalized_dx: through s, which r (v - ...) with v = u w contains, and through r, by which y is multiplied."""
    s, r = _standard(x, stats, axis, eps)
    v = u * w
    through_s = -r * (g * _mean(v * s, axis) + v * _mean(g * s, axis))
    through_r = _mean(g * y, axis) * r
    return standardize_dx(through_s, s, r, axis=axis, centred=True) - through_r * s


@normalized.joint_vjp("x", "w", "b")
def _normalized_vjp(
    g: Array, x: Array, w: Array, stats: Array, axis: Axes, eps: float, needs: Sequence[bool], in_shapes: Sequence[Any]
) -> tuple[Array | None, ...]:
    sums = correlations(g, x, stats, axis=axis, eps=eps)
    return (
        normalized_dx(g, x, w, _hint(sums), stats, axis=axis, eps=eps) if needs[0] else None,
        sum_to(sums[1], shape=in_shapes[1]) if needs[1] else None,
        sum_to(sums[0], shape=in_shapes[2]) if needs[2] else None,
    )


correlations.vjp(
    u=lambda g, x, stats, axis, eps: g[0] + g[1] * standardize(x, stats, axis=axis, eps=eps),
    x=lambda g, u, x, stats, axis, eps: standardize_dx(
        g[1] * u, *_standard(x, stats, axis, eps), axis=axis, centred=True
    ),
)
normalized_dx.vjp(
    u=lambda g, x, w, stats, axis, eps: normalized_dx(g, x, w, None, stats, axis=axis, eps=eps),
    x=_normalized_dxx,
    w=lambda g, u, x, stats, axis, eps, in_shape: product_to(
        g, standardize_dx(u, *_standard(x, stats, axis, eps), axis=axis, centred=True), shape=in_shape
    ),
)


@op
def affine(x: Array, w: Array, b: Array = None, *, out: Array = None) -> Array:
    """y = x w + b, with w and b broadcast to x's shape; without b for None.   x' = g w,  w' = sum of g x,  b' = sum of g."""
    shift = [] if b is None else [(np.add, b)]
    return kernel.chain(np.asarray(x), (np.multiply, w), *shift, out=out)


affine.vjp(
    x=lambda g, w: affine(g, w),
    w=lambda g, x, in_shape: product_to(g, x, shape=in_shape),
    b=lambda g, in_shape: sum_to(g, shape=in_shape),
)
