"""PyTorch's layers for JAX: a model is a tree of objects, whose parameters :func:`call` replaces while it is traced."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

EPS = 1e-5


class Module:
    """A layer: its parameters are the arrays among its attributes, and those of its layers, in the order of assignment."""

    training = True

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Names and arrays."""
        return ((name, getattr(owner, name)) for owner, name in self.places())

    def places(self) -> Iterator[tuple[Any, str]]:
        """The owner and name of each parameter."""
        for name, value in vars(self).items():
            if isinstance(value, jax.Array):
                yield self, name
            for layer in value if isinstance(value, list) else [value]:
                if isinstance(layer, Module):
                    yield from layer.places()

    def modules(self) -> Iterator[Module]:
        """All layers."""
        yield self
        for value in vars(self).values():
            for layer in value if isinstance(value, list) else [value]:
                if isinstance(layer, Module):
                    yield from layer.modules()

    def eval(self) -> None:
        """Norms take the running statistics from now on, which are those of their initialization."""
        for layer in self.modules():
            layer.training = False

    def __call__(self, x: Any) -> Any:
        """The output."""
        return self.forward(x)

    def forward(self, x: Any) -> Any:
        """The output."""
        raise NotImplementedError


def call(model: Module, weights: list[Any], x: Any) -> Any:
    """The output of a model with these parameters."""
    for (owner, name), value in zip(model.places(), weights, strict=True):
        object.__setattr__(owner, name, value)
    return model(x)


class Sequential(Module):
    """One layer after another."""

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        """The output of the last."""
        for layer in self.layers:
            x = layer(x)
        return x


def _function(compute: Any) -> Any:
    """A layer without parameters."""

    class Layer(Module):
        def __init__(self, *sizes: int) -> None:
            self.sizes = sizes

        def forward(self, x: Any) -> Any:
            return compute(x, *self.sizes)

    return Layer


def _pool(x: Any, k: int) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, k, k), (1, 1, k, k), "VALID")


ReLU, ReLU6 = _function(jax.nn.relu), _function(jax.nn.relu6)
GELU = _function(lambda x: jax.nn.gelu(x, approximate=False))
MaxPool2d, AdaptiveAvgPool2d = _function(_pool), _function(lambda x, size: x.mean((2, 3), keepdims=True))
Flatten = _function(lambda x: x.reshape(len(x), -1))


class Conv2d(Module):
    """A convolution."""

    def __init__(
        self, before: int, after: int, k: int, stride: int = 1, padding: int = 0, groups: int = 1, bias: bool = True
    ) -> None:
        self.stride, self.padding, self.groups = stride, padding, groups
        self.weight = jnp.zeros((after, before // groups, k, k))
        self.bias = jnp.zeros(after) if bias else None

    def forward(self, x: Any) -> Any:
        """The output."""
        y = lax.conv_general_dilated(
            x, self.weight, (self.stride,) * 2, [(self.padding,) * 2] * 2, feature_group_count=self.groups
        )
        return y if self.bias is None else y + self.bias[:, None, None]


class ConvTranspose2d(Module):
    """Its adjoint, for windows that do not overlap."""

    def __init__(self, before: int, after: int, k: int, stride: int) -> None:
        self.stride, self.weight, self.bias = stride, jnp.zeros((before, after, k, k)), jnp.zeros(after)

    def forward(self, x: Any) -> Any:
        """The output."""
        n, _, h, w = x.shape
        k = self.stride
        y = jnp.einsum("nchw,cokl->nohkwl", x, self.weight).reshape(n, -1, h * k, w * k)
        return y + self.bias[:, None, None]


class Linear(Module):
    """A matrix and a shift."""

    def __init__(self, before: int, after: int) -> None:
        self.weight, self.bias = jnp.zeros((after, before)), jnp.zeros(after)

    def forward(self, x: Any) -> Any:
        """The output."""
        return x @ self.weight.T + self.bias


class BatchNorm2d(Module):
    """Normalization over images and pixels. Running statistics are not updated, which spares JAX a little."""

    def __init__(self, channels: int) -> None:
        self.weight, self.bias = jnp.ones(channels), jnp.zeros(channels)

    def forward(self, x: Any) -> Any:
        """The output."""
        scale, shift = self.weight[:, None, None], self.bias[:, None, None]
        if not self.training:
            return x * (scale / math.sqrt(1 + EPS)) + shift
        mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        return (x - mean) * (lax.rsqrt(var + EPS) * scale) + shift


class LayerNorm(Module):
    """Normalization over the last axis."""

    def __init__(self, width: int) -> None:
        self.weight, self.bias = jnp.ones(width), jnp.zeros(width)

    def forward(self, x: Any) -> Any:
        """The output."""
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * lax.rsqrt(var + EPS) * self.weight + self.bias


def _attend(q: Any, k: Any, v: Any) -> Any:
    return jax.nn.softmax(q @ k.swapaxes(2, 3) / math.sqrt(q.shape[-1])) @ v


library = SimpleNamespace(
    nn=SimpleNamespace(**{name: kind for name, kind in globals().items() if name[0].isupper()}),
    cat=lambda arrays: jnp.concatenate(arrays, 1),
    attend=_attend,
    split=lambda x, parts: jnp.split(x, parts, -1),
)
"""What `networks.py` builds from."""
