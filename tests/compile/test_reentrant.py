"""What comes in between: a signal handler, a finalizer, a callback of a weak reference or a profiler that calls the same
ops, the compiled function itself, or a backward pass, at any moment of a compiled call."""

from __future__ import annotations

import gc
import signal
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg

PERIOD = 2e-4


def small(rng):
    w, v = (tg.Tensor(rng.normal(size=s), requires_grad=True) for s in ((4, 3), (3, 2)))
    return [w, v], lambda x: tg.log_softmax(tg.tanh(x @ w) @ v, axis=1).sum(), (5, 4)


def images(rng):
    w, v = (tg.Tensor(rng.normal(size=s).astype(np.float32), requires_grad=True) for s in ((4, 1, 3, 3), (8, 4, 3, 3)))

    def f(x):
        h = tg.gelu(tg.conv2d(tg.conv2d(x, w, padding=1).relu(), v, stride=2))
        return tg.square(tg.max_pool2d(h, 2)).mean()

    return [w, v], f, (2, 1, 12, 12)


def channels(rng):
    shapes = (64, 64, 3, 3), (64,), (64,)
    w, a, b = (tg.Tensor(rng.normal(0, 0.1, s).astype(np.float32), requires_grad=True) for s in shapes)

    def f(x):
        h = tg.batch_norm(tg.conv2d(x, w, padding=1), None, None, a, b, training=True)
        return tg.softmax(tg.silu(h).mean(axis=(2, 3)), axis=1).max(axis=1).sum()

    return [w, a, b], f, (2, 64, 5, 5)


NETWORKS: dict[str, Callable[..., Any]] = {"small": small, "images": images, "channels": channels}


@contextmanager
def by_signals(call: Callable[[], object]) -> Iterator[None]:
    """A handler, PERIOD seconds after it has ended."""

    def handle(*_):
        call()
        signal.setitimer(signal.ITIMER_REAL, PERIOD)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, PERIOD)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def by_profiles(call: Callable[[], object]) -> Iterator[None]:
    """A profiler, at every 61st event."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += 1
        if count % 61 == 0:
            sys.setprofile(None)
            call()
            sys.setprofile(profile)

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)


class Cycle:
    """Only the garbage collector frees it."""

    def __init__(self, call):
        self.own, self.call = self, call


class Finalized(Cycle):
    def __del__(self):
        self.call()


def apart(call: Callable[[], object]) -> object:
    """The call in a copy of the context: CPython 3.11 crashes where the collector runs within ``ContextVar.set`` and what it
    frees sets a variable of the same context."""
    return copy_context().run(call)


@contextmanager
def by_collections(make: Callable[[], object]) -> Iterator[None]:
    """The garbage collector runs often, and each time what `make` has made is freed."""
    before = gc.get_threshold()

    def again(phase, info):
        if phase == "stop":
            make()

    gc.callbacks.append(again)
    gc.set_threshold(11, 2, 2)
    make()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(again)


@contextmanager
def by_finalizers(call: Callable[[], object]) -> Iterator[None]:
    """Finalizers of objects in cycles."""
    with by_collections(lambda: Finalized(lambda: apart(call))):
        yield


@contextmanager
def by_weak_references(call: Callable[[], object]) -> Iterator[None]:
    """Callbacks of weak references to objects in cycles."""
    kept = []

    def make():
        kept[:] = [*kept[-3:], weakref.ref(Cycle(None), lambda _: apart(call))]

    with by_collections(make):
        yield


WAYS = {"signals": by_signals, "profiles": by_profiles, "finalizers": by_finalizers, "references": by_weak_references}


def interfered(network: str, way: str, calls: int, seed: int = 0) -> tuple[int, int, int]:
    """The wrong steps of `calls`, the wrong calls that came in between, and the number of the latter."""
    rng = np.random.default_rng(seed)
    leaves, f, shape = NETWORKS[network](rng)
    others, g, _ = NETWORKS[network](rng)

    def step(x):
        loss = f(x)
        return [loss.item(), *[r.numpy().tobytes() for r in tg.gradients(loss, leaves)]]

    def between(x):
        loss = g(x)
        return [loss.item(), *[r.numpy().tobytes() for r in tg.gradients(loss, others)]]

    dtype = leaves[0].dtype
    xs = [tg.Tensor(rng.normal(size=shape).astype(dtype)) for _ in range(4)]
    expected, expected_between = [step(x) for x in xs], [between(x) for x in xs]
    compiled, count, wrong = tg.compile(step), 0, 0
    compiled(xs[0])  # the next call is recorded, and the one after it prepared

    def call():
        nonlocal count, wrong
        i = count % 4
        count += 1
        if count % 3:
            wrong += between(xs[i]) != expected_between[i]
        else:
            wrong += compiled(xs[i]) != expected[i]
        wrong += not tg.is_grad_enabled()

    with WAYS[way](call):
        found = [compiled(xs[n % 4]) for n in range(calls)]
    return sum(y != expected[n % 4] for n, y in enumerate(found)), wrong, count


@pytest.mark.skipif(sys.platform in ("win32", "emscripten"), reason="no timers")
@pytest.mark.part(6)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("network", NETWORKS)
def test_what_comes_in_between_changes_nothing(network, way):
    steps, between, count = interfered(network, way, 16)
    assert count
    assert steps == between == 0


def test_a_function_that_clears_or_calls_itself_in_a_rule():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)

    @tg.op(elementwise=True)
    def calling(a):
        return a * a

    @tg.compile
    def step(x, depth=0):
        y = calling(w * x) if depth == 0 else tg.square(w * x)
        return tg.gradients(y.sum(), [w])[0]

    def rule(g, a):
        if clears:
            step.clear()
        assert step(tg.Tensor([3.0, 1.0]), depth=1).tolist() == [18.0, 4.0]
        return g * 2 * a

    calling.vjp(a=rule)
    for n in range(12):
        clears = n in (3, 4, 9)
        assert step(tg.Tensor([1.0, float(n)])).tolist() == [2.0, 4.0 * n * n]


def test_a_function_that_clears_itself():
    @tg.compile
    def f(x):
        f.clear()
        return x * 2

    assert [f(np.ones(2)).tolist() for _ in range(3)] == [[2.0, 2.0]] * 3
