"""Softmax, its logarithm and the cross-entropy in float32, over the last axis of arrays in C order.

A row stays in the first cache from its first pass to its last. e^x is 2^n times a polynomial, to a unit in the last place. The
sums of a row's runs of RUN elements are added in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...kernels.parallel import chunks
from .compiled import Number, helper, loop, part
from .images import each_part

SMALL = 1 << 9
"""Smaller arrays are not worth the preparation."""

RUN = 1024

LOWEST, HIGHEST = np.float32(-105.0), np.float32(88.8)
"""Outside, e^x is 0, or larger than any number of float32."""

FAR = 60.0
"""e^x of numbers up to this size neither overflows nor loses digits, in sums of any length and in quotients."""

FAR_BITS = int(np.float32(FAR).view(np.int32))

PER_LOG2, HIGH, LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
"""HIGH + LOW is log 2, and n HIGH is exact."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


def prepare_softmax(out: Array | None, a: Any, *, axis: int) -> Any:
    """A task for ``softmax``; None unless `a` is float32 in C order and `axis` the last."""
    return _by_rows(_softmax, out, [a], a) if _fits(axis, a) else None


def prepare_softmax_pull(out: Array | None, u: Any, p: Any, *, axis: int) -> Any:
    """A task for ``softmax_pull``."""
    return _by_rows(_softmax_pull, out, [u, p], p) if _fits(axis, u, p) else None


def prepare_log_softmax(out: Array | None, a: Any, *, axis: int) -> Any:
    """A task for ``log_softmax``."""
    return _by_rows(_log_softmax, out, [a], a) if _fits(axis, a) else None


def prepare_log_softmax_pull(out: Array | None, u: Any, q: Any, *, axis: int) -> Any:
    """A task for ``log_softmax_pull``."""
    return _by_rows(_log_softmax_pull, out, [u, q], q) if _fits(axis, u, q) else None


def prepare_nll(out: Array | None, logits: Any, target: Any, w: Any) -> Any:
    """A task for ``softmax_nll`` of a matrix of logits."""
    if not _scored(logits, target, w):
        return None
    return _by_rows(_nll, np.empty(len(logits), FLOAT32) if out is None else out, [logits, target, w], logits)


def prepare_nll_pull(out: Array | None, u: Any, logits: Any, target: Any) -> Any:
    """A task for ``softmax_nll_pull`` of a matrix of logits."""
    if not _scored(logits, target, u):
        return None
    return _by_rows(_nll_pull, out, [u, logits, target], logits)


def _fits(axis: int, *arrays: Any) -> bool:
    """Whether the arrays are alike, float32 in C order, not small, with rows of two numbers or more, and `axis` is the last."""
    first = arrays[0]
    return (
        first.__class__ is np.ndarray
        and first.size >= SMALL
        and first.shape[-1] > 1  # e^x times 1 / e^x is not always 1
        and axis in (-1, first.ndim - 1)
        and all(
            a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.shape == first.shape and a.flags.c_contiguous
            for a in arrays
        )
    )


def _scored(logits: Any, target: Any, w: Any) -> bool:
    """Whether there are a matrix of logits with rows of two numbers or more, a label for each row and a number for each row."""
    if not logits.__class__ is target.__class__ is w.__class__ is np.ndarray or logits.ndim != 2 or not logits.size:
        return False
    return (
        logits.dtype == FLOAT32
        and logits.flags.c_contiguous
        and logits.shape[1] > 1
        and target.shape == w.shape == logits.shape[:1]
        and target.dtype.kind in "iu"
        and (w.dtype == FLOAT32 or w.dtype == bool)
    )


def _by_rows(function: Callable[..., object], out: Array | None, arrays: Sequence[Array], like: Array) -> Any:
    """A task that calls `function` with rows of the arrays, and of `out`, which it fills."""
    y = np.empty_like(like) if out is None else out
    if not y.flags.c_contiguous:
        return None
    n = like.shape[-1]
    rows = like.size // n
    views = [a.reshape(rows, n) if a.shape == like.shape else a for a in (*arrays, y)]
    if like.size < chunks.LARGE:
        return partial(_filled, function, y, views)
    step = -(-rows // chunks.PARTS)
    parts = [[a[i : i + step] for a in views] for i in range(0, rows, step)]

    def task() -> Array:
        each_part(lambda part: function(*part), parts)
        return y

    return task


def _filled(function: Callable[..., object], y: Array, views: Sequence[Array]) -> Array:
    function(*views)
    return y


@helper
def _exp(x: Number) -> Number:
    """e^x."""
    a = x if x > LOWEST else LOWEST
    a = a if a < HIGHEST else HIGHEST
    n = np.rint(a * PER_LOG2)
    r = a - n * HIGH
    r = r - n * LOW
    p = np.float32(0.0013926183586701981)
    p = p * r + np.float32(0.0083631790527194)
    p = p * r + np.float32(0.0416665546172152)
    p = p * r + np.float32(0.16666576989698803)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1.0)
    p = p * r + np.float32(1.0)
    whole = np.int32(n)
    half = np.int32(whole >> 1)  # in two steps: 2^n may be subnormal, or 2^128
    first = np.int32((half + 127) << 23)
    second = np.int32((whole - half + 127) << 23)
    y = p * first.view(np.float32) * second.view(np.float32)
    return y if x == x else x


