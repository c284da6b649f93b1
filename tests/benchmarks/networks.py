"""Seven networks, written once for every library that has PyTorch's layers, and their weights.

A library is an object with `nn`, its layers; `cat`, which joins channels; `attend`, scaled dot-product attention; and `split`,
which cuts the last axis into equal parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from .problems import Array

Library = Any


def initial(parameters: Iterable[tuple[str, Any]]) -> list[Array]:
    """Weights for the named parameters of a model, in their order: drawn around 1 for the scale of a norm, else around 0."""
    rng = np.random.default_rng(1)
    found = []
    for name, parameter in parameters:
        shape = tuple(parameter.shape)
        drawn = rng.standard_normal(shape, np.float32)
        if len(shape) > 1:
            found.append(drawn / np.float32(np.sqrt(np.prod(shape[1:]))))
        else:
            found.append(np.float32(name.endswith("weight")) + np.float32(0.1) * drawn)
    return found


def resnet18(lib: Library) -> Any:
    """ResNet-18 for images of 32 x 32 (CIFAR): 64 to 512 channels, no pooling before the end."""
    nn = lib.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Sequential(
                nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
            )
            self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
            self.beside = nn.Sequential()
            if stride > 1:
                self.beside = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.second(self.first(x)) + self.beside(x))

    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for before, after in pairwise((64, 64, 128, 256, 512)):
        layers += [Block(before, after, 1 if before == after else 2), Block(after, after, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def unet(lib: Library) -> Any:
    """U-Net of three levels, 32 to 256 channels, with batch normalization, for two classes of pixels."""
    nn = lib.nn

    def double(before: int, after: int) -> Any:
        layers: list[Any] = []
        for channels in (before, after):
            layers += [nn.Conv2d(channels, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        return nn.Sequential(*layers)

    class Level(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, before: int, channels: int, depth: int) -> None:
            super().__init__()
            self.down = double(before, channels)
            self.pool = nn.MaxPool2d(2)
            self.inner = Level(channels, 2 * channels, depth - 1) if depth > 1 else double(channels, 2 * channels)
            self.up = nn.ConvTranspose2d(2 * channels, channels, 2, 2)
            self.joined = double(2 * channels, channels)

        def forward(self, x: Any) -> Any:
            x = self.down(x)
            return self.joined(lib.cat([x, self.up(self.inner(self.pool(x)))]))

    return nn.Sequential(Level(3, 32, 3), nn.Conv2d(32, 2, 1))


def vgg(lib: Library) -> Any:
    """Three pairs of convolutions, 64 to 256 channels, each followed by a pool: no normalization."""
    nn = lib.nn
    layers: list[Any] = []
    for before, after in pairwise((3, 64, 128, 256)):
        for channels in (before, after):
            layers += [nn.Conv2d(channels, after, 3, 1, 1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 16, 10))


def mobilenet(lib: Library) -> Any:
    """MobileNetV2 in narrow: eight inverted residual blocks, 16 to 160 channels."""
    nn = lib.nn

    def layer(before: int, after: int, k: int, stride: int = 1, groups: int = 1) -> list[Any]:
        convolution = nn.Conv2d(before, after, k, stride, k // 2, groups=groups, bias=False)
        return [convolution, nn.BatchNorm2d(after), nn.ReLU6()]

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
            super().__init__()
            self.adds = before == after and stride == 1
            wide = before * expansion
            layers = layer(before, wide, 1) if expansion > 1 else []
            layers += layer(wide, wide, 3, stride, wide) + layer(wide, after, 1)[:2]
            self.layers = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            return x + self.layers(x) if self.adds else self.layers(x)

    blocks = [(32, 16, 1, 1), (16, 24, 1, 6), (24, 32, 2, 6), (32, 32, 1, 6), (32, 64, 1, 6), (64, 64, 1, 6)]
    blocks += [(64, 96, 1, 6), (96, 160, 2, 6)]
    layers = [*layer(3, 32, 3), *(Block(*block) for block in blocks), *layer(160, 640, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(640, 10))


def vit(lib: Library) -> Any:
    """A vision transformer, ViT-tiny: 64 patches of 4 x 4, width 192, twelve layers with three heads."""
    nn, width, heads, patches = lib.nn, 192, 3, 64

    class Attention(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inward, self.outward = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            shape = (x.shape[0], patches, heads, width // heads)
            q, k, v = (part.reshape(shape).swapaxes(1, 2) for part in lib.split(self.inward(x), 3))
            return self.outward(lib.attend(q, k, v).swapaxes(1, 2).reshape(x.shape))

    class Layer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.Sequential(nn.LayerNorm(width), Attention())
            self.perceptron = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(x)
            return x + self.perceptron(x)

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, width, 4, 4)
            self.layers = nn.Sequential(*(Layer() for _ in range(12)), nn.LayerNorm(width))
            self.head = nn.Linear(width, 10)

        def forward(self, x: Any) -> Any:
            x = self.embed(x).reshape((x.shape[0], width, patches)).swapaxes(1, 2)
            return self.head(self.layers(x).mean(1))

    return Transformer()


def lenet(lib: Library) -> Any:
    """LeNet-5 for images of 28 x 28, with ReLU and max-pooling."""
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def mlp(lib: Library) -> Any:
    """Three matrices, 784 to 512 to 512 to 10."""
    nn = lib.nn
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
