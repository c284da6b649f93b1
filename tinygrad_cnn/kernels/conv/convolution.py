"""Convolution in any number of spatial dimensions, and its adjoints in the images and in the filters, as tasks.

Each function takes the array to fill, or None for a new array, and returns a task: calling the task computes and returns the
result. A task can be called again after the values in its buffers have changed.

An output is an (N, O, *out) view of memory in (N, *out, O) order, which elementwise ops keep: after its first convolution a
network is channels-last. The gradient in the images has the memory order of the incoming gradient. The ops check the geometry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np

from ...allocator import keep_for
from ...ops.half import HALF
from ...ops.windows import Pairs, Sizes, last_view, output_sizes, volume
from ..blocking import Geometry, flipped, is_last
from ..parallel.task import Task, Work, together
from . import cached_im2col, depthwise, few_positions, im2col, kn2row, nonfinite, pointwise
from .cached_im2col import Columns

FEW_CHANNELS = 8
"""With fewer channels, runs along the image are longer than runs along the channels."""

LONG_RUN = 16
"""From this many numbers in a row of a window on, BLAS accumulates windows faster than NumPy."""


def convolve(
    out: np.ndarray | None, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, *,
    stride: Sizes, padding: Pairs, dilation: Sizes, groups: int, shared: dict[Any, Any] | None = None,
) -> Task:  # fmt: skip
    """y[n, o, p] = b[o] + sum over c, k of x[n, c, p stride + k dilation - padding] w[o, c, k].

    Args:
        shared: state kept between calls by all tasks with the same x; None for the state of this thread.
    """
    dtype = _common(x, w)
    if dtype is HALF:
        return _in_float32(convolve, out, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    how = method(x.shape, w.shape, stride, padding, dilation, groups)
    keep_for(how.size)
    if how.columns is not None and out is None:
        return partial(cached_im2col.with_plan, how.columns, dtype, cached_im2col.convolve, x, w, b, None)
    y = _result(out, (len(x), len(w), *how.g.out), dtype, last=True)
    if how.columns is not None:
        return cached_im2col.convolve(cached_im2col.shared_plan(how.columns, dtype, shared), x, w, b, y)
    return how.work(how.module.convolve, y, (x, 1), (w, 0), (b, 0), (y, 1))


def convolve_dx(
    out: np.ndarray | None, u: np.ndarray, w: np.ndarray, *,
    shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    shared: dict[Any, Any] | None = None,
) -> Task:  # fmt: skip
    """The adjoint of the convolution in x: u (N, O, *out) to an array of the given shape (N, C, *sizes)."""
    dtype = _common(u, w)
    if dtype is HALF:
        return _in_float32(
            convolve_dx, out, u, w, shape=shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
    how = method(shape, w.shape, stride, padding, dilation, groups)
    x = _result(out, shape, dtype, last=shape[1] >= FEW_CHANNELS and is_last(u))
    if how.flipped is not None:
        given = u, flipped(w).swapaxes(0, 1), None, x
        if out is None:
            task: Any = partial(cached_im2col.with_plan, how.flipped, dtype, cached_im2col.convolve, *given)
        else:
            task = cached_im2col.convolve(cached_im2col.Plan(how.flipped, dtype), *given)
        return partial(nonfinite.checked, task, how.g, u, w)
    module = how.module
    if module in (im2col, kn2row):
        module = kn2row if w.shape[1] * w.shape[-1] >= LONG_RUN else im2col
    return how.work(module.input_gradient, x, (u, 1), (w, 0), (x, 1))


def convolve_dw(
    out: np.ndarray | None, x: np.ndarray, u: np.ndarray, *,
    shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    shared: dict[Any, Any] | None = None,
) -> Task:  # fmt: skip
    """The adjoint of the convolution in w: x (N, C, *sizes) and u (N, O, *out) to an array of the given shape
    (O, C / groups, *kernel).
    """
    dtype = _common(x, u)
    if dtype is HALF:
        return _in_float32(
            convolve_dw, out, x, u, shape=shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
    how = method(x.shape, shape, stride, padding, dilation, groups)
    w = _result(out, shape, dtype)
    if how.columns is not None and out is None:
        return partial(cached_im2col.with_plan, how.columns, dtype, cached_im2col.weight_gradient, x, u, w)
    if how.columns is not None:
        return cached_im2col.weight_gradient(cached_im2col.shared_plan(how.columns, dtype, shared), x, u, w)
    return how.work(how.module.weight_gradient, w, (x, 1), (u, 1), (w, 0))


@dataclass(frozen=True, eq=False)
class Method:
    """How a convolution is computed: its windows, the module, and the number of groups its arrays are split into.

    There is one instance for each geometry, so its columns serve as a cache key.
    """

    g: Geometry
    module: ModuleType
    groups: int
    columns: Columns | None = None
    """The columns of the images, if they are so few that cached_im2col.py computes the convolution."""
    flipped: Columns | None = None
    """Those of the outputs' gradient, if cached_im2col.py computes the gradient in the images."""
    size: int = 0
    """The number of elements of the result."""

    def work(self, function: Callable[..., Work], out: np.ndarray, *parts: tuple[Any, int]) -> Work:
        """The work of one of the module's functions, on arrays split along the given axes, to fill `out`."""
        if self.groups == 1:
            task = function(self.g, *(array for array, _ in parts))
        else:
            split = ([a] * self.groups if a is None else np.split(a, self.groups, axis) for a, axis in parts)
            task = together([function(self.g, *shares) for shares in zip(*split, strict=True)])
        task.out = out
        return task


@lru_cache(maxsize=1024)
def method(x: Sizes, w: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Method:
    """The method for x (N, C, *sizes) and w (O, C / groups, *k)."""
    g = Geometry(w[2:], output_sizes(x[2:], w[2:], stride, padding, dilation), stride, padding, dilation)
    size = x[0] * w[0] * volume(g.out)
    if w[1] == 1 and groups > 1:
        return Method(g, depthwise, 1, size=size)
    if few_positions.serves(g, x, w, groups):
        return Method(g, few_positions, groups, size=size)
    few = w[1] < FEW_CHANNELS
    columns, around = None, None
    if groups == 1 and (few or volume(g.kernel) > 1):
        windows = x[0] * volume(g.kernel)
        if 0 < windows * x[1] * volume(g.out) <= cached_im2col.MOST:
            columns = Columns(x, g, (1,) * len(g.out))
        if volume(w) <= cached_im2col.FEW_NUMBERS and 0 < windows * w[0] * volume(x[2:]) <= cached_im2col.MOST_FLIPPED:
            around = g.flipped(x[2:])
    spread = around and Columns((x[0], w[0], *g.out), around, stride)
    return Method(g, im2col if few else pointwise if g.is_pointwise else kn2row, groups, columns, spread, size)


def _in_float32(prepare: Callable[..., Task], out: np.ndarray | None, *arrays: np.ndarray | None, **how: Any) -> Task:
    """A task for float16: it converts the arrays, lets BLAS multiply and add in float32, and rounds once."""

    def task() -> np.ndarray:
        wide = [None if a is None else a.astype(np.float32, "K") for a in arrays]
        y: np.ndarray = prepare(None, *wide, **how)()
        if out is None:
            return y.astype(HALF)
        np.copyto(out, y, casting="same_kind")
        return out

    return task


def _common(a: np.ndarray, b: np.ndarray) -> np.dtype[Any]:
    """np.result_type, without the call if the dtypes are identical."""
    return a.dtype if a.dtype is b.dtype else np.result_type(a, b)


def _result(out: np.ndarray | None, shape: Sizes, dtype: np.dtype[Any], *, last: bool = False) -> np.ndarray:
    """`out`, checked, or a new array: channels-last in memory, or in C order."""
    if out is None and not last:
        return np.empty(shape, dtype)
    if out is None:
        return np.empty((shape[0], *shape[2:], shape[1]), dtype).transpose(0, -1, *range(1, len(shape) - 1))
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"convolution: `out` is {out.dtype} of shape {out.shape}; it must be {dtype} of shape {shape}")
    views = [out, last_view(out), out.swapaxes(0, 1)] if out.ndim > 1 else [out]
    if not any(view.flags.c_contiguous for view in views):
        raise ValueError(f"convolution: `out` has strides {out.strides}; it must be in C order or channels-last")
    return out
