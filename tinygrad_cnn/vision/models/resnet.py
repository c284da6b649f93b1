"""Residual networks: He et al., "Deep residual learning for image recognition", arXiv:1512.03385."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.graph import Array
from ...nn.activation import ReLU
from ...nn.containers import Sequential
from ...nn.conv import Conv2d
from ...nn.linear import Linear
from ...nn.module import Module
from ...nn.normalization import BatchNorm2d
from ...nn.pool import AdaptiveAvgPool2d, MaxPool2d
from ...ops.shape import flatten
from ...tensor import Tensor
from .blocks import initialize
from .weights import Weights, weighted

__all__ = ["ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


def _conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> Conv2d:
    return Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> Module | None:
    """A convolution and its normalization where the shape changes."""
    if stride == 1 and in_channels == out_channels:
        return None
    return Sequential(_conv(in_channels, out_channels, 1, stride), BatchNorm2d(out_channels))


class _Block(Module):
    expansion = 1
    relu: ReLU
    downsample: Module | None

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()

    def forward(self, x: Array) -> Tensor:
        """relu(change(x) + x), with the shortcut for x where the shape changes."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.change(x) + shortcut)  # type: ignore[no-any-return]

    def change(self, x: Array) -> Tensor:
        """What is added to x."""
        raise NotImplementedError


class BasicBlock(_Block):
    """Two 3 x 3 convolutions."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv1, self.bn1 = _conv(in_channels, channels, 3, stride), BatchNorm2d(channels)
        self.relu = ReLU()
        self.conv2, self.bn2 = _conv(channels, channels, 3), BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def change(self, x: Array) -> Tensor:
        """What is added to x."""
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))  # type: ignore[no-any-return]


class Bottleneck(_Block):
    """A 3 x 3 convolution of a quarter of the channels, between two 1 x 1 convolutions."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv1, self.bn1 = _conv(in_channels, channels, 1), BatchNorm2d(channels)
        self.conv2, self.bn2 = _conv(channels, channels, 3, stride), BatchNorm2d(channels)
        self.conv3, self.bn3 = _conv(channels, channels * 4, 1), BatchNorm2d(channels * 4)
        self.relu = ReLU()
        self.downsample = _shortcut(in_channels, channels * 4, stride)

    def change(self, x: Array) -> Tensor:
        """What is added to x."""
        y = self.relu(self.bn1(self.conv1(x)))
        return self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))  # type: ignore[no-any-return]


class ResNet(Module):
    """A residual network for ImageNet, with torchvision's names of parameters.

    :class:`tinygrad_cnn.nn.models.ResNet` is the one for small images.

    Args:
        block: the class of its blocks, with two convolutions or three.
        layers: the number of blocks in each of the four stages.
        num_classes: the number of scores.

    Shapes: (N, 3, H, W), usually of 224 x 224, to (N, num_classes).
    """

    def __init__(self, block: type[BasicBlock | Bottleneck], layers: Sequence[int], num_classes: int = 1000) -> None:
        super().__init__()
        if len(layers) != 4 or min(layers) < 1:
            raise ValueError(f"ResNet: `layers` is {layers!r}; it must be the blocks of four stages, at least one each")
        self.conv1 = Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1, self.relu = BatchNorm2d(64), ReLU()
        self.maxpool = MaxPool2d(3, stride=2, padding=1)
        stages, before = [], 64
        for width, count in zip((64, 128, 256, 512), layers, strict=True):
            first = block(before, width, 1 if width == 64 else 2)
            before = width * block.expansion
            stages.append(Sequential(first, *(block(before, width, 1) for _ in range(count - 1))))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc = Linear(before, num_classes)
        kept = self.fc.bias
        bias = None if kept is None else kept.numpy().copy()
        initialize(self, lambda linear: None)  # the last layer keeps its own weights, and its bias:
        if kept is not None and bias is not None:
            kept.copy_(bias)

    def features(self, x: Array) -> list[Tensor]:
        """What the four stages return, of 1/4, 1/8, 1/16 and 1/32 of the height and width."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        found = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            found.append(x)
        return found

    def forward(self, x: Array) -> Tensor:
        """Scores (N, num_classes)."""
        scores: Tensor = self.fc(flatten(self.avgpool(self.features(x)[-1]), 1))
        return scores


def _made(
    name: str, block: type[BasicBlock | Bottleneck], layers: Sequence[int], weights: Weights, options: dict[str, Any]
) -> ResNet:
    return weighted(name, ResNet(block, layers, **options), weights)


def resnet18(*, weights: Weights = None, **options: Any) -> ResNet:
    """ResNet-18: :class:`ResNet` of 11.7 million parameters.

    Args:
        weights: the path of a file of weights, or a state; None for random ones.
        options: more arguments of :class:`ResNet`.

    >>> import tinygrad_cnn as tg
    >>> tg.vision.models.resnet18(num_classes=10)(tg.zeros(2, 3, 64, 64)).shape
    (2, 10)
    """
    return _made("resnet18", BasicBlock, (2, 2, 2, 2), weights, options)


def resnet34(*, weights: Weights = None, **options: Any) -> ResNet:
    """ResNet-34: :class:`ResNet` of 21.8 million parameters. Arguments as for :func:`resnet18`."""
    return _made("resnet34", BasicBlock, (3, 4, 6, 3), weights, options)


def resnet50(*, weights: Weights = None, **options: Any) -> ResNet:
    """ResNet-50: :class:`ResNet` of 25.6 million parameters. Arguments as for :func:`resnet18`."""
    return _made("resnet50", Bottleneck, (3, 4, 6, 3), weights, options)


def resnet101(*, weights: Weights = None, **options: Any) -> ResNet:
    """ResNet-101: :class:`ResNet` of 44.5 million parameters. Arguments as for :func:`resnet18`."""
    return _made("resnet101", Bottleneck, (3, 4, 23, 3), weights, options)


def resnet152(*, weights: Weights = None, **options: Any) -> ResNet:
    """ResNet-152: :class:`ResNet` of 60.2 million parameters. Arguments as for :func:`resnet18`."""
    return _made("resnet152", Bottleneck, (3, 8, 36, 3), weights, options)
