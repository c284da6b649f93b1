"""Pooling: the maximum, the mean or a norm of each window. In docstrings, g is the incoming gradient, x' the gradient in x.

These ops are closed under differentiation: max-pool, with putting and taking the elements that it selected; summing windows,
with spreading values over windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache, reduce
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.graph import Array, op
from .elementwise import REAL, pow, where
from .gather import add_along_axis, take_along_axis
from .geometry import SizeLike, batched, by_rank, check_filled, looked_up, shape_of, sizes, unbatched
from .real import real
from .reduce import mean
from .shape import reshape
from .windows import Sizes, overlaps, pad_last, volume
from .windows import windows as view

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool2d",
]


class Windows(NamedTuple):
    """The positions of windows on images (N, C, *sizes), with one entry for each spatial axis."""

    size: Sizes
    grid: Sizes  # the number of windows
    stride: Sizes
    before: Sizes  # padding before the first element; after the last, as much as needed
    dilation: Sizes

    def padded(self, x: np.ndarray, value: Any) -> np.ndarray:
        """The images with as much padding as the windows need."""
        reach = [(o - 1) * s + (k - 1) * d + 1 for k, o, s, _, d in zip(*self, strict=True)]
        return pad_last(
            x, tuple((p, max(0, r - p - n)) for r, p, n in zip(reach, self.before, x.shape[2:], strict=True)), value
        )

    def of(self, x: np.ndarray, padding: Any) -> np.ndarray:
        """The windows as a view of the padded images: (N, C, *grid, *size)."""
        return view(self.padded(x, padding), self.size, self.grid, self.stride, self.dilation)

    @property
    def inner(self) -> Sizes:
        """The axes within a window, in the result of :meth:`of`."""
        return tuple(range(-len(self.size), 0))

    def elements(self, sizes: Sizes) -> list[tuple[Any, Any]]:
        """For each element of a window, in C order: the windows whose element is inside the image, and its positions there."""
        return [(inside, places) for _, inside, places in overlaps(sizes, *self)]


def lowest(dtype: np.dtype[Any]) -> Any:
    """The smallest value of a dtype. TypeError for complex numbers, which have no order."""
    if dtype.kind == "c":
        raise TypeError(REAL)
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


@op
def max_pool(x: Array, *, windows: Windows) -> Array:
    """y = the largest element of each window.   x' = g added at the elements that were selected."""
    return windows.of(x, lowest(x.dtype)).max(axis=windows.inner)


@op(differentiable=False)
def max_pool_which(x: Array, top: Array, *, windows: Windows) -> Array:
    """y = the number, in C order, of the element of its window that top = max_pool(x) is: the first of equals, the last NaN."""
    elements = list(enumerate(windows.elements(x.shape[2:])))
    y = np.full(top.shape, len(elements), np.min_scalar_type(len(elements)))
    for i, (inside, places) in reversed(elements):
        np.copyto(y[inside], i, where=x[places] == top[inside])
    for i, (inside, places) in elements:
        np.copyto(y[inside], i, where=np.isnan(x[places]))
    return y


@op(linear=["u"])
def put_elements(u: Array, which: Array, *, sizes: Sizes, windows: Windows) -> Array:
    """y = zeros of these spatial sizes, with u added to the element of its window given by `which`.   u' = take_elements."""
    y = np.zeros((*u.shape[:2], *sizes), u.dtype)
    for i, (inside, places) in enumerate(windows.elements(sizes)):
        y[places] += np.where(which[inside] == i, u[inside], 0)
    return y


@op(linear=["a"])
def take_elements(a: Array, which: Array, *, windows: Windows) -> Array:
    """y = the element of each window given by `which`.   a' = put_elements of g."""
    y = np.zeros(which.shape, a.dtype)
    for i, (inside, places) in enumerate(windows.elements(a.shape[2:])):
        y[inside] += np.where(which[inside] == i, a[places], 0)
    return y


def _max_pool_rule(g: Array, y: Array, x: Array, windows: Windows) -> Array:
    # Recomputed from x and y: most networks keep both anyway, and without a gradient nothing is computed.
    return put_elements(g, max_pool_which(x, y, windows=windows), sizes=x.shape[2:], windows=windows)


