"""What several models are made of: a convolution with its normalization, squeeze and excitation, stochastic depth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from ...core.graph import Array
from ...nn import init
from ...nn.activation import ReLU, Sigmoid
from ...nn.containers import Sequential
from ...nn.conv import Conv2d
from ...nn.layer import Layer
from ...nn.linear import Linear
from ...nn.module import Module
from ...nn.normalization import BatchNorm2d
from ...nn.pool import AdaptiveAvgPool2d
from ...numpy_api.creation import ones
from ...ops.dropout import dropout
from ...ops.random import Seed
from ...ops.real import probability
from ...ops.shape import reshape
from ...tensor import Tensor

Make: TypeAlias = Callable[..., Module]


class ConvNormActivation(Sequential):
    """A convolution "0" without bias that keeps the size at stride 1, its normalization "1", and an activation "2" or None."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, groups: int = 1,
        norm: Make = BatchNorm2d, activation: Make | None = ReLU,
    ) -> None:  # fmt: skip
        padding = (kernel_size - 1) // 2
        conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
        super().__init__(conv, norm(out_channels), *([activation()] if activation else []))


class SqueezeExcitation(Module):
    """y = x scale(fc2(activation(fc1(mean of x over its positions)))): a factor for each channel.

    Reference: Hu et al., "Squeeze-and-excitation networks", arXiv:1709.01507.
    """

    def __init__(self, channels: int, squeezed: int, activation: Make = ReLU, scale: Make = Sigmoid) -> None:
        super().__init__()
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = Conv2d(channels, squeezed, 1), Conv2d(squeezed, channels, 1)
        self.activation, self.scale_activation = activation(), scale()

    def forward(self, x: Array) -> Tensor:
        """Images (N, C, H, W), in this shape."""
        factors: Tensor = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        y: Tensor = factors * x
        return y


class StochasticDepth(Layer, shown="p={p}"):
    """In training, zero the whole x of an image with probability p and scale the others by 1 / (1 - p); in evaluation, y = x.

    As a residual block adds its input to y, the block is skipped. Reference: Huang et al., "Deep networks with stochastic
    depth", arXiv:1603.09382.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.vision.models.StochasticDepth(0.5)
    >>> sorted(set(layer(tg.ones(100, 3, 2, 2)).sum(axis=(1, 2, 3)).tolist()))
    [0.0, 24.0]
    """

    def __init__(self, p: float) -> None:
        self.p = probability("StochasticDepth", "p", p)

    def forward(self, x: Array, rng: Seed = None) -> Tensor:
        """x (N, ...), in its shape."""
        if not self.training or not self.p:
            return x  # type: ignore[no-any-return]
        kept = dropout(ones(len(x), dtype=x.dtype), self.p, rng=rng)
        y: Tensor = x * reshape(kept, shape=(len(x), *(1 for _ in x.shape[1:])))
        return y


def divisible(channels: float, by: int = 8) -> int:
    """The multiple of `by` nearest to `channels`, at least `by` and not below nine tenths of it."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * channels else nearest


def initialize(model: Module, linear: Callable[[Linear], object]) -> None:
    """Filters from He's normal distribution of their outputs, no bias; `linear` initializes the weights of linear layers."""
    for module in model.modules():
        if isinstance(module, Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, Linear):
            linear(module)
        if isinstance(module, Conv2d | Linear) and module.bias is not None:
            init.zeros_(module.bias)


def normal(layer: Linear) -> object:
    """Weights of a linear layer from a normal distribution of standard deviation 0.01."""
    return init.normal_(layer.weight, 0, 0.01)


norm_001 = partial(BatchNorm2d, eps=0.001, momentum=0.01)
