"""Batch norm with a clip behind it, such as ReLU, as ops of their own: so a kernel may compute both in one pass over memory.

With z = s w + b, what :func:`~tinygrad_cnn.ops.standardize.normalized` gives, y is z limited to [low, high]. A gradient
passes where low < z < high, as for `relu` and `hardtanh`. In docstrings, g is the incoming gradient and a' the gradient with
respect to a; v is g where it passes, else 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.graph import Array, op
from .affine import product_to
from .elementwise import where
from .normalization import by_statistics
from .shape import broadcast_to, get_shape, sum_to
from .standardize import (
    Limits,
    Over,
    by_factor,
    correlations,
    correlations_du,
    is_one_for_each,
    normalized,
    normalized_by,
    normalized_by_vjp,
    normalized_dx,
    normalized_dxx,
    normalized_vjp,
    times,
    to_x,
)

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__: list[str] = []


def _passes(z: Array, limits: Limits) -> Array:
    low, high = limits
    return z > low if high == math.inf else (z > low) & (z < high)


def _fixed(a: Array) -> Array:
    """Without a gradient: where a gradient passes does not change with the inputs."""
    return a.detach() if hasattr(a, "detach") else a


@op(linear=["u"])
def inside(
    u: Array, x: Array, w: Array = None, b: Array = None, stats: Array = None, *, over: Over, limits: Limits
) -> Array:
    """y = u where low < z < high, else 0.   u' = v."""
    return where(_passes(normalized(x, w, b, stats, over=over), limits), u, 0)


def _inside(g: Array, x: Array, w: Array, b: Array, stats: Array, over: Over, limits: Limits) -> Array:
    return inside(g, _fixed(x), _fixed(w), _fixed(b), stats, over=over, limits=limits)


inside.vjp(u=_inside)


@op
def clipped(x: Array, w: Array = None, b: Array = None, stats: Array = None, *, over: Over, limits: Limits) -> Array:
    """y = z limited to [low, high].   x', w' and b' are those of `normalized` for v."""
    return np.clip(normalized(x, w, b, stats, over=over), *limits)


@op
def clipped_correlations(
    u: Array, x: Array, w: Array = None, b: Array = None, stats: Array = None, *, over: Over, limits: Limits
) -> Array:
    """y = the correlations with x of u where low < z < high.

    u' = u' of `correlations` where low < z < high, else 0;   x' = that of `correlations` for the u that passes.
    """
    return correlations(inside(u, x, w, b, stats, over=over, limits=limits), x, stats, over=over)


clipped_correlations.vjp(
    u=lambda g, x, w, b, stats, over, limits: _inside(correlations_du(g, x, stats, over), x, w, b, stats, over, limits),
    x=lambda g, u, x, w, b, stats, over, limits: to_x(
        g[1] * _inside(u, x, w, b, stats, over, limits), x, None, stats, over
    ),
)


@op
def clipped_dx(
    u: Array, x: Array, w: Array = None, b: Array = None, sums: Array = None, stats: Array = None, *, over: Over,
    limits: Limits,
) -> Array:  # fmt: skip
    """y = D(u w) of `normalized_dx`, of u where low < z < high: x' of `clipped` for g = u.

    `sums` are the correlations of that u, if known.   u', x' and w' are those of `normalized_dx` for it, u' where it passes.
    """
    return normalized_dx(inside(u, x, w, b, stats, over=over, limits=limits), x, w, sums, stats, over=over)


clipped_dx.vjp(
    u=lambda g, x, w, b, stats, over, limits: _inside(
        times(to_x(g, x, None, stats, over), w), x, w, b, stats, over, limits
    ),
    x=lambda g, y, u, x, w, b, stats, over, limits: normalized_dxx(
        g, y, _inside(u, x, w, b, stats, over, limits), x, w, stats, over
    ),
    w=lambda g, u, x, w, b, stats, over, limits, in_shape: product_to(
        _inside(u, x, w, b, stats, over, limits), to_x(g, x, None, stats, over), shape=in_shape
    ),
)


