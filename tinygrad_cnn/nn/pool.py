"""Pooling layers: each names the function it calls, and keeps its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..core.graph import Array
from ..ops import adaptive_pool as adaptive
from ..ops import pool as f
from ..ops.adaptive_pool import OutputSize
from ..ops.geometry import SizeLike
from ..tensor import Tensor
from .layer import Layer

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool2d",
]


class _Pool(Layer):
    function: ClassVar[Callable[..., Any]]
    shown: ClassVar[tuple[str, ...]]

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown)


# The largest element


class _MaxPool(_Pool):
    shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: SizeLike,
        stride: SizeLike | None = None,
        padding: SizeLike = 0,
        dilation: SizeLike = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x: Array) -> Any:
        """The largest elements; with `return_indices` a pair of them and their indices."""
        return type(self).function(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window of a signal: :class:`MaxPool2d` on (N, C, L) or (C, L)."""

    function = staticmethod(f.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window: :func:`~tinygrad_cnn.max_pool2d`.

    Args:
        kernel_size, padding, dilation: an int or a pair.
        stride: the step of the window; `kernel_size` by default, so that windows do not overlap.
        return_indices: also return where the largest elements are, for :class:`MaxUnpool2d`.
        ceil_mode: also count a last window that only begins inside the image.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.MaxPool2d(2)(tg.zeros(5, 3, 32, 32)).shape
    (5, 3, 16, 16)
    """

    function = staticmethod(f.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest element of each window of a volume: :class:`MaxPool2d` on (N, C, D, H, W) or (C, D, H, W)."""

    function = staticmethod(f.max_pool3d)


class MaxUnpool2d(_Pool):
    """A partial inverse of :class:`MaxPool2d`: :func:`~tinygrad_cnn.max_unpool2d`.

    Args:
        kernel_size, stride, padding: those of the max-pool.
    """

    shown = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size: SizeLike, stride: SizeLike | None = None, padding: SizeLike = 0) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, x: Array, indices: Array, output_size: Any = None) -> Tensor:
        """x put back at the indices that the max-pool returned."""
        return f.max_unpool2d(x, indices, self.kernel_size, self.stride, self.padding, output_size)


# The mean


class _AvgPool(_Pool):
    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: SizeLike,
        stride: SizeLike | None = None,
        padding: SizeLike = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, x: Array) -> Tensor:
        """The means."""
        y: Tensor = type(self).function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )
        return y


class AvgPool1d(_AvgPool):
    """The mean of each window of a signal: :class:`AvgPool2d` on (N, C, L) or (C, L)."""

    function = staticmethod(f.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of each window: :func:`~tinygrad_cnn.avg_pool2d`.

    Args:
        kernel_size, padding: an int or a pair.
        stride: the step of the window; `kernel_size` by default.
        ceil_mode: also count a last window that only begins inside the image.
        count_include_pad: zeros of the padding count as elements.
        divisor_override: divide by this instead of the number of elements.
    """

    function = staticmethod(f.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of a volume: :class:`AvgPool2d` on (N, C, D, H, W) or (C, D, H, W)."""

    function = staticmethod(f.avg_pool3d)


class _LPPool(_Pool):
    shown = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self, norm_type: float, kernel_size: SizeLike, stride: SizeLike | None = None, ceil_mode: bool = False
    ) -> None:
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, x: Array) -> Tensor:
        """The norms."""
        y: Tensor = type(self).function(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
        return y


class LPPool1d(_LPPool):
    """The p-norm of each window of a signal: :class:`LPPool2d` on (N, C, L) or (C, L)."""

    function = staticmethod(f.lp_pool1d)


class LPPool2d(_LPPool):
    """The p-norm of each window, with p = `norm_type`: :func:`~tinygrad_cnn.lp_pool2d`."""

    function = staticmethod(f.lp_pool2d)


# A given number of regions


class _AdaptivePool(_Pool):
    shown = ("output_size",)

    def __init__(self, output_size: OutputSize) -> None:
        self.output_size = output_size

    def forward(self, x: Array) -> Tensor:
        """One value for each region."""
        y: Tensor = type(self).function(x, self.output_size)
        return y


class AdaptiveAvgPool1d(_AdaptivePool):
    """The mean of each region of a signal: :class:`AdaptiveAvgPool2d` on (N, C, L) or (C, L)."""

    function = staticmethod(adaptive.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The mean of each of `output_size` regions, whatever the image's size: :func:`~tinygrad_cnn.adaptive_avg_pool2d`.

    Args:
        output_size: regions along height and width, an int or a pair, where None keeps the size of x.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.AdaptiveAvgPool2d(1)(tg.zeros(5, 64, 7, 9)).shape
    (5, 64, 1, 1)
    """

    function = staticmethod(adaptive.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptivePool):
    """The mean of each region of a volume: :class:`AdaptiveAvgPool2d` on (N, C, D, H, W) or (C, D, H, W)."""

    function = staticmethod(adaptive.adaptive_avg_pool3d)


class _AdaptiveMaxPool(_Pool):
    shown = ("output_size",)

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Array) -> Any:
        """The largest elements; with `return_indices` a pair of them and their indices."""
        return type(self).function(x, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest element of each region of a signal: :class:`AdaptiveMaxPool2d` on (N, C, L) or (C, L)."""

    function = staticmethod(adaptive.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest element of each of `output_size` regions: :func:`~tinygrad_cnn.adaptive_max_pool2d`.

    Args:
        output_size: regions along height and width, an int or a pair, where None keeps the size of x.
        return_indices: also return where the largest elements are.
    """

    function = staticmethod(adaptive.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest element of each region of a volume: :class:`AdaptiveMaxPool2d` on (N, C, D, H, W) or (C, D, H, W)."""

    function = staticmethod(adaptive.adaptive_max_pool3d)
