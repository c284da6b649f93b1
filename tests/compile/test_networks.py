"""Whole networks, compiled and plain, in several steps of training on batches in turns: the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn


def network(activation):
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), activation, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )


def trained(seed, activation, wrap):
    """The loss and the gradients of each of eight steps."""
    rng = np.random.default_rng(seed)
    model = network(activation)
    for p in model.parameters():
        p.copy_(rng.standard_normal(p.shape, np.float32) / 4)
    x, labels = rng.standard_normal((12, 2, 6, 6), np.float32), rng.integers(0, 3, 12)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.01)

    def step(x, labels):
        loss = tg.cross_entropy(model(x), labels)
        model.zero_grad()
        loss.backward()
        return loss

    step = wrap(step)
    found = []
    for k in range(8):
        part = slice(0, 6) if k % 2 else slice(6, 12)
        loss = step(tg.Tensor(x[part]), labels[part])
        found += [loss.numpy().copy(), *(p.grad.numpy().copy() for p in model.parameters())]
        optimizer.step()
    return found


@pytest.mark.parametrize("activation", [nn.GELU(), nn.ReLU(), nn.SiLU(), nn.Sigmoid()], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threads", [1, 2])
def test_a_training_has_the_same_bits(seed, activation, threads):
    before = tg.get_num_threads()
    tg.set_num_threads(threads)
    try:
        plain, compiled = (trained(seed, activation, wrap) for wrap in (lambda f: f, tg.compile))
    finally:
        tg.set_num_threads(before)
    for a, b in zip(plain, compiled, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
