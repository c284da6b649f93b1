"""Prepared tasks that run one after another share the buffers in which they turn filters and sum terms."""

from __future__ import annotations

import threading

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.kernels.parallel.workspace import Pool, buffer


def test_what_is_prepared_together_has_buffers_of_its_own():
    pool = Pool()
    with pool.lends():
        a, b = buffer((3, 4), np.dtype(np.float32)), buffer((2,), np.dtype(np.float64))
        a.fill(1)
        b.fill(2)
    with pool.lends():
        c, d, e = (buffer((n,), np.dtype(np.int8)) for n in (48, 17, 3))
    assert (a == 1).all()
    assert (b == 2).all()
    assert np.shares_memory(a, c)
    assert not np.shares_memory(b, d)  # it needs more
    assert not any(np.shares_memory(e, x) for x in (a, b, c, d))
    assert pool.nbytes == 48 + 17 + 3


def test_only_this_thread_and_only_meanwhile():
    pool, found = Pool(), []
    with pool.lends():
        thread = threading.Thread(target=lambda: found.append(buffer((3,), np.dtype(np.int8))))
        thread.start()
        thread.join()
    buffer((3,), np.dtype(np.int8))
    assert not pool.nbytes


def convolutions(channels=64, layers=4):
    """A step of convolutions whose filters are turned, and its parameters."""
    rng = np.random.default_rng(0)
    w = [
        tg.Tensor(rng.normal(0, 0.05, (channels, channels if i else 3, 3, 3)).astype(np.float32), requires_grad=True)
        for i in range(layers)
    ]
    optimizer = tg.optim.SGD(w, lr=0.01, momentum=0.9)

    def step(x):
        h = x
        for kernel in w:
            h = tg.conv2d(h, kernel, padding=1).relu()
        loss = (h * h).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, w


def test_layers_share_buffers_and_leave_the_bits_of_eager():
    (eager, left), (replayed, right) = convolutions(), convolutions()
    compiled = tg.compile(replayed)
    rng = np.random.default_rng(1)
    for _ in range(7):
        x = rng.normal(size=(4, 3, 16, 16)).astype(np.float32)
        assert compiled(x) == eager(tg.Tensor(x))
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)


def test_forward_layers_share_one_buffer():
    rng = np.random.default_rng(0)
    x = tg.Tensor(rng.normal(size=(4, 64, 16, 16)).astype(np.float32))
    w = tg.Tensor(rng.normal(0, 0.05, (64, 64, 3, 3)).astype(np.float32))

    def layers(n):
        def run():
            h = x
            for _ in range(n):
                h = tg.conv2d(h, w, padding=1)
            return h.numpy().copy()

        return run

    for n in (1, 5):
        compiled = tg.compile(layers(n))
        for _ in range(5):
            np.testing.assert_array_equal(compiled(), layers(n)(), strict=True)
        assert compiled.course.pool.nbytes == w.numpy().nbytes, n