max_pool.vjp(x=_max_pool_rule)
max_pool.jvp(x=lambda t, y, x, windows: take_elements(t, max_pool_which(x, y, windows=windows), windows=windows))
put_elements.vjp(u=lambda g, which, windows: take_elements(g, which, windows=windows))
take_elements.vjp(a=lambda g, which, in_shape, windows: put_elements(g, which, sizes=in_shape[2:], windows=windows))


@op(linear=["x"])
def sum_windows(x: Array, *, windows: Windows) -> Array:
    """y = the sum of each window, with padding as 0.   x' = spread_windows of g."""
    return windows.of(x, 0).sum(axis=windows.inner)


@op(linear=["u"])
def spread_windows(u: Array, *, sizes: Sizes, windows: Windows) -> Array:
    """y = zeros of these spatial sizes, with each u added to all elements of its window.   u' = sum_windows of g."""
    y = np.zeros((*u.shape[:2], *sizes), u.dtype)
    for inside, places in windows.elements(sizes):
        y[places] += u[inside]
    return y


sum_windows.vjp(x=lambda g, in_shape, windows: spread_windows(g, sizes=in_shape[2:], windows=windows))
spread_windows.vjp(u=lambda g, windows: sum_windows(g, windows=windows))


@op(differentiable=False)
def flat_indices(which: Array, *, sizes: Sizes, windows: Windows) -> Array:
    """The indices, in the flattened spatial axes, of the elements given by `which`."""
    first = [np.arange(o) * s - p for _, o, s, p, _ in zip(*windows, strict=True)]
    within = [np.arange(k) * d for k, _, _, _, d in zip(*windows, strict=True)]
    return flat_grid(first, sizes) + flat_grid(within, sizes).reshape(-1)[which]


