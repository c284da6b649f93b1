"""assert_no_leak notices what outlives a call, and nothing else."""

from __future__ import annotations

import gc
import tracemalloc
import types
from contextlib import suppress

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_no_leak


def network(x, w):
    return tg.conv2d(x, w, padding=1).relu().sum()


def test_forward_backward_and_higher_orders_leave_nothing_behind():
    x = tg.ones(2, 3, 4, 4, requires_grad=True)
    w = tg.ones(5, 3, 3, 3, requires_grad=True)
    assert_no_leak(lambda: network(x, w))
    assert_no_leak(lambda: network(x, w).backward())

    def second():
        (g,) = tg.gradients(network(x * x, w), x, create_graph=True)
        return tg.gradients((g * g).sum(), [x, w])

    assert_no_leak(second)


def test_what_is_kept_is_noticed():
    x = tg.ones(3, requires_grad=True)
    kept = []
    for leaky, text in [
        (lambda: kept.append(x * 2.0), "1 more Node than before; 1 more Tensor than before"),
        (lambda: kept.append((x * 2.0).numpy()), "more bytes of arrays made at "),
        (lambda: kept.append(np.ones(1000)), f"8000 more bytes of arrays made at {np.ones.__code__.co_filename}"),
        (lambda: kept.append(tg.ones(2, requires_grad=True)), "1 more Leaf than before"),
    ]:
        with pytest.raises(AssertionError, match="assert_no_leak: after the call there are") as caught:
            assert_no_leak(leaky)
        assert text in str(caught.value)


def test_a_cycle_is_a_leak_although_the_collector_would_free_it():
    def cycle():
        loop = [tg.ones(3, requires_grad=True) * 2.0]
        loop.append(loop)

    def f():
        cycle()
        return [[] for _ in range(10_000)]  # enough to wake the collector, were it not off

    with pytest.raises(AssertionError, match="1 more Node"):
        assert_no_leak(f)


def test_the_first_calls_may_fill_caches():
    cache = {}

    def cached():
        return cache.setdefault("table", np.ones(100)) * 2.0

    assert_no_leak(cached)
    cache.clear()
    with pytest.raises(AssertionError, match="800 more bytes"):
        assert_no_leak(cached, warmup=0)
    with pytest.raises(ValueError, match="`warmup` is -1; it must be at least 0"):
        assert_no_leak(cached, warmup=-1)


def test_objects_of_others_are_left_alone():
    """A lazy module or a proxy runs code, and may import a package, when any attribute of it is asked for."""
    touched = []

    class Lazy:
        def __getattribute__(self, name):
            touched.append(name)
            raise ImportError(name)

    class LazyModule(types.ModuleType):
        def __getattribute__(self, name):
            touched.append(name)
            return super().__getattribute__(name)

    lazy = [Lazy(), LazyModule("lazy")]
    touched.clear()
    assert_no_leak(lambda: None)
    assert not touched
    assert len(lazy) == 2


def test_collector_and_tracing_are_as_before():
    def fail():
        raise KeyError

    for f in (lambda: None, fail):
        assert gc.isenabled()
        with suppress(KeyError):
            assert_no_leak(f)
        assert gc.isenabled()
        assert not tracemalloc.is_tracing()
    gc.disable()
    try:
        assert_no_leak(lambda: None)
        assert not gc.isenabled()
    finally:
        gc.enable()
