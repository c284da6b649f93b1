"""HIPS autograd: `value_and_grad` over NumPy code. It has no fast convolution, so ours here is one GEMM per kernel element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from ..problems import Array, Problem
from .updates import Update, adam, descent


def notebook(p: Problem) -> Callable[[], float]:
    """Gradient descent. The columns of the first layer hold data only, so plain NumPy makes them."""

    def loss(w: list[Any], x: Array) -> Any:
        z = anp.dot(w[0].reshape(4, 9), _columns(x, 2, 1)).reshape(4, len(x), 256) + w[1].reshape(4, 1, 1)
        hidden = anp.maximum(anp.swapaxes(z, 0, 1), 0).reshape(len(x), 1024)
        error = anp.dot(anp.dot(hidden, w[2]) + w[3], w[4]) + w[5] - p.target
        return anp.mean(error * error)

    return _train(loss, [descent] * 6, p)


def mnist(p: Problem) -> Callable[[], float]:
    """Dropout and Adam; images lie channels last, where each GEMM has contiguous operands."""
    rng = np.random.default_rng(0)
    n = len(p.x)
    rows = np.arange(n)

    def dropped(x: Any, rate: float) -> Any:
        keep = rng.random(x.shape, np.float32) >= rate
        return x * (keep * np.float32(1 / (1 - rate))) if p.dropout else x

    def loss(w: list[Any], x: Array) -> Any:
        h = anp.dot(_columns(x, 1, 0).T, w[0].reshape(32, 9).T).reshape(n, 26, 26, 32)
        h = anp.maximum(h + w[1], 0)
        h = sum(anp.dot(h[:, i : i + 24, j : j + 24], w[2][:, :, i, j].T) for i in range(3) for j in range(3))
        h = anp.maximum(h + w[3], 0)
        h = anp.max(h.reshape(n, 12, 2, 12, 2, 64), axis=(2, 4))
        h = dropped(anp.transpose(h, (0, 3, 1, 2)).reshape(n, 9216), 0.25)
        h = dropped(anp.maximum(anp.dot(h, w[4].T) + w[5], 0), 0.5)
        scores = anp.dot(h, w[6].T) + w[7]
        scores = scores - np.max(getattr(scores, "_value", scores), axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(scores), axis=1)) - scores[rows, p.target])

    return _train(loss, [adam(a) for a in p.weights], p)


def _columns(x: Array, stride: int, padding: int) -> Array:
    """(9, N oh ow): 3 x 3 windows of images of one channel."""
    x = np.pad(x[:, 0], ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
    return windows.transpose(3, 4, 0, 1, 2).reshape(9, -1)


def _train(loss: Callable[..., Any], updates: list[Update], p: Problem) -> Callable[[], float]:
    weights = [a.copy() for a in p.weights]
    both = value_and_grad(loss)

    def call() -> float:
        value, gradients = both(weights, p.x)
        for update, w, g in zip(updates, weights, gradients, strict=True):
            update(w, g)
        return float(value)

    return call
