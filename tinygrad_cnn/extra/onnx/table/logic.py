"""Comparisons, logic, bits, and changes of dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import compare as c
from ....scope import errors
from ..errors import OnnxError, package
from .base import dtype_of, flat, is_tensor, pair, reads, refuse, values, writes

_unfit = errors(invalid="ignore", over="ignore")

for operator, function in {
    "And": c.logical_and, "BitwiseAnd": c.bitwise_and, "BitwiseNot": c.bitwise_not, "BitwiseOr": c.bitwise_or,
    "BitwiseXor": c.bitwise_xor, "Equal": c.equal, "Greater": c.greater, "GreaterOrEqual": c.greater_equal,
    "IsNaN": c.isnan, "Less": c.less, "LessOrEqual": c.less_equal, "Not": c.logical_not, "Or": c.logical_or,
    "Xor": c.logical_xor,
}.items():  # fmt: skip
    pair(operator, function)

_COMPARISONS = {"equal": "Equal", "greater": "Greater", "greater_equal": "GreaterOrEqual", "less": "Less",
                "less_equal": "LessOrEqual"}  # fmt: skip


@writes(c.equal, c.greater, c.greater_equal, c.less, c.less_equal)
def _compare(w: Any, a: Any, b: Any) -> Any:
    return w.node(_COMPARISONS[w.record.op.name], *w.same(None, a, b))


@writes(c.not_equal)
def _not_equal(w: Any, a: Any, b: Any) -> Any:
    return w.node("Not", w.node("Equal", *w.same(None, a, b)))


@writes(c.logical_and, c.logical_or, c.logical_xor)
def _logic(w: Any, a: Any, b: Any) -> Any:
    operator = {"and": "And", "or": "Or", "xor": "Xor"}[w.record.op.name.removeprefix("logical_")]
    return w.node(operator, *w.same(np.bool_, a, b))


@writes(c.logical_not)
def _logical_not(w: Any, a: Any) -> Any:
    return w.node("Not", w.as_dtype(a, np.bool_))


@writes(c.bitwise_and, c.bitwise_or, c.bitwise_xor)
def _bits(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    operator = {"and": "And", "or": "Or", "xor": "Xor"}[w.record.op.name.removeprefix("bitwise_")]
    return w.node(operator if out.dtype.kind == "b" else "Bitwise" + operator, *w.same(out.dtype, a, b))


@writes(c.bitwise_not)
def _bitwise_not(w: Any, a: Any, *, out: Any) -> Any:
    return w.node("Not" if out.dtype.kind == "b" else "BitwiseNot", a)


@writes(c.isfinite)
def _isfinite(w: Any, a: Any) -> Any:
    """a - a is 0 for a finite a, else NaN."""
    return w.node("Not", w.node("IsNaN", w.node("Sub", a, a)))


@writes(c.isinf)
def _write_isinf(w: Any, a: Any) -> Any:
    a = a if a.dtype.kind == "f" else w.cast(a, np.float32)
    return w.node("Equal", w.node("Abs", a), w.number(np.inf, a.dtype))


@reads("IsInf")
def _isinf(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    positive, negative = c.equal(x, np.inf), c.equal(x, -np.inf)
    if detect_negative and detect_positive:
        return c.logical_or(positive, negative)
    if not detect_negative and not detect_positive:
        return c.logical_and(positive, negative)
    return positive if detect_positive else negative


@flat
def _shift_left(x: Any, y: Any) -> Any:
    """x 2^y, and 0 if y is at least the number of bits."""
    return np.left_shift(x, y)


@flat
def _shift_right(x: Any, y: Any) -> Any:
    """x / 2^y."""
    return np.right_shift(x, y)


@writes(_shift_left, _shift_right)
def _write_shift(w: Any, x: Any, y: Any) -> Any:
    left = w.record.params["function"] is _shift_left.raw  # type: ignore[attr-defined]
    return w.node("BitShift", x, y, direction="LEFT" if left else "RIGHT")


@reads("BitShift")
def _bit_shift(x: Array, y: Array, *, direction: str) -> Array:
    refuse(direction not in ("LEFT", "RIGHT"), f"`direction` is {direction!r}; it must be LEFT or RIGHT")
    return (_shift_left if direction == "LEFT" else _shift_right)(x, y)


@reads("Cast")
def _cast(input: Array, *, to: int, saturate: int = 1, round_mode: str = "up") -> Array:
    return cast(input, numpy_dtype(to))


@reads("CastLike")
def _cast_like(input: Array, target_type: Array, *, saturate: int = 1, round_mode: str = "up") -> Array:
    return cast(input, dtype_of(target_type))


def cast(x: Any, dtype: np.dtype[Any]) -> Any:
    """x in another dtype. Floats out of an integer dtype's range are converted as in C, without a warning."""
    if dtype_of(x) == dtype:
        return x
    if is_tensor(x):
        return x.astype(dtype)
    with _unfit:
        return x.astype(dtype)


DTYPES = {
    1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8", 12: "u4", 13: "u8", 14: "c8",
    15: "c16",
}  # fmt: skip
"""NumPy's dtypes by ONNX's numbers. The package onnx has other dtypes for types that NumPy lacks."""


def numpy_dtype(code: int) -> np.dtype[Any]:
    """The dtype of an ONNX type. OnnxError for one that NumPy does not have."""
    if code not in DTYPES:
        names = {number: name for name, number in package("load").TensorProto.DataType.items()}
        raise OnnxError(
            f"the type {names.get(code, 'unknown')} ({code}) is not one that NumPy has; convert the model to float32 or float16"
        )
    return np.dtype(DTYPES[code])


@reads("Identity")
def _identity(x: Array) -> Array:
    return x


@reads("Compress")
def _compress(input: Array, condition: Array, *, axis: int | None = None) -> Array:
    chosen = np.flatnonzero(values(condition))
    from ....ops.gather import take

    return take(input, chosen, axis=axis)


@reads("NonZero")
def _nonzero(x: Array) -> Array:
    return np.stack(np.nonzero(np.atleast_1d(values(x)))).astype(np.int64)
