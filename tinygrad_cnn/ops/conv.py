"""Convolution. The form <conv(x, w), u> is linear in x, in w and in u, so three ops are closed under differentiation: the
convolution, its adjoint in x (the transposed convolution) and its adjoint in w. The rules of each are the other two.

In docstrings, g is the incoming gradient and x' the gradient with respect to x.
Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.graph import Array, op
from . import windows
from .geometry import LAYOUTS, SizeLike, are_plain, batched, check_fit, padding_pairs, shape_of, sizes, unbatched
from .half import in_float32
from .reduce import sum
from .shape import reshape
from .windows import Pairs, Sizes, elements, interior, output_sizes, pad_last, volume

__all__ = ["conv1d", "conv2d", "conv3d", "fold", "unfold"]

if TYPE_CHECKING:
    from ..tensor import Tensor


def _split(a: Array, axis: int, groups: int) -> Array:
    """`a` with an axis split in two: the groups, and the elements of each group."""
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


@op(linear=["x", "w"], complex=True)
@in_float32
def convolve(
    x: Array, w: Array, b: Array = None, *, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """y[n, o, p] = b[o] + sum over c, k of x[n, c, p stride + k dilation - padding] w[o, c, k], in any dimension."""
    out = output_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)
    xg, wg, y = _split(pad_last(x, padding), 1, groups), _split(w, 0, groups), np.zeros((), np.result_type(x, w))
    for k, places in elements(w.shape[2:], out, stride, dilation):
        y = y + np.einsum("ngc...,goc->ngo...", xg[places], wg[k], optimize=True)
    y = np.reshape(y, (len(x), len(w), *out))
    return y if b is None else y + np.reshape(b, (-1, *(1 for _ in out)))


@op(linear=["u", "w"])
@in_float32
def convolve_dx(
    u: Array, w: Array, *, shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """The adjoint of convolve in x, with the given shape: the transposed convolution."""
    x = pad_last(np.zeros(shape, np.result_type(u, w)), padding)
    xg, ug, wg = _split(x, 1, groups), _split(u, 1, groups), _split(w, 0, groups)
    for k, places in elements(w.shape[2:], u.shape[2:], stride, dilation):
        xg[places] += np.einsum("ngo...,goc->ngc...", ug, wg[k], optimize=True)
    return x[interior(shape[2:], padding)]


@op(linear=["x", "u"])
@in_float32
def convolve_dw(
    x: Array, u: Array, *, shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """The adjoint of convolve in w, with the given shape."""
    w = np.empty(shape, np.result_type(x, u))
    xg, ug, wg = _split(pad_last(x, padding), 1, groups), _split(u, 1, groups), _split(w, 0, groups)
    for k, places in elements(shape[2:], u.shape[2:], stride, dilation):
        wg[k] = np.einsum("ngc...,ngo...->goc", xg[places], ug, optimize=True)
    return w


def _dx(g: Array, w: Array, in_shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Array:
    return convolve_dx(g, w, shape=in_shape, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _dw(g: Array, x: Array, in_shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Array:
    return convolve_dw(x, g, shape=in_shape, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _conv(x: Array, w: Array, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Array:
    return convolve(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)


convolve.vjp(x=_dx, w=_dw, b=lambda g: sum(g, axis=(0, *range(2, g.ndim))))
convolve.jvp(b=lambda t, out_shape: reshape(t, shape=(-1, *(1 for _ in out_shape[2:]))))
convolve_dx.vjp(
    u=lambda g, w, stride, padding, dilation, groups: _conv(g, w, stride, padding, dilation, groups),
    w=lambda g, u, in_shape, stride, padding, dilation, groups: _dw(u, g, in_shape, stride, padding, dilation, groups),
)
convolve_dw.vjp(
    x=lambda g, u, in_shape, stride, padding, dilation, groups: _dx(u, g, in_shape, stride, padding, dilation, groups),
    u=lambda g, x, stride, padding, dilation, groups: _conv(x, g, stride, padding, dilation, groups),
)


def conv1d(
    x: Array,
    w: Array,
    b: Array = None,
    stride: SizeLike = 1,
    padding: SizeLike | str = 0,
    dilation: SizeLike = 1,
    groups: int = 1,
) -> Tensor:
    """1-D convolution: :func:`conv2d` on signals x (N, C, L) or (C, L) with filters w (O, C / groups, k)."""
    return _convolution("conv1d", 1, x, w, b, stride, padding, dilation, groups)


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
        x: images (N, C, H, W), or one image (C, H, W).
        w: filters (O, C / groups, kH, kW).
        b: biases (O,), or None.
        stride: step of the window, an int or a pair.
        padding: zeros around the image, an int or a pair; "valid" for none, "same" for an output of the input's size
            (stride 1; an odd total puts the extra zero after).
        dilation: distance between the elements of a filter, an int or a pair.
        groups: channels are split into this many groups that do not mix; C groups make it depthwise.

    Returns:
        (N, O, oH, oW) with oH = floor((H + 2 p - d (kH - 1) - 1) / s) + 1, in the inputs' dtype; (O, oH, oW) for one image.

    Raises:
        ValueError: for a wrong rank, channels that disagree, groups that do not divide, an argument out of range, or a
            filter larger than the padded image.
        TypeError: for an argument that is not an integer, or a list instead of an array or Tensor.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x, w = tg.ones(1, 1, 4, 4), tg.ones(1, 1, 3, 3)
    >>> tg.conv2d(x, w, padding=1, stride=2).tolist()
    [[[[4.0, 6.0], [6.0, 9.0]]]]
    """
    return _convolution("conv2d", 2, x, w, b, stride, padding, dilation, groups)