@helper
def _order(bits: Number) -> Number:
    """The bits of a float32 as an integer that is larger for larger numbers, and back: the order of integers has no exceptions,
    so a loop finds the largest one in vector registers."""
    return np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF))


@part
def _largest(bits: Array) -> Number:
    """The largest number of a row of bits. A NaN may be it or not; e^(x - top) is NaN there in either case."""
    top = np.int32(-(2**31))
    for j in range(bits.size):
        found = _order(bits[j])
        top = found if found > top else top
    order = np.int32(_order(top))
    return order.view(np.float32)


@part
def _centre(bits: Array) -> Number:
    """0 for a row of numbers up to FAR, and the largest for others: where nothing is subtracted, nothing is rounded."""
    size = np.int32(0)
    for j in range(bits.size):
        found = np.int32(bits[j] & 0x7FFFFFFF)
        size = found if found > size else size
    if np.int32(size) <= FAR_BITS:
        return np.float32(0.0)
    return _largest(bits)


@part
def _exps(x: Array, top: Number, y: Array) -> Number:
    """y = e^(x - top) for a row; returns the sum."""
    whole = np.float64(0.0)
    for start in range(0, x.size, RUN):
        run, found = x[start : start + RUN], y[start : start + RUN]
        total = np.float32(0.0)
        for j in range(run.size):
            e = _exp(run[j] - top)
            found[j] = e
            total += e
        whole += np.float64(total)
    return whole


@part
def _exp_sum(x: Array, top: Number) -> Number:
    """The sum of e^(x - top) for a row."""
    whole = np.float64(0.0)
    for start in range(0, x.size, RUN):
        run = x[start : start + RUN]
        total = np.float32(0.0)
        for j in range(run.size):
            total += _exp(run[j] - top)
        whole += np.float64(total)
    return whole


@loop
def _softmax(x: Array, y: Array) -> None:
    """e^(x - c) / sum."""
    bits = x.view(np.int32)
    for i in range(x.shape[0]):
        share = np.float32(1.0 / _exps(x[i], _centre(bits[i]), y[i]))
        row = y[i]
        for j in range(row.size):
            row[j] *= share


@loop
def _log_softmax(x: Array, y: Array) -> None:
    """(x - top) - log sum e^(x - top)."""
    bits = x.view(np.int32)
    for i in range(x.shape[0]):
        source, row = x[i], y[i]
        top = _largest(bits[i])
        less = np.float32(math.log(_exp_sum(source, top)))
        for j in range(row.size):
            row[j] = (source[j] - top) - less


@loop
def _softmax_pull(u: Array, p: Array, y: Array) -> None:
    """p (u - sum of u p)."""
    for i in range(u.shape[0]):
        a, b, row = u[i], p[i], y[i]
        whole = np.float64(0.0)
        for start in range(0, a.size, RUN):
            left, right = a[start : start + RUN], b[start : start + RUN]
            total = np.float32(0.0)
            for j in range(left.size):
                total += left[j] * right[j]
            whole += np.float64(total)
        less = np.float32(whole)
        for j in range(a.size):
            row[j] = b[j] * (a[j] - less)


@loop
def _log_softmax_pull(u: Array, q: Array, y: Array) -> None:
    """u - e^q sum of u."""
    for i in range(u.shape[0]):
        a, b, row = u[i], q[i], y[i]
        whole = np.float64(0.0)
        for start in range(0, a.size, RUN):
            run = a[start : start + RUN]
            total = np.float32(0.0)
            for j in range(run.size):
                total += run[j]
            whole += np.float64(total)
        factor = np.float32(whole)
        for j in range(a.size):
            row[j] = a[j] - _exp(b[j]) * factor


@loop
def _nll(x: Array, target: Array, w: Array, y: Array) -> None:
    """w (log sum e^(x - top) - (x - top) at the target); 0 without a target."""
    bits = x.view(np.int32)
    for i in range(x.shape[0]):
        label = target[i]
        if 0 <= label < x.shape[1]:
            top = _largest(bits[i])
            log = np.float32(math.log(_exp_sum(x[i], top)))
            y[i] = (log - (x[i, label] - top)) * w[i]
        else:
            y[i] = 0.0


@loop
def _nll_pull(u: Array, x: Array, target: Array, y: Array) -> None:
    """u (softmax - one at the target)."""
    bits = x.view(np.int32)
    for i in range(x.shape[0]):
        row = y[i]
        share = np.float32(u[i] / _exps(x[i], _largest(bits[i]), row))
        for j in range(row.size):
            row[j] *= share
        label = target[i]
        if 0 <= label < x.shape[1]:
            row[label] -= u[i]
