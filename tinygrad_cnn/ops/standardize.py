"""x minus its mean, divided by its standard deviation: the ops of normalization. Layers differ in the axes.

With s = (x - mean) r and r = 1 / sqrt(variance + eps), y = s w + b. In docstrings, g is the incoming gradient and a' the
gradient with respect to a.

A layer in training records one node, :func:`normalized`, whose joint rule gives x', w' and b'. The rule calls two more ops:
:func:`normalized_dx` is x', and :func:`correlations` are w' and b', which x' needs as well where there is one number for each
mean. Since an op has one output, these are two; since their own rules consist of the same three ops, there are gradients of
any order. :func:`moments` is an op because the running averages read its result, too. It is passed on as `stats`, an input
without a gradient, to save passes over memory: the rules differentiate through the mean and variance of x themselves.
:func:`normalized_by` is the op of a layer in evaluation, whose statistics are given.

References: Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167; Ba, Kiros and Hinton, "Layer normalization",
arXiv:1607.06450; Zhang and Sennrich, "Root mean square layer normalization", arXiv:1910.07467.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Array, op
from .affine import affine, product_to, repeated
from .elementwise import REAL, astype
from .reduce import mean
from .shape import get_shape, reshape, sum_to

__all__: list[str] = []

Axes = tuple[int, ...]

NEAR = 4
"""A mean whose square exceeds the variance by no more than this factor costs no digits when it is taken out of a sum."""

Limits = tuple[float, float]
"""The interval of a clip, maybe up to infinity."""

unlimited: Limits = (-math.inf, math.inf)


class Over(NamedTuple):
    """The axes of each mean and variance, the eps added to the variance, and whether the mean is subtracted."""

    axis: Axes
    eps: float = 0.0
    centred: bool = True

    def count(self, shape: tuple[int, ...]) -> int:
        """The number of elements in each mean; 1 for empty axes, whose sums are 0."""
        return math.prod([shape[i] for i in self.axis]) or 1


@op(differentiable=False)
def moments(x: Array, *, over: Over) -> Array:
    """y = (mean, variance) of x in float64, stacked, with keepdims; (0, mean of x^2) if not centred.   No gradient."""
    if x.dtype.kind == "c":
        raise TypeError(REAL)
    n = over.count(x.shape)
    mean = _sum(x, over.axis, over.centred) / n
    return np.array([mean, _sum(np.square(x - mean), over.axis) / n])


def _sum(a: np.ndarray, axes: Axes, where: bool = True) -> np.ndarray:
    """``np.sum`` in float64 with keepdims, without its wrapper, which takes longer than summing a few."""
    y: np.ndarray = np.add.reduce(a, axes, np.float64, keepdims=True)
    return y if where else np.zeros_like(y)


def _standard(x: Array, stats: Array, over: Over) -> tuple[np.ndarray, np.ndarray]:
    """s and r in float64, for arrays."""
    mean, variance = moments(x, over=over) if stats is None else stats
    r = 1 / np.sqrt(variance + over.eps)
    return (x - mean) * r, r


def _rounded(y: np.ndarray, *inputs: Array) -> np.ndarray:
    """y, computed in float64, cast to the dtype of the inputs if that is floating-point."""
    dtype = np.result_type(*(a for a in inputs if a is not None))
    return y.astype(dtype) if dtype.kind == "f" else y


@op
def normalized(x: Array, w: Array = None, b: Array = None, stats: Array = None, *, over: Over) -> Array:
    """y = s w + b, with w and b that broadcast to x's shape, or None for 1 and 0.   `stats` are x's moments, if known.

    x' = r (v - mean of v - s mean of (v s)), with v = g w, without the mean of v if not centred.
    w' = sum of g s,  b' = sum of g.
    """
    y, _ = _standard(x, stats, over)
    y = y if w is None else y * w
    y = y if b is None else y + b
    return _rounded(y, x, w, b)


@op
def correlations(u: Array, x: Array, stats: Array = None, *, over: Over, shape: tuple[int, ...] | None = None) -> Array:
    """y = (sum of u, or 0 if not centred; sum of u s), stacked: over the axes, with keepdims, or to an array of `shape`.

    u' = g[0] + g[1] s, without g[0] if not centred,  x' = that of normalized for the incoming gradient g[1] u.
    """
    s, _ = _standard(x, stats, over)
    axes = over.axis if shape is None else repeated(s.shape, shape)
    y = np.array([_sum(u, axes, over.centred), _sum(u * s, axes)])
    return _rounded(y if shape is None else y.reshape(2, *shape), u, x)


@op
def normalized_dx(u: Array, x: Array, w: Array = None, sums: Array = None, stats: Array = None, *, over: Over) -> Array:
    """y = D(u w) = r (v - mean of v - s mean of (v s)), with v = u w: x' of normalized for g = u.   `sums` are u's correlations
    with x, if known, for w of size 1 along the axes.

    D is self-adjoint:   u' = w D(g),  w' = sum of u D(g),  x' through s and r.
    """
    (s, r), n = _standard(x, stats, over), over.count(x.shape)
    if sums is not None:
        y = r * (u - sums[0] / n - s * (sums[1] / n))
        return _rounded(y if w is None else y * w, u, x, w)
    v = u if w is None else np.multiply(u, w, dtype=np.float64)
    y = r * (v - _sum(v, over.axis, over.centred) / n - s * (_sum(v * s, over.axis) / n))
    return _rounded(y, u, x, w)


def to_x(u: Array, x: Array, w: Array, stats: Array, over: Over, sums: Array = None) -> Array:
    """normalized_dx, with the sums if known. They are detached, because the rules differentiate through them already."""
    sums = correlations(u, x, stats, over=over) if sums is None else sums
    return normalized_dx(u, x, w, sums.detach() if hasattr(sums, "detach") else sums, stats, over=over)


@normalized.joint_vjp("x", "w", "b")
def normalized_vjp(
    g: Array, x: Array, w: Array, stats: Array, over: Over, needs: Sequence[bool], in_shapes: Sequence[Any]
) -> tuple[Array | None, ...]:
    """x', w' and b' of normalized: from one pair of correlations where w and b have one number for each mean."""
    shapes = () if w is None else get_shape(w), in_shapes[2] or ()
    if all(is_one_for_each(shape, len(get_shape(x)), over) for shape in shapes):
        sums = correlations(g, x, stats, over=over)
        return (
            to_x(g, x, w, stats, over, sums) if needs[0] else None,
            sum_to(sums[1], shape=in_shapes[1]) if needs[1] else None,
            sum_to(sums[0] if over.centred else g, shape=in_shapes[2]) if needs[2] else None,
        )
    dx = normalized_dx(g, x, w, None, stats, over=over) if needs[0] else None
    pair = correlations(g, x, stats, over=over, shape=in_shapes[1]) if needs[1] else None
    if pair is not None and over.centred and in_shapes[1] == in_shapes[2]:
        return dx, pair[1], pair[0]
    return dx, None if pair is None else pair[1], sum_to(g, shape=in_shapes[2]) if needs[2] else None


