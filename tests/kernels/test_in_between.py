"""Who comes in between changes nothing: a profiler, and a signal handler, that call the op that they interrupt.

CPython runs signal handlers where it also tells a profiler: where a function begins, or one of C has ended. So a profiler comes
in at chosen ones of these points.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.core import versions
from tinygrad_cnn.testing.cases import Draws

from .test_accelerations import ACCELERATED, users

PACKAGE = str(Path(tg.__file__).parent)

few = settings(
    max_examples=max(1, settings.default.max_examples // 4),
    suppress_health_check=[*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture],
)
"""Each example is interrupted at ten points, and each op has four sets of examples: with one thread and two, with the
kernels' constants and with tiny ones."""


def results(case, arrays, dtype):
    """The value of a row, and the gradients of a weighted sum of it."""
    xs = [tg.Tensor(a.astype(dtype), requires_grad=True) if a.dtype.kind == "f" else a for a in arrays]
    y = case.call(*xs)
    found, floats = (
        [np.array(y.numpy() if isinstance(y, tg.Tensor) else y)],
        [x for x in xs if isinstance(x, tg.Tensor)],
    )
    if case.order and isinstance(y, tg.Tensor) and y.requires_grad:
        weights = np.arange(1, y.size + 1, dtype=y.dtype).reshape(y.shape)
        found += [g.numpy() for g in tg.gradients(y, floats, weights, allow_unused=True) if g is not None]
    return found


class ComesInBetween:
    """Makes a call at some of the points where a handler may run."""

    def __init__(self, call, points):
        self.call, self.points, self.count, self.found = call, points, 0, []

    def __call__(self, frame, event, argument):
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith((PACKAGE, "<")):
            self.count += 1
            if self.count in self.points:
                sys.setprofile(None)
                self.found.append(self.call())
                sys.setprofile(self)

    def during(self, call):
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            return call()
        finally:
            sys.setprofile(before)


def compare(found, expected):
    for y, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(y, right, strict=True)


def check(op, data, dtype):
    case, seed = data.draw(st.sampled_from(users()[op])), data.draw(st.integers(0, 2**32 - 2))
    first, second = (case.draw(Draws(np.random.default_rng(seed + i))) for i in range(2))
    ours, theirs = lambda: results(case, first, dtype), lambda: results(case, second, dtype)
    right, right_of_theirs = ours(), theirs()
    counted = ComesInBetween(None, ())
    compare(counted.during(ours), right)
    points = {*np.random.default_rng(seed).integers(1, counted.count + 1, size=10).tolist()}
    between = ComesInBetween(theirs, points)
    compare(between.during(ours), right)
    assert between.found
    for found in between.found:
        compare(found, right_of_theirs)


@pytest.mark.part(8)
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("op", ACCELERATED, ids=lambda op: op.name)
@few
@given(dtype=st.sampled_from([np.float64, np.float32]), data=st.data())
def test_a_profiler_that_calls_the_op_which_it_interrupts(op, n, sizes, dtype, data):
    tg.set_num_threads(n)
    check(op, data, dtype)


NUMBA = ("convolve", "cumsum", "gelu", "layer_norm", "log_softmax", "max_pool", "silu", "softmax", "softmax_nll")


@pytest.mark.part(3)
@pytest.mark.parametrize("op", [op for op in ACCELERATED if op.name in NUMBA], ids=lambda op: op.name)
@few
@given(data=st.data())
def test_the_same_with_compiled_kernels(op, tiny, numba, data):
    check(op, data, np.float32)


