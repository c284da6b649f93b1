"""Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556."""

from __future__ import annotations

from typing import Any

from ...core.graph import Array
from ...nn.activation import ReLU
from ...nn.containers import Sequential
from ...nn.conv import Conv2d
from ...nn.dropout import Dropout
from ...nn.linear import Linear
from ...nn.module import Module
from ...nn.normalization import BatchNorm2d
from ...nn.pool import AdaptiveAvgPool2d, MaxPool2d
from ...ops.shape import flatten
from ...tensor import Tensor
from .blocks import initialize, normal
from .weights import Weights, weighted

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(Module):
    """Five stages of 3 x 3 convolutions, each followed by max pooling, and three linear layers.

    Args:
        convolutions: how many each stage has.
        batch_norm: whether each is normalized.
        num_classes: the number of scores.
        dropout: the probability with which the outputs of linear layers are dropped in training.

    Shapes: (N, 3, H, W), usually of 224 x 224, to (N, num_classes).
    """

    def __init__(
        self, convolutions: tuple[int, ...], batch_norm: bool = False, num_classes: int = 1000, dropout: float = 0.5
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[Module] = []
        before = 3
        for width, count in zip((64, 128, 256, 512, 512), convolutions, strict=True):
            for _ in range(count):
                layers += [Conv2d(before, width, 3, padding=1), *([BatchNorm2d(width)] if batch_norm else []), ReLU()]
                before = width
            layers.append(MaxPool2d(2))
        self.features = Sequential(*layers)
        self.avgpool = AdaptiveAvgPool2d(7)
        self.classifier = Sequential(
            Linear(512 * 49, 4096), ReLU(), Dropout(dropout), Linear(4096, 4096), ReLU(), Dropout(dropout),
            Linear(4096, num_classes),
        )  # fmt: skip
        initialize(self, normal)

    def forward(self, x: Array) -> Tensor:
        """Scores (N, num_classes)."""
        scores: Tensor = self.classifier(flatten(self.avgpool(self.features(x)), 1))
        return scores


def _made(layers: int, batch_norm: bool, weights: Weights, options: dict[str, Any]) -> VGG:
    return weighted(f"vgg{layers}{'_bn' * batch_norm}", VGG(_CONVOLUTIONS[layers], batch_norm, **options), weights)


def vgg11(*, weights: Weights = None, **options: Any) -> VGG:
    """:class:`VGG` of 11 layers and 132.9 million parameters. Arguments as for :func:`resnet18`."""
    return _made(11, False, weights, options)


def vgg11_bn(*, weights: Weights = None, **options: Any) -> VGG:
    """:func:`vgg11` with batch normalization."""
    return _made(11, True, weights, options)


def vgg13(*, weights: Weights = None, **options: Any) -> VGG:
    """:class:`VGG` of 13 layers and 133.0 million parameters. Arguments as for :func:`resnet18`."""
    return _made(13, False, weights, options)


def vgg13_bn(*, weights: Weights = None, **options: Any) -> VGG:
    """:func:`vgg13` with batch normalization."""
    return _made(13, True, weights, options)


def vgg16(*, weights: Weights = None, **options: Any) -> VGG:
    """:class:`VGG` of 16 layers and 138.4 million parameters. Arguments as for :func:`resnet18`."""
    return _made(16, False, weights, options)


def vgg16_bn(*, weights: Weights = None, **options: Any) -> VGG:
    """:func:`vgg16` with batch normalization."""
    return _made(16, True, weights, options)


def vgg19(*, weights: Weights = None, **options: Any) -> VGG:
    """:class:`VGG` of 19 layers and 143.7 million parameters. Arguments as for :func:`resnet18`."""
    return _made(19, False, weights, options)


def vgg19_bn(*, weights: Weights = None, **options: Any) -> VGG:
    """:func:`vgg19` with batch normalization."""
    return _made(19, True, weights, options)