def is_one_for_each(shape: tuple[int, ...], ndim: int, over: Over) -> bool:
    """Whether there is one number for each mean, in an array of `shape` that broadcasts to one with `ndim` axes."""
    extra = ndim - len(shape)
    return all(i < extra or shape[i - extra] == 1 for i in over.axis)


normalized.jvp(
    x=lambda t, x, w, stats, over: times(to_x(t, x, None, stats, over), w),  # the matrix of ds/dx is symmetric
    w=lambda t, x, stats, over: normalized(x, t, None, stats, over=over),
    b=lambda t: t,
)


def times(a: Array, w: Array) -> Array:
    """a w; a for w = None."""
    return a if w is None else a * w


def normalized_dxx(g: Array, y: Array, u: Array, x: Array, w: Array, stats: Array, over: Over) -> Array:
    """x' of y = r (v - mean of v - s mean of (v s)), v = u w: through s, and through the factor r."""
    s, v = normalized(x, None, None, stats, over=over), times(u, w)
    deviation = x - _mean(x, over) if over.centred else x
    r = (_mean(deviation * deviation, over) + over.eps) ** -0.5
    through_s = -(g * _mean(v * s, over) + v * _mean(g * s, over))
    return to_x(through_s, x, r, stats, over) - _mean(g * y, over) * r * s


