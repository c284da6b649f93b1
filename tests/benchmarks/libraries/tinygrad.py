"""tinygrad: the whole step in one `TinyJit`, on the processor (its compiler needs clang)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn.optim import SGD, Adam

from ..problems import Problem


def notebook(p: Problem) -> Callable[[], float]:
    """Gradient descent."""
    w = [Tensor(a) for a in p.weights]

    def loss(x: Tensor, target: Tensor) -> Tensor:
        hidden = x.conv2d(w[0], w[1], stride=2, padding=1).relu().reshape(x.shape[0], 1024)
        return (((hidden @ w[2] + w[3]) @ w[4] + w[5] - target) ** 2).mean()

    return _train(loss, SGD(w, lr=1e-4), p)


def mnist(p: Problem) -> Callable[[], float]:
    """Dropout and Adam."""
    w = [Tensor(a) for a in p.weights]

    def loss(x: Tensor, target: Tensor) -> Tensor:
        h = x.conv2d(w[0], w[1]).relu().conv2d(w[2], w[3]).relu().max_pool2d((2, 2))
        h = h.dropout(0.25 * p.dropout).reshape(x.shape[0], 9216)
        h = (h @ w[4].T + w[5]).relu().dropout(0.5 * p.dropout)
        return (h @ w[6].T + w[7]).sparse_categorical_crossentropy(target)

    return _train(loss, Adam(w, lr=1e-3), p)


def _train(loss: Callable[..., Tensor], optimizer: Any, p: Problem) -> Callable[[], float]:
    @TinyJit
    @Context(TRAINING=1)
    def step(x: Tensor, target: Tensor) -> Tensor:
        value = loss(x, target)
        optimizer.zero_grad()
        value.backward()
        return value.realize(*optimizer.schedule_step())

    x, target = Tensor(p.x).realize(), Tensor(p.target).realize()
    return lambda: float(step(x, target).item())
