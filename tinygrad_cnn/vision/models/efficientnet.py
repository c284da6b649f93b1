"""Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", arXiv:1905.11946."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from ...core.graph import Array
from ...nn import init
from ...nn.activation import SiLU
from ...nn.containers import Sequential
from ...nn.dropout import Dropout
from ...nn.linear import Linear
from ...nn.module import Module
from ...nn.pool import AdaptiveAvgPool2d
from ...ops.shape import flatten
from ...tensor import Tensor
from .blocks import ConvNormActivation, SqueezeExcitation, StochasticDepth, initialize
from .weights import Weights, weighted

__all__ = ["EfficientNet", "efficientnet_b0"]


class _MBConv(Module):
    """An inverted residual block with squeeze and excitation, skipped at random in training."""

    def __init__(self, before: int, width: int, expand: int, kernel: int, stride: int, p: float) -> None:
        super().__init__()
        hidden = before * expand
        conv = partial(ConvNormActivation, activation=SiLU)
        layers: list[Module] = [conv(before, hidden, 1)] if expand != 1 else []
        layers += [conv(hidden, hidden, kernel, stride, groups=hidden)]
        layers += [SqueezeExcitation(hidden, max(1, before // 4), SiLU)]
        layers += [ConvNormActivation(hidden, width, 1, activation=None)]
        self.block = Sequential(*layers)
        self.stochastic_depth = StochasticDepth(p)
        self._residual = stride == 1 and before == width

    def forward(self, x: Array) -> Tensor:
        """Images (N, C, H, W) to those of the block's channels and size."""
        y: Tensor = self.block(x)
        return x + self.stochastic_depth(y) if self._residual else y


class EfficientNet(Module):
    """EfficientNet-B0.

    Args:
        num_classes: the number of scores.
        dropout: the probability with which an input of the last layer is dropped in training.
        stochastic_depth_prob: the probability with which a block after the last would be skipped; it grows from 0 at the first.

    Shapes: (N, 3, H, W), usually of 224 x 224, to (N, num_classes).
    """

    STAGES = (
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    )  # fmt: skip
    """The expansion, the kernel size, the first stride, the channels and the number of blocks of each stage."""

    def __init__(
        self, num_classes: int = 1000, dropout: float = 0.2, stochastic_depth_prob: float = 0.2
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[Module] = [ConvNormActivation(3, 32, stride=2, activation=SiLU)]
        before, number, total = 32, 0, sum(count for *_, count in self.STAGES)
        for expand, kernel, stride, width, count in self.STAGES:
            stage: list[Module] = []
            for i in range(count):
                p = stochastic_depth_prob * number / total
                stage.append(_MBConv(before, width, expand, kernel, stride if i == 0 else 1, p))
                before, number = width, number + 1
            layers.append(Sequential(*stage))
        layers.append(ConvNormActivation(before, 4 * before, 1, activation=SiLU))
        self.features = Sequential(*layers)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.classifier = Sequential(Dropout(dropout), Linear(4 * before, num_classes))
        bound = 1 / math.sqrt(num_classes)
        initialize(self, lambda linear: init.uniform_(linear.weight, -bound, bound))

    def forward(self, x: Array) -> Tensor:
        """Scores (N, num_classes)."""
        scores: Tensor = self.classifier(flatten(self.avgpool(self.features(x)), 1))
        return scores


def efficientnet_b0(*, weights: Weights = None, **options: Any) -> EfficientNet:
    """:class:`EfficientNet` of 5.3 million parameters. Arguments as for :func:`resnet18`."""
    return weighted("efficientnet_b0", EfficientNet(**options), weights)
