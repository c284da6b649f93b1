"""The numbers that a row works on, the same for every library: initial weights, a batch, and what to compare it with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """What a library's function is given. `options` are the arguments of the one op that a row may be about."""

    weights: list[Array]
    x: Array
    target: Array
    dropout: bool = True
    options: dict[str, int] = field(default_factory=dict)
    network: str = ""
    """The name of a function in `networks.py`, which also draws the weights."""


def chain(length: int) -> Problem:
    """`length` multiplications of 8 x 8 float64: next to no arithmetic, so what is left is recording and walking."""
    ones = np.ones((8, 8))
    return Problem([ones], ones, ones, options={"length": length})


def convolution(
    x: tuple[int, ...], w: tuple[int, ...], padding: int, groups: int = 1, stride: int = 1, last: bool = False
) -> Problem:
    """A convolution with bias; `target` is the gradient that arrives at its output. The channels may come last in memory."""
    rng = np.random.default_rng(0)
    size = (x[2] + 2 * padding - w[2]) // stride + 1
    y = (x[0], w[0], size, size)
    options = {"padding": padding, "groups": groups, "stride": stride}
    weights = [_normal(rng, w), _normal(rng, w[:1])]
    return Problem(weights, _images(rng, x, last), _images(rng, y, last), options=options)


def pooling(x: tuple[int, ...], last: bool = False) -> Problem:
    """The largest elements of tiles of 2 x 2; `target` is the gradient that arrives."""
    rng = np.random.default_rng(0)
    return Problem([], _images(rng, x, last), _images(rng, (*x[:2], x[2] // 2, x[3] // 2), last))


def function(x: tuple[int, ...], *weights: tuple[int, ...], labels: int = 0) -> Problem:
    """A function of x and of weights; `target` is the gradient that arrives at its value, or so many kinds of labels."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, labels, x[0]) if labels else _normal(rng, x)
    return Problem([_normal(rng, w) for w in weights], _normal(rng, x), target)


def embedding(words: int, rows: int, features: int) -> Problem:
    """`rows` words looked up in a table of features; `target` is the gradient that arrives."""
    rng = np.random.default_rng(0)
    return Problem([_normal(rng, (words, features))], rng.integers(0, words, rows), _normal(rng, (rows, features)))


def notebook(images: int) -> Problem:
    """The notebook's network: a convolution of 4 filters with stride 2, relu, and two matrices, 1024 to 10 to 1."""
    rng = np.random.default_rng(0)
    weights = _weights(rng, [(4, 1, 3, 3), (4,), (1024, 10), (10,), (10, 1), (1,)], fan=[9, 9, 1024, 1024, 10, 10])
    return Problem(weights, _normal(rng, (images, 1, 32, 32)), _normal(rng, (images, 1)))


def perceptron(rows: int) -> Problem:
    """A multilayer perceptron of 20, 64, 64 and 3 units, for so many rows with labels; matrices are (out, in)."""
    rng = np.random.default_rng(0)
    weights = _weights(rng, [(64, 20), (64,), (64, 64), (64,), (3, 64), (3,)], fan=[20, 20, 64, 64, 64, 64])
    return Problem(weights, _normal(rng, (rows, 20)), rng.integers(0, 3, rows))


def mnist(images: int) -> Problem:
    """The network of PyTorch's MNIST example, 1,199,882 parameters; matrices are (out, in)."""
    rng = np.random.default_rng(0)
    shapes = [(32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 9216), (128,), (10, 128), (10,)]
    weights = _weights(rng, shapes, fan=[9, 9, 288, 288, 9216, 9216, 128, 128])
    return Problem(weights, _normal(rng, (images, 1, 28, 28)), rng.integers(0, 10, images))


def fused(images: int) -> Problem:
    """:func:`mnist`, for a library that can update all parameters in one call and does not do it by default."""
    return replace(mnist(images), options={"fused": True})


CHANNELS = (16, 16, 32, 64)
"""Of the residual network: its first convolution, then its three stages."""


def residual(images: int, size: int = 32) -> Problem:
    """A residual network of three stages with 16, 32 and 64 channels, one block each, for images of 3 channels.

    The weights are (convolution, scale, shift) for the first layer; for each stage two such triples and, where the
    channels change, a third for the 1 x 1 projection beside them; then the last matrix, (10, 64), and its bias.
    """
    rng = np.random.default_rng(0)
    layers = [(16, 3, 3, 3)]
    for before, after in pairwise(CHANNELS):
        layers += [(after, before, 3, 3), (after, after, 3, 3)]
        if before != after:
            layers.append((after, before, 1, 1))
    weights = []
    for shape in layers:
        weights += _weights(rng, [shape], fan=[int(np.prod(shape[1:]))])
        weights += [np.ones(shape[0], np.float32), np.zeros(shape[0], np.float32)]
    weights += _weights(rng, [(10, 64), (10,)], fan=[64, 64])
    return Problem(weights, _normal(rng, (images, 3, size, size)), rng.integers(0, 10, images))


SIZES = {"lenet": (1, 28, 28), "mlp": (1, 28, 28), "unet": (3, 64, 64)}
"""Of the images of a network, where they are not (3, 32, 32)."""


def network(name: str, images: int, training: bool) -> Problem:
    """A step of gradient descent with momentum, or the scores of a batch. U-Net has a label for each pixel."""
    rng = np.random.default_rng(0)
    size = SIZES.get(name, (3, 32, 32))
    target = rng.integers(0, 2, (images, *size[1:])) if name == "unet" else rng.integers(0, 10, images)
    return Problem([], _normal(rng, (images, *size)), target, options={"training": training}, network=name)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape, np.float32)


def _images(rng: np.random.Generator, shape: tuple[int, ...], last: bool) -> Array:
    """Images (N, C, H, W), maybe with the channels last in memory."""
    x = _normal(rng, shape)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last else x


def _weights(rng: np.random.Generator, shapes: list[tuple[int, ...]], fan: list[int]) -> list[Array]:
    return [_normal(rng, shape) / np.float32(np.sqrt(n)) for shape, n in zip(shapes, fan, strict=True)]