def _mean(a: Array, over: Over) -> Array:
    return mean(a, axis=over.axis, keepdims=True)


def correlations_du(g: Array, x: Array, stats: Array, over: Over) -> Array:
    """u' of correlations: g[0] + g[1] s, without g[0] if not centred."""
    y = g[1] * normalized(x, None, None, stats, over=over)
    return g[0] + y if over.centred else y


correlations.vjp(
    u=correlations_du,
    x=lambda g, u, x, stats, over: to_x(g[1] * u, x, None, stats, over),
)
normalized_dx.vjp(
    u=lambda g, x, w, stats, over: times(to_x(g, x, None, stats, over), w),
    x=normalized_dxx,
    w=lambda g, u, x, stats, over, in_shape: product_to(u, to_x(g, x, None, stats, over), shape=in_shape),
)
correlations.jvp(u=lambda t, x, stats, over, shape: correlations(t, x, stats, over=over, shape=shape))
normalized_dx.jvp(
    u=lambda t, x, w, stats, over: normalized_dx(t, x, w, None, stats, over=over),
    w=lambda t, u, x, stats, over: normalized_dx(u, x, t, None, stats, over=over),
)


@op
def normalized_by(x: Array, mean: Array, variance: Array, w: Array = None, b: Array = None, *, eps: float) -> Array:
    """y = (x - mean) r w + b, with r = 1 / sqrt(variance + eps), and numbers for the channels, the second axis of x.

    x' = g r w,  mean' = -sum of x',  variance' = -w w' r^2 / 2,  w' = sum of g (x - mean) r,  b' = sum of g.
    """
    factor, shift = by_channel(x, mean, variance, w, b, eps)
    return x * factor + shift


def by_channel(x: Array, mean: Array, variance: Array, w: Array, b: Array, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """r w and b - mean r w, computed in float64, in the form that broadcasts to x."""
    factor = 1 / np.sqrt(variance.astype(np.float64, casting="same_kind") + eps)
    factor = factor if w is None else factor * w
    shift = -mean * factor if b is None else b - mean * factor
    form = (-1, *(1 for _ in x.shape[2:]))
    return _rounded(factor, x, mean, variance, w, b).reshape(form), _rounded(shift, x, mean, variance, w, b).reshape(
        form
    )


@normalized_by.joint_vjp("x", "mean", "variance", "w", "b")
def normalized_by_vjp(
    g: Array,
    x: Array,
    mean: Array,
    variance: Array,
    w: Array,
    eps: float,
    needs: Sequence[bool],
    in_shapes: Sequence[Any],
) -> tuple[Array | None, ...]:
    """The gradients of normalized_by, from two sums over all but the channels: of g, and of g x."""
    form = (*get_shape(mean), *(1 for _ in get_shape(x)[2:]))
    r = (variance + eps) ** -0.5
    factor = times(r, w)
    dx = astype(affine(g, reshape(factor, shape=form)), x.dtype) if needs[0] else None
    if not any(needs[1:]):
        return dx, None, None, None, None
    total = reshape(sum_to(g, shape=form), shape=get_shape(mean))
    product = None
    if any(needs[1:4]):
        product = (reshape(product_to(g, x, shape=form), shape=get_shape(mean)) - mean * total) * r
    return (
        dx,
        astype(-total * factor, mean.dtype) if needs[1] else None,
        astype(product * factor * r * -0.5, variance.dtype) if needs[2] else None,
        astype(product, w.dtype) if needs[3] else None,
        total if needs[4] else None,
    )


def by_factor(t: Array, x: Array, mean: Array, variance: Array, w: Array, eps: float) -> Array:
    """t r w: the tangent of normalized_by for the tangent t of x."""
    form = (*get_shape(mean), *(1 for _ in get_shape(x)[2:]))
    return affine(t, reshape(times((variance + eps) ** -0.5, w), shape=form))


normalized_by.jvp(
    x=by_factor,
    w=lambda t, x, mean, variance, eps: normalized_by(x, mean, variance, t, eps=eps),
)
