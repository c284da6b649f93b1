"""Deformable convolution: Dai et al., arXiv:1703.06211; with a mask, Zhu et al., arXiv:1811.11168."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.graph import Array
from ...nn.layer import Weighted
from ...ops.composite import accept_lists
from ...ops.geometry import SizeLike, shape_of, sizes
from ...ops.grid_sample import sampled
from ...ops.half import in_float32
from ...ops.matmul import matmul
from ...ops.shape import reshape
from ...tensor import Tensor

__all__ = ["DeformConv2d", "deform_conv2d"]


def deform_conv2d(
    input: Array, offset: Array, weight: Array, bias: Array = None, stride: SizeLike = 1, padding: SizeLike = 0,
    dilation: SizeLike = 1, mask: Array = None,
) -> Tensor:  # fmt: skip
    """y[n, o] = bias[o] + sum over channels and taps of weight times mask times x at the tap's place plus its offset.

    x between pixels is bilinear, and 0 outside. All inputs have gradients, of any order.

    Args:
        input: (N, C, H, W).
        offset: (N, 2 G kh kw, H', W'): for each of G groups of channels and each tap, the offset down and to the right.
        weight: (O, C / groups, kh, kw).
        bias: (O,) or None.
        stride, padding, dilation: a number, or one for each axis.
        mask: (N, G kh kw, H', W'), factors, or None for 1.

    Returns:
        (N, O, H', W').

    Raises:
        ValueError: for shapes that do not match.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 1, 1))
    >>> right = np.stack([np.zeros((3, 3)), np.full((3, 3), 0.5)])[None]
    >>> tg.vision.ops.deform_conv2d(x, right, w).tolist()
    [[[[0.5, 1.5, 1.0], [3.5, 4.5, 2.5], [6.5, 7.5, 4.0]]]]
    """
    name = "deform_conv2d"
    shape, filters, moved = (
        shape_of(name, label, a) for label, a in (("input", input), ("weight", weight), ("offset", offset))
    )
    if len(shape) != 4 or len(filters) != 4 or len(moved) != 4:
        raise ValueError(f"{name}: `input` {shape}, `weight` {filters} and `offset` {moved} must have four axes each")
    steps, pads, gaps = (sizes(name, label, value, 2, least) for label, value, least in (
        ("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)))  # fmt: skip
    out = tuple(
        (n + 2 * pad - gap * (k - 1) - 1) // step + 1
        for n, k, step, pad, gap in zip(shape[2:], filters[2:], steps, pads, gaps, strict=True)
    )
    taps = filters[2] * filters[3]
    groups, parts = moved[1] // (2 * taps) if taps else 0, shape[1] // filters[1] if filters[1] else 0
    if min(out) < 1:
        raise ValueError(f"{name}: `input` {shape} is smaller than the filters {filters}")
    if not groups or moved != (shape[0], 2 * groups * taps, *out) or shape[1] % groups:
        raise ValueError(
            f"{name}: `offset` has shape {moved}; for `input` {shape} it must be (N, 2 G {taps}, {out[0]}, {out[1]}), where G "
            "divides the channels"
        )
    if not parts or shape[1] != parts * filters[1] or filters[0] % parts:
        raise ValueError(f"{name}: `weight` {filters} has no number of groups that divides the channels of {shape}")
    if mask is not None and np.shape(mask) != (wanted := (shape[0], groups * taps, *out)):
        raise ValueError(f"{name}: `mask` has shape {np.shape(mask)}; it must be {wanted}")
    if bias is not None and np.shape(bias) != filters[:1]:
        raise ValueError(f"{name}: `bias` has shape {np.shape(bias)}; it must be {filters[:1]}")
    y: Any = deformed(
        input, offset, weight, mask, steps=steps, pads=pads, gaps=gaps, out=out, groups=groups, parts=parts
    )
    biased: Tensor = y if bias is None else y + reshape(bias, shape=(-1, 1, 1))
    return biased


@in_float32
def deformed(
    x: Any, offset: Any, weight: Any, mask: Any, *, steps: Any, pads: Any, gaps: Any, out: Any, groups: int, parts: int
) -> Any:  # fmt: skip
    """:func:`deform_conv2d` of checked arguments; `pads` are those before each axis, `parts` the groups of channels."""
    n, channels, height, width = x.shape
    count, _, *kernel = weight.shape
    taps, positions = kernel[0] * kernel[1], out[0] * out[1]
    grid = [
        (np.arange(k) * gap - pad)[:, None] + np.arange(size) * step  # (k, out) along an axis
        for k, gap, pad, size, step in zip(kernel, gaps, pads, out, steps, strict=True)
    ]
    full = (*kernel, *out)
    lines = np.broadcast_to(grid[0][:, None, :, None], full), np.broadcast_to(grid[1][None, :, None, :], full)
    each = reshape(offset, shape=(n * groups, taps, 2, positions))
    places = [
        reshape(each[:, :, axis] + line.reshape(taps, positions).astype(x.dtype), shape=(n * groups, 1, -1))
        for axis, line in enumerate(lines)
    ]
    rows = sampled(reshape(x, shape=(n * groups, -1, height, width)), places, "bilinear", "zeros", False)
    if mask is not None:
        rows = rows * reshape(mask, shape=(n * groups, 1, -1))
    columns = reshape(rows, shape=(n, parts, channels // parts * taps, positions))
    y = matmul(reshape(weight, shape=(parts, count // parts, -1)), columns)  # (N, parts, O / parts, positions)
    return reshape(y, shape=(n, count, *out))


class DeformConv2d(Weighted, takes_complex=False):
    """:func:`deform_conv2d` with a weight and a bias, called with x, the offset, and a mask or None.

    Args:
        in_channels, out_channels: multiples of `groups`.
        kernel_size, stride, padding, dilation: a number, or one for each axis.
        groups: groups of channels that filters see.
        bias: whether there is one.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.vision.ops.DeformConv2d(3, 8, kernel_size=3, padding=1)
    >>> layer(tg.zeros(2, 3, 16, 16), tg.zeros(2, 18, 16, 16)).shape
    (2, 8, 16, 16)
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: SizeLike, stride: SizeLike = 1, padding: SizeLike = 0,
        dilation: SizeLike = 1, groups: int = 1, bias: bool = True,
    ) -> None:  # fmt: skip
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"DeformConv2d: `groups` is {groups}; it must divide the channels {in_channels} and {out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes("DeformConv2d", "kernel_size", kernel_size, 2, 1)
        self.stride = sizes("DeformConv2d", "stride", stride, 2, 1)
        self.padding = sizes("DeformConv2d", "padding", padding, 2, 0)
        self.dilation = sizes("DeformConv2d", "dilation", dilation, 2, 1)
        filters = (out_channels, in_channels // groups, *self.kernel_size)
        self._make_parameters(None, weight=filters, bias=(out_channels,) if bias else None)

    def forward(self, input: Array, offset: Array, mask: Array = None) -> Tensor:
        """(N, out_channels, H', W')."""
        return deform_conv2d(
            input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask
        )  # fmt: skip


accept_lists(globals(), {})