def conv3d(
    x: Array,
    w: Array,
    b: Array = None,
    stride: SizeLike = 1,
    padding: SizeLike | str = 0,
    dilation: SizeLike = 1,
    groups: int = 1,
) -> Tensor:
    """3-D convolution: :func:`conv2d` on volumes x (N, C, D, H, W) or (C, D, H, W) with w (O, C / groups, kD, kH, kW)."""
    return _convolution("conv3d", 3, x, w, b, stride, padding, dilation, groups)


def _convolution(
    name: str, ndim: int, x: Array, w: Array, b: Array,
    stride: SizeLike, padding: SizeLike | str, dilation: SizeLike, groups: int,
) -> Tensor:  # fmt: skip
    try:
        xs, ws, bs = x.shape, w.shape, None if b is None else b.shape
    except AttributeError:
        for label, a in (("x", x), ("w", w), ("b", b)):
            shape_of(name, label, a)  # which says what is wrong
        raise
    if len(xs) != ndim + 2:
        x, _ = batched(name, x, ndim)
        y = _convolution(name, ndim, x, w, b, stride, padding, dilation, groups)
        return unbatched(y, True)  # type: ignore[no-any-return]
    plain = stride.__class__ is padding.__class__ is dilation.__class__ is groups.__class__ is int
    checked = _known_geometry if plain or are_plain(stride, padding, dilation, groups) else geometry
    steps, pairs, spread, groups = checked(name, ndim, xs, ws, bs, stride, padding, dilation, groups)
    return convolve(x, w, b, stride=steps, padding=pairs, dilation=spread, groups=groups)


def geometry(
    name: str, ndim: int, xs: Sizes, ws: Sizes, bs: Sizes | None,
    stride: SizeLike, padding: SizeLike | str, dilation: SizeLike, groups: int,
) -> tuple[Sizes, Pairs, Sizes, int]:  # fmt: skip
    """Checked stride, padding, dilation and groups for :func:`convolve`: sizes as tuples, padding as (before, after) pairs."""
    if len(ws) != ndim + 2:
        raise ValueError(
            f"{name}: `w` has shape {ws}; it must be (O, C / groups, {LAYOUTS[ndim]} of the kernel), of {ndim + 2} axes: "
            "reshape it"
        )
    steps = sizes(name, "stride", stride, ndim, least=1)
    spread = sizes(name, "dilation", dilation, ndim, least=1)
    groups = sizes(name, "groups", groups, 1, least=1)[0]
    if xs[1] % groups or ws[0] % groups:
        raise ValueError(
            f"{name}: `groups` is {groups}, which must divide both the {xs[1]} channels of `x` and the {ws[0]} filters of `w`"
        )
    if xs[1] // groups != ws[1]:
        expected, remedy = ws[1] * groups, "check `in_channels` or `groups`"
        if xs[-1] == expected:
            remedy = "its last axis has so many: np.moveaxis(x, -1, 1) puts the channels there"
        raise ValueError(
            f"{name}: `x` has {xs[1]} channels but `w` expects {expected} ({ws[1]} in each of {groups} groups); {remedy}"
        )
    if bs is not None and bs != (ws[0],):
        raise ValueError(f"{name}: `b` has shape {bs}; it must be ({ws[0]},), one bias for each filter of `w`")
    if min(ws) < 1:
        raise ValueError(f"{name}: `w` has shape {ws}; every size must be at least 1")
    pairs = padding_pairs(name, padding, ws[2:], steps, spread)
    check_fit(name, "the kernel of `w`", xs[2:], ws[2:], pairs, spread)
    return steps, pairs, spread, groups


_known_geometry = lru_cache(maxsize=1024)(geometry)


