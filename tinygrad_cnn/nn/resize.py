"""Layers that change the spatial size, or move between channels and space."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.graph import Array
from ..ops.conv import fold, unfold
from ..ops.geometry import SizeLike
from ..ops.resize import interpolate, pixel_shuffle, pixel_unshuffle
from ..tensor import Tensor
from .layer import Layer, size

__all__ = ["Fold", "PixelShuffle", "PixelUnshuffle", "Unfold", "Upsample"]


class Upsample(Layer):
    """Resize the spatial axes of x (N, C, ...): :func:`~tinygrad_cnn.interpolate`.

    Args:
        size: the spatial sizes of the result, an int or one per axis.
        scale_factor: the ratio of sizes, a number or one per axis. Give either this or `size`.
        mode: "nearest", "linear", "bilinear" or "trilinear".
        align_corners: only with the linear modes; False by default.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Upsample(scale_factor=2)(tg.zeros(5, 3, 8, 8)).shape
    (5, 3, 16, 16)
    """

    def __init__(
        self,
        size: SizeLike | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ValueError(
                f"Upsample: `size` is {size!r} and `scale_factor` is {scale_factor!r}; give exactly one of them"
            )
        self.size, self.mode, self.align_corners = size, mode, align_corners
        self.scale_factor = float(scale_factor) if isinstance(scale_factor, int) else scale_factor

    def forward(self, x: Array) -> Tensor:
        """x resized."""
        return interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        by = f"scale_factor={self.scale_factor!r}" if self.size is None else f"size={self.size!r}"
        return f"{by}, mode={self.mode!r}"


class PixelShuffle(Layer):
    """Channels moved into space: (..., C r^2, H, W) to (..., C, H r, W r), with r = `upscale_factor`.

    See :func:`~tinygrad_cnn.pixel_shuffle`.
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = size(self, "upscale_factor", upscale_factor)

    def forward(self, x: Array) -> Tensor:
        """x with fewer channels and more pixels."""
        return pixel_shuffle(x, self.upscale_factor)


class PixelUnshuffle(Layer):
    """Space moved into channels, the inverse of :class:`PixelShuffle`, with r = `downscale_factor`."""

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = size(self, "downscale_factor", downscale_factor)

    def forward(self, x: Array) -> Tensor:
        """x with more channels and fewer pixels."""
        return pixel_unshuffle(x, self.downscale_factor)


class Unfold(Layer):
    """Windows of images as columns: :func:`~tinygrad_cnn.unfold`, (N, C, H, W) to (N, C kH kW, windows)."""

    def __init__(
        self, kernel_size: SizeLike, dilation: SizeLike = 1, padding: SizeLike = 0, stride: SizeLike = 1
    ) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Array) -> Tensor:
        """The columns."""
        return unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Layer):
    """Columns added up into images of `output_size`: :func:`~tinygrad_cnn.fold`, the adjoint of :class:`Unfold`."""

    def __init__(
        self,
        output_size: SizeLike,
        kernel_size: SizeLike,
        dilation: SizeLike = 1,
        padding: SizeLike = 0,
        stride: SizeLike = 1,
    ) -> None:
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, x: Array) -> Tensor:
        """The images."""
        return fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)
