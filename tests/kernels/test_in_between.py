"""Who comes in between changes nothing: handlers, finalizers and profilers that call the op which they interrupt.

CPython runs them behind a call. So the tests make a call of the same op, with the same shapes and other values, behind each one
that a kernel makes; and one test has signals by a clock.
"""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from itertools import count

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.compile import memory
from tinygrad_cnn.core import versions

from ..tuning import forget, tuned
from .between import CALLS, PACKAGE, AfterEachCall, Call, conv, lines

TAKES = {"scratch", "blank", "arranged", "temporary", "with_plan"}
"""What kernels call for memory that later calls reuse."""


@pytest.fixture
def call(request, tiny, tuning):
    """A call of the table, with the sizes for it."""
    found = CALLS[request.param]
    for module, values in found.sizes.items():
        tuning(module, **values)
    return found


every_call = pytest.mark.parametrize("call", CALLS, indirect=True)


def leaves(arrays):
    return [tg.Tensor(a, requires_grad=True) for a in arrays]


def weights(y):
    return tg.Tensor(np.arange(1, y.size + 1, dtype=y.dtype).reshape(y.shape))


def in_bytes(*tensors):
    return [t.numpy().tobytes() for t in tensors]


def check(function, first, second, *folders):
    """Values and gradients of `function` beside those of undisturbed calls, where calls with `second` come in between."""
    ours, theirs = leaves(first), leaves(second)
    right = [function(*xs) for xs in (ours, theirs)]
    y, z = right
    gradients, others = (
        in_bytes(*tg.gradients(a, xs, weights(a), retain_graph=True))
        for a, xs in zip(right, (ours, theirs), strict=True)
    )
    forget()
    counts = []
    values = AfterEachCall(lambda: counts.append(in_bytes(function(*theirs)) == in_bytes(z)), *folders)
    found = values.during(lambda: function(*ours))
    assert in_bytes(found) == in_bytes(y)
    walks = AfterEachCall(
        lambda: counts.append(in_bytes(*tg.gradients(z, theirs, weights(z), retain_graph=True)) == others), *folders
    )
    assert in_bytes(*walks.during(lambda: tg.gradients(found, ours, weights(found)))) == gradients
    assert counts
    assert all(counts)


@pytest.mark.whole
@every_call
def test_a_call_in_between_those_of_a_kernel(call, numpy_alone):
    check(call.function, call.draw(1), call.draw(2), "kernels")


def test_the_calls_reach_each_file_that_keeps_memory(tiny, numpy_alone):
    reached = set()
    for call in CALLS.values():
        with tuned() as tune:
            for module, values in call.sizes.items():
                tune(module, **values)
            seen = AfterEachCall(lambda: None, "kernels")
            xs = leaves(call.draw(0))
            seen.during(lambda: tg.gradients(call.function(*xs).sum(), xs))  # noqa: B023
            reached |= lines(seen)
    for file in (PACKAGE / "kernels").rglob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
        places = [node.lineno for node in nodes if isinstance(node.func, ast.Name) and node.func.id in TAKES]
        assert not places or any((str(file), line) in reached for line in places), (
            f"no call in between.py reaches {file}"
        )


COMPILED = (
    "batch_norm", "layer_norm", "cross_entropy", "linear", "sum", "max_pool", "columns", "columns, transposed", "im2col",
    "kn2row", "kn2row, unpacked", "few positions", "few positions, unpacked", "depthwise", "grouped", "pointwise",
)  # fmt: skip


@pytest.mark.part(8)
@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize("is_small", [True, False])
@pytest.mark.parametrize("call", COMPILED, indirect=True)
def test_a_call_in_between_those_of_a_compiled_backward_pass(call, is_same, is_small, tuning):
    """While it runs plainly, is recorded, is prepared and is repeated, with memory of its own and with an arena. Calls of the
    same function, and of another one."""
    tuning(memory, **({} if is_small else {"SMALL_BYTES": 0}))
    tracer = None

    def step(xs):
        nonlocal tracer
        y = call.function(*xs)
        walk, tracer = (tracer.during if tracer else lambda f: f()), None
        return in_bytes(y, *walk(lambda: tg.gradients(y, xs, weights(y))))

    ours, theirs = leaves(call.draw(1)), leaves(call.draw(2))
    right, right_of_theirs = step(ours), step(theirs)
    compiled = tg.compile(step)
    other = compiled if is_same else tg.compile(step)
    found = []
    for _ in range(4):
        tracer = AfterEachCall(lambda: found.append(other(theirs)), "kernels", "compile")
        assert compiled(ours) == right
    assert found
    assert all(each == right_of_theirs for each in found)


@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize("is_small", [True, False])
def test_a_call_in_between_those_of_a_frozen_model(is_same, is_small, tuning):
    """With memory of its own, and with an arena."""
    tuning(memory, **({} if is_small else {"SMALL_BYTES": 0}))

    def made():
        tg.manual_seed(0)
        layers = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5), nn.GELU()
        return tg.compile(nn.Sequential(*layers).eval(), freeze=True)

    rng = np.random.default_rng(0)
    first, second = (tg.Tensor(rng.normal(size=(2, 2, 5, 5)).astype(np.float32)) for _ in range(2))
    alone, model = made(), made()
    right, right_of_second = ([in_bytes(alone(x)) for _ in range(3)][-1] for x in (first, second))
    other = model if is_same else made()
    if not is_same:
        model(first)  # while layers are recorded, a tracer sees all ops, and the other model folds none
    found = []
    for _ in range(3):
        tracer = AfterEachCall(lambda: found.append(in_bytes(other(second))), "kernels", "compile")
        assert in_bytes(tracer.during(lambda: model(first))) == right
    assert found
    assert all(each == right_of_second for each in found)


NUMBA = (
    "gelu", "silu", "softmax", "softmax, narrow", "cross_entropy", "batch_norm, last", "layer_norm", "max_pool", "linear",
    "columns", "kn2row", "depthwise", "few positions",
)  # fmt: skip


@pytest.mark.part(3)
@pytest.mark.parametrize("call", NUMBA, indirect=True)
def test_a_call_in_between_those_of_a_compiled_kernel(call, numba):
    check(call.function, call.draw(1), call.draw(2), "kernels", "extra/numba")


def test_a_call_in_between_those_of_winograds_convolution(numba, tuning):
    from tinygrad_cnn.extra.numba import winograd

    tuning(winograd, GAIN=1e6, EXTRA={2: 0, 4: 0}, EXTRA_DW={2: 0, 4: 0}, FEWEST=3, MOST=3)
    call = Call(conv(), ((2, 16, 9, 7), (16, 16, 3, 3), (16,)))
    check(call.function, call.draw(1), call.draw(2), "kernels", "extra/numba")


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
        capture_output=True, encoding="utf-8", cwd=PACKAGE.parent, timeout=300, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stdout + ended.stderr


@pytest.mark.parametrize("same", [False, True])
def test_a_write_in_between_another_is_not_forgotten(same):
    a = np.zeros(3)
    b = a if same else np.zeros(3)
    versions.mark_written(a, b)  # from then on, their memory is known
    points = count()
    AfterEachCall(lambda: next(points), "core").during(lambda: versions.mark_written(a))
    for point in range(next(points)):
        points, found = count(), []

        def write():
            if next(points) == point:  # noqa: B023
                versions.mark_written(b)
                found.append(versions.latest)  # noqa: B023

        AfterEachCall(write, "core").during(lambda: versions.mark_written(a))
        assert versions.latest >= found[0]
        assert versions.written_since(found[0] - 1, [b])
