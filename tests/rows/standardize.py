"""Rows for the ops in ops/standardize.py, and for elementwise scale and shift."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import affine, clipped
from tinygrad_cnn.ops import standardize as ops
from tinygrad_cnn.testing.cases import Arg, Case

WHOLE = Arg((2, 3, 2), -2, 2)
BATCH, EXAMPLE, ROOT = ops.Over((0, 2), 0.5), ops.Over((2,), 0.5), ops.Over((1,), 0.5, centred=False)
LAYER, LAST = ops.Over((1, 2), 0.5), ops.Over((2,), 0.5, centred=False)


def mean(a: NDArray[Any], over: ops.Over) -> NDArray[Any]:
    """The mean with its axes kept."""
    return np.asarray(a.mean(axis=over.axis, keepdims=True))


def spread(x: NDArray[Any], over: ops.Over) -> NDArray[Any]:
    """The variance, or the mean square."""
    return mean((x - over.centred * mean(x, over)) ** 2, over)


def standard(x: NDArray[Any], over: ops.Over) -> NDArray[Any]:
    """The formula as it is written."""
    return np.asarray((x - over.centred * mean(x, over)) / np.sqrt(spread(x, over) + over.eps))


def normalized(x: NDArray[Any], w: Any = 1.0, b: Any = 0.0, *, over: ops.Over) -> NDArray[Any]:
    """Standardized, scaled and shifted."""
    return np.asarray(standard(x, over) * w + b)


def correlations(u: NDArray[Any], x: NDArray[Any], over: ops.Over, shape: Any = None) -> NDArray[Any]:
    """Two sums."""
    parts = u * over.centred, u * standard(x, over)
    if shape is None:
        return np.stack([part.sum(axis=over.axis, keepdims=True) for part in parts])
    return np.stack([part.sum(axis=tuple(range(part.ndim - len(shape)))) for part in parts])


def normalized_dx(u: NDArray[Any], x: NDArray[Any], w: Any = 1.0, *, over: ops.Over) -> NDArray[Any]:
    """The gradient's formula, of the scaled gradient."""
    v, s, r = u * w, standard(x, over), 1 / np.sqrt(spread(x, over) + over.eps)
    return np.asarray(r * (v - over.centred * mean(v, over) - s * mean(v * s, over)))


def with_moments(f: Callable[..., Any]) -> Callable[..., Any]:
    """Called with the moments of x, which are known where x was normalized before."""

    def call(u: Any, x: Any, *w: Any, over: ops.Over, **shape: Any) -> Any:
        if f not in (ops.correlations, ops.normalized_dx):
            return f(u, x, *w, over=over, **shape)
        stats = ops.moments(x, over=over)
        if f is ops.normalized_dx:
            return f(u, x, *(w or (None,)), None, stats, over=over)
        return f(u, x, stats, over=over, **shape)

    return call


SCALE, SHIFT, LITTLE = Arg((1, 3, 1), 0.75, 1), Arg((1, 3, 1), 0.3, 0.5), Arg((2, 3, 2), -0.1, 0.1)
BETWEEN, RECTIFIED = (0.0, 1.0), (0.0, math.inf)


def far(a: Any) -> NDArray[Any]:
    """Like a: numbers so that, normalized, scaled and shifted, none is near 0 or 1, and some are below, between and above."""
    n, c, length = a.shape
    places = np.arange(n * length).reshape(n, 1, length) + np.arange(c).reshape(1, c, 1)
    return np.array([-3, 1, 1, 4], a.dtype)[places % 4]


def some(x: Any, low: float, high: float) -> NDArray[Any]:
    """A number for each channel."""
    return np.linspace(low, high, x.shape[1]).reshape(1, -1, 1).astype(x.dtype)


def passed(u: NDArray[Any], x: NDArray[Any], w: Any, b: Any, over: ops.Over, limits: ops.Limits) -> NDArray[Any]:
    """u inside of the limits."""
    z = normalized(x, w, b, over=over)
    return np.where((z > limits[0]) & (z < limits[1]), u, 0)


def from_far(f: Callable[..., Any]) -> Callable[..., Any]:
    """Called with inputs that are far from the limits, and numbers for the channels where a row has none."""

    def call(u: Any, x: Any, *w: Any, **how: Any) -> Any:
        w, b = w or (some(x, 0.75, 1),), some(x, 0.3, 0.5)
        return f(u, x + far(x), *w, b, **how)

    return call


def at_far(f: Callable[..., Any]) -> Callable[..., Any]:
    """Called with a fixed x that is far from the limits."""
    return lambda u, **how: f(u, far(u), some(u, 0.75, 1), some(u, 0.3, 0.5), **how)


def moved(f: Callable[..., Any]) -> Callable[..., Any]:
    """Called with the first input far from the limits."""
    return lambda x, *numbers, **params: f(x + far(x), *numbers, **params)


