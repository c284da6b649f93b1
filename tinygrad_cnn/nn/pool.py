"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..graph import Array
from ..ops.geometry import SizeLike
from ..ops.pool import max_pool1d, max_pool2d, max_pool3d
from .layer import Layer

__all__ = ["MaxPool1d", "MaxPool2d", "MaxPool3d"]


class _MaxPool(Layer):
    function: ClassVar[Callable[..., Any]]

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

    def extra_repr(self) -> str:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


class MaxPool1d(_MaxPool):
    """The largest element of each window of a signal: :class:`MaxPool2d` on (N, C, L) or (C, L)."""

    function = staticmethod(max_pool1d)


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

    function = staticmethod(max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest element of each window of a volume: :class:`MaxPool2d` on (N, C, D, H, W) or (C, D, H, W)."""

    function = staticmethod(max_pool3d)
