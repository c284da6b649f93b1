"""Pooling: the largest element, the mean or a norm of each window.

Closed under differentiation: max-pool, scatter and gather by its indices; summing windows and spreading over them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.graph import Array, op
from ..kernels import pool as kernel
from ..kernels.parallel.chunks import SMALL
from .binders import bind
from .elementwise import pow, where
from .geometry import SizeLike, batched, check_filled, shape_of, sizes, unbatched
from .real import real
from .windows import Sizes, volume

if TYPE_CHECKING:
    from ..kernels.parallel.task import Work
    from ..tensor import Tensor

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool2d",
]


class Sliding(NamedTuple):
    """Windows that slide, one entry per spatial axis: their size, how many there are, and where they lie."""

    window: Sizes
    grid: Sizes
    stride: Sizes
    before: Sizes
    dilation: Sizes


@op
def max_pool(
    x: Array, *, window: Sizes, grid: Sizes, stride: Sizes, before: Sizes, dilation: Sizes, out: Array = None
) -> Array:
    """y = the largest element of each window.   x' = g put back where they were taken."""
    return kernel.max_windows(x, window, grid, stride, before, dilation, out)


@bind(max_pool, ["x", "y"])
def _pooling(
    x: Array, *, window: Sizes, grid: Sizes, stride: Sizes, before: Sizes, dilation: Sizes, out: Array
) -> Work | None:
    return None if x.size < SMALL else kernel.pooling(x, out, window, stride, before, dilation)


@op
def max_pool_which(
    x: Array, top: Array, *, window: Sizes, stride: Sizes, before: Sizes, dilation: Sizes, out: Array = None
) -> Array:
    """y = which element of its window each top = max_pool(x) is, counted in C order, without a gradient."""
    return kernel.which_elements(x, top, window, stride, before, dilation, out)


@bind(max_pool_which, ["x", "top", "y"])
def _finding(
    x: Array, top: Array, *, window: Sizes, stride: Sizes, before: Sizes, dilation: Sizes, out: Array
) -> Work | None:
    return None if x.size < SMALL else kernel.finding(x, top, out, window, stride, before, dilation)


@op
def put_elements(
    u: Array,
    which: Array,
    *,
    sizes: Sizes,
    window: Sizes,
    stride: Sizes,
    before: Sizes,
    dilation: Sizes,
    out: Array = None,
) -> Array:
    """y = zeros of these spatial sizes, with u added to the element of its window that `which` says.   u' = take_elements."""
    return kernel.put_elements(u, which, sizes, window, stride, before, dilation, out)


@bind(put_elements, ["u", "which", "y"])
def _putting(
    u: Array, which: Array, *, sizes: Sizes, window: Sizes, stride: Sizes, before: Sizes, dilation: Sizes, out: Array
) -> Work | None:
    return None if out.size < SMALL else kernel.putting(u, which, out, window, stride, before, dilation)


@op
def take_elements(a: Array, which: Array, *, window: Sizes, stride: Sizes, before: Sizes, dilation: Sizes) -> Array:
    """y = the element of each window that `which` says.   a' = put_elements of g."""
    return kernel.take_elements(a, which, window, stride, before, dilation)


def _max_pool_rule(g: Array, y: Array, x: Array, window: Sizes, stride: Sizes, before: Sizes, dilation: Sizes) -> Array:
    # Found again from x and y: both are alive anyway in most networks, and without a gradient nothing need be found.
    which = max_pool_which(x, y, window=window, stride=stride, before=before, dilation=dilation)
    return _put(g, which, x.shape, window, stride, before, dilation)