@op(linear=["x"])
def columns(x: Array, *, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Array:
    """y[n, c, k, p] = x[n, c, p stride + k dilation - padding], 0 outside x.   x' = add_columns of g."""
    out = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    return windows.columns(x, kernel, out, stride, tuple(before for before, _ in padding), dilation)


@op(linear=["u"])
def add_columns(u: Array, *, shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Array:
    """The adjoint of columns, with the given shape: each u[n, c, k, p] is added to its element of x.   u' = columns of g."""
    return windows.add_columns(u, shape[2:], stride, tuple(before for before, _ in padding), dilation)


columns.vjp(x=lambda g, in_shape, stride, padding, dilation: add_columns(
    g, shape=in_shape, stride=stride, padding=padding, dilation=dilation))  # fmt: skip
add_columns.vjp(u=lambda g, in_shape, stride, padding, dilation: columns(
    g, kernel=in_shape[2:g.ndim], stride=stride, padding=padding, dilation=dilation))  # fmt: skip


def unfold(
    x: Array, kernel_size: SizeLike, dilation: SizeLike = 1, padding: SizeLike = 0, stride: SizeLike = 1
) -> Tensor:
    """Windows of images as columns: y[n, (c, k, l), (i, j)] = x[n, c, i s + k d - p, j s + l d - p], 0 outside x.

    x' = fold of g. x is (N, C, H, W) or (C, H, W), y (N, C kH kW, oH oW) or (C kH kW, oH oW), as PyTorch lays them out.

    Raises:
        ValueError: for a wrong rank, an argument out of range, or a window larger than the padded image.
        TypeError: for an argument that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.unfold(tg.arange(4).reshape(1, 2, 2), (1, 2)).tolist()
    [[0, 2], [1, 3]]
    """
    x, alone = batched("unfold", x, 2)
    kernel, window = _unfolding("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    y = columns(x, kernel=kernel, **window)
    n, c = x.shape[:2]
    return unbatched(reshape(y, shape=(n, c * volume(kernel), volume(y.shape[4:]))), alone)  # type: ignore[no-any-return]


def fold(
    x: Array, output_size: SizeLike, kernel_size: SizeLike, dilation: SizeLike = 1, padding: SizeLike = 0,
    stride: SizeLike = 1,
) -> Tensor:  # fmt: skip
    """Columns summed into images of `output_size`: the adjoint of :func:`unfold`.

    x' = unfold of g. x is (N, C kH kW, oH oW) or (C kH kW, oH oW), y (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: for an argument out of range, a number of rows of x that the window size does not divide, or a number of
            columns that differs from the number of windows.
        TypeError: for an argument that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.fold(tg.ones(2, 2), (1, 3), (1, 2)).tolist()
    [[[1.0, 2.0, 1.0]]]
    """
    shape = shape_of("fold", "x", x)
    if len(shape) not in (2, 3):
        raise ValueError(f"fold: `x` has shape {shape}; it must be (N, C kH kW, oH oW) or (C kH kW, oH oW): reshape it")
    n, rows, count = shape if len(shape) == 3 else (1, *shape)
    whole = sizes("fold", "output_size", output_size, 2, least=1)
    kernel, window = _unfolding("fold", whole, kernel_size, dilation, padding, stride)
    out = output_sizes(whole, kernel, **window)
    if rows % volume(kernel):
        raise ValueError(
            f"fold: `x` has {rows} rows, which `kernel_size` {kernel} must divide into windows of {volume(kernel)}: check "
            "`kernel_size`"
        )
    if count != volume(out):
        raise ValueError(
            f"fold: `x` has {count} columns but {out[0]} x {out[1]} windows fit `output_size` {whole}; they must agree: "
            "check `output_size`, `stride` and `padding`"
        )
    c = rows // volume(kernel)
    y = add_columns(reshape(x, shape=(n, c, *kernel, *out)), shape=(n, c, *whole), **window)
    return unbatched(y, len(shape) == 2)  # type: ignore[no-any-return]


def _unfolding(
    name: str, inputs: Sizes, kernel_size: SizeLike, dilation: SizeLike, padding: SizeLike, stride: SizeLike
) -> tuple[Sizes, dict[str, Any]]:
    kernel = sizes(name, "kernel_size", kernel_size, 2, least=1)
    spread = sizes(name, "dilation", dilation, 2, least=1)
    pairs = tuple((p, p) for p in sizes(name, "padding", padding, 2, least=0))
    steps = sizes(name, "stride", stride, 2, least=1)
    check_fit(name, "`kernel_size`", inputs, kernel, pairs, spread)
    return kernel, {"stride": steps, "padding": pairs, "dilation": spread}
