"""MyGrad: its own layers, with its checks of memory turned off, as its manual advises for speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from ..problems import Array, Problem
from .updates import Update, adam, descent


def notebook(p: Problem) -> Callable[[], float]:
    """Gradient descent. The padding is ours: `conv_nd` refuses a stride that leaves a column over."""

    def loss(w: list[Any]) -> Any:
        x = np.pad(p.x, ((0, 0), (0, 0), (1, 0), (1, 0)))
        z = conv_nd(x, w[0], stride=2) + w[1].reshape(1, 4, 1, 1)
        hidden = relu(z).reshape(len(p.x), 1024)
        error = (hidden @ w[2] + w[3]) @ w[4] + w[5] - p.target
        return mg.mean(error * error)

    return _train(loss, [descent] * 6, p)


def mnist(p: Problem) -> Callable[[], float]:
    """Dropout and Adam."""
    rng = np.random.default_rng(0)

    def dropped(x: Any, rate: float) -> Any:
        return x * ((rng.random(x.shape, np.float32) >= rate) * np.float32(1 / (1 - rate))) if p.dropout else x

    def loss(w: list[Any]) -> Any:
        h = relu(conv_nd(p.x, w[0], stride=1) + w[1].reshape(1, 32, 1, 1))
        h = relu(conv_nd(h, w[2], stride=1) + w[3].reshape(1, 64, 1, 1))
        h = dropped(max_pool(h, (2, 2), 2), 0.25).reshape(len(p.x), 9216)
        h = dropped(relu(h @ w[4].T + w[5]), 0.5)
        return softmax_crossentropy(h @ w[6].T + w[7], p.target)

    return _train(loss, [adam(a) for a in p.weights], p)


def _train(loss: Callable[..., Any], updates: list[Update], p: Problem) -> Callable[[], float]:
    mg.turn_memory_guarding_off()
    weights: list[Array] = [a.copy() for a in p.weights]

    def call() -> float:
        leaves = [mg.tensor(w, copy=False) for w in weights]
        value = loss(leaves)
        value.backward()
        for update, w, leaf in zip(updates, weights, leaves, strict=True):
            update(w, leaf.grad)
        return float(value)

    return call
