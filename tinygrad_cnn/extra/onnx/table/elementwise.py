"""Arithmetic, powers, exponentials and trigonometry, element by element."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import elementwise as e
from ....ops import rounding as r
from ....ops import transcendental as t
from .base import as_dtype, dtype_of, flat, pair, reads, writes

for operator, function in {
    "Abs": e.abs, "Acos": t.arccos, "Acosh": t.arccosh, "Asin": t.arcsin, "Asinh": t.arcsinh, "Atan": t.arctan,
    "Atanh": t.arctanh, "Ceil": e.ceil, "Cos": t.cos, "Cosh": t.cosh, "Erf": t.erf, "Exp": e.exp, "Floor": e.floor,
    "Log": e.log, "Neg": e.neg, "Reciprocal": e.reciprocal, "Sigmoid": t.sigmoid, "Sign": e.sign, "Sin": t.sin,
    "Sinh": t.sinh, "Sqrt": e.sqrt, "Tan": t.tan, "Tanh": t.tanh,
}.items():  # fmt: skip
    pair(operator, function)


@reads("Add")
def _add(a: Array, b: Array) -> Array:
    return e.add(a, b)


@reads("Sub")
def _sub(a: Array, b: Array) -> Array:
    return e.sub(a, b)


@reads("Mul")
def _mul(a: Array, b: Array) -> Array:
    return e.mul(a, b)


@flat
def truncated_div(a: Any, b: Any) -> Any:
    """The quotient of integers, rounded towards 0."""
    q = np.floor_divide(a, b)
    return q + ((q < 0) & (q * b != a)).astype(q.dtype)


@reads("Div")
def _div(a: Array, b: Array) -> Array:
    return e.div(a, b) if dtype_of(a).kind == "f" else truncated_div(a, b)


@writes(e.add, e.sub, e.mul)
def _arithmetic(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    operator = {"add": "Add", "sub": "Sub", "mul": "Mul"}[w.record.op.name]
    if out.dtype.kind == "b":
        return w.node("Or" if operator == "Add" else "And", *w.same(out.dtype, a, b))
    return w.node(operator, *w.same(out.dtype, a, b))


@writes(e.div, truncated_div)
def _write_div(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    return w.node("Div", *w.same(out.dtype, a, b))


@reads("Pow")
def _pow(a: Array, b: Array) -> Array:
    dtype = dtype_of(a)
    if dtype.kind in "iu" and dtype_of(b).kind in "iu":
        return _integer_pow(a, b)
    exponent: Any = b
    if isinstance(b, np.ndarray) and b.size == 1 and np.ndim(b) <= np.ndim(a):
        exponent = b.reshape(()).item()  # of a number, the rule is simpler
        exponent = int(exponent) if dtype.kind == "f" and exponent in (1.0, 2.0, 3.0) else exponent
    return as_dtype(e.pow(a, exponent), dtype)


@flat
def _integer_pow(a: Any, b: Any) -> Any:
    """a^b for integers, in a's dtype."""
    return np.power(a, b, dtype=np.result_type(a, b)).astype(a.dtype)


@writes(_integer_pow)
def _write_integer_pow(w: Any, a: Any, b: Any) -> Any:
    return w.node("Pow", a, b)