def flat_grid(positions: Iterable[np.ndarray], sizes: Sizes) -> np.ndarray:
    """Indices into the flattened `sizes` for the grid of positions along each axis."""
    steps = [volume(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return reduce(np.add, np.ix_(*(p * step for p, step in zip(positions, steps, strict=True))))


def gather(a: Array, indices: Array) -> Array:
    """y = the elements of a at `indices` into its flattened spatial axes."""
    y = take_along_axis(_flattened(a), _flattened(indices), axis=-1)
    return reshape(y, shape=indices.shape)


def scatter(u: Array, indices: Array, sizes: Sizes) -> Array:
    """y = zeros with these spatial sizes, with u added at `indices` into the flattened sizes."""
    flat = (*u.shape[:2], volume(sizes))
    y = add_along_axis(_flattened(u), _flattened(indices), axis=-1, shape=flat)
    return reshape(y, shape=(*u.shape[:2], *sizes))


def _flattened(a: Array) -> Array:
    return reshape(a, shape=(*a.shape[:2], volume(a.shape[2:])))


@op(differentiable=False)
def last_written(indices: Array, *, size: int) -> Array:
    """Whether each of `indices` into `size` elements is the last one with its value in its channel."""
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        raise IndexError(
            f"`indices` has values from {indices.min()} to {indices.max()}; they must be from 0 to {size - 1}"
        )
    n, c = indices.shape[:2]
    flat = (
        indices.reshape(n * c, volume(indices.shape[2:])).astype(np.intp) + np.arange(n * c)[:, None] * size
    ).reshape(-1)
    writer = np.zeros(n * c * size, np.intp)
    writer[flat] = np.arange(flat.size)
    return (writer[flat] == np.arange(flat.size)).reshape(indices.shape)


def _max_pool(
    ndim: int, x: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0,
    dilation: SizeLike = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of each window: y[n, c, i, j] = max over k, l of x[n, c, i s + k d - p, j s + l d - p].

    x' = g at the element that was largest: the first of equal ones in the window, and the last of NaNs.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        kernel_size: size of the window, an int or a pair.
        stride: step of the window, an int or a pair; by default `kernel_size`, so that windows do not overlap.
        padding: rows and columns around the image that are never the largest, an int or a pair.
        dilation: distance between the elements of a window, an int or a pair.
        ceil_mode: keep a last window that extends beyond the padded image, if it starts inside the image or its left padding.
        return_indices: also return the indices of the largest elements in the flattened image without padding.

    Returns:
        (N, C, oH, oW) with oH = floor((H + 2 p - d (kH - 1) - 1) / s) + 1, or with ceil for floor; with `return_indices`
        a pair of that and its indices.

    Raises:
        ValueError: for a wrong rank, an argument out of range, padding of more than half a window, a window larger than
            the padded image, or one whose elements are all padding.
        TypeError: for an argument that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.max_pool2d(tg.Tensor([[[1, 5, 2], [4, 3, 6]]]), (2, 1)).tolist()
    [[[4.0, 5.0, 6.0]]]
    """
    name = f"max_pool{ndim}d"
    x, alone = batched(name, x, ndim)
    windows = _filled_windows(name, x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    return max_result(x, alone, return_indices, windows)


max_pool1d, max_pool2d, max_pool3d = by_rank(_max_pool, 1, 2, 3)


@looked_up
def _filled_windows(name: str, shape: Sizes, *given: Any) -> Windows:
    """Checked windows, none of which covers only padding."""
    windows = _windows(name, shape, *given)
    for axis, (n, k, o, s, p, d) in enumerate(zip(shape[2:], *windows, strict=True)):
        if d == 1:
            continue
        first = -(-np.maximum(p - np.arange(o) * s, 0) // d)  # the first element of each window that is not padding
        if ((first >= k) | (np.arange(o) * s + first * d - p >= n)).any():
            raise ValueError(
                f"{name}: along spatial axis {axis}, `dilation` {d} skips all {n} elements of `x` in some window, which then "
                "covers only padding; lower `dilation` or `padding`"
            )
    return windows


def max_result(x: Array, alone: bool, return_indices: bool, windows: Windows) -> Any:
    """The largest elements and, if asked for, their indices, as max-pools return them."""
    y = max_pool(x, windows=windows)
    if not return_indices:
        return unbatched(y, alone)
    indices = flat_indices(max_pool_which(x, y, windows=windows), sizes=x.shape[2:], windows=windows)
    return unbatched(y, alone), unbatched(indices, alone)


def max_unpool2d(
    x: Array, indices: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """A partial inverse of :func:`max_pool2d`: each x is put back at its index; all other elements are zero.

    If an index occurs more than once in a channel, the last x is kept.   x' = g at the indices of the kept elements.

    Args:
        x: pooled images (N, C, H, W), or one (C, H, W).
        indices: the indices that max_pool2d returned with them.
        kernel_size, stride, padding: the arguments of max_pool2d.
        output_size: the height and width of the result, or its whole shape; by default (H - 1) s - 2 p + k. It may differ
            from that by less than the stride.

    Raises:
        ValueError: for shapes that disagree, an argument out of range, or an `output_size` out of range.
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
            f"{name}: `output_size` is {output_size!r}; for `x` of {x.shape[2:]} it must differ by less than `stride` {steps} "
            f"from {usual}"
        )
    last = last_written(indices, size=volume(whole))
    return unbatched(scatter(where(last, x, 0), indices, whole), alone)  # type: ignore[no-any-return]


def _avg_pool(
    ndim: int, x: Array, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window: y[n, c, i, j] = sum over k, l of x[n, c, i s + k - p, j s + l - p] / count.

    x' = g / count, added to every element of the window.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        kernel_size: size of the window, an int or a pair.
        stride: step of the window, an int or a pair; by default `kernel_size`, so that windows do not overlap.
        padding: zeros around the image, an int or a pair.
        ceil_mode: keep a last window that extends beyond the padded image, if it starts inside the image or its left padding.
        count_include_pad: whether padding counts as elements. Elements beyond the padding, with `ceil_mode`, never count.
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
    return _mean_pool(
        f"avg_pool{ndim}d", ndim, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


avg_pool1d, avg_pool2d, avg_pool3d = by_rank(_avg_pool, 1, 2, 3)


def _mean_pool(
    name: str, ndim: int, x: Array, kernel_size: SizeLike, stride: SizeLike | None, padding: SizeLike,
    ceil_mode: bool, count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    x, alone = batched(name, x, ndim)
    windows = _windows(name, x.shape, kernel_size, stride, padding, 1, ceil_mode)
    divisor: Any = divisor_override
    if divisor_override is None:
        divisor = _counts(x.shape[2:], windows, bool(count_include_pad))
        if isinstance(divisor, np.ndarray):
            divisor = divisor.astype(x.dtype if x.dtype.kind == "f" else np.float64)
    else:
        try:
            divisor = index(divisor_override)
        except TypeError:
            raise TypeError(f"{name}: `divisor_override` is {divisor_override!r}; it must be an integer") from None
        if not divisor:
            raise ValueError(f"{name}: `divisor_override` is 0; it must be another integer, or None for the count")
    covers = windows.size == x.shape[2:] and volume(windows.grid) == 1 and not any(windows.before)
    if covers and divisor == volume(windows.size) >= MANY:
        return unbatched(image_means(x), alone)  # type: ignore[no-any-return]
    y = sum_windows(x, windows=windows) / divisor
    return unbatched(y, alone)  # type: ignore[no-any-return]


MANY = 16
"""From this many elements on, a single window is averaged as any array, instead of as the sum of its elements one after the
other."""


def image_means(x: Array) -> Tensor:
    """The mean of each image (N, C, 1, ...)."""
    return mean(x, axis=tuple(range(2, x.ndim)), keepdims=True)


@lru_cache(maxsize=1024)
def _counts(inputs: Sizes, windows: Windows, include_pad: bool) -> Any:
    """The number of elements in each window: one number if it is the same for all windows."""
    counts = []
    for n, k, o, s, p in zip(inputs, *windows[:4], strict=True):
        start, border = np.arange(o) * s, p if include_pad else 0
        counts.append(np.minimum(start + k, n + p + border) - np.maximum(start, p - border))
    if all((count == count[0]).all() for count in counts):
        return math.prod(int(count[0]) for count in counts)
    return reduce(np.multiply, np.ix_(*counts))


def _lp_pool(
    ndim: int,
    x: Array,
    norm_type: float,
    kernel_size: SizeLike,
    stride: SizeLike | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window of non-negative elements: y = (sum of x^p)^(1/p), with p = `norm_type`.

    x' = g x^(p-1) y^(1-p), and 0 where the sum is 0 and p is not 1. Like PyTorch, this uses x^p and not |x|^p: p = 1 sums;
    with another odd p, signs cancel, and the result is NaN where the sum is negative. With `ceil_mode`, missing elements of a
    window that is cut off count with the window's mean.

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
    name = f"lp_pool{ndim}d"
    rule = "be positive and finite: use max_pool for infinity"
    p = real(name, "norm_type", norm_type, rule, lambda p: 0 < p < math.inf)
    x, alone = batched(name, x, ndim)
    mean = _mean_pool(name, ndim, pow(x, p), kernel_size, stride, 0, ceil_mode, True, None)
    total = mean * volume(sizes(name, "kernel_size", kernel_size, ndim, least=1))
    if p != 1:
        total = where(total == 0, 0, pow(where(total == 0, 1, total), 1 / p))
    return unbatched(total, alone)  # type: ignore[no-any-return]


lp_pool1d, lp_pool2d, lp_pool3d = by_rank(_lp_pool, 1, 2, 3)


@looked_up
def _windows(
    name: str, shape: Sizes, kernel_size: SizeLike, stride: SizeLike | None, padding: SizeLike, dilation: SizeLike,
    ceil_mode: bool,
) -> Windows:  # fmt: skip
    """Checked windows over images of this shape."""
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
        space = n + 2 * p - reach
        count = (-(-space // s) if ceil_mode else space // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        if count < 1:
            raise ValueError(
                f"{name}: `kernel_size` {window} spans {reach} along spatial axis {axis} but the padded `x` has {n + 2 * p}; "
                "it must not be larger: raise `padding` or shrink the window"
            )
        grid.append(count)
    return Windows(window, tuple(grid), steps, before, spread)
