"""MobileNets: Sandler et al., arXiv:1801.04381, is version 2, and Howard et al., arXiv:1905.02244, version 3."""

from __future__ import annotations

from typing import Any

from ...core.graph import Array
from ...nn.activation import Hardsigmoid, Hardswish, ReLU, ReLU6
from ...nn.containers import Sequential
from ...nn.conv import Conv2d
from ...nn.dropout import Dropout
from ...nn.linear import Linear
from ...nn.module import Module
from ...nn.normalization import BatchNorm2d
from ...nn.pool import AdaptiveAvgPool2d
from ...ops.shape import flatten
from ...tensor import Tensor
from .blocks import ConvNormActivation, SqueezeExcitation, divisible, initialize, norm_001, normal
from .weights import Weights, weighted

__all__ = ["MobileNetV2", "MobileNetV3", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"]


class _Residual(Module):
    """y = change(x), or x + change(x) where the shapes are equal."""

    def __init__(self, name: str, change: Module, residual: bool) -> None:
        super().__init__()
        self._change, self._residual = name, residual
        setattr(self, name, change)

    def forward(self, x: Array) -> Tensor:
        """Images (N, C, H, W) to those of the block's channels and size."""
        y: Tensor = getattr(self, self._change)(x)
        return x + y if self._residual else y


def _inverted(before: int, width: int, stride: int, expand: int) -> Module:
    """A block of version 2: channels are expanded, filtered one by one, and projected."""
    hidden = before * expand
    layers: list[Module] = [ConvNormActivation(before, hidden, 1, activation=ReLU6)] if expand != 1 else []
    layers += [ConvNormActivation(hidden, hidden, 3, stride, groups=hidden, activation=ReLU6)]
    layers += [Conv2d(hidden, width, 1, bias=False), BatchNorm2d(width)]
    return _Residual("conv", Sequential(*layers), stride == 1 and before == width)


class MobileNetV2(Module):
    """Blocks that expand the channels, filter each of them, and project them to few again.

    Args:
        num_classes: the number of scores.
        width_mult: a factor for the channels of all layers.
        dropout: the probability with which an input of the last layer is dropped in training.

    Shapes: (N, 3, H, W), usually of 224 x 224, to (N, num_classes).
    """

    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    """The expansion, the channels, the number of blocks and the first stride of each stage."""

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        before, last = divisible(32 * width_mult), divisible(1280 * max(1.0, width_mult))
        layers: list[Module] = [ConvNormActivation(3, before, stride=2, activation=ReLU6)]
        for expand, channels, count, stride in self.STAGES:
            width = divisible(channels * width_mult)
            for i in range(count):
                layers.append(_inverted(before, width, stride if i == 0 else 1, expand))
                before = width
        layers.append(ConvNormActivation(before, last, 1, activation=ReLU6))
        self.features = Sequential(*layers)
        self.classifier = Sequential(Dropout(dropout), Linear(last, num_classes))
        initialize(self, normal)

    def forward(self, x: Array) -> Tensor:
        """Scores (N, num_classes)."""
        scores: Tensor = self.classifier(self.features(x).mean(axis=(2, 3)))
        return scores


def mobilenet_v2(*, weights: Weights = None, **options: Any) -> MobileNetV2:
    """:class:`MobileNetV2` of 3.5 million parameters. Arguments as for :func:`resnet18`."""
    return weighted("mobilenet_v2", MobileNetV2(**options), weights)


# kernel, expanded channels, channels, squeeze and excitation, hard swish, stride
_LARGE = (
    (3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2), (5, 120, 40, 1, 0, 1),
    (5, 120, 40, 1, 0, 1), (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1),
    (3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1), (5, 672, 160, 1, 1, 2), (5, 960, 160, 1, 1, 1),
    (5, 960, 160, 1, 1, 1),
)  # fmt: skip
_SMALL = (
    (3, 16, 16, 1, 0, 2), (3, 72, 24, 0, 0, 2), (3, 88, 24, 0, 0, 1), (5, 96, 40, 1, 1, 2), (5, 240, 40, 1, 1, 1),
    (5, 240, 40, 1, 1, 1), (5, 120, 48, 1, 1, 1), (5, 144, 48, 1, 1, 1), (5, 288, 96, 1, 1, 2), (5, 576, 96, 1, 1, 1),
    (5, 576, 96, 1, 1, 1),
)  # fmt: skip


def _block(before: int, kernel: int, hidden: int, width: int, squeeze: int, swish: int, stride: int) -> Module:
    """A block of version 3."""
    activation = Hardswish if swish else ReLU
    layers: list[Module] = []
    if hidden != before:
        layers.append(ConvNormActivation(before, hidden, 1, norm=norm_001, activation=activation))
    layers.append(ConvNormActivation(hidden, hidden, kernel, stride, hidden, norm_001, activation))
    if squeeze:
        layers.append(SqueezeExcitation(hidden, divisible(hidden // 4), scale=Hardsigmoid))
    layers.append(ConvNormActivation(hidden, width, 1, norm=norm_001, activation=None))
    return _Residual("block", Sequential(*layers), stride == 1 and before == width)


class MobileNetV3(Module):
    """The blocks of :class:`MobileNetV2`, with hard swish, and squeeze and excitation in some.

    Args:
        blocks: for each block the kernel size, the expanded channels, the channels, whether it has squeeze and excitation,
            whether its activation is hard swish, and its stride.
        last_channel: the channels before the last layer.
        num_classes: the number of scores.
        dropout: the probability with which an input of the last layer is dropped in training.

    Shapes: (N, 3, H, W), usually of 224 x 224, to (N, num_classes).
    """

    def __init__(
        self, blocks: tuple[tuple[int, ...], ...], last_channel: int, num_classes: int = 1000, dropout: float = 0.2
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[Module] = [ConvNormActivation(3, 16, stride=2, norm=norm_001, activation=Hardswish)]
        before = 16
        for kernel, hidden, width, squeeze, swish, stride in blocks:
            layers.append(_block(before, kernel, hidden, width, squeeze, swish, stride))
            before = width
        layers.append(ConvNormActivation(before, 6 * before, 1, norm=norm_001, activation=Hardswish))
        self.features = Sequential(*layers)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.classifier = Sequential(
            Linear(6 * before, last_channel), Hardswish(), Dropout(dropout), Linear(last_channel, num_classes)
        )
        initialize(self, normal)

    def forward(self, x: Array) -> Tensor:
        """Scores (N, num_classes)."""
        scores: Tensor = self.classifier(flatten(self.avgpool(self.features(x)), 1))
        return scores


def mobilenet_v3_large(*, weights: Weights = None, **options: Any) -> MobileNetV3:
    """:class:`MobileNetV3` of 5.5 million parameters. Arguments as for :func:`resnet18`."""
    return weighted("mobilenet_v3_large", MobileNetV3(_LARGE, 1280, **options), weights)


def mobilenet_v3_small(*, weights: Weights = None, **options: Any) -> MobileNetV3:
    """:class:`MobileNetV3` of 2.5 million parameters. Arguments as for :func:`resnet18`."""
    return weighted("mobilenet_v3_small", MobileNetV3(_SMALL, 1024, **options), weights)