def clipped_reference(x: NDArray[Any], w: Any, b: Any, over: ops.Over, limits: ops.Limits) -> NDArray[Any]:
    """Normalized, and limited."""
    return np.clip(normalized(x, w, b, over=over), *limits)


CLIPPED = [
    case
    for limits in (BETWEEN, RECTIFIED)
    for how in [{"over": BATCH, "limits": limits}]
    for case in (
        Case(clipped.clipped, (LITTLE, SCALE, SHIFT), clipped_reference, how, via=moved),
        Case(clipped.inside, (WHOLE,), passed, how, via=at_far),
        Case(
            clipped.clipped_correlations,
            (WHOLE, LITTLE),
            lambda u, x, w, b, over, limits: correlations(passed(u, x, w, b, over, limits), x, over),
            how,
            via=from_far,
        ),
        Case(
            clipped.clipped_dx,
            (WHOLE, LITTLE, SCALE),
            lambda u, x, w, b, over, limits: normalized_dx(passed(u, x, w, b, over, limits), x, w, over=over),
            how,
            via=from_far,
        ),
        Case(
            clipped.clipped_by,
            (LITTLE, Arg((3,), 0.6, 0.8), Arg((3,), 5.5, 6.5), Arg((3,), 0.75, 1), Arg((3,), 0.3, 0.5)),
            lambda x, m, v, w, b, eps, limits: np.clip(
                (x - m[:, None]) / np.sqrt(v + eps)[:, None] * w[:, None] + b[:, None], *limits
            ),
            {"eps": 0.5, "limits": limits},
            via=moved,
        ),
    )
]

CASES = [
    *CLIPPED,
    *(
        case
        for over in (BATCH, ROOT)
        for case in (
            Case(
                ops.moments,
                (WHOLE,),
                lambda x, over: np.stack([over.centred * mean(x, over), spread(x, over)]),
                {"over": over},
                order=0,
            ),
            Case(ops.normalized, (WHOLE,), normalized, {"over": over}),
            Case(ops.correlations, (WHOLE, WHOLE), correlations, {"over": over}),
            Case(ops.normalized_dx, (WHOLE, WHOLE), normalized_dx, {"over": over}),
            Case(ops.correlations, (WHOLE, WHOLE), correlations, {"over": over}, via=with_moments),
            Case(ops.normalized_dx, (WHOLE, WHOLE), normalized_dx, {"over": over}, via=with_moments),
        )
    ),
    *(
        case
        for over, size in (
            *((BATCH, (1, 3, 1)), (EXAMPLE, (1, 3, 1)), (ROOT, (2, 1, 2))),
            *((LAYER, (3, 2)), (EXAMPLE, (2,)), (LAST, (2,)), (BATCH, (1, 3, 2))),
        )
        for case in (
            Case(ops.normalized, (WHOLE, Arg(size), Arg(size)), normalized, {"over": over}),
            Case(ops.normalized_dx, (WHOLE, WHOLE, Arg(size)), normalized_dx, {"over": over}),
            Case(ops.normalized_dx, (WHOLE, WHOLE, Arg(size)), normalized_dx, {"over": over}, via=with_moments),
        )
    ),
    *(
        Case(ops.correlations, (WHOLE, WHOLE), correlations, {"over": over, "shape": shape}, **via)
        for over, shape in ((LAYER, (3, 2)), (EXAMPLE, (2,)), (LAST, (2,)), (BATCH, (3, 2)))
        for via in ({}, {"via": with_moments})
    ),
    *(
        Case(
            lambda x, b: ops.normalized(x, None, b, over=LAYER), (WHOLE, Arg(size)), lambda x, b: standard(x, LAYER) + b
        )
        for size in ((3, 2), (2, 1, 1))
    ),
    Case(
        ops.normalized_by,
        (WHOLE, Arg((3,)), Arg((3,), 0.5), Arg((3,)), Arg((3,))),
        lambda x, m, v, w, b, eps: (x - m[:, None]) / np.sqrt(v + eps)[:, None] * w[:, None] + b[:, None],
        {"eps": 0.5},
    ),
    Case(
        ops.normalized_by,
        (WHOLE, Arg((3,)), Arg((3,), 0.5)),
        lambda x, m, v, eps: (x - m[:, None]) / np.sqrt(v + eps)[:, None],
        {"eps": 0.5},
    ),
    Case(affine.product_to, (WHOLE, WHOLE), lambda a, b, shape: (a * b).sum((0, 2)).reshape(shape), {"shape": (3, 1)}),
    Case(affine.affine, (WHOLE, Arg((3, 1)), Arg((1, 3, 1))), lambda x, w, b: x * w + b),
    Case(affine.affine, (WHOLE, Arg((3, 1))), lambda x, w: x * w),
    Case(affine.affine, (WHOLE, Arg((3, 2)), Arg((3, 2))), lambda x, w, b: x * w + b),
]
