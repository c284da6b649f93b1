"""NumPy's further arguments of reductions: some of the elements (`where`), an initial value, another dtype. And variances.

What `where` leaves out is replaced by the reduction's neutral element, which depends on no input: its gradient is 0.
In docstrings, g is the incoming gradient and a' the gradient with respect to a.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements
from . import reduce
from .complex_numbers import imag
from .complex_numbers import real as real_part
from .elementwise import add, astype, maximum, minimum, mul, sqrt, square
from .elementwise import where as chosen
from .real import dtype_of, is_integer, real
from .reduce import deviation, max, mean, min, prod, sum, variance
from .shape import Axis, broadcast_to

__all__ = ["std", "var"]


def _array(a: Array, dtype: DTypeLike | None, name: str) -> Any:
    a = a if hasattr(a, "dtype") else np.asarray(a)
    return a if dtype is None else astype(a, dtype_of(name, dtype))


def _mask(name: str, a: Array, where: Array) -> Any:
    """`where` in the shape of `a`. TypeError if it is not Boolean, ValueError if it does not broadcast."""
    mask: Any = where if hasattr(where, "dtype") else np.asarray(where)
    if mask.dtype != bool:
        raise TypeError(f"{name}: `where` is {mask.dtype}; it must be Boolean, such as mask != 0")
    try:
        fits = np.broadcast_shapes(mask.shape, a.shape) == a.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name}: `where` {mask.shape} must broadcast to the shape of `a` {a.shape}")
    return broadcast_to(mask, shape=a.shape)


def _kept(name: str, a: Array, where: Array, neutral: Any) -> Any:
    """`a` where `where` holds, and elsewhere `neutral`."""
    return a if where is None else chosen(_mask(name, a, where), a, neutral)


def _number(name: str, initial: Any, dtype: np.dtype[Any]) -> float:
    """`initial` as a Python number that does not change this dtype."""
    number = real(name, "initial", initial, remedy=": combine an array with the result")
    if dtype.kind == "f":
        return number
    if not is_integer(initial) and not number.is_integer():
        raise TypeError(f"{name}: `initial` is {initial!r} for {dtype}; it must be an integer, or `a` floating-point")
    return int(initial)


def _result(y: Any, dtype: DTypeLike | None) -> Any:
    return y if dtype is None or y.dtype == np.dtype(dtype) else astype(y, dtype)


def _accumulated(function: Any, combine: Any, neutral: int) -> None:
    """Let a sum or product take `dtype`, `initial` and `where`."""
    name = function.__name__

    @function.op.compose  # type: ignore[untyped-decorator]
    def of_some(a: Array, *, axis: Axis, keepdims: bool, dtype: Any, initial: Any, where: Array) -> Any:
        y = function(_kept(name, _array(a, dtype, name), where, neutral), axis=axis, keepdims=keepdims)
        return _result(y if initial is None else combine(y, _number(name, initial, y.dtype)), dtype)


_accumulated(sum, add, 0)
_accumulated(prod, mul, 1)


def _extreme(function: Any, combine: Any) -> None:
    """Let a maximum or minimum take `initial` and `where`."""
    name = function.__name__

    @function.op.compose  # type: ignore[untyped-decorator]
    def of_some(a: Array, *, axis: Axis, keepdims: bool, initial: Any, where: Array) -> Any:
        a = _array(a, None, name)
        if initial is None:
            raise ValueError(
                f"{name}: `where` may leave nothing, of which there is no {name}; give `initial`, such as -inf"
            )
        number = _number(name, initial, a.dtype)
        kept = _kept(name, a, where, number)
        if not a.size:
            return astype(sum(kept, axis=axis, keepdims=keepdims), a.dtype) + number  # sums of nothing are 0
        return combine(function(kept, axis=axis, keepdims=keepdims), number)


_extreme(max, maximum)
_extreme(min, minimum)


def _truth(function: Any, neutral: bool) -> None:
    """Let a test of all elements take `where`."""
    name = function.__name__

    @function.op.compose  # type: ignore[untyped-decorator]
    def of_some(a: Array, *, axis: Axis, keepdims: bool, where: Array) -> Any:
        return function(_kept(name, _array(a, None, name), where, neutral), axis=axis, keepdims=keepdims)


_truth(reduce.any, False)
_truth(reduce.all, True)


@mean.op.compose
def _mean(a: Array, *, axis: Axis, keepdims: bool, dtype: Any, where: Array) -> Any:
    a = _array(a, dtype, "mean")
    if where is None:
        return _result(mean(a, axis=axis, keepdims=keepdims), dtype)
    return _result(_mean_of_some(a, _mask("mean", a, where), axis, keepdims), dtype or _floating(a))


def _mean_of_some(a: Any, mask: Any, axis: Axis, keepdims: bool, less: float = 0) -> Any:
    """The sum of the elements where `mask` holds / (their number n - less), NaN where that is not above 0.

    In at least float32, in which the sums of float16 do not overflow, and integers in float64.
    """
    wide = np.result_type(_floating(a), np.float32)
    n = astype(sum(mask, axis=axis, keepdims=keepdims), wide) - less
    total = sum(astype(chosen(mask, a, 0), wide), axis=axis, keepdims=keepdims)
    return chosen(n > 0, total / chosen(n > 0, n, 1), math.nan)


@implements(np.var)
def var(
    a: Array, axis: Axis = None, *, keepdims: bool = False, correction: float = 0, ddof: float | None = None,
    dtype: DTypeLike | None = None, mean: Array = None, where: Array = None,
) -> Tensor:  # fmt: skip
    """Variance over `axis`: the sum of (a - mean)^2 / (n - correction).   a' = 2 g (a - mean) / (n - correction).

    Args:
        a: any shape.
        axis: an axis, several, or None for all.
        keepdims: keep the reduced axes with size 1.
        correction: 0, as in NumPy, divides by n (population variance); 1, PyTorch's default, by n - 1, for an unbiased
            estimate from a sample.
        ddof: NumPy's older name for `correction`.
        dtype: convert `a` to this dtype first.
        mean: is subtracted instead of the mean, with the reduced axes of size 1; it gets a gradient, too.
        where: Booleans: which elements count.

    Returns:
        The variance, NaN where n <= correction.

    Raises:
        TypeError: if `where` is not Boolean.
        ValueError: if `where` does not broadcast to a's shape.
    """
    less = _correction("var", correction, ddof)
    a = _array(a, dtype, "var")
    if a.dtype.kind == "c":
        middles = [None, None] if mean is None else [real_part(mean), imag(mean)]
        parts: list[Any] = [
            var(part, axis, keepdims=keepdims, correction=less, mean=middle, where=where)
            for part, middle in zip([real_part(a), imag(a)], middles, strict=True)
        ]
        return parts[0] + parts[1]  # type: ignore[no-any-return]
    if mean is None and where is None:
        return _result(variance(a, axis=axis, keepdims=keepdims, correction=less), dtype)  # type: ignore[no-any-return]
    return astype(_spread("var", a, axis, keepdims, less, mean, where), dtype or _floating(a))  # type: ignore[no-any-return]


@implements(np.std)
def std(
    a: Array, axis: Axis = None, *, keepdims: bool = False, correction: float = 0, ddof: float | None = None,
    dtype: DTypeLike | None = None, mean: Array = None, where: Array = None,
) -> Tensor:  # fmt: skip
    """Standard deviation over `axis`: the square root of :func:`var`, with the same arguments and default correction 0.

    a' = g (a - mean) / ((n - correction) y); if all elements are equal, the derivatives of every order are zero.
    """
    less = _correction("std", correction, ddof)
    a = _array(a, dtype, "std")
    if a.dtype.kind == "c":
        wide = astype(a, np.complex128)
        spread = var(wide, axis, keepdims=keepdims, correction=less, mean=mean, where=where)
        equal = spread == 0
        return astype(chosen(equal, 0, sqrt(chosen(equal, 1, spread))), a.real.dtype)  # type: ignore[no-any-return]
    if mean is None and where is None:
        return _result(deviation(a, axis=axis, keepdims=keepdims, correction=less), dtype)  # type: ignore[no-any-return]
    middle = None if mean is None else _array(mean, np.float64, "std")  # squares of float32 would overflow
    v = _spread("std", astype(a, np.float64), axis, keepdims, less, middle, where)
    flat = v == 0
    return astype(chosen(flat, 0, sqrt(chosen(flat, 1, v))), dtype or _floating(a))  # type: ignore[no-any-return]


def _correction(function: str, correction: float, ddof: float | None) -> float:
    return real(function, "correction", correction) if ddof is None else real(function, "ddof", ddof)


def _floating(a: Any) -> Any:
    """The dtype of a mean."""
    return a.dtype if a.dtype.kind in "fc" else np.dtype(np.float64)


def _spread(name: str, a: Any, axis: Axis, keepdims: bool, less: float, middle: Array, where: Array) -> Any:
    """The variance, in at least float32, of some elements or about `middle`."""
    wide = astype(a, np.result_type(_floating(a), np.float32))
    mask = _mask(name, a, np.ones((), bool) if where is None else where)
    centred = wide if middle is None else chosen(mask, wide - middle, 0)
    for _ in range(2 if middle is None else 0):
        centred = chosen(mask, centred - _mean_of_some(centred, mask, axis, True), 0)
    return _mean_of_some(square(centred), mask, axis, keepdims, less)
