"""Piecewise activation functions and their gradients, in cache-sized blocks.

A definition chooses between the results of two pieces for each element. A kernel computes one piece everywhere, that of most
elements. It corrects the others, or limits the argument so that the other piece needs no correction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..ops.transcendental import FLAT
from . import blocks
from .blocks import temporary
from .parallel.workspace import scratch
from .sigmoid import of_block, of_both_signs
from .where import BITS, BOOL, INT8

SHORT = 1 << 12
"""Up to this many elements a definition without exponentials takes no longer."""

LONG = 1 << 18
"""Elements per block. These functions take few steps: in blocks that fit into the L2 cache, what NumPy does for each call and
the first reads from the L3 cache cost more than is saved."""

FEW = 16
"""NumPy skips what is not chosen, which is faster than choosing without a branch for less than one of so many elements."""

SIGN: dict[Any, Any] = {np.dtype(np.float32): np.int32(-(1 << 31)), np.dtype(np.float64): np.int64(-(1 << 63))}


def prepare_rectify_pull(out: np.ndarray | None, u: Any, a: Any, slope: Any) -> Any:
    """A task for ``rectify_pull`` by a number from 0 to 1; None for other slopes, few elements, or arrays that differ."""
    return _prepared(_rectify_pull, out, u, a, slope=slope) if slope.__class__ is float and 0 <= slope <= 1 else None


def prepare_hardswish_pull(out: np.ndarray | None, u: Any, a: Any) -> Any:
    """A task for ``hardswish_pull``; None for few elements, or arrays that differ."""
    return _prepared(_hardswish_pull, out, u, a)


def prepare_exponential(out: np.ndarray | None, a: Any, *, alpha: float, scale: float, rate: float) -> Any:
    """A task for ``exponential_linear``, if the function bends down: then it is the larger one of its two branches."""
    if not (scale > 0 and alpha > 0 and alpha * rate <= 1):
        return None
    return _prepared(_exponential, out, a, least=1, alpha=alpha, scale=scale, rate=rate)


def prepare_exponential_pull(out: np.ndarray | None, u: Any, a: Any, *, alpha: float, scale: float, rate: float) -> Any:
    """A task for ``exponential_linear_pull``, if the slope has no step."""
    if scale * alpha * rate != scale:
        return None
    return _prepared(_exponential_pull, out, u, a, least=1, scale=scale, rate=rate)


def prepare_softplus(out: np.ndarray | None, a: Any, *, beta: Any, threshold: Any) -> Any:
    """A task for ``softplus`` with beta 1 and a threshold of at least 0; None for others."""
    return _prepared(_softplus, out, a, least=1, threshold=threshold) if _is_plain(beta, threshold) else None


def prepare_softplus_pull(out: np.ndarray | None, u: Any, a: Any, *, beta: Any, threshold: Any) -> Any:
    """A task for ``softplus_pull`` with beta 1 and a threshold of at least 0; None for others."""
    return _prepared(_softplus_pull, out, u, a, least=1, threshold=threshold) if _is_plain(beta, threshold) else None


def prepare_nll(out: np.ndarray | None, x: Any, t: Any, u: Any) -> Any:
    """A task for ``bernoulli_nll_logits``; None for few elements, or arrays that differ."""
    return _prepared(_nll, out, x, t, u)


def prepare_nll_pull(out: np.ndarray | None, v: Any, x: Any, t: Any, u: Any) -> Any:
    """A task for ``bernoulli_nll_logits_pull``; None for few elements, or arrays that differ."""
    return _prepared(_nll_pull, out, v, x, t, u)


def _prepared(
    function: Callable[..., None], out: np.ndarray | None, *arrays: Any, least: int | None = None, **params: float
) -> Any:
    """A task for arrays of more than SHORT elements, or from `least` on."""
    for a in arrays:
        if (
            a.__class__ is not np.ndarray
            or a.dtype not in SIGN
            or (a.size <= SHORT if least is None else a.size < least)
        ):
            return None
    return blocks.prepare(partial(function, **params) if params else function, out, *arrays, block=LONG)


def _is_plain(beta: Any, threshold: Any) -> bool:
    return {beta.__class__, threshold.__class__} <= {int, float} and beta == 1 and threshold >= 0


@lru_cache(maxsize=256)
def _number(value: float, dtype: np.dtype[Any]) -> np.ndarray:
    """As an array without axes: ufuncs would convert a Python number in every call."""
    number = np.array(value, dtype)
    number.flags.writeable = False
    return number


def _mask(name: str, a: np.ndarray) -> np.ndarray:
    return scratch(name, a.shape, BOOL)


def _room(y: np.ndarray, *inputs: np.ndarray) -> np.ndarray:
    """y itself for intermediate values; scratch like y if an input is in its memory."""
    return temporary("block", y) if any(np.may_share_memory(y, x) for x in inputs) else y


def _put(y: np.ndarray, mask: np.ndarray, value: float) -> None:
    """y = value where the mask holds."""
    count = np.count_nonzero(mask)
    if not count:
        return
    if count * FEW < mask.size:
        np.copyto(y, _number(value, y.dtype), where=mask)
        return
    number, bits = _number(value, y.dtype).view(BITS[y.dtype]), y.view(BITS[y.dtype])
    change = np.bitwise_xor(bits, number, scratch("chosen", y.shape, bits.dtype))
    np.multiply(change, mask, change)
    np.bitwise_xor(bits, change, bits)


def _rectify_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray, slope: float) -> None:
    """u times 1 where x > 0, else the slope, which is 1 or 0 limited to [slope, 1]."""
    above = np.greater(x, _number(0, y.dtype), _mask("mask", y))
    t = _room(y, u)
    np.copyto(t, above.view(INT8))
    t.clip(_number(slope, y.dtype), _number(1, y.dtype), t)
    np.multiply(u, t, y)


def _hardswish_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """u (q + 1/2 - n / 2), with q = x / 3 limited to [-1, 1] and n the whole part of q: 1 from 3 on, -1 up to -3, else 0.

    Up to -3, and for NaN, the bits are multiplied by 0.
    """
    q, t = _room(y, u, x), temporary("second", y)
    x.clip(_number(-3, y.dtype), _number(3, y.dtype), q)
    np.divide(q, _number(3, y.dtype), q)
    np.multiply(np.trunc(q, t), _number(0.5, y.dtype), t)
    np.subtract(q, t, q)
    np.add(q, _number(0.5, y.dtype), q)
    above = np.greater(x, _number(-3, y.dtype), _mask("mask", y))
    np.multiply(u, q, y)
    bits, chosen = y.view(BITS[y.dtype]), t.view(BITS[y.dtype])
    np.copyto(chosen, above.view(INT8))
    np.multiply(bits, chosen, bits)


def _negative(x: np.ndarray, t: np.ndarray, rate: float) -> np.ndarray:
    """t = rate min(x, 0)."""
    x.clip(_number(-FLAT / rate, t.dtype), _number(0, t.dtype), t)
    return t if rate == 1 else np.multiply(t, _number(rate, t.dtype), t)


def _exponential(x: np.ndarray, y: np.ndarray, alpha: float, scale: float, rate: float) -> None:
    """The larger one of scale x and scale alpha (e^(rate min(x, 0)) - 1)."""
    t = _negative(x, _room(y, x) if scale == 1 else temporary("block", y), rate)
    np.expm1(t, t)
    if scale * alpha != 1:
        np.multiply(t, _number(scale * alpha, y.dtype), t)
    np.maximum(x if scale == 1 else np.multiply(x, _number(scale, y.dtype), y), t, out=y)


def _exponential_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray, scale: float, rate: float) -> None:
    """u scale e^(rate min(x, 0))."""
    t = _negative(x, _room(y, u) if scale == 1 else temporary("block", y), rate)
    np.exp(t, t)
    np.multiply(u if scale == 1 else np.multiply(u, _number(scale, y.dtype), y), t, y)


def _log_of_one_and(x: np.ndarray, t: np.ndarray) -> Any:
    """t = log(1 + e^-|x|)."""
    bits = t.view(BITS[t.dtype])
    np.bitwise_or(x.view(bits.dtype), SIGN[t.dtype], bits)
    np.exp(t, t)
    return np.log1p(t, t)


def _softplus(x: np.ndarray, y: np.ndarray, threshold: float) -> None:
    """max(x, 0) + log(1 + e^-|x|), and x beyond the threshold."""
    t = _log_of_one_and(x, _room(y, x))
    _put(t, np.greater(x, _number(threshold, y.dtype), _mask("mask", y)), 0)
    np.add(x.clip(_number(0, y.dtype), _number(np.inf, y.dtype), temporary("second", y)), t, y)


def _softplus_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray, threshold: float) -> None:
    """u sigmoid(x), and u beyond the threshold."""
    s = temporary("slope", y)
    of_block(x, s)
    if not x.max() <= threshold:
        _put(s, np.greater(x, _number(threshold, y.dtype), _mask("mask", y)), 1)
    np.multiply(u, s, y)


def _nll(x: np.ndarray, t: np.ndarray, u: np.ndarray, y: np.ndarray) -> None:
    """t (l - min(x, 0)) + u (l + max(x, 0)), with l = log(1 + e^-|x|)."""
    log = _log_of_one_and(x, temporary("log", y))
    least, zero, most = (_number(c, y.dtype) for c in (-np.inf, 0, np.inf))
    first = x.clip(least, zero, temporary("first", y))
    np.subtract(log, first, first)
    np.multiply(t, first, first)
    np.add(log, x.clip(zero, most, temporary("second", y)), log)
    np.multiply(u, log, log)
    np.add(first, log, y)


def _nll_pull(v: np.ndarray, x: np.ndarray, t: np.ndarray, u: np.ndarray, y: np.ndarray) -> None:
    """v (u s - t r), with s = sigmoid(x) and r = sigmoid(-x)."""
    s, r = temporary("slope", y), temporary("rest", y)
    of_both_signs(x, s, r)
    np.multiply(u, s, s)
    np.multiply(t, r, r)
    np.subtract(s, r, s)
    np.multiply(v, s, y)
