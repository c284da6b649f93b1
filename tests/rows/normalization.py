"""Rows for ops/normalization.py and ops/dropout.py, against loops over what is normalized together."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn import functional as fn
from tinygrad_cnn.ops import dropout
from tinygrad_cnn.testing.cases import Arg, Case

IMAGES = Arg((2, 4, 2, 1))
PER_CHANNEL = Arg((4,))
POSITIVE = Arg((4,), low=0.5)
EPS = 0.25


def by_cells(cells: Callable[[Any], Any], x: NDArray[Any], eps: float, centre: bool = True) -> NDArray[Any]:
    """Every cell, a set of places that are normalized together, on its own."""
    names = cells(np.indices(x.shape))
    y = np.empty_like(x)
    for name in np.unique(names):
        cell = names == name
        v = x[cell] - centre * x[cell].mean()
        y[cell] = v / np.sqrt((v**2).mean() + eps)
    return y


def channelwise(y: NDArray[Any], w: Any = 1.0, b: Any = 0.0) -> NDArray[Any]:
    """Scale and shift of each channel."""
    return np.moveaxis(np.moveaxis(y, 1, -1) * w + b, -1, 1)


def running(x: NDArray[Any], m: Any, v: Any, w: Any = 1.0, b: Any = 0.0) -> NDArray[Any]:
    """With the statistics given."""
    return channelwise(channelwise(x, 1.0, -m) / np.sqrt(channelwise(np.ones_like(x), v) + EPS), w, b)


def local(x: NDArray[Any], size: int, alpha: float, beta: float, k: float) -> NDArray[Any]:
    """Local response normalization, channel by channel."""
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        window = x[:, max(0, c - size // 2) : c - size // 2 + size]
        y[:, c] = x[:, c] / (k + alpha / size * (window**2).sum(1)) ** beta
    return y


def self_normal(x: NDArray[Any], p: float, training: bool, rng: int, spatial: int = 0) -> NDArray[Any]:
    """Dropped elements at what SELU approaches, and then the mean 0 and the variance 1 of a standard normal x."""
    least = -1.0507009873554805 * 1.6732632423543772
    y = np.where(kept(x, p, spatial, rng) > 0, x, least)
    return (y - p * least) / np.sqrt((1 - p) * (1 + p * least**2))


def kept(x: NDArray[Any], p: float, spatial: int, rng: int) -> NDArray[Any]:
    """The mask for a seed, of a probability in 256ths."""
    shape = x.shape[: x.ndim - spatial] + (1,) * spatial
    size = math.prod(shape)
    words = np.random.default_rng(rng).integers(0, 2**64 - 1, -(-size // 8), np.uint64, endpoint=True)
    drawn = [word >> shift & 255 for word in words.tolist() for shift in range(0, 64, 8)]
    return (np.reshape(drawn[:size], shape) >= 256 * p) / (1 - p)


CASES = [
    Case(
        fn.batch_norm,
        (IMAGES,),
        lambda x, **_: by_cells(lambda at: at[1], x, EPS),
        {"running_mean": None, "running_var": None, "training": True, "eps": EPS},
        order=2,
    ),
    Case(
        lambda x, w, b: fn.batch_norm(x, None, None, w, b, training=True, eps=EPS),
        (Arg((3, 4)), PER_CHANNEL, PER_CHANNEL),
        lambda x, w, b: channelwise(by_cells(lambda at: at[1], x, EPS), w, b),
    ),
    Case(
        lambda x, m, v, w, b: fn.batch_norm(x, m, v, w, b, eps=EPS),
        (IMAGES, PER_CHANNEL, POSITIVE, PER_CHANNEL, PER_CHANNEL),
        running,
        order=2,
    ),
    Case(
        fn.instance_norm,
        (IMAGES,),
        lambda x, eps: by_cells(lambda at: 4 * at[0] + at[1], x, eps),
        {"eps": EPS},
        order=2,
    ),
    Case(
        lambda x, m, v: fn.instance_norm(x, m, v, use_input_stats=False, eps=EPS),
        (IMAGES, PER_CHANNEL, POSITIVE),
        running,
        order=2,
    ),
    Case(
        fn.group_norm,
        (IMAGES,),
        lambda x, num_groups, eps: by_cells(lambda at: 4 * at[0] + at[1] // 2, x, eps),
        {"num_groups": 2, "eps": EPS},
        order=2,
    ),
    Case(
        lambda x, w: fn.group_norm(x, 1, w, eps=EPS),
        (Arg((2, 4)), PER_CHANNEL),
        lambda x, w: channelwise(by_cells(lambda at: at[0], x, EPS), w),
    ),
    Case(
        fn.layer_norm,
        (Arg((2, 3, 3)),),
        lambda x, normalized_shape, eps: by_cells(lambda at: at[0], x, eps),
        {"normalized_shape": (3, 3), "eps": EPS},
        order=2,
    ),
    Case(
        lambda x, w, b: fn.layer_norm(x, 3, w, b, eps=EPS),
        (Arg((2, 3)), Arg((3,)), Arg((3,))),
        lambda x, w, b: by_cells(lambda at: at[0], x, EPS) * w + b,
    ),
    Case(
        fn.rms_norm,
        (Arg((2, 3, 2)),),
        lambda x, normalized_shape, eps: by_cells(lambda at: 3 * at[0] + at[1], x, eps, centre=False),
        {"normalized_shape": 2, "eps": EPS},
        order=2,
    ),
    *(
        Case(fn.local_response_norm, (IMAGES,), local, {"size": size, "alpha": 0.5, "beta": 0.75, "k": 1.5}, order=2)
        for size in (2, 3)
    ),
    Case(
        fn.normalize,
        (Arg((2, 3), low=0.5),),
        lambda x, axis=1: x / np.sqrt((np.abs(x) ** 2).sum(axis, keepdims=True)),
    ),
    Case(
        fn.normalize,
        (Arg((2, 3), low=0.5),),
        lambda x, p, axis: x / np.abs(x).sum(axis, keepdims=True),
        {"p": 1, "axis": (0, 1)},
    ),
    Case(dropout.keep_mask, (IMAGES,), kept, {"p": 0.25, "spatial": 2, "rng": 3}, order=0),
    Case(fn.dropout, (IMAGES,), lambda x, p, rng: x * kept(x, p, 0, rng), {"p": 0.5, "rng": 1}, order=2),
    Case(fn.dropout2d, (IMAGES,), lambda x, p, rng: x * kept(x, p, 2, rng), {"p": 0.5, "rng": 2}, order=2),
    Case(fn.alpha_dropout, (IMAGES,), self_normal, {"p": 0.5, "training": True, "rng": 1}, order=2),
    Case(
        fn.feature_alpha_dropout,
        (IMAGES,),
        partial(self_normal, spatial=2),
        {"p": 0.25, "training": True, "rng": 2},
        order=2,
    ),
    Case(fn.dropout1d, (Arg((2, 4, 3)),), lambda x, p, rng: x * kept(x, p, 1, rng), {"p": 0.5, "rng": 2}, order=2),
    Case(fn.dropout3d, (Arg((4, 2, 1, 3)),), lambda x, p, rng: x * kept(x, p, 3, rng), {"p": 0.5, "rng": 2}, order=2),
]
