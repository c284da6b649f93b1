"""Convolution. The form <conv(x, w), u> is linear in x, in w and in u, so three ops close under differentiation:
the convolution, its adjoint in x (the transposed convolution) and its adjoint in w; each one's rules are the other two.

Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..graph import Array, op
from ..kernels import convolution as kernel
from ..kernels.window import Pairs, Sizes, output_sizes

__all__ = ["conv2d"]

if TYPE_CHECKING:
    from ..tensor import Tensor

SizeLike: TypeAlias = int | Sequence[int]


@op
def convolve(
    x: Array, w: Array, b: Array = None, *, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """y[n, o, p] = b[o] + sum over c, k of x[n, c, p stride + k dilation - padding] w[o, c, k], in any dimension."""
    return kernel.forward(x, w, b, stride, padding, dilation, groups)


@op
def convolve_dx(
    u: Array, w: Array, *, shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """The adjoint of convolve in x, of the given shape: the transposed convolution."""
    return kernel.input_gradient(u, w, shape[2:], stride, padding, dilation, groups)


@op
def convolve_dw(
    x: Array, u: Array, *, shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """The adjoint of convolve in w, of the given shape."""
    return kernel.weight_gradient(x, u, shape[2:], stride, padding, dilation, groups)


def _dx(u: Array, w: Array, shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Array:
    return convolve_dx(u, w, shape=shape, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _dw(x: Array, u: Array, shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Array:
    return convolve_dw(x, u, shape=shape, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _conv(x: Array, w: Array, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Array:
    return convolve(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)


convolve.vjp(
    x=lambda g, w, in_shape, stride, padding, dilation, groups: _dx(g, w, in_shape, stride, padding, dilation, groups),
    w=lambda g, x, in_shape, stride, padding, dilation, groups: _dw(x, g, in_shape, stride, padding, dilation, groups),
    b=lambda g: g.sum(axis=(0, *range(2, g.ndim))),
)
convolve_dx.vjp(
    u=lambda g, w, stride, padding, dilation, groups: _conv(g, w, stride, padding, dilation, groups),
    w=lambda g, u, in_shape, stride, padding, dilation, groups: _dw(g, u, in_shape, stride, padding, dilation, groups),
)
convolve_dw.vjp(
    x=lambda g, u, in_shape, stride, padding, dilation, groups: _dx(u, g, in_shape, stride, padding, dilation, groups),
    u=lambda g, x, stride, padding, dilation, groups: _conv(x, g, stride, padding, dilation, groups),
)


def conv2d(
    x: Array,
    w: Array,
    b: Array = None,
    stride: SizeLike = 1,
    padding: SizeLike | str = 0,
    dilation: SizeLike = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution (cross-correlation) of images with filters.

    y[n, o, i, j] = b[o] + sum over c, k, l of x[n, c, i s + k d - p, j s + l d - p] w[o, c, k, l].
    x' = transposed convolution of g with w,  w' = correlation of x with g,  b' = sum of g over n, i, j.

    Args:
        x: images (N, C, H, W).
        w: filters (O, C / groups, kH, kW).
        b: biases (O,), or None.
        stride: step of the window, an int or a pair.
        padding: zeros around the image, an int or a pair; "valid" for none, "same" for an output of the input's size
            (stride 1; an odd total puts the extra zero after).
        dilation: distance between the elements of a filter, an int or a pair.
        groups: channels are split into this many groups that do not mix; C groups make it depthwise.

    Returns:
        (N, O, oH, oW) with oH = floor((H + 2 p - d (kH - 1) - 1) / s) + 1, in the inputs' dtype.

    Raises:
        ValueError: for a wrong rank, channels that disagree, groups that do not divide, an argument out of range, or a
            filter larger than the padded image.
        TypeError: for an argument that is not an integer.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x, w = tg.ones(1, 1, 4, 4), tg.ones(1, 1, 3, 3)
    >>> tg.conv2d(x, w, padding=1, stride=2).tolist()
    [[[[4.0, 6.0], [6.0, 9.0]]]]
    """
    return convolve(x, w, b, **geometry("conv2d", 2, x, w, b, stride, padding, dilation, groups))


def geometry(
    name: str, ndim: int, x: Array, w: Array, b: Array,
    stride: SizeLike, padding: SizeLike | str, dilation: SizeLike, groups: int,
) -> dict[str, Any]:  # fmt: skip
    """Checked parameters for :func:`convolve`: sizes as tuples, padding as (before, after) pairs."""
    xs, ws = np.shape(x), np.shape(w)
    layout = {1: "L", 2: "H, W", 3: "D, H, W"}[ndim]
    for label, shape, form in (("x", xs, f"(N, C, {layout})"), ("w", ws, f"(O, C / groups, {layout} of the kernel)")):
        if len(shape) != ndim + 2:
            raise ValueError(f"{name}: `{label}` has shape {shape}; it must be {form}, of {ndim + 2} axes: reshape it")
    steps = sizes(name, "stride", stride, ndim, least=1)
    spread = sizes(name, "dilation", dilation, ndim, least=1)
    groups = sizes(name, "groups", groups, 1, least=1)[0]
    if xs[1] % groups or ws[0] % groups:
        raise ValueError(
            f"{name}: `groups` is {groups}, which must divide both the {xs[1]} channels of `x` and the {ws[0]} filters of `w`"
        )
    if xs[1] // groups != ws[1]:
        raise ValueError(
            f"{name}: `x` has {xs[1]} channels but `w` expects {ws[1] * groups} ({ws[1]} in each of {groups} groups); "
            "check `in_channels` or `groups`"
        )
    if b is not None and np.shape(b) != (ws[0],):
        raise ValueError(f"{name}: `b` has shape {np.shape(b)}; it must be ({ws[0]},), one bias for each filter of `w`")
    if min(ws) < 1:
        raise ValueError(f"{name}: `w` has shape {ws}; every size must be at least 1")
    pairs = padding_pairs(name, padding, ws[2:], steps, spread)
    for axis, (n, out) in enumerate(zip(xs[2:], output_sizes(xs[2:], ws[2:], steps, pairs, spread), strict=True)):
        if out < 1:
            raise ValueError(
                f"{name}: the kernel of `w` spans {spread[axis] * (ws[2 + axis] - 1) + 1} along axis {2 + axis} but the "
                f"padded `x` has {n + sum(pairs[axis])}; it must not be larger: raise `padding` or shrink `dilation`"
            )
    return {"stride": steps, "padding": pairs, "dilation": spread, "groups": groups}


def sizes(name: str, label: str, value: SizeLike, ndim: int, least: int) -> Sizes:
    """`value`, an int or one int per axis, as a tuple of `ndim` ints that are at least `least`."""
    parts = tuple(value) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else (value,) * ndim
    try:
        whole = tuple(index(part) for part in parts)
    except TypeError:
        raise TypeError(f"{name}: `{label}` is {value!r}; it must be an integer or {ndim} integers") from None
    if len(whole) != ndim:
        raise ValueError(f"{name}: `{label}` is {value!r}; it must be one integer or {ndim}, one per spatial axis")
    if min(whole) < least:
        raise ValueError(f"{name}: `{label}` is {value!r}; it must be at least {least}")
    return whole


def padding_pairs(name: str, padding: SizeLike | str, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Pairs:
    """Zeros (before, after) along each spatial axis, from ints, "valid" or "same"."""
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise ValueError(f"{name}: `padding` is {padding!r}; it must be 'same', 'valid', an integer or a pair")
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: `padding` 'same' needs stride 1 but `stride` is {stride}; give integers instead")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in sizes(name, "padding", padding, len(kernel), least=0))
