"""Threads that take their images through several steps do not wait for each other: any order leaves the bits of eager.

What one thread may have done before another begins is most where streams run one behind the other, each to its end.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import combinations, pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.compile import memory, program
from tinygrad_cnn.compile.rules import Call, Value
from tinygrad_cnn.kernels import blocking, cells, channelwise, lines, normalization
from tinygrad_cnn.kernels.conv import cached_im2col
from tinygrad_cnn.kernels.parallel import chunks, task
from tinygrad_cnn.ops.conv import convolve

from ..graphs import placed, programs_of
from ..tuning import tuned
from .test_compile import assert_same_gradients
from .test_prepared import stepping
from .test_training import OPTIMIZERS, assert_same, few, trained

seeds = st.integers(0, 2**32 - 1)


@contextmanager
def skewed(seed):
    """However little there is to do, it is done in streams, one behind the other in an order of its own."""
    rng = Random(seed)
    threads = rng.randint(1, 4)

    def shared_out(call, parts, alone):
        for part in rng.sample(parts, len(parts)):
            call(part)

    with pytest.MonkeyPatch.context() as patch, tuned() as tune:
        patch.setattr(task, "shared_out", shared_out)
        patch.setattr(program, "get_num_threads", lambda: threads)
        tune(memory, LEAST=1, SMALL_BYTES=0)
        tune(program, LARGE=0)
        tune(cached_im2col, MOST=0, MOST_FLIPPED=0)
        tune(blocking, ALONE=-1)
        tune(channelwise, LONG=1)
        tune(cells, LARGE=1)
        tune(lines, FEW=1)
        tune(normalization, FEW=1)
        tune(chunks, SMALL=1, LARGE=0)
        yield


def streams_of(compiled):
    """The calls that backward walks take together."""
    return [stream for program in programs_of(compiled) for stream in program.streams]


N = 4
"""Images, channels, rows and columns: as many of each, so that they may change places, and be taken for each other."""


def slope(x, w):
    """A gradient in filters, which are as many as images."""
    return tg.gradients((tg.conv2d(x, w, padding=1) ** 2).sum(), w, retain_graph=True)[0]


UNARY = {
    "relu": lambda x, _: x.relu(),
    "scale": lambda x, _: x * 0.5,
    "pool": lambda x, _: tg.max_pool2d(x, 3, stride=1, padding=1),
    "conv": lambda x, w: tg.conv2d(x, w, padding=1),
    "norm": lambda x, w: tg.batch_norm(x, None, None, w[0, :, 0, 0], w[1, :, 0, 0], training=True),
    "layer norm": lambda x, w: tg.layer_norm(x, (N, N), w.mean(axis=(0, 2))[:, :1] + tg.zeros(N, N), None),
    "group norm": lambda x, w: tg.group_norm(x, 2, w[0, :, 0, 0], w[1, :, 0, 0]),
    "mean of windows": lambda x, _: tg.avg_pool2d(x, 3, stride=1, padding=1),
    "swap": lambda x, _: x.swapaxes(0, 1),
    "twist": lambda x, _: (x.swapaxes(0, 2) * 0.5).swapaxes(0, 2),
    "rows first": lambda x, _: tg.copy(x.transpose((2, 0, 3, 1)), order="C").transpose((1, 3, 0, 2)),  # in memory
    "mean": lambda x, _: x - x.mean(axis=0),
    "columns": lambda x, _: x * x.mean(axis=(0, 1, 2)),
    "flip": lambda x, _: x[::-1],
    "flat": lambda x, _: x.reshape(N, N * N * N).relu().reshape(N, N, N, N),
    "drop": lambda x, _: tg.dropout(x, 0.5),
    "slope": lambda x, w: x * slope(x, w).mean(axis=(2, 3), keepdims=True),
}
BINARY = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "where": lambda a, b: tg.where(a > b, a, b * 0.25),
    "filters": lambda a, b: tg.conv2d(a, b, padding="same") * 0.1,
}

places = st.integers(0, 3)
steps = st.lists(st.tuples(st.sampled_from([*UNARY, *BINARY]), places, places), min_size=2, max_size=10)


@pytest.mark.slow
@settings(max_examples=10 * settings.default.max_examples)
@given(steps, st.booleans(), seeds)
@example(
    [("twist", 0, 0), *[("relu", 0, 0)] * 3, ("twist", 3, 0), ("relu", 0, 0)], True, 0
)  # a view of what is written over
@example([("rows first", 0, 0), ("relu", 0, 0), ("norm", 0, 0)], False, 0)
@example([("rows first", 0, 0), ("relu", 0, 0), ("norm", 0, 0)], False, 1)
@example([("relu", 0, 0), ("drop", 0, 0), ("drop", 2, 0), ("add", 0, 1)], False, 0)  # in the order of the draws
@example([("conv", 0, 0), ("scale", 0, 0), ("filters", 2, 1), ("scale", 1, 0), ("add", 0, 1)], False, 0)
@example([("relu", 0, 0), ("drop", 0, 0), ("drop", 2, 0), ("add", 0, 1)], False, 0)  # in the order of the draws
@example([("conv", 0, 0), ("scale", 0, 0), ("filters", 2, 1), ("scale", 1, 0), ("add", 0, 1)], False, 1)
def test_random_networks_on_images_leave_the_bits_of_eager(steps, backward, seed):
    """Each step takes values by how long ago they were made. Without a backward pass they die early."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(N, N, N, N)), rng.normal(size=(N, N, 3, 3)) / 3

    def run(x, w):
        tg.manual_seed(seed)
        known = [x]
        for name, i, j in steps:
            a, b = known[-1 - i % len(known)], known[-1 - j % len(known)]
            known.append(UNARY[name](a, w) if name in UNARY else BINARY[name](a, b))
        if backward:
            (known[-1] * known[-1]).sum().backward()
            return known[-1], known[len(known) // 2]
        return (known[-1],)

    with skewed(seed):
        compiled = tg.compile(run)
        for factor in (1.0, -0.5, 0.25, -1.0):
            eager, replayed = ([tg.Tensor(a, requires_grad=True) for a in (x * factor, w)] for _ in range(2))
            for a, b in zip(run(*eager), compiled(*replayed), strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)
            assert_same_gradients(eager, replayed)


@few
@given(st.sampled_from(["dense", "plain", "normalized"]), st.sampled_from(list(OPTIMIZERS)), seeds)
def test_any_network_and_optimizer(kind, optimizer, seed):
    with skewed(seed):
        assert_same(*(trained(compiled, kind, optimizer, seed, 3) for compiled in (False, True)))


@pytest.mark.parametrize("seed", range(4))
def test_a_residual_network(seed):
    with skewed(seed):
        eager, x, y, left = stepping(8)
        replayed, _, _, right = stepping(8)
        compiled = tg.compile(replayed)
        for _ in range(3):
            assert eager(x, y).item() == compiled(x, y).item()
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)