def _put(
    g: Array, which: Array, in_shape: Sizes, window: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> Array:
    return put_elements(g, which, sizes=in_shape[2:], window=window, stride=stride, before=before, dilation=dilation)


max_pool.vjp(x=_max_pool_rule)
put_elements.vjp(u=lambda g, which, window, stride, before, dilation: take_elements(
    g, which, window=window, stride=stride, before=before, dilation=dilation))  # fmt: skip
take_elements.vjp(a=lambda g, which, in_shape, window, stride, before, dilation: _put(
    g, which, in_shape, window, stride, before, dilation))  # fmt: skip


@op
def flat_indices(which: Array, *, sizes: Sizes, window: Sizes, stride: Sizes, before: Sizes, dilation: Sizes) -> Array:
    """Where the elements that `which` says lie in the flattened spatial axes."""
    return kernel.flat_indices(which, sizes, window, stride, before, dilation)


@op
def max_region_indices(x: Array, *, grid: Sizes) -> Array:
    """Where the largest elements of a `grid` of adaptive regions lie in the flattened spatial axes of x."""
    return kernel.max_regions(x, grid)


@op
def scatter_windows(u: Array, indices: Array, *, sizes: Sizes) -> Array:
    """y = u added at `indices` into zeros with these flattened spatial sizes.   u' = gather_windows of g."""
    return kernel.scatter(u, indices, sizes)


@op
def gather_windows(a: Array, indices: Array) -> Array:
    """y = a at `indices` into its flattened spatial axes.   a' = scatter_windows of g."""
    return kernel.gather(a, indices)


scatter_windows.vjp(u=lambda g, indices: gather_windows(g, indices))
gather_windows.vjp(a=lambda g, indices, in_shape: scatter_windows(g, indices, sizes=in_shape[2:]))


@op
def last_written(indices: Array, *, size: int) -> Array:
    """Whether each of `indices` into `size` elements is the last of its value in its channel."""
    return kernel.last_written(indices, size)


@op
def sum_windows(x: Array, *, window: Sizes, grid: Sizes, stride: Sizes, before: Sizes) -> Array:
    """y = the sum of each window, padding counting as 0.   x' = spread_windows of g."""
    return kernel.sum_windows(x, window, grid, stride, before)


@op
def spread_windows(u: Array, *, sizes: Sizes, window: Sizes, stride: Sizes, before: Sizes) -> Array:
    """y = zeros of these spatial sizes, with each u added to all of its window.   u' = sum_windows of g."""
    return kernel.spread_windows(u, sizes, window, stride, before)


sum_windows.vjp(x=lambda g, in_shape, window, stride, before: spread_windows(
    g, sizes=in_shape[2:], window=window, stride=stride, before=before))  # fmt: skip
spread_windows.vjp(u=lambda g, in_shape, window, stride, before: sum_windows(
    g, window=window, grid=in_shape[2:], stride=stride, before=before))  # fmt: skip


def max_pool1d(
    x: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0, dilation: SizeLike = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of each window: :func:`max_pool2d` on signals (N, C, L) or (C, L)."""
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    x: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0, dilation: SizeLike = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of each window: y[n, c, i, j] = max over k, l of x[n, c, i s + k d - p, j s + l d - p].

    x' = g at the element that was largest: of equal ones the first in the window, and of NaNs the last.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        kernel_size: size of the window, an int or a pair.
        stride: step of the window, an int or a pair; by default `kernel_size`, so that windows do not overlap.
        padding: rows and columns around the image that are never the largest, an int or a pair.
        dilation: distance between the elements of a window, an int or a pair.
        ceil_mode: also count a last window that only begins inside the image or the padding before it.
        return_indices: also return where the largest elements are: indices into the flattened image without padding.

    Returns:
        (N, C, oH, oW) with oH = floor((H + 2 p - d (kH - 1) - 1) / s) + 1, or with ceil for floor; with `return_indices`
        a pair of that and its indices.

    Raises:
        ValueError: for a wrong rank, an argument out of range, padding of more than half a window, a window larger than
            the padded image, or one that lies in the padding with every element.
        TypeError: for an argument that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.max_pool2d(tg.Tensor([[[1, 5, 2], [4, 3, 6]]]), (2, 1)).tolist()
    [[[4.0, 5.0, 6.0]]]
    """
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    x: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0, dilation: SizeLike = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of each window: :func:`max_pool2d` on volumes (N, C, D, H, W) or (C, D, H, W)."""
    return _max_pool("max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_pool(
    name: str, ndim: int, x: Array, kernel_size: SizeLike, stride: SizeLike | None, padding: SizeLike,
    dilation: SizeLike, ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    x, alone = batched(name, x, ndim)
    sliding = _sliding(name, x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    for axis, (n, k, o, s, p, d) in enumerate(zip(x.shape[2:], *sliding, strict=True)):
        if d == 1:
            continue
        first = -(-np.maximum(p - np.arange(o) * s, 0) // d)  # the first element of each window that is not padding
        if ((first >= k) | (np.arange(o) * s + first * d - p >= n)).any():
            raise ValueError(
                f"{name}: along spatial axis {axis}, `dilation` {d} steps over all {n} elements of `x` from padding to padding "
                "in some window, which has no largest element; lower `dilation` or `padding`"
            )
    return max_result(x, alone, return_indices, sliding)


def max_result(x: Array, alone: bool, return_indices: bool, sliding: Sliding) -> Any:
    """The largest elements and, if asked for, their indices, in the form that max-pools return."""
    y = max_pool(x, **sliding._asdict())
    if not return_indices:
        return unbatched(y, alone)
    where = {key: value for key, value in sliding._asdict().items() if key != "grid"}
    indices = flat_indices(max_pool_which(x, y, **where), sizes=x.shape[2:], **where)
    return unbatched(y, alone), unbatched(indices, alone)


def max_unpool2d(
    x: Array, indices: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """A partial inverse of :func:`max_pool2d`: each x is put back at its index, and all else is zero.

    Where an index occurs more than once in a channel, the last x stays.   x' = g at the indices of those that stay.

    Args:
        x: pooled images (N, C, H, W), or one (C, H, W).
        indices: what max_pool2d returned with them.
        kernel_size, stride, padding: what max_pool2d was given.
        output_size: the height and width of the result, or its whole shape; by default (H - 1) s - 2 p + k, from which it
            may differ by less than the stride.

    Raises:
        ValueError: for shapes that disagree, an argument out of range, or an `output_size` that does not fit.
        TypeError: for indices that are not integers.
        IndexError: for an index outside the result.

    >>> import tinygrad_cnn as tg
    >>> y, indices = tg.max_pool2d(tg.Tensor([[[1, 5], [4, 3]]]), 2, return_indices=True)
    >>> tg.max_unpool2d(y, indices, 2).tolist()
    [[[0.0, 5.0], [0.0, 0.0]]]
    """
    name = "max_unpool2d"
    x, alone = batched(name, x, 2)
    if shape_of(name, "indices", indices) != (x.shape[1:] if alone else x.shape):
        raise ValueError(
            f"{name}: `indices` has shape {indices.shape} but `x` has {x.shape[1:] if alone else x.shape}; they must agree: "
            "pass what max_pool2d returned"
        )
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{name}: `indices` has dtype {indices.dtype}; it must hold integers: use return_indices=True")
    indices, _ = batched(name, indices, 2)
    check_filled(name, x.shape)
    window = sizes(name, "kernel_size", kernel_size, 2, least=1)
    steps = window if stride is None else sizes(name, "stride", stride, 2, least=1)
    cut = sizes(name, "padding", padding, 2, least=0)
    usual = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], steps, cut, window, strict=True))
    whole = usual
    if output_size is not None:
        spatial = output_size[-2:] if isinstance(output_size, Sequence) and len(output_size) in (3, 4) else output_size
        whole = sizes(name, "output_size", spatial, 2, least=1)
    if min(whole) < 1:
        raise ValueError(
            f"{name}: `padding` is {padding!r}, which leaves a result of {whole}; lower it or give `output_size`"
        )
    if any(np.abs(n - m) >= s for n, m, s in zip(whole, usual, steps, strict=True)):
        raise ValueError(
            f"{name}: `output_size` is {output_size!r}; for `x` of {x.shape[2:]} it must lie within less than `stride` {steps} "
            f"of {usual}"
        )
    last = last_written(indices, size=volume(whole))
    y = scatter_windows(where(last, x, 0), indices, sizes=whole)
    return unbatched(y, alone)  # type: ignore[no-any-return]


def avg_pool1d(
    x: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window: :func:`avg_pool2d` on signals (N, C, L) or (C, L)."""
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool2d(
    x: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window: y[n, c, i, j] = sum over k, l of x[n, c, i s + k - p, j s + l - p] / count.

    x' = g / count, added to every element of the window.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        kernel_size: size of the window, an int or a pair.
        stride: step of the window, an int or a pair; by default `kernel_size`, so that windows do not overlap.
        padding: zeros around the image, an int or a pair.
        ceil_mode: also count a last window that only begins inside the image or the padding before it.
        count_include_pad: whether padding counts as elements. What lies beyond the padding, under `ceil_mode`, never does.
        divisor_override: divide by this instead of the count.

    Returns:
        (N, C, oH, oW) with oH = floor((H + 2 p - kH) / s) + 1, or with ceil for floor.

    Raises:
        ValueError: for a wrong rank, an argument out of range, padding of more than half a window, or a window larger
            than the padded image.
        TypeError: for an argument that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.avg_pool2d(tg.Tensor([[[1, 5, 2], [4, 3, 6]]]), (2, 1)).tolist()
    [[[2.5, 4.0, 4.0]]]
    """
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    x: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window: :func:`avg_pool2d` on volumes (N, C, D, H, W) or (C, D, H, W)."""
    return _avg_pool("avg_pool3d", 3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _avg_pool(
    name: str, ndim: int, x: Array, kernel_size: SizeLike, stride: SizeLike | None, padding: SizeLike,
    ceil_mode: bool, count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    x, alone = batched(name, x, ndim)
    window, grid, steps, before, _ = _sliding(name, x.shape, kernel_size, stride, padding, 1, ceil_mode)
    divisor: Any = divisor_override
    if divisor_override is None:
        divisor = _counts(x.shape[2:], window, grid, steps, before, count_include_pad)
        if isinstance(divisor, np.ndarray):
            divisor = divisor.astype(x.dtype if x.dtype.kind == "f" else np.float64)
    else:
        try:
            divisor = index(divisor_override)
        except TypeError:
            raise TypeError(f"{name}: `divisor_override` is {divisor_override!r}; it must be an integer") from None
        if not divisor:
            raise ValueError(f"{name}: `divisor_override` is 0; it must be another integer, or None for the count")
    y = sum_windows(x, window=window, grid=grid, stride=steps, before=before) / divisor
    return unbatched(y, alone)  # type: ignore[no-any-return]


def _counts(inputs: Sizes, window: Sizes, grid: Sizes, stride: Sizes, before: Sizes, include_pad: bool) -> Any:
    """Elements in each window, as one number if all windows have as many."""
    counts = []
    for n, k, o, s, p in zip(inputs, window, grid, stride, before, strict=True):
        start, border = np.arange(o) * s, p if include_pad else 0
        counts.append(np.minimum(start + k, n + p + border) - np.maximum(start, p - border))
    if all((count == count[0]).all() for count in counts):
        return math.prod(int(count[0]) for count in counts)
    return reduce(np.multiply, np.ix_(*counts))


def lp_pool1d(
    x: Array, norm_type: float, kernel_size: SizeLike, stride: SizeLike | None = None, ceil_mode: bool = False
) -> Tensor:
    """The power mean of each window without its division: :func:`lp_pool2d` on signals (N, C, L) or (C, L)."""
    return _lp_pool("lp_pool1d", 1, x, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    x: Array, norm_type: float, kernel_size: SizeLike, stride: SizeLike | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of non-negative elements: y = (sum of x^p)^(1/p), with p = `norm_type`.

    x' = g x^(p-1) y^(1-p), and 0 where the sum is 0 and p is not 1. Like PyTorch's, it takes x^p and not |x|^p: p = 1 sums,
    another odd p lets signs cancel, and is NaN where the sum is negative. With `ceil_mode`, a window that is cut off has its
    mean for what is missing.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        norm_type: the exponent p.
        kernel_size, stride, ceil_mode: as in :func:`max_pool2d`.

    Raises:
        ValueError: for a wrong rank, an argument out of range, or a window larger than the image.
        TypeError: for a size that is not an integer or an exponent that is not a number.

    >>> import tinygrad_cnn as tg
    >>> tg.lp_pool2d(tg.Tensor([[[3, 4]]]), 2, (1, 2)).tolist()
    [[[5.0]]]
    """
    return _lp_pool("lp_pool2d", 2, x, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(
    name: str, ndim: int, x: Array, norm_type: float, kernel_size: SizeLike, stride: SizeLike | None, ceil_mode: bool
) -> Tensor:
    rule = "be positive and finite: use max_pool for infinity"
    p = real(name, "norm_type", norm_type, rule, lambda p: 0 < p < math.inf)
    x, alone = batched(name, x, ndim)
    mean = _avg_pool(name, ndim, pow(x, p), kernel_size, stride, 0, ceil_mode, True, None)
    total = mean * volume(sizes(name, "kernel_size", kernel_size, ndim, least=1))
    if p != 1:
        total = where(total == 0, 0, pow(where(total == 0, 1, total), 1 / p))
    return unbatched(total, alone)  # type: ignore[no-any-return]


def _sliding(
    name: str, shape: Sizes, kernel_size: SizeLike, stride: SizeLike | None, padding: SizeLike, dilation: SizeLike,
    ceil_mode: bool,
) -> Sliding:  # fmt: skip
    """Windows that slide over images of this shape, checked."""
    inputs = shape[2:]
    ndim = len(inputs)
    window = sizes(name, "kernel_size", kernel_size, ndim, least=1)
    steps = window if stride is None else sizes(name, "stride", stride, ndim, least=1)
    before = sizes(name, "padding", padding, ndim, least=0)
    spread = sizes(name, "dilation", dilation, ndim, least=1)
    check_filled(name, shape)
    grid = []
    for axis, (n, k, s, p, d) in enumerate(zip(inputs, window, steps, before, spread, strict=True)):
        reach = d * (k - 1) + 1
        if p > k // 2:
            raise ValueError(f"{name}: `padding` is {padding!r}; it must be at most half of `kernel_size` {window}")
        room = n + 2 * p - reach
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        if count < 1:
            raise ValueError(
                f"{name}: `kernel_size` {window} spans {reach} along spatial axis {axis} but the padded `x` has {n + 2 * p}; "
                "it must not be larger: raise `padding` or shrink the window"
            )
        grid.append(count)
    return Sliding(window, tuple(grid), steps, before, spread)