@writes(e.pow)
def _write_pow(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    return w.node("Pow", *w.same(out.dtype, a, b))


@reads("Max")
def _max(*x: Array) -> Array:
    return reduce(e.maximum, x)


@reads("Min")
def _min(*x: Array) -> Array:
    return reduce(e.minimum, x)


@reads("Sum")
def _sum(*x: Array) -> Array:
    return reduce(e.add, x)


@reads("Mean")
def _mean(*x: Array) -> Array:
    return e.div(_sum(*x), len(x))


@writes(e.maximum, e.minimum)
def _extreme(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    if out.dtype.kind == "b":
        return w.node("Or" if w.record.op.name == "maximum" else "And", *w.same(out.dtype, a, b))
    return w.node("Max" if w.record.op.name == "maximum" else "Min", *w.same(out.dtype, a, b))


@reads("Clip")
def _clip(input: Array, min: Array = None, max: Array = None) -> Array:
    if min is None and max is None:
        return input
    low, high = (_bound(x, dtype_of(input)) for x in (min, max))
    if low is not None and high is not None and isinstance(low, int | float) and low > high:
        low = high  # ONNX takes the maximum first
    return e.clip(input, low, high)


def _bound(x: Any, dtype: np.dtype[Any]) -> Any:
    """A constant bound as a number, if that keeps the dtype."""
    if not isinstance(x, np.ndarray):
        return x
    if dtype.kind != "f":
        return x.reshape(())
    found = float(x.reshape(()))
    return None if abs(found) == math.inf else found


@writes(e.clip)
def _write_clip(w: Any, a: Any, min: Any = None, max: Any = None, *, out: Any) -> Any:
    y = w.as_dtype(a, out.dtype)
    if any(getattr(bound, "shape", ()) for bound in (min, max)):
        y = y if min is None else w.node("Max", *w.same(out.dtype, y, min))
        return y if max is None else w.node("Min", *w.same(out.dtype, y, max))
    return w.node("Clip", y, *(None if b is None else w.as_dtype(b, out.dtype) for b in (min, max)))


@reads("Round")
def _round(x: Array) -> Array:
    return e.round(x)


@writes(e.round)
def _write_round(w: Any, a: Any, *, decimals: int, out: Any) -> Any:
    if not decimals:
        return w.node("Round", a)
    scale = w.number(10.0**decimals, out.dtype)
    return w.node("Div", w.node("Round", w.node("Mul", a, scale)), scale)


@reads("Mod")
def _mod(a: Array, b: Array, *, fmod: int = 0) -> Array:
    return r.fmod(a, b) if fmod else r.remainder(a, b)


@writes(r.fmod)
def _write_fmod(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    return w.node("Mod", *w.same(out.dtype, a, b), fmod=1)


def _other_side(w: Any, rest: Any, b: Any) -> Any:
    """Whether the remainder of a division that rounds towards 0 and b lie on different sides of 0."""
    zero = w.number(0, b.dtype)
    apart = w.node("Xor", w.node("Less", rest, zero), w.node("Less", b, zero))
    return w.node("And", apart, w.node("Not", w.node("Equal", rest, zero)))


@writes(r.remainder)
def _write_remainder(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    a, b = w.same(out.dtype, a, b)
    if out.dtype.kind != "f":
        return w.node("Mod", a, b, fmod=0)
    rest = w.node("Mod", a, b, fmod=1)
    return w.node("Where", _other_side(w, rest, b), w.node("Add", rest, b), rest)


@writes(r.floor_divide)
def _write_floor_divide(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    """What is left of a without the remainder is a multiple of b, up to rounding."""
    a, b = w.same(out.dtype, a, b)
    if out.dtype.kind != "f":
        return w.node("Div", w.node("Sub", a, w.node("Mod", a, b, fmod=0)), b)
    rest = w.node("Mod", a, b, fmod=1)
    towards_0 = w.node("Round", w.node("Div", w.node("Sub", a, rest), b))
    below = w.node("Sub", towards_0, w.number(1, out.dtype))
    found = w.node("Where", _other_side(w, rest, b), below, towards_0)
    return w.node("Where", w.node("Equal", b, w.number(0, out.dtype)), w.node("Div", a, b), found)


@writes(r.trunc)
def _trunc(w: Any, a: Any, *, out: Any) -> Any:
    if out.dtype.kind != "f":
        return w.as_dtype(a, out.dtype)
    return w.node("Where", w.node("Less", a, w.number(0, out.dtype)), w.node("Ceil", a), w.node("Floor", a))


@writes(e.fmax, e.fmin)
def _write_fmax(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    """The number where one of the two is NaN."""
    a, b = w.same(out.dtype, a, b)
    y = w.node("Max" if w.record.op is e.fmax.op else "Min", a, b)
    if out.dtype.kind != "f":
        return y
    return w.node("Where", w.node("IsNaN", a), b, w.node("Where", w.node("IsNaN", b), a, y))


@writes(e.square)
def _square(w: Any, a: Any) -> Any:
    return w.node("Mul", a, a)


@writes(e.lerp)
def _lerp(w: Any, a: Any, b: Any, weight: Any, *, out: Any) -> Any:
    a, b, weight = w.same(out.dtype, a, b, weight)
    return w.node("Add", a, w.node("Mul", weight, w.node("Sub", b, a)))


@writes(e.fabs)
def _fabs(w: Any, a: Any, *, out: Any) -> Any:
    return w.node("Abs", w.as_dtype(a, out.dtype))


@writes(e.copy)
def _copy(w: Any, a: Any, *, order: Any) -> Any:
    return a


@writes(e.laid_out)
def _laid_out(w: Any, a: Any, *, axes: Any) -> Any:
    return a


@writes(e.cast, e.cast_discrete)
def _write_cast(w: Any, a: Any, *, dtype: Any, out: Any) -> Any:
    return w.cast(a, out.dtype)


@writes(e.where)
def _write_where(w: Any, condition: Any, a: Any, b: Any, *, out: Any) -> Any:
    return w.node("Where", w.as_dtype(condition, np.bool_), *w.same(out.dtype, a, b))


@reads("Where")
def _where(condition: Array, x: Array, y: Array) -> Array:
    return e.where(condition, x, y)


# Transcendental functions that ONNX does not name


@writes(t.exp2)
def _exp2(w: Any, a: Any, *, out: Any) -> Any:
    return w.node("Pow", w.number(2.0, out.dtype), w.as_dtype(a, out.dtype))


@writes(t.cbrt)
def _cbrt(w: Any, a: Any, *, out: Any) -> Any:
    a = w.as_dtype(a, out.dtype)
    return w.node("Mul", w.node("Sign", a), w.node("Pow", w.node("Abs", a), w.number(1 / 3, out.dtype)))


@writes(t.expm1)
def _expm1(w: Any, a: Any, *, out: Any) -> Any:
    """2 sinh(a / 2) e^(a / 2), which is accurate near 0."""
    half = w.node("Mul", a, w.number(0.5, out.dtype))
    return w.node("Mul", w.node("Mul", w.node("Sinh", half), w.node("Exp", half)), w.number(2.0, out.dtype))


@writes(t.log2)
def _log2(w: Any, a: Any, *, out: Any) -> Any:
    return w.node("Div", w.node("Log", a), w.number(math.log(2), out.dtype))


@writes(t.log10)
def _log10(w: Any, a: Any, *, out: Any) -> Any:
    return w.node("Div", w.node("Log", a), w.number(math.log(10), out.dtype))


@writes(t.log1p)
def _log1p(w: Any, a: Any, *, out: Any) -> Any:
    """2 artanh(a / (a + 2)), which is accurate near 0."""
    two = w.number(2.0, out.dtype)
    return w.node("Mul", w.node("Atanh", w.node("Div", a, w.node("Add", a, two))), two)


@writes(t.hypot)
def _hypot(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    """The larger leg times sqrt(1 + the square of the ratio), without overflow."""
    a, b = (w.node("Abs", x) for x in w.same(out.dtype, a, b))
    large, small = w.node("Max", a, b), w.node("Min", a, b)
    tiny = w.number(np.finfo(out.dtype).tiny, out.dtype)
    ratio = w.node("Div", small, w.node("Max", large, tiny))
    one = w.number(1.0, out.dtype)
    return w.node("Mul", large, w.node("Sqrt", w.node("Add", one, w.node("Mul", ratio, ratio))))


@writes(t.arctan2)
def _arctan2(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    """atan(a / b), plus or minus pi where b is negative."""
    a, b = w.same(out.dtype, a, b)
    zero, pi = w.number(0.0, out.dtype), w.number(math.pi, out.dtype)
    turn = w.node("Where", w.node("Less", a, zero), w.node("Neg", pi), pi)
    left = w.node("Less", b, zero)
    right_angle = w.node("Mul", w.node("Sign", a), w.number(math.pi / 2, out.dtype))
    on_axis = w.node("Equal", b, zero)
    safe = w.node("Where", on_axis, w.number(1.0, out.dtype), b)
    angle = w.node("Atan", w.node("Div", a, safe))
    angle = w.node("Where", left, w.node("Add", angle, turn), angle)
    return w.node("Where", on_axis, right_angle, angle)


@writes(t.logaddexp)
def _logaddexp(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    a, b = w.same(out.dtype, a, b)
    gap = w.node("Neg", w.node("Abs", w.node("Sub", a, b)))
    return w.node("Add", w.node("Max", a, b), _log1p(w, w.node("Exp", gap), out=out))