@pytest.mark.skipif(os.environ.get("TINYGRAD_CNN_NUMBA") == "1", reason="compiled kernels of norms have no parts")
def test_what_goes_together():
    step, x, y, _ = stepping(32)
    compiled = tg.compile(step)
    for _ in range(3):
        compiled(x, y)
    found = [" ".join(stream) for stream in streams_of(compiled)]
    assert any("normalized_dx convolve_dx convolve_dw add greater where correlations" in stream for stream in found)


@pytest.mark.parametrize(("shape", "filters"), [((3, 128, 8, 4), (512, 64, 3, 3)), ((8, 256, 8, 16), (64, 128, 3, 3))])
def test_groups_of_a_convolution_that_are_not_cut_by_images(shape, filters):
    rng = np.random.default_rng(0)
    x, w = (tg.Tensor(rng.standard_normal(s, dtype="f4"), requires_grad=True) for s in (shape, filters))
    b = tg.zeros(len(w)).requires_grad_()

    def step(x):
        y = tg.conv2d(x, w, b, padding=1, groups=2)
        return tg.gradients((y * y).sum(), [x, w, b])

    compiled, expected = tg.compile(step), step(x)
    for _ in range(7):
        for got, known in zip(compiled(x), expected, strict=True):
            np.testing.assert_array_equal(got.numpy(), known.numpy())


