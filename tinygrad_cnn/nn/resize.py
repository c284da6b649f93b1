"""Layers that change the spatial size, or move elements between channels and space."""

from __future__ import annotations

from collections.abc import Sequence

from ..ops.conv import fold, unfold
from ..ops.geometry import SizeLike
from ..ops.resize import interpolate, pixel_shuffle, pixel_unshuffle
from .layer import Layer, size

__all__ = ["Fold", "PixelShuffle", "PixelUnshuffle", "Unfold", "Upsample"]


class Upsample(Layer, function=interpolate):
    """Resize the spatial axes of x (N, C, ...): :func:`~tinygrad_cnn.interpolate`, whose arguments it has.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Upsample(scale_factor=2)(tg.zeros(5, 3, 8, 8)).shape
    (5, 3, 16, 16)
    """

    def __init__(
        self, size: SizeLike | None = None, scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:  # fmt: skip
        if (size is None) == (scale_factor is None):
            raise ValueError(f"Upsample: `size` is {size!r} and `scale_factor` is {scale_factor!r}; give exactly one")
        self.size, self.mode, self.align_corners = size, mode, align_corners
        self.scale_factor = float(scale_factor) if isinstance(scale_factor, int) else scale_factor

    def extra_repr(self) -> str:
        given = "scale_factor" if self.size is None else "size"
        return f"{given}={vars(self)[given]!r}, mode={self.mode!r}"


class PixelShuffle(Layer, function=pixel_shuffle):
    """Channels moved into space, (..., C r^2, H, W) to (..., C, H r, W r): :func:`~tinygrad_cnn.pixel_shuffle`."""

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = size(self, "upscale_factor", upscale_factor)


class PixelUnshuffle(Layer, function=pixel_unshuffle):
    """Space moved into channels, the inverse of :class:`PixelShuffle`: :func:`~tinygrad_cnn.pixel_unshuffle`."""

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = size(self, "downscale_factor", downscale_factor)


class Unfold(Layer, function=unfold):
    """The windows of images as columns, (N, C, H, W) to (N, C kH kW, windows): :func:`~tinygrad_cnn.unfold`."""

    def __init__(
        self, kernel_size: SizeLike, dilation: SizeLike = 1, padding: SizeLike = 0, stride: SizeLike = 1
    ) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride


class Fold(Layer, function=fold):
    """Columns added up into images of `output_size`, the adjoint of :class:`Unfold`: :func:`~tinygrad_cnn.fold`."""

    def __init__(
        self, output_size: SizeLike, kernel_size: SizeLike, dilation: SizeLike = 1, padding: SizeLike = 0,
        stride: SizeLike = 1,
    ) -> None:  # fmt: skip
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride
