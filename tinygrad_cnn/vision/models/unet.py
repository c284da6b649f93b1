"""Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation", arXiv:1505.04597."""

from __future__ import annotations

from typing import Any

from ...core.graph import Array
from ...nn.containers import Sequential
from ...nn.conv import Conv2d, ConvTranspose2d
from ...nn.module import Module
from ...nn.pool import MaxPool2d
from ...ops.shape import concatenate
from ...tensor import Tensor
from .blocks import ConvNormActivation
from .weights import Weights, weighted

__all__ = ["UNet", "unet"]


def _pair(before: int, width: int) -> Sequential:
    return Sequential(ConvNormActivation(before, width), ConvNormActivation(width, width))


class UNet(Module):
    """A score for each class at each pixel: an encoder that halves the size, a decoder that doubles it, and shortcuts between.

    Each level is two 3 x 3 convolutions that keep the size, with BatchNorm2d and relu. The decoder sees the encoder's output
    of its size.

    Args:
        in_channels: the channels of the images.
        num_classes: the number of scores for each pixel.
        width: the channels at the full size; each level below has twice as many.
        levels: how many times the size is halved.

    Shapes: (N, in_channels, H, W), of multiples of 2^levels, to (N, num_classes, H, W).

    Raises:
        ValueError: for images of another size.

    >>> import tinygrad_cnn as tg
    >>> tg.vision.models.unet(num_classes=2, width=8, levels=2)(tg.zeros(1, 3, 32, 48)).shape
    (1, 2, 32, 48)
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 2, width: int = 64, levels: int = 4) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"UNet: `levels` is {levels}; it must be at least 1")
        widths = [width << level for level in range(levels + 1)]
        self.down = Sequential(*(_pair(a, b) for a, b in zip([in_channels, *widths], widths, strict=False)))
        self.pool = MaxPool2d(2)
        pairs = [*zip(widths[1:], widths, strict=False)][::-1]
        self.upsample = Sequential(*(ConvTranspose2d(a, b, kernel_size=2, stride=2) for a, b in pairs))
        self.up = Sequential(*(_pair(2 * b, b) for _, b in pairs))
        self.head = Conv2d(width, num_classes, kernel_size=1)

    def forward(self, x: Array) -> Tensor:
        """Scores (N, num_classes, H, W)."""
        by = 1 << len(self.up)
        if x.ndim != 4 or x.shape[2] % by or x.shape[3] % by:
            raise ValueError(f"UNet: `x` has shape {tuple(x.shape)}; it must be (N, C, H, W) with multiples of {by}")
        kept: list[Tensor] = []
        for i, level in enumerate(self.down):
            x = level(self.pool(x) if i else x)
            kept.append(x)
        kept.pop()
        for upsample, level in zip(self.upsample, self.up, strict=True):
            x = level(concatenate([kept.pop(), upsample(x)], axis=1))
        scores: Tensor = self.head(x)
        return scores


def unet(*, weights: Weights = None, **options: Any) -> UNet:
    """:class:`UNet` of 31.0 million parameters. Arguments as for :func:`resnet18`."""
    return weighted("unet", UNet(**options), weights)
