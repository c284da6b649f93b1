"""Convolution in any number of spatial dimensions, by columns and matrix products.

Columns lay out the window of every output place, so that with P places, K = c k window elements and O filters

    y = columns w^T,    dw = u^T columns,    dx = u w, added up where it falls.

They are built for a block of places at a time, by as many threads as there are, and used while they are in the cache.
y is an (N, O, *out) view of memory in (N, *out, O) order, which elementwise ops keep: behind a convolution a network
runs channels-last without being told. dx lies in memory as u does. What is small is arranged in cached_im2col.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from ..blocking import Geometry, is_last
from ..parallel.task import Work
from ..window import Pairs, Sizes, last_view, output_sizes, volume
from . import cached_im2col
from .depthwise import Depthwise
from .im2col import Along
from .kn2row import Sliding
from .products import FEW_CHANNELS, convolution, correlation, layout

LONG_RUN = 16
"""Numbers in a window's row, from which on BLAS adds up what falls on the image faster than NumPy."""


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """y[n, o, p] = b[o] + sum over c, k of x[n, c, p stride + k dilation - padding] w[o, c, k].

    `out` is (N, O, *out) and channels-last in memory, as what is returned.
    """
    g = _geometry(x.shape, w.shape, stride, padding, dilation, groups)
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"convolution: `b` has shape {b.shape}; it must be {w.shape[:1]}, one for each filter of `w`")
    dtype = _common(x, w)
    y = None if out is None else _result(out, (len(x), len(w), *g.out), dtype, last=True)
    plan = cached_im2col.plan(x, g, dtype) if groups == 1 and _is_tangled(x, g) else None
    if plan is not None and (done := cached_im2col.forward(x, w, b, plan, g.out, y)) is not None:
        return done
    if y is None:
        y = _result(None, (len(x), len(w), *g.out), dtype, last=True)
    if out is not None and not last_view(y).flags.c_contiguous:
        raise ValueError(f"convolution: `out` has strides {y.strides}; it must be channels-last in memory")
    if groups > 1 and w.shape[1] == 1:
        Depthwise(g).convolution(x, w, b, y).do()
    else:
        _forward(x, w, b, g, groups, y)
    return y


