"""Transposed convolution: the adjoint of convolution in x, as a public function.

Reference: Zeiler, Krishnan, Taylor and Fergus, "Deconvolutional networks", CVPR 2010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.graph import Array
from .conv import convolve_dx
from .geometry import LAYOUTS, SizeLike, batched, shape_of, sizes, unbatched
from .shape import pad, reshape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def conv_transpose1d(
    x: Array,
    w: Array,
    b: Array = None,
    stride: SizeLike = 1,
    padding: SizeLike = 0,
    output_padding: SizeLike = 0,
    groups: int = 1,
    dilation: SizeLike = 1,
) -> Tensor:
    """1-D transposed convolution: :func:`conv_transpose2d` on x (N, C, L) or (C, L) with filters w (C, O / groups, k)."""
    return _transposed("conv_transpose1d", 1, x, w, b, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array = None,
    stride: SizeLike = 1,
    padding: SizeLike = 0,
    output_padding: SizeLike = 0,
    groups: int = 1,
    dilation: SizeLike = 1,
) -> Tensor:
    """2-D transposed convolution: every element of x adds a scaled filter to y, `stride` apart; overlaps sum up.

    y[n, o, i s + k d - p, j s + l d - p] += x[n, c, i, j] w[c, o, k, l]; then y += b[o].
    It is the adjoint of conv2d with the same w:  <conv2d(y, w), x> = <y, conv_transpose2d(x, w)>.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        w: filters (C, O / groups, kH, kW).
        b: biases (O,), or None.
        stride: distance between neighbouring filters in y, an int or a pair.
        padding: rows and columns cut off on every side, an int or a pair.
        output_padding: rows and columns added at the end, an int or a pair: a convolution with this stride maps several
            input sizes to one output size, and `output_padding` selects one of them.
        groups: channels are split into this many groups that do not mix.
        dilation: distance between the elements of a filter, an int or a pair.

    Returns:
        (N, O, oH, oW) with oH = (H - 1) s - 2 p + d (kH - 1) + output_padding + 1; (O, oH, oW) for one image.

    Raises:
        ValueError: for a wrong rank, channels that disagree, groups that do not divide, an argument out of range
            (`output_padding` must be smaller than the stride or the dilation), or an empty result.
        TypeError: for an argument that is not an integer, or a list instead of an array or Tensor.

    >>> import tinygrad_cnn as tg
    >>> tg.conv_transpose2d(tg.ones(1, 1, 1, 2), tg.ones(1, 1, 1, 3), stride=(1, 2)).tolist()
    [[[[1.0, 1.0, 2.0, 1.0, 1.0]]]]
    """
    return _transposed("conv_transpose2d", 2, x, w, b, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    x: Array,
    w: Array,
    b: Array = None,
    stride: SizeLike = 1,
    padding: SizeLike = 0,
    output_padding: SizeLike = 0,
    groups: int = 1,
    dilation: SizeLike = 1,
) -> Tensor:
    """3-D transposed convolution: :func:`conv_transpose2d` on x (N, C, D, H, W) with filters w (C, O / groups, kD, kH, kW)."""
    return _transposed("conv_transpose3d", 3, x, w, b, stride, padding, output_padding, groups, dilation)


def _transposed(
    name: str, ndim: int, x: Array, w: Array, b: Array, stride: SizeLike, padding: SizeLike,
    output_padding: SizeLike, groups: int, dilation: SizeLike,
) -> Tensor:  # fmt: skip
    x, alone = batched(name, x, ndim)
    xs, ws = x.shape, shape_of(name, "w", w)
    if len(ws) != ndim + 2:
        raise ValueError(
            f"{name}: `w` has shape {ws}; it must be (C, O / groups, {LAYOUTS[ndim]} of the kernel), of {ndim + 2} axes: "
            "reshape it"
        )
    steps = sizes(name, "stride", stride, ndim, least=1)
    spread = sizes(name, "dilation", dilation, ndim, least=1)
    cut = sizes(name, "padding", padding, ndim, least=0)
    kept = sizes(name, "output_padding", output_padding, ndim, least=0)
    groups = sizes(name, "groups", groups, 1, least=1)[0]
    if xs[1] != ws[0]:
        raise ValueError(
            f"{name}: `x` has {xs[1]} channels but `w` expects {ws[0]}, its first size; check `in_channels`"
        )
    if xs[1] % groups:
        raise ValueError(f"{name}: `groups` is {groups}, which must divide the {xs[1]} channels of `x`")
    if min(ws) < 1 or min(xs[2:]) < 1:
        raise ValueError(f"{name}: `x` has shape {xs} and `w` {ws}; every size but the batch must be at least 1")
    o = ws[1] * groups
    if b is not None and shape_of(name, "b", b) != (o,):
        raise ValueError(f"{name}: `b` has shape {b.shape}; it must be ({o},), one bias for each output channel")
    for extra, s, d in zip(kept, steps, spread, strict=True):
        if extra >= max(s, d):
            raise ValueError(
                f"{name}: `output_padding` is {output_padding!r}; it must be smaller than `stride` {steps} or `dilation` "
                f"{spread}: a convolution with this stride maps no larger input to this size"
            )
    painted = [(n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(xs[2:], ws[2:], steps, spread, strict=True)]
    out = [whole - 2 * p + extra for whole, p, extra in zip(painted, cut, kept, strict=True)]
    if min(out) < 1:
        raise ValueError(f"{name}: `padding` is {padding!r}, which leaves a result of {tuple(out)}; lower `padding`")
    # `output_padding` first reduces the cut at the end; what remains of it is zeros beyond all filters.
    pairs = tuple((p, max(p - extra, 0)) for p, extra in zip(cut, kept, strict=True))
    inner = tuple(whole - sum(pair) for whole, pair in zip(painted, pairs, strict=True))
    y = convolve_dx(x, w, shape=(xs[0], o, *inner), stride=steps, padding=pairs, dilation=spread, groups=groups)
    if inner != tuple(out):
        y = pad(y, ((0, 0), (0, 0), *((0, n - m) for n, m in zip(out, inner, strict=True))))
    if b is not None:
        y = y + reshape(b, shape=(o, *(1 for _ in out)))
    return unbatched(y, alone)  # type: ignore[no-any-return]
