"""Prepared tasks that run one after another share the buffers in which they turn filters and sum terms."""

from __future__ import annotations

import threading

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.core.backward import pull_back
from tinygrad_cnn.kernels.parallel.workspace import LARGE, Pool, buffer

from ..graphs import node_of


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


def test_large_buffers_are_where_the_arena_has_no_values():
    pool, u8 = Pool(), np.dtype(np.uint8)
    with pool.lends():
        before = buffer((2 * LARGE,), u8)
    arena = pool.arena(8 * LARGE)
    assert pool.outgrown == before.nbytes
    assert pool.arena(LARGE) is arena
    with pool.lends(lambda: [(0, LARGE), (2 * LARGE, 5 * LARGE), (6 * LARGE, 8 * LARGE)]):
        a, b, c, d = (buffer((n,), u8) for n in (LARGE + 1, LARGE - 65, LARGE, 9 * LARGE))
    for x, at in ((a, 6 * LARGE), (c, 0)):
        assert x.ctypes.data == arena.ctypes.data + at, at
    assert not any(np.shares_memory(arena, x) for x in (b, d))  # small, and too large
    with pool.lends():
        e, f = (buffer((n,), u8) for n in (LARGE + 1, 6 * LARGE))
    assert e.ctypes.data == arena.ctypes.data
    assert np.shares_memory(arena, f)
    assert not np.shares_memory(e, f)
    assert pool.nbytes == arena.nbytes + b.nbytes + d.nbytes


def test_an_op_during_a_walk_leaves_its_values_alone():
    """It is the next op of the record, whose task has its scratch where the values of the walk are."""

    def stepping():
        rng = np.random.default_rng(0)
        x, w, v = (
            tg.Tensor(rng.normal(0, 0.1, s).astype(np.float32), requires_grad=True)
            for s in ((8, 64, 16, 16), (64, 64, 3, 3), (64, 64, 3, 3))
        )
        large = tg.Tensor(rng.normal(size=(640, 64, 3, 3)).astype(np.float32))

        def step():
            loss = (tg.conv2d(tg.conv2d(x, w, padding=1).relu(), v, padding=1) ** 2).mean()
            outputs = []

            def finished(*_):
                with tg.no_grad():
                    outputs.append(tg.conv2d(x, large, padding=1))

            found = pull_back([(node_of(loss), np.float32(1))], None, retain=False, create=False, finished=finished)
            with tg.no_grad():
                outputs.append(tg.conv2d(x, large, padding=1))
            arrays = [*(found[node_of(leaf)] for leaf in (x, w, v)), *outputs]
            return [np.array(a.numpy() if isinstance(a, tg.Tensor) else a) for a in arrays]

        return step

    eager, compiled = stepping(), tg.compile(stepping())
    for _ in range(7):
        for a, b in zip(eager(), compiled(), strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_a_small_result_stays_when_memory_grows():
    """What is kept of a call stays, also if in this call steps are to be prepared again."""
    w = tg.Tensor(np.ones((64, 64, 3, 3), np.float32), requires_grad=True)

    def step(x, kept):
        loss = (tg.conv2d(x * 2, w, padding=1).relu() ** 2).mean()
        w.grad = None
        loss.backward()
        if kept is not None:
            kept.append((loss, loss.item()))

    for first in range(6):  # the memory grows in one of these calls
        compiled, kept = tg.compile(step), []
        for i in range(8):
            compiled(np.full((16, 64, 16, 16), i, np.float32), kept if i >= first else None)
        assert [loss.item() for loss, _ in kept] == [value for _, value in kept]
