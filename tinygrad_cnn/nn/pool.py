"""Pooling layers: each calls the function of the same name."""

from __future__ import annotations

from typing import Any

from ..core.graph import Array
from ..ops import adaptive_pool as adaptive
from ..ops import pool as f
from ..ops.adaptive_pool import OutputSize
from ..ops.geometry import SizeLike
from ..tensor import Tensor
from .layer import Layer

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "LPPool1d", "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d",
    "MaxPool3d", "MaxUnpool2d",
]  # fmt: skip


class _MaxPool(Layer):
    shown = "kernel_size={kernel_size}, stride={stride}, padding={padding}, dilation={dilation}, ceil_mode={ceil_mode}"

    def __init__(
        self, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0, dilation: SizeLike = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode


class MaxPool1d(_MaxPool, function=f.max_pool1d):
    """The largest element of each window of a signal: :class:`MaxPool2d` on (N, C, L) or (C, L)."""


class MaxPool2d(_MaxPool, function=f.max_pool2d):
    """The largest element of each window of images (N, C, H, W) or (C, H, W): :func:`~tinygrad_cnn.max_pool2d`.

    The arguments are those of the function. With `return_indices` a call returns a pair: the elements, and their indices
    for :class:`MaxUnpool2d`.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.MaxPool2d(2)(tg.zeros(5, 3, 32, 32)).shape
    (5, 3, 16, 16)
    """


class MaxPool3d(_MaxPool, function=f.max_pool3d):
    """The largest element of each window of a volume: :class:`MaxPool2d` on (N, C, D, H, W) or (C, D, H, W)."""


class MaxUnpool2d(Layer):
    """A partial inverse of :class:`MaxPool2d` with the same arguments: :func:`~tinygrad_cnn.max_unpool2d`."""

    def __init__(self, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, x: Array, indices: Array, output_size: Any = None) -> Tensor:
        """Put each x at its index, which the max-pool returned; all other elements are zero."""
        return f.max_unpool2d(x, indices, self.kernel_size, self.stride, self.padding, output_size)


class _AvgPool(Layer, shown="kernel_size={kernel_size}, stride={stride}, padding={padding}"):
    def __init__(
        self, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override


class AvgPool1d(_AvgPool, function=f.avg_pool1d):
    """The mean of each window of a signal: :class:`AvgPool2d` on (N, C, L) or (C, L)."""


class AvgPool2d(_AvgPool, function=f.avg_pool2d):
    """The mean of each window of images (N, C, H, W) or (C, H, W): :func:`~tinygrad_cnn.avg_pool2d`, whose arguments it has."""


class AvgPool3d(_AvgPool, function=f.avg_pool3d):
    """The mean of each window of a volume: :class:`AvgPool2d` on (N, C, D, H, W) or (C, D, H, W)."""


class _LPPool(Layer):
    def __init__(
        self, norm_type: float, kernel_size: SizeLike, stride: SizeLike | None = None, ceil_mode: bool = False
    ) -> None:
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode


class LPPool1d(_LPPool, function=f.lp_pool1d):
    """The p-norm of each window of a signal: :class:`LPPool2d` on (N, C, L) or (C, L)."""


class LPPool2d(_LPPool, function=f.lp_pool2d):
    """The p-norm of each window, with p = `norm_type`: :func:`~tinygrad_cnn.lp_pool2d`."""


class LPPool3d(_LPPool, function=f.lp_pool3d):
    """The p-norm of each window of a volume: :class:`LPPool2d` on (N, C, D, H, W) or (C, D, H, W)."""


class _AdaptiveAvgPool(Layer):
    def __init__(self, output_size: OutputSize) -> None:
        self.output_size = output_size


class AdaptiveAvgPool1d(_AdaptiveAvgPool, function=adaptive.adaptive_avg_pool1d):
    """The mean of each region of a signal: :class:`AdaptiveAvgPool2d` on (N, C, L) or (C, L)."""


class AdaptiveAvgPool2d(_AdaptiveAvgPool, function=adaptive.adaptive_avg_pool2d):
    """The mean of each of `output_size` regions, for images of any size: :func:`~tinygrad_cnn.adaptive_avg_pool2d`.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.AdaptiveAvgPool2d(1)(tg.zeros(5, 64, 7, 9)).shape
    (5, 64, 1, 1)
    """


class AdaptiveAvgPool3d(_AdaptiveAvgPool, function=adaptive.adaptive_avg_pool3d):
    """The mean of each region of a volume: :class:`AdaptiveAvgPool2d` on (N, C, D, H, W) or (C, D, H, W)."""


class _AdaptiveMaxPool(Layer, shown="output_size={output_size}"):
    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool, function=adaptive.adaptive_max_pool1d):
    """The largest element of each region of a signal: :class:`AdaptiveMaxPool2d` on (N, C, L) or (C, L)."""


class AdaptiveMaxPool2d(_AdaptiveMaxPool, function=adaptive.adaptive_max_pool2d):
    """The largest element of each of `output_size` regions: :func:`~tinygrad_cnn.adaptive_max_pool2d`.

    With `return_indices` a call returns a pair: the elements and their indices.
    """


class AdaptiveMaxPool3d(_AdaptiveMaxPool, function=adaptive.adaptive_max_pool3d):
    """The largest element of each region of a volume: :class:`AdaptiveMaxPool2d` on (N, C, D, H, W) or (C, D, H, W)."""
