"""What is measured: for each row a name and the same arithmetic in tinygrad_cnn and in PyTorch, float32 unless said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tinygrad_cnn as tg

Row = tuple[str, int | None, Callable[[], Any], Callable[[Any], Callable[[], Any]]]
"""Name, PyTorch's threads (None: as many as there are), our call, and the function torch -> its call."""


def rows() -> Iterator[Row]:
    """Every row, made when its turn comes, so that only one is in memory."""
    yield chain(1000)
    for x, w, padding, groups in CONVOLUTIONS:
        yield convolution(x, w, padding, groups)
    yield notebook(2)
    yield notebook(64)


def chain(length: int) -> Row:
    """Recording and walking `length` multiplications of 8x8 float64, which is next to no arithmetic."""
    ones = np.ones((8, 8))
    x, w = tg.Tensor(ones, requires_grad=True), tg.Tensor(ones)

    def ours() -> None:
        y = x
        for _ in range(length):
            y = y * w
        y.backward(ones)

    def theirs(torch: Any) -> Callable[[], None]:
        x, w = torch.tensor(ones, requires_grad=True), torch.tensor(ones)

        def call() -> None:
            y = x
            for _ in range(length):
                y = y * w
            y.backward(w)

        return call

    return f"{length} multiplications of 8x8, forward and backward", 1, ours, theirs


CONVOLUTIONS = [
    ((64, 1, 28, 28), (32, 1, 5, 5), 2, 1),
    ((64, 32, 14, 14), (64, 32, 5, 5), 2, 1),
    ((32, 64, 32, 32), (64, 64, 3, 3), 1, 1),
    ((16, 128, 16, 16), (128, 128, 3, 3), 1, 1),
    ((64, 32, 26, 26), (64, 32, 3, 3), 0, 1),
    ((64, 3, 32, 32), (32, 3, 3, 3), 1, 1),
    ((32, 64, 32, 32), (64, 1, 3, 3), 1, 64),
]


def convolution(x_shape: tuple[int, ...], w_shape: tuple[int, ...], padding: int, groups: int) -> Row:
    """A convolution with bias, forward and all gradients."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in (x_shape, w_shape, w_shape[:1]))
    leaves = [tg.Tensor(a, requires_grad=True) for a in (x, w, b)]
    u = rng.standard_normal(tg.conv2d(*leaves, padding=padding, groups=groups).shape).astype(np.float32)

    def ours() -> None:
        tg.gradients(tg.conv2d(*leaves, padding=padding, groups=groups), leaves, u)

    def theirs(torch: Any) -> Callable[[], None]:
        leaves = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
        cotangent = torch.tensor(u)

        def call() -> None:
            y = torch.nn.functional.conv2d(*leaves, padding=padding, groups=groups)
            torch.autograd.grad(y, leaves, cotangent)

        return call

    return f"conv2d {x_shape} with {w_shape}, padding {padding}, forward and backward", None, ours, theirs


def notebook(images: int) -> Row:
    """A step of gradient descent of the notebook's network, loss read back."""
    rng = np.random.default_rng(0)
    shapes = [(4, 1, 3, 3), (4,), (1024, 10), (10,), (10, 1), (1,)]
    start = [(rng.standard_normal(s) / np.sqrt(max(s[0], 9))).astype(np.float32) for s in shapes]
    x = rng.standard_normal((images, 1, 32, 32)).astype(np.float32)
    target = rng.standard_normal((images, 1)).astype(np.float32)
    w = [tg.Tensor(a, requires_grad=True) for a in start]
    optimizer = tg.optim.SGD(w, lr=1e-4)

    def ours() -> float:
        hidden = tg.conv2d(x, w[0], w[1], stride=2, padding=1).relu().reshape(images, 1024)
        loss = tg.mse((hidden @ w[2] + w[3]) @ w[4] + w[5], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    def theirs(torch: Any) -> Callable[[], float]:
        w = [torch.tensor(a, requires_grad=True) for a in start]
        optimizer = torch.optim.SGD(w, lr=1e-4)
        inputs, targets = torch.tensor(x), torch.tensor(target)

        def call() -> float:
            hidden = torch.nn.functional.conv2d(inputs, w[0], w[1], stride=2, padding=1).relu().reshape(images, 1024)
            loss = torch.nn.functional.mse_loss((hidden @ w[2] + w[3]) @ w[4] + w[5], targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return call

    return f"a training step of the notebook's network, {images} images", 1, ours, theirs
