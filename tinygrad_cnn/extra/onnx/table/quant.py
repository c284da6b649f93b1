"""Quantized numbers: x = (q - zero point) scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import elementwise as e
from ....ops import reduce as r
from ....ops import shape as s
from ....ops.matmul import matmul
from .base import READERS, as_dtype, dtype_of, reads, refuse
from .conv import Ints
from .logic import cast, numpy_dtype


def _spread(a: Any, x: Any, axis: int, block_size: int) -> Any:
    """A scale or zero point in a shape that broadcasts: for all elements, for each slice of `axis`, or for blocks of slices."""
    if a is None or not np.ndim(a) or (np.size(a) == 1 and np.ndim(a) == 1):
        return a if a is None else s.reshape(a, shape=())
    at = axis % np.ndim(x)
    if block_size:
        refuse(np.shape(a)[at] * block_size < np.shape(x)[at], "`block_size` blocks do not cover the axis")
        from ....ops.rearrange import repeat

        return s.slice_axis(repeat(a, block_size, at), 0, np.shape(x)[at], at)
    return s.reshape(a, shape=(-1, *(1,) * (np.ndim(x) - at - 1)))


@reads("DequantizeLinear")
def _dequantize(
    x: Array, x_scale: Array, x_zero_point: Array = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0
) -> Array:
    scale, zero = (_spread(a, x, axis, block_size) for a in (x_scale, x_zero_point))
    dtype = numpy_dtype(output_dtype) if output_dtype else dtype_of(x_scale)
    q = cast(x, np.dtype(np.float32))
    q = q if zero is None else e.sub(q, cast(zero, np.dtype(np.float32)))
    return as_dtype(e.mul(q, scale), dtype)


@reads("QuantizeLinear")
def _quantize(
    x: Array, y_scale: Array, y_zero_point: Array = None, *, axis: int = 1, saturate: int = 1, block_size: int = 0,
    output_dtype: int = 0, precision: int = 0,
) -> Array:  # fmt: skip
    scale, zero = (_spread(a, x, axis, block_size) for a in (y_scale, y_zero_point))
    dtype = (
        dtype_of(y_zero_point)
        if y_zero_point is not None
        else numpy_dtype(output_dtype)
        if output_dtype
        else np.dtype(np.uint8)
    )
    refuse(dtype.kind not in "iu", f"the quantized type is {dtype}, which is not an integer")
    q = e.round(e.div(x, scale))
    return _saturated(q if zero is None else e.add(q, cast(zero, np.dtype(np.float32))), dtype)


def _saturated(q: Any, dtype: np.dtype[Any]) -> Any:
    limits = np.iinfo(dtype)
    return cast(e.clip(q, float(limits.min), float(limits.max)), dtype)


@reads("DynamicQuantizeLinear")
def _dynamic(x: Array) -> Any:
    low, high = e.minimum(r.min(x), 0), e.maximum(r.max(x), 0)
    scale = e.div(e.sub(high, low), np.float32(255))
    zero = _saturated(e.round(e.div(e.neg(low), scale)), np.dtype(np.uint8))
    return _quantize(x, scale, zero), scale, zero


@reads("ConvInteger")
def _conv_integer(
    x: Array, w: Array, x_zero_point: Array = None, w_zero_point: Array = None, *, auto_pad: str = "NOTSET",
    dilations: Ints = None, group: int = 1, kernel_shape: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Array:  # fmt: skip
    """Computed in float64, which holds every sum of such products exactly."""
    left = _centred(x, x_zero_point, 1)
    right = _centred(w, w_zero_point, 0)
    window = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "kernel_shape": kernel_shape, "pads": pads}
    return cast(READERS["Conv"].function(left, right, **window, strides=strides), np.dtype(np.int32))


def _centred(q: Any, zero: Any, axis: int) -> Any:
    """q without its zero point, in float64."""
    wide = np.dtype(np.float64)
    return cast(q, wide) if zero is None else e.sub(cast(q, wide), cast(_spread(zero, q, axis, 0), wide))


@reads("QLinearConv")
def _q_conv(
    x: Array, x_scale: Array, x_zero_point: Array, w: Array, w_scale: Array, w_zero_point: Array, y_scale: Array,
    y_zero_point: Array, b: Array = None, *, auto_pad: str = "NOTSET", dilations: Ints = None, group: int = 1,
    kernel_shape: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Array:  # fmt: skip
    window = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "kernel_shape": kernel_shape, "pads": pads}
    left, right = _centred(x, x_zero_point, 1), _centred(w, w_zero_point, 0)
    bias = None if b is None else cast(b, np.dtype(np.float64))
    y = READERS["Conv"].function(left, right, bias, **window, strides=strides)
    factor = _spread(w_scale, y, 1, 0)
    return _requantized(e.mul(y, cast(e.mul(factor, x_scale), np.dtype(np.float64))), y_scale, y_zero_point)


@reads("QLinearMatMul")
def _q_matmul(
    a: Array, a_scale: Array, a_zero_point: Array, b: Array, b_scale: Array, b_zero_point: Array, y_scale: Array,
    y_zero_point: Array,
) -> Array:  # fmt: skip
    left, right = _centred(a, a_zero_point, -2), _centred(b, b_zero_point, -1)
    factor = e.mul(_spread(a_scale, a, -2, 0), _spread(b_scale, b, -1, 0))
    return _requantized(e.mul(matmul(left, right), cast(factor, np.dtype(np.float64))), y_scale, y_zero_point)


def _requantized(y: Any, scale: Any, zero: Any) -> Any:
    wide = np.dtype(np.float64)
    q = e.add(e.round(e.div(y, cast(s.reshape(scale, shape=()), wide))), cast(s.reshape(zero, shape=()), wide))
    return _saturated(q, dtype_of(zero))