@clipped.joint_vjp("x", "w", "b")
def _clipped_vjp(
    g: Array, x: Array, w: Array, b: Array, stats: Array, over: Over, limits: Limits, needs: Sequence[bool],
    in_shapes: Sequence[Any],
) -> tuple[Array | None, ...]:  # fmt: skip
    shapes = [a.shape for a in (w, b) if a is not None]
    if not (over.centred and all(is_one_for_each(shape, x.ndim, over) for shape in shapes)):
        return normalized_vjp(_inside(g, x, w, b, stats, over, limits), x, w, stats, over, needs, in_shapes)
    sums = clipped_correlations(g, x, _fixed(w), _fixed(b), stats, over=over, limits=limits)
    known = _fixed(sums)
    return (
        clipped_dx(g, x, w, _fixed(b), known, stats, over=over, limits=limits) if needs[0] else None,
        sum_to(sums[1], shape=in_shapes[1]) if needs[1] else None,
        sum_to(sums[0], shape=in_shapes[2]) if needs[2] else None,
    )


clipped.jvp(
    x=lambda t, x, w, b, stats, over, limits: _inside(
        times(to_x(t, x, None, stats, over), w), x, w, b, stats, over, limits
    ),
    w=lambda t, x, w, b, stats, over, limits: _inside(
        normalized(x, t, None, stats, over=over), x, w, b, stats, over, limits
    ),
    b=lambda t, x, w, b, stats, over, limits: _inside(
        broadcast_to(t, shape=get_shape(x)), x, w, b, stats, over, limits
    ),
)
clipped_correlations.jvp(
    u=lambda t, x, w, b, stats, over, limits: clipped_correlations(t, x, w, b, stats, over=over, limits=limits)
)
clipped_dx.jvp(
    u=lambda t, x, w, b, stats, over, limits: clipped_dx(t, x, w, b, None, stats, over=over, limits=limits),
    w=lambda t, u, x, w, b, stats, over, limits: normalized_dx(
        _inside(u, x, w, b, stats, over, limits), x, t, None, stats, over=over
    ),
)


@op
def clipped_by(
    x: Array, mean: Array, variance: Array, w: Array = None, b: Array = None, *, eps: float, limits: Limits
) -> Array:
    """y = what `normalized_by` gives limited to [low, high].   The gradients are those of `normalized_by` for v."""
    return np.clip(normalized_by(x, mean, variance, w, b, eps=eps), *limits)


@clipped_by.joint_vjp("x", "mean", "variance", "w", "b")
def _clipped_by_vjp(
    g: Array, y: Array, x: Array, mean: Array, variance: Array, w: Array, eps: float, limits: Limits,
    needs: Sequence[bool], in_shapes: Sequence[Any],
) -> tuple[Array | None, ...]:  # fmt: skip
    return normalized_by_vjp(where(_passes(y, limits), g, 0), x, mean, variance, w, eps, needs, in_shapes)


clipped_by.jvp(
    x=lambda t, y, x, mean, variance, w, eps, limits: where(
        _passes(y, limits), by_factor(t, x, mean, variance, w, eps), 0
    ),
    w=lambda t, y, x, mean, variance, eps, limits: where(
        _passes(y, limits), normalized_by(x, mean, variance, t, eps=eps), 0
    ),
)


def clipped_batch_norm(
    x: Array, running_mean: Array, running_var: Array, weight: Array, bias: Array, training: bool, momentum: float,
    eps: float, *, limits: Limits,
) -> Tensor:  # fmt: skip
    """:func:`~tinygrad_cnn.batch_norm` limited to [low, high]."""
    by_batch, by_running = partial(clipped, limits=limits), partial(clipped_by, limits=limits)
    return by_statistics(x, running_mean, running_var, weight, bias, training, momentum, eps, by_batch, by_running)