SIGNALS = """
import signal, sys, threading
import numpy as np
import tinygrad_cnn as tg

tg.set_num_threads(int(sys.argv[1]))
rng = np.random.default_rng(0)
draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
labels = rng.integers(0, 10, size=400)
last = lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
CALLS = {
    "gelu": (tg.gelu, lambda: [draw(100, 200)]),
    "silu": (tg.silu, lambda: [draw(100, 200)]),
    "sigmoid": (tg.sigmoid, lambda: [draw(100, 200)]),
    "cube": (lambda x: x**3, lambda: [draw(10, 20)]),
    "log_softmax": (lambda x: tg.log_softmax(x, axis=1), lambda: [draw(400, 10)]),
    "softmax": (lambda x: tg.softmax(x, axis=1), lambda: [draw(60, 400)]),
    "cross_entropy": (lambda x: tg.cross_entropy(x, labels), lambda: [draw(400, 10)]),
    "few columns": (lambda x, w: tg.conv2d(x, w, padding=1), lambda: [draw(4, 3, 8, 8), draw(8, 3, 3, 3)]),
    "many columns": (lambda x, w: tg.conv2d(x, w, padding=1), lambda: [draw(8, 3, 32, 32), draw(16, 3, 3, 3)]),
    "rows": (lambda x, w: tg.conv2d(x, w, padding=1), lambda: [draw(8, 32, 16, 16), draw(32, 32, 3, 3)]),
    "few positions": (lambda x, w: tg.conv2d(x, w, padding=1), lambda: [draw(1, 128, 4, 4), draw(256, 128, 3, 3)]),
    "depthwise": (lambda x, w: tg.conv2d(x, w, padding=1, groups=32), lambda: [draw(4, 32, 16, 16), draw(32, 1, 3, 3)]),
    "batch_norm": (
        lambda x, w, b: tg.batch_norm(x, *np.ones((2, 32), np.float32), w, b, training=True),
        lambda: [last(draw(16, 32, 8, 8)), draw(32), draw(32)],
    ),
    "layer_norm": (lambda x, w, b: tg.layer_norm(x, (256,), w, b), lambda: [draw(100, 256), draw(256), draw(256)]),
    "linear": (lambda x, w, b: tg.linear(x, w, b), lambda: [draw(64, 256), draw(256, 256), draw(256)]),
}

def results(function, arrays):
    xs = [tg.Tensor(x, requires_grad=True) for x in arrays]
    y = function(*xs)
    return [y.numpy(), *(g.numpy() for g in tg.gradients((y * y).sum(), xs))]

def alike(found, right):
    return all(np.array_equal(a, b) for a, b in zip(found, right, strict=True))

found = []
for name, (function, arrays) in CALLS.items():
    ours, theirs = arrays(), arrays()
    right, right_of_theirs = results(function, ours), results(function, theirs)
    counted = [0]

    def come_in_between(*_):
        signal.setitimer(signal.ITIMER_REAL, 0)  # no other one interrupts this one
        counted[0] += 1
        if not alike(results(function, theirs), right_of_theirs):
            found.append(f"{name}: in the handler")
        signal.setitimer(signal.ITIMER_REAL, 2e-4)

    signal.signal(signal.SIGALRM, come_in_between)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, 2e-4)
    while counted[0] < 60:
        if not alike(results(function, ours), right):
            found.append(f"{name}: in the call that was interrupted")
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(sorted(set(found)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers are POSIX's")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_signal_handler_that_calls_the_op_which_it_interrupts(threads):
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SIGNALS, threads],
        capture_output=True, encoding="utf-8", cwd=Path(PACKAGE).parent, timeout=300, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stdout + ended.stderr


def test_a_write_in_between_another_is_not_forgotten():
    a, b = np.zeros(3), np.zeros(3)

    def write():
        versions.mark_written(b)
        return versions.latest

    counted = ComesInBetween(None, ())
    for _ in range(2):  # from the second time on, their memory is known
        counted.count = 0
        counted.during(lambda: versions.mark_written(a))
    for point in range(1, counted.count + 1):
        between = ComesInBetween(write, {point})
        between.during(lambda: versions.mark_written(a))
        assert versions.latest >= between.found[0]
        assert versions.written_since(between.found[0] - 1, [b])
