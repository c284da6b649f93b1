"""Normalization and dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import affine as af
from ....ops import elementwise as e
from ....ops import normalization as n
from ....ops import reduce as r
from ....ops import shape as s
from ....ops import standardize as st
from ....ops.dropout import dropout
from .base import Statistic, Structural, Weight, as_dtype, dtype_of, number, reads, refuse, writes


@reads("BatchNormalization")
def _batch_norm(
    x: Array, scale: Weight, b: Weight, mean: Statistic, var: Statistic, *, epsilon: float = 1e-5, momentum: float = 0.9,
    training_mode: int = 0, spatial: int = 1, is_test: int = 0, outputs: int, training: bool,
) -> Any:  # fmt: skip
    refuse(not spatial, "`spatial` is 0, a mean for each place; only 1 is read")
    if training_mode and outputs > 1:
        stats = st.moments(x, over=st.Over((0, *range(2, np.ndim(x)))))
        y = n.batch_norm(x, None, None, scale, b, True, eps=epsilon)
        batch = [as_dtype(s.reshape(part, shape=(-1,)), dtype_of(mean)) for part in (stats[0], stats[1])]
        moved = [
            e.add(e.mul(old, momentum), e.mul(new, 1 - momentum)) for old, new in zip((mean, var), batch, strict=True)
        ]
        return y, *moved
    if training_mode or training:
        old, spread = (a if hasattr(a, "_node") and a.is_leaf else None for a in (mean, var))
        return n.batch_norm(x, old, spread, scale, b, True, 1 - momentum, epsilon)
    return n.batch_norm(x, mean, var, scale, b, False, eps=epsilon)


@reads("InstanceNormalization")
def _instance_norm(input: Array, scale: Weight, b: Weight, *, epsilon: float = 1e-5) -> Array:
    if np.ndim(input) < 3 or math.prod(np.shape(input)[2:]) == 1:
        over = tuple(range(2, np.ndim(input)))
        return e.add(e.mul(_standard(input, over, epsilon), _by_channel(scale, input)), _by_channel(b, input))
    return n.instance_norm(input, None, None, scale, b, eps=epsilon)


def _by_channel(a: Array, x: Array) -> Array:
    return s.reshape(a, shape=(-1, *(1,) * (np.ndim(x) - 2)))


def _standard(x: Array, over: tuple[int, ...], epsilon: float, *scale_and_shift: Array) -> Array:
    axes = st.Over(over, epsilon)
    w, b = scale_and_shift or (None, None)
    return st.normalized(x, w, b, st.moments(x, over=axes), over=axes)


@reads("GroupNormalization")
def _group_norm(
    x: Array, scale: Weight, bias: Weight, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1, opset: int
) -> Array:
    if opset < 21 and np.shape(scale) == (num_groups,):  # one for each group
        each = np.shape(x)[1] // num_groups
        scale, bias = (
            s.reshape(s.broadcast_to(s.expand_dims(a, 1), shape=(num_groups, each)), shape=(-1,)) for a in (scale, bias)
        )
    return n.group_norm(x, num_groups, scale, bias, epsilon)


@reads("LayerNormalization")
def _layer_norm(
    x: Array,
    scale: Weight,
    b: Weight = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    outputs: int,
) -> Any:
    over = tuple(range(axis % np.ndim(x), np.ndim(x)))
    y = _standard(x, over, epsilon, scale, b)
    if outputs == 1:
        return y
    stats = st.moments(x, over=st.Over(over))
    mean, deviation = (as_dtype(part, np.dtype(np.float32)) for part in (stats[0], (stats[1] + epsilon) ** -0.5))
    return y, mean, deviation


@reads("RMSNormalization")
def _rms_norm(x: Array, scale: Weight, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Array:
    over = st.Over(tuple(range(axis % np.ndim(x), np.ndim(x))), epsilon, False)
    return st.normalized(x, scale, None, st.moments(x, over=over), over=over)


@reads("LRN")
def _lrn(x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Array:
    width = [(0, 0)] * np.ndim(x)
    width[1] = ((size - 1) // 2, size // 2)  # the larger half of an even number is at the end
    channels = np.shape(x)[1]
    squares = s.pad_constant(e.square(x), pad_width=tuple(width))
    total = s.slice_axis(squares, 0, channels, 1)
    for i in range(1, size):
        total = e.add(total, s.slice_axis(squares, i, i + channels, 1))
    return e.div(x, e.pow(e.add(e.mul(total, alpha / size), bias), beta))


@reads("LpNormalization")
def _lp_normalization(input: Array, *, axis: int = -1, p: int = 2) -> Array:
    size = r.norm(input, p, axis=axis, keepdims=True)
    return e.div(input, e.where(size == 0, 1, size))


@reads("MeanVarianceNormalization")
def _mvn(x: Array, *, axes: Sequence[int] = (0, 2, 3)) -> Array:
    away = r.centre(x, axis=tuple(axes))
    return e.div(away, e.add(e.sqrt(r.mean(e.square(away), axis=tuple(axes), keepdims=True)), 1e-9))


@reads("Dropout")
def _dropout(
    data: Array, ratio: Structural = None, training_mode: Structural = None, *, seed: int | None = None, is_test: int = 1,
    outputs: int, training: bool,
) -> Any:  # fmt: skip
    p = 0.5 if ratio is None else float(number(ratio) if not isinstance(ratio, float) else ratio)
    active = p > 0 and (training or (training_mode is not None and bool(number(training_mode))))
    if not active:
        return data if outputs == 1 else (data, np.ones(np.shape(data), bool))
    if outputs == 1:
        return dropout(data, p, True)
    kept = dropout(np.ones(np.shape(data), dtype_of(data)), p, True)
    return e.mul(data, kept), kept != 0


# Writing


def _last(over: Any, ndim: int) -> bool:
    return tuple(over.axis) == tuple(range(ndim - len(over.axis), ndim))


@writes(st.normalized, ignored=["stats"])
def _normalized(w: Any, x: Any, weight: Any = None, b: Any = None, stats: Any = None, *, over: Any, out: Any) -> Any:
    ndim, x = len(out.shape), w.as_dtype(x, out.dtype)
    sizes = tuple(out.shape[i] for i in over.axis)
    fits = all(a is None or a.shape == sizes for a in (weight, b)) and not any(out.is_dynamic(i) for i in over.axis)
    if fits and _last(over, ndim) and (w.opset >= 17 if over.centred else w.opset >= 23 and b is None):
        scale = w.constant(np.ones(sizes, out.dtype)) if weight is None else w.as_dtype(weight, out.dtype)
        operator = "LayerNormalization" if over.centred else "RMSNormalization"
        shift = None if b is None else w.as_dtype(b, out.dtype)
        return w.node(operator, x, scale, shift, axis=-len(sizes), epsilon=float(over.eps))
    weight, b = (None if a is None else w.as_dtype(a, out.dtype) for a in (weight, b))
    y = w.node("Sub", x, w.reduce("ReduceMean", x, over.axis, True)) if over.centred else x
    variance = w.reduce("ReduceMean", w.node("Mul", y, y), over.axis, True)
    deviation = w.node("Sqrt", w.node("Add", variance, w.number(over.eps, out.dtype)))
    y = w.node("Div", y, deviation)
    y = y if weight is None else w.node("Mul", y, weight)
    return y if b is None else w.node("Add", y, b)


@writes(st.moments)
def _moments(w: Any, x: Any, *, over: Any, out: Any) -> Any:
    x = w.as_dtype(x, out.dtype)
    mean = w.reduce("ReduceMean", x, over.axis, True)
    away = w.node("Sub", x, mean) if over.centred else x
    variance = w.reduce("ReduceMean", w.node("Mul", away, away), over.axis, True)
    mean = mean if over.centred else w.node("Mul", mean, w.number(0.0, out.dtype))
    return w.node("Concat", *(w.node("Unsqueeze", part, w.ints([0])) for part in (mean, variance)), axis=0)


@writes(af.affine)
def _affine(w: Any, x: Any, weight: Any, b: Any = None, *, out: Any) -> Any:
    x, weight = w.same(out.dtype, x, weight)
    y = w.node("Mul", x, weight)
    return y if b is None else w.node("Add", y, w.as_dtype(b, out.dtype))


@writes(st.normalized_by)
def _normalized_by(
    w: Any, x: Any, mean: Any, variance: Any, weight: Any = None, b: Any = None, *, eps: float, out: Any
) -> Any:
    small = [w.constant(np.full(mean.shape, fill, out.dtype)) if a is None else a for a, fill in ((weight, 1), (b, 0))]
    x, *small = (w.as_dtype(a, out.dtype) for a in (x, *small, mean, variance))
    return w.node("BatchNormalization", x, *small, epsilon=float(eps))
