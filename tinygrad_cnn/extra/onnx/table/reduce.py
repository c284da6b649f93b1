"""Reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import elementwise as e
from ....ops import reduce as r
from ....ops import softmax
from .base import Structural, as_dtype, dtype_of, integers, reads, writes


def _log_sum(x: Array, **over: Any) -> Array:
    return e.log(r.sum(x, **over))


def _sum_square(x: Array, **over: Any) -> Array:
    return r.sum(e.square(x), **over)


def _l1(x: Array, **over: Any) -> Array:
    return r.sum(e.abs(x), **over)


def _l2(x: Array, **over: Any) -> Array:
    return r.power_norm(x, p=2.0, **over)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": _l1, "ReduceL2": _l2, "ReduceLogSum": _log_sum, "ReduceLogSumExp": r.logsumexp, "ReduceMax": r.max,
    "ReduceMean": r.mean, "ReduceMin": r.min, "ReduceProd": r.prod, "ReduceSum": r.sum, "ReduceSumSquare": _sum_square,
}  # fmt: skip


def _reader(operator: str, function: Callable[..., Any]) -> None:
    @reads(operator)
    def read(data: Array, axes: Structural = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
        over = () if axes is None else integers(axes)
        if not over and noop_with_empty_axes:
            return _alone(operator, data)
        dtype = dtype_of(data)
        if not over:
            over = tuple(range(np.ndim(data)))
        if operator in ("ReduceMax", "ReduceMin") and not _filled(data, over):
            return _empty(operator, data, over, keepdims)
        return as_dtype(function(data, axis=over, keepdims=bool(keepdims)), dtype)


def _alone(operator: str, data: Array) -> Array:
    """Without axes, each element is reduced separately."""
    single = {"ReduceL1": e.abs, "ReduceL2": e.abs, "ReduceLogSum": e.log, "ReduceSumSquare": e.square}
    return single[operator](data) if operator in single else data


def _filled(data: Array, over: tuple[int, ...]) -> bool:
    return all(np.shape(data)[i] for i in over)


def _empty(operator: str, data: Array, over: tuple[int, ...], keepdims: int) -> Array:
    """The largest of no elements is the smallest value."""
    dtype = dtype_of(data)
    low: Any
    if dtype.kind == "f":
        low, high = -np.inf, np.inf
    elif dtype.kind == "b":
        low, high = False, True
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    whole = [i % np.ndim(data) for i in over]
    shape = [1 if i in whole else n for i, n in enumerate(np.shape(data)) if keepdims or i not in whole]
    return np.full(shape, low if operator == "ReduceMax" else high, dtype)


for operator, function in REDUCTIONS.items():
    _reader(operator, function)


_OPERATORS = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd",
              "logsumexp": "ReduceLogSumExp"}  # fmt: skip


@writes(r.sum, r.mean, r.max, r.min, r.prod)
def _write(w: Any, a: Any, *, axis: Any, keepdims: Any, out: Any) -> Any:
    axes, name = r.reduced_axes(axis, len(a.shape)), w.record.op.name
    if out.dtype.kind == "b":  # the maximum of Booleans is any()
        y = w.reduce(_OPERATORS[name], w.cast(a, np.int32), axes, keepdims)
        return w.cast(y, np.bool_)
    return w.reduce(_OPERATORS[name], w.as_dtype(a, out.dtype), axes, keepdims)


@writes(r.logsumexp)
def _logsumexp(w: Any, a: Any, *, axis: Any, keepdims: Any, out: Any) -> Any:
    return w.reduce("ReduceLogSumExp", w.as_dtype(a, out.dtype), r.reduced_axes(axis, len(a.shape)), keepdims)


@writes(r.any, r.all)
def _any(w: Any, a: Any, *, axis: Any, keepdims: Any) -> Any:
    held = w.cast(w.as_dtype(a, np.bool_), np.int32)
    operator = "ReduceMax" if w.record.op.name == "any" else "ReduceMin"
    found = w.reduce(operator, held, r.reduced_axes(axis, len(a.shape)), keepdims)
    return w.node("Greater", found, w.number(0, np.int32))  # the largest of no numbers is negative


@writes(r.power_norm)
def _power_norm(w: Any, a: Any, *, p: Any, axis: Any, keepdims: Any, out: Any) -> Any:
    axes = r.reduced_axes(axis, len(a.shape))
    a = w.as_dtype(a, out.dtype)
    if p == 2:
        return w.reduce("ReduceL2", a, axes, keepdims)
    size = w.node("Abs", a)
    if p == 0:
        return w.reduce("ReduceSum", w.node("Sign", size), axes, keepdims)
    powers = w.reduce("ReduceSum", w.node("Pow", size, w.number(p, out.dtype)), axes, keepdims)
    return w.node("Pow", powers, w.number(1 / p, out.dtype))


def _centred(w: Any, a: Any, axes: Any) -> Any:
    return w.node("Sub", a, w.reduce("ReduceMean", a, axes, True))


@writes(r.centre)
def _centre(w: Any, a: Any, *, axis: Any, out: Any) -> Any:
    return _centred(w, w.as_dtype(a, out.dtype), r.reduced_axes(axis, len(a.shape)))


@writes(r.variance, r.deviation)
def _variance(w: Any, a: Any, *, axis: Any, keepdims: Any, correction: Any, out: Any) -> Any:
    axes = r.reduced_axes(axis, len(a.shape))
    count = math.prod(a.shape[i] for i in axes)
    away = _centred(w, w.as_dtype(a, out.dtype), axes)
    if correction == 0:
        y = w.reduce("ReduceMean", w.node("Mul", away, away), axes, keepdims)
    else:
        w.refuse_size(any(a.is_dynamic(i) for i in axes), "has a correction over an axis whose size is dynamic")
        total = w.reduce("ReduceSum", w.node("Mul", away, away), axes, keepdims)
        free = count - correction
        y = w.node("Mul", total, w.number(1 / free if free > 0 else math.nan, out.dtype))
    return w.node("Sqrt", y) if w.record.op.name == "deviation" else y


# The place of the largest element


def _place(function: Callable[..., Any], data: Array, axis: int, keepdims: int, last: int) -> Array:
    if not last:
        return function(data, axis=axis, keepdims=bool(keepdims))
    from ....ops.rearrange import flip

    found = function(flip(data, axis=axis), axis=axis, keepdims=bool(keepdims))
    return e.sub(np.shape(data)[axis] - 1, found)


@reads("ArgMax")
def _argmax(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    return _place(r.argmax, data, axis, keepdims, select_last_index)


@reads("ArgMin")
def _argmin(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    return _place(r.argmin, data, axis, keepdims, select_last_index)


@writes(r.argmax, r.argmin)
def _write_place(w: Any, a: Any, *, axis: Any, keepdims: Any, out: Any) -> Any:
    operator = "ArgMax" if w.record.op.name == "argmax" else "ArgMin"
    a = w.cast(a, np.int32) if a.dtype.kind == "b" else a
    if axis is None:
        y = w.node(operator, w.node("Reshape", a, w.ints([-1])), axis=0, keepdims=0)
        return w.reshape(y, out) if keepdims else y
    return w.node(operator, a, axis=int(axis), keepdims=int(keepdims))


# Softmax


def _softmax_reader(operator: str, function: Callable[..., Any]) -> None:
    @reads(operator)
    def read(input: Array, *, axis: int | None = None, opset: int) -> Array:
        if opset >= 13:
            return function(input, axis=-1 if axis is None else axis)
        from ....ops.shape import reshape  # before, the axes from `axis` on counted as one

        shape = np.shape(input)
        at = 1 if axis is None else axis % len(shape)
        rows = reshape(input, shape=(math.prod(shape[:at]), math.prod(shape[at:])))
        return reshape(function(rows, axis=-1), shape=shape)


def _hardmax(x: Array, axis: int) -> Array:
    from ....ops.gather import one_hot
    from ....ops.shape import moveaxis

    n = np.shape(x)[axis]
    return as_dtype(moveaxis(one_hot(r.argmax(x, axis=axis), num_classes=n), -1, axis), dtype_of(x))


_softmax_reader("Softmax", softmax.softmax)
_softmax_reader("LogSoftmax", softmax.log_softmax)
_softmax_reader("Hardmax", _hardmax)


@writes(softmax.softmax, softmax.log_softmax, softmax.softmin)
def _softmax(w: Any, a: Any, *, axis: Any, out: Any) -> Any:
    a = w.as_dtype(a, out.dtype)
    a = w.node("Neg", a) if w.record.op.name == "softmin" else a
    return w.node("LogSoftmax" if w.record.op.name == "log_softmax" else "Softmax", a, axis=int(axis))
