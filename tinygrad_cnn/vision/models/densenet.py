"""Huang et al., "Densely connected convolutional networks", arXiv:1608.06993."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...core.graph import Array
from ...nn import init
from ...nn.activation import ReLU
from ...nn.containers import ModuleDict, Sequential
from ...nn.conv import Conv2d
from ...nn.dropout import Dropout
from ...nn.linear import Linear
from ...nn.module import Module
from ...nn.normalization import BatchNorm2d
from ...nn.pool import AvgPool2d, MaxPool2d
from ...ops.shape import concatenate
from ...tensor import Tensor
from .weights import Weights, weighted

__all__ = ["DenseNet", "densenet121"]


class _Layer(Module):
    """A 1 x 1 and a 3 x 3 convolution, each after its normalization and relu."""

    def __init__(self, before: int, growth: int, bottleneck: int, p: float) -> None:
        super().__init__()
        hidden = growth * bottleneck
        self.norm1, self.relu1, self.conv1 = BatchNorm2d(before), ReLU(), Conv2d(before, hidden, 1, bias=False)
        self.norm2, self.relu2 = BatchNorm2d(hidden), ReLU()
        self.conv2 = Conv2d(hidden, growth, 3, padding=1, bias=False)
        self.dropout = Dropout(p)

    def forward(self, x: Array) -> Tensor:
        """The channels that are added."""
        hidden = self.conv1(self.relu1(self.norm1(x)))
        return self.dropout(self.conv2(self.relu2(self.norm2(hidden))))  # type: ignore[no-any-return]


class _Dense(ModuleDict):
    """Layers, each of which sees the channels of all before it."""

    def forward(self, x: Array) -> Tensor:
        """x and the channels that each layer adds."""
        for layer in self.values():
            x = concatenate([x, layer(x)], axis=1)
        return x  # type: ignore[no-any-return]


class DenseNet(Module):
    """Blocks of layers, each of which sees the outputs of all before it, and 1 x 1 convolutions with pooling between them.

    Args:
        growth_rate: the channels that a layer adds.
        block_config: the number of layers of each block.
        num_init_features: the channels of the first convolution.
        bn_size: how many times `growth_rate` the hidden channels of a layer are.
        drop_rate: the probability with which outputs of a layer are dropped in training.
        num_classes: the number of scores.

    Shapes: (N, 3, H, W), usually of 224 x 224, to (N, num_classes).
    """

    def __init__(
        self, growth_rate: int = 32, block_config: Sequence[int] = (6, 12, 24, 16), num_init_features: int = 64,
        bn_size: int = 4, drop_rate: float = 0.0, num_classes: int = 1000,
    ) -> None:  # fmt: skip
        super().__init__()
        width = num_init_features
        layers: dict[str, Module] = {
            "conv0": Conv2d(3, width, 7, stride=2, padding=3, bias=False), "norm0": BatchNorm2d(width), "relu0": ReLU(),
            "pool0": MaxPool2d(3, stride=2, padding=1),
        }  # fmt: skip
        for i, count in enumerate(block_config, start=1):
            layers[f"denseblock{i}"] = _Dense({
                f"denselayer{k + 1}": _Layer(width + k * growth_rate, growth_rate, bn_size, drop_rate)
                for k in range(count)
            })  # fmt: skip
            width += count * growth_rate
            if i < len(block_config):
                layers[f"transition{i}"] = Sequential({
                    "norm": BatchNorm2d(width), "relu": ReLU(), "conv": Conv2d(width, width // 2, 1, bias=False),
                    "pool": AvgPool2d(2),
                })  # fmt: skip
                width //= 2
        layers["norm5"] = BatchNorm2d(width)
        self.features = Sequential(layers)
        self.classifier = Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight)
        if self.classifier.bias is not None:
            init.zeros_(self.classifier.bias)

    def forward(self, x: Array) -> Tensor:
        """Scores (N, num_classes)."""
        scores: Tensor = self.classifier(self.features(x).relu().mean(axis=(2, 3)))
        return scores


def densenet121(*, weights: Weights = None, **options: Any) -> DenseNet:
    """:class:`DenseNet` of 8.0 million parameters. Arguments as for :func:`resnet18`."""
    return weighted("densenet121", DenseNet(**options), weights, _renamed)


def _renamed(name: str) -> str:
    """torchvision's file has the names of an older version, such as norm.1 for norm1."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", name)