def input_gradient(
    u: np.ndarray, w: np.ndarray, sizes: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The adjoint of the convolution in x: u (N, O, *out) to an array (N, C, *sizes)."""
    shape = (len(u), groups * w.shape[1], *sizes)
    g = _geometry(shape, w.shape, stride, padding, dilation, groups)
    _check_gradient(u, (len(u), len(w), *g.out))
    x = _result(out, shape, np.result_type(u, w), last=w.shape[1] * groups >= FEW_CHANNELS and is_last(u))
    if groups > 1 and w.shape[1] == 1:
        Depthwise(g).input_gradient(u, w, x).do()
        return x
    how = _falling(g, w.shape[1])
    for ug, wg, xg in _grouped(groups, (u, 1), (w, 0), (x, 1)):
        how.input_gradient(ug, wg, xg).do()
    return x


def weight_gradient(
    x: np.ndarray, u: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The adjoint of the convolution in w: x (N, C, *sizes) and u (N, O, *out) to an array (O, C / groups, *kernel)."""
    shape = (u.shape[1], x.shape[1] // groups, *kernel)
    g = _geometry(x.shape, shape, stride, padding, dilation, groups)
    _check_gradient(u, (len(x), shape[0], *g.out))
    w = _result(out, shape, _common(x, u), last=False)
    _correlate(x, u, g, groups, w, None)
    return w


def parameter_gradients(
    x: np.ndarray, u: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The adjoints in w and in b, both in one pass over u, in one vector: first w' (O, C / groups, *kernel), then b' (O,)."""
    shape = (u.shape[1], x.shape[1] // groups, *kernel)
    g = _geometry(x.shape, shape, stride, padding, dilation, groups)
    _check_gradient(u, (len(x), shape[0], *g.out))
    both = _result(out, (volume(shape) + shape[0],), _common(x, u), last=False)
    _correlate(x, u, g, groups, *parted(both, shape))
    return both


def forwarding(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray, shared: dict[Any, Any],
) -> Work | Callable[[], object] | None:  # fmt: skip
    """:func:`forward` in the same memory every time, where that is faster; `shared` is for all calls with the same x."""
    g = _geometry(x.shape, w.shape, stride, padding, dilation, groups)
    if groups > 1:
        return Depthwise(g).convolution(x, w, b, out) if w.shape[1] == 1 else None
    arranged = cached_im2col.forwarding(x, w, b, g, out, shared) if _is_tangled(x, g) else None
    return arranged or convolution(layout(g, w.shape[1], len(w)), x, w, b, out)


def weighing(
    x: np.ndarray, u: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray, shared: dict[Any, Any], biased: bool = False,
) -> Work | Callable[[], object] | None:  # fmt: skip
    """:func:`weight_gradient`, or :func:`parameter_gradients` if `biased`, in the same memory every time, where that is
    faster; `shared` is for all with the same x."""
    shape = (u.shape[1], x.shape[1] // groups, *kernel)
    g = _geometry(x.shape, shape, stride, padding, dilation, groups)
    w, b = parted(out, shape) if biased else (out, None)
    if groups > 1:
        return Depthwise(g).weight_gradient(x, u, w, b) if w.shape[1] == 1 else None
    arranged = cached_im2col.weighing(x, u, g, w, b, shared) if _is_tangled(x, g) else None
    return arranged or correlation(layout(g, x.shape[1], u.shape[1]), x, u, w, b)


def pulling(
    u: np.ndarray, w: np.ndarray, sizes: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray,
) -> Work | Callable[[], object] | None:  # fmt: skip
    """:func:`input_gradient` in the same memory every time, where that is faster."""
    g = _geometry(out.shape, w.shape, stride, padding, dilation, groups)
    if groups > 1:
        return Depthwise(g).input_gradient(u, w, out) if w.shape[1] == 1 else None
    return _falling(g, w.shape[1]).input_gradient(u, w, out)


def _common(a: np.ndarray, b: np.ndarray) -> np.dtype[Any]:
    """np.result_type, mostly without a call."""
    return a.dtype if a.dtype is b.dtype else np.result_type(a, b)


def _is_tangled(x: np.ndarray, g: Geometry) -> bool:
    """Whether windows must be laid out: all but single pixels whose channels are adjacent."""
    return x.shape[1] < FEW_CHANNELS or volume(g.kernel) > 1 or not is_last(x)


def _falling(g: Geometry, channels: int) -> Along | Sliding:
    """What computes the adjoint in x where no turned convolution does."""
    return Sliding(g, channels) if channels * g.kernel[-1] >= LONG_RUN else Along(g, channels)


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, g: Geometry, groups: int, y: np.ndarray) -> None:
    """Fill y, which is channels-last or in C order."""
    how = layout(g, w.shape[1], len(w) // groups)
    for xg, wg, bg, yg in _grouped(groups, (x, 1), (w, 0), (b, 0), (y, 1)):
        convolution(how, xg, wg, bg, yg).do()


def _correlate(x: np.ndarray, u: np.ndarray, g: Geometry, groups: int, w: np.ndarray, b: np.ndarray | None) -> None:
    """Fill w, and b if it is given."""
    if groups > 1 and w.shape[1] == 1:
        Depthwise(g).weight_gradient(x, u, w, b).do()
        return
    plan = cached_im2col.plan(x, g, w.dtype) if groups == 1 and w.flags.c_contiguous and _is_tangled(x, g) else None
    if plan is not None:
        cached_im2col.weight_gradient(x, u, plan, w, b)
        return
    how = layout(g, w.shape[1], len(w) // groups)
    for xg, ug, wg, bg in _grouped(groups, (x, 1), (u, 1), (w, 0), (b, 0)):
        correlation(how, xg, ug, wg, bg).do()


def parted(both: Any, shape: Sizes) -> tuple[Any, Any]:
    """w, of the given shape, and b from one vector: views, of an array or a Tensor."""
    return both[: -shape[0]].reshape(shape), both[-shape[0] :]


def _result(out: np.ndarray | None, shape: Sizes, dtype: np.dtype[Any], *, last: bool) -> np.ndarray:
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


@lru_cache(maxsize=1024)
def _geometry(x: Sizes, w: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Geometry:
    """How the windows of w (O, C / groups, *kernel) lie on x (N, C, *sizes): checked, since views are made by it."""
    ndim = len(x) - 2
    if not (ndim >= 1 and len(w) == len(x) and len(stride) == len(padding) == len(dilation) == ndim):
        raise ValueError(
            f"convolution: `x` has shape {x}, `w` {w}, `stride` {stride}, `padding` {padding} and `dilation` {dilation}; "
            "they must agree in the number of spatial axes"
        )
    if min(*stride, *dilation, *w, groups) < 1 or any(p < 0 for pair in padding for p in pair):
        raise ValueError(
            f"convolution: `w` has shape {w}, `stride` is {stride}, `dilation` {dilation}, `groups` {groups} and `padding` "
            f"{padding}; sizes, steps and groups must be at least 1, and padding at least 0"
        )
    if x[1] != w[1] * groups or w[0] % groups:
        raise ValueError(f"convolution: `x` has shape {x}, `w` {w} and `groups` is {groups}; the channels must agree")
    out = output_sizes(x[2:], w[2:], stride, padding, dilation)
    if min(out) < 1:
        raise ValueError(f"convolution: `x` has shape {x} and `w` {w}; the kernel must fit the padded `x`")
    return Geometry(w[2:], out, stride, padding, dilation)


def _check_gradient(u: np.ndarray, shape: Sizes) -> None:
    if u.shape != shape:
        raise ValueError(f"convolution: `u` has shape {u.shape}; it must be {shape}, the output's")


def _grouped(groups: int, *parts: tuple[Any, int]) -> Iterator[tuple[Any, ...]]:
    """Each group's share of arrays that are split along the given axes; None stays None."""
    if groups == 1:
        yield tuple(array for array, _ in parts)
        return
    for g in range(groups):
        shares: list[Any] = []
        for array, axis in parts:
            if array is None:
                shares.append(array)
                continue
            size = array.shape[axis] // groups
            index: Any = [slice(None)] * array.ndim
            index[axis] = slice(g * size, (g + 1) * size)
            shares.append(array[tuple(index)])
        yield tuple(shares)