def test_little_goes_one_after_the_other():
    step, x, y, _ = stepping(4)
    compiled = tg.compile(step)
    for _ in range(3):
        compiled(x, y)
    assert programs_of(compiled)
    assert not streams_of(compiled)


def test_memory_is_shared_by_what_is_written_in_place_alone(monkeypatch):
    """Of what the calls of a group read and make, while some may be at their first images and others at their last."""
    plans = []
    made = program.planned
    monkeypatch.setattr(program, "planned", lambda *arguments: plans.append(made(*arguments)) or plans[-1])
    step, x, y, _ = stepping()
    compiled = tg.compile(step)
    for _ in range(3):
        compiled(x, y)
    (found,) = plans
    several = [group for group in found.groups if len(group) > 1]
    assert several
    for group in several:
        values = {v.root for call in group for v in (*call.reads, call.outputs[0])}
        buffers = {found.buffers[v] for v in values if v in found.buffers}
        spans = sorted((buffer.offset, buffer.offset + buffer.size) for buffer in buffers)
        assert all(one[1] <= other[0] for one, other in pairwise(spans))
        for buffer in buffers:
            sharing = [v for v in values if found.buffers.get(v) is buffer]
            assert len({(v.shape, v.strides, v.dtype) for v in sharing}) == 1


def result(op, *inputs, **params):
    """A call of an op of some values, all of it made by images, and its output."""
    arrays = [np.ones(x.shape) if isinstance(x, Value) else x for x in inputs]
    out = Value(np.asarray(op.op.raw(*arrays, **params)), "call")
    return Call(op.op.name, inputs, params, [x for x in inputs if isinstance(x, Value)], (out,), op.op), out


def test_what_a_call_of_the_group_reads_as_a_whole_is_not_written_over(tuning):
    """A filter that is halved after a convolution: another thread may still be at its first images."""
    tuning(memory, LEAST=1, SMALL_BYTES=0)
    images, given = Value(np.ones((N, N, N, N)), "slot"), Value(np.ones((N, N, 3, 3)), "root")
    first, filters = result(tg.mul, given, 2.0)
    filtered, y = result(
        convolve, images, filters, None, stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1
    )
    halved, half = result(tg.mul, filters, 0.5)
    last, end = result(tg.mul, half, 3.0)
    plan = memory.planned([first, filtered, halved, last], [end, y])
    assert [filtered, halved, last] in plan.groups
    assert plan.buffers[half] is not plan.buffers[filters]
    alone = memory.planned([first, halved, last], [end]).buffers
    assert alone[half] is alone[filters]


def test_what_is_read_in_part_is_not_written_over(tuning):
    tuning(memory, SMALL_BYTES=1 << 20)
    first, whole = result(tg.mul, Value(np.ones(8), "root"), 2.0)
    part = Value(np.ones(4), "call")
    part.base, part.start = whole, 32
    cut = Call("part", (whole,), {}, [whole], (part,), tg.copy.op)
    tripled, triple = result(tg.mul, part, 3.0)
    last, end = result(tg.mul, triple, 3.0)
    buffers = memory.planned([first, cut, tripled, last], [end]).buffers
    assert buffers[triple] is not buffers[whole]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8), st.integers(1, 5)), max_size=60))
def test_buffers_that_are_live_together_do_not_overlap(spans):
    buffers = [memory.Buffer(64 * size, start, (start + length, 0)) for start, length, size in spans]
    total = placed(buffers)
    for one, other in combinations(buffers, 2):
        if one.start <= other.end[0] and other.start <= one.end[0]:
            assert one.offset + one.size <= other.offset or other.offset + other.size <= one.offset
    assert total == max((buffer.offset + buffer.size for buffer in buffers), default=0) or total >= 0
    most = max((sum(b.size for b in buffers if b.start <= at <= b.end[0]) for at in range(40)), default=0)
    assert most <= total <= 4 * most
