"""Orders in which sums are added up: eager and compiled steps, and any number of threads, choose the same."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim

from ..graphs import buffers_of, programs_of
from ..products import multiply


@pytest.fixture(autouse=True)
def as_many_threads():
    before = tg.get_num_threads()
    yield
    tg.set_num_threads(before)


def gradients(run, parameters, *arguments):
    """Of an eager call and of a replay."""
    found = []
    for f in (lambda *xs: run(*map(tg.Tensor, xs)), tg.compile(run)):
        for _ in range(4):  # the first three calls record and prepare
            for p in parameters:
                p.zero_grad()
            f(*arguments)
        found.append([p.grad.numpy() for p in parameters])
    return zip(*found, strict=True)


@pytest.mark.parametrize("activation", [tg.gelu, tg.silu, tg.tanh, lambda x: x / (1 + x * x)])
@pytest.mark.parametrize("images", [8, 104])
def test_a_gradient_in_c_order_meets_images_with_channels_last(activation, images):
    """Behind a flattened layer. In the large one NumPy reuses temporary arrays of a rule's expression, and so their order."""
    rng = np.random.default_rng(0)
    kernel, bias, last = (
        tg.Tensor(rng.normal(0, 0.2, shape).astype(np.float32), requires_grad=True)
        for shape in ((16, 3, 3, 3), (1, 16, 1, 1), (5, 1024))
    )

    def run(x):
        h = activation(tg.conv2d(x, kernel, padding=1) + bias)
        loss = (tg.linear(h.reshape(len(x), 1024), last) ** 2).mean()
        loss.backward()
        return loss

    x = rng.normal(size=(images, 3, 8, 8)).astype(np.float32)
    for eager, compiled in gradients(run, [kernel, bias, last], x):
        np.testing.assert_array_equal(eager, compiled)


def test_a_step_that_differentiates_its_own_gradient():
    """Then an incoming gradient is saved, beside images in their order."""
    rng = np.random.default_rng(3)
    kernel, scale, shift, last = (
        tg.Tensor(rng.normal(0, 0.3, shape), requires_grad=True) for shape in ((12, 3, 3, 3), (12,), (12,), (5, 1728))
    )

    def run(x):
        h = tg.batch_norm(tg.conv2d(x, kernel, padding=1), None, None, scale, shift, training=True)
        loss = (tg.linear(h.reshape(len(x), 1728), last) ** 2).mean()
        (first,) = tg.gradients(loss, kernel, create_graph=True)
        loss = loss + (first * first).sum()
        loss.backward()
        return loss

    for eager, compiled in gradients(run, [kernel, scale, shift, last], rng.normal(size=(24, 3, 12, 12))):
        np.testing.assert_array_equal(eager, compiled)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_gradients_that_are_added_lie_in_different_orders(order):
    rng = np.random.default_rng(1)
    b = tg.Tensor(rng.normal(size=7).astype(np.float32), requires_grad=True)
    x, *rows = (rng.normal(size=(50, 7)).astype(np.float32) for _ in range(3))
    columns = [rng.normal(size=(7, 50)).astype(np.float32) for _ in range(2)]

    def run(x):
        y = x + b
        total = sum(((y * rows[i]).exp() if i < 2 else (y.T * columns[i - 2]).sin()).sum() for i in order)
        total.backward()
        return total

    for eager, compiled in gradients(run, [b], x):
        np.testing.assert_array_equal(eager, compiled)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_vectors_and_norms_have_the_same_bits_for_any_number_of_threads(dtype):
    """From fewer elements on than products of matrices, BLAS shares these among its threads."""
    rng = np.random.default_rng(2)
    a, v = rng.normal(size=(300, 500)).astype(dtype), rng.normal(size=500).astype(dtype)
    long = [rng.normal(size=40_001).astype(dtype) for _ in range(8)]
    found = []
    for n in (1, 2, 3, 4):
        tg.set_num_threads(n)
        norms = []
        for w in long:
            p = tg.Tensor(w, requires_grad=True)
            (p * p).sum().backward()
            norms.append(optim.clip_grad_norm_([p], 1.0).item())
        sums = tg.sum(tg.Tensor(a), axis=0)
        products = [multiply(a, v), multiply(v, a.T), multiply(v[None], a.T), *(multiply(w, w) for w in long)]
        found.append([np.asarray(each).tobytes() for each in (*norms, sums, *products)])
    assert found[1:] == found[:-1]


@pytest.mark.parametrize("function", [tg.sum, tg.mean, tg.var, tg.std, tg.norm, tg.logsumexp, tg.prod])
@pytest.mark.parametrize("axis", [0, 1, (0, 2), None])
def test_reductions_of_reversed_memory(function, axis):
    """NumPy before 2.2 goes through it the other way round where it writes into an array that it is given."""
    a = np.random.default_rng(0).normal(size=(7, 6, 5))

    def run(x):
        return [function(y, axis=axis) for y in (x, x * 2, x[::-1], x[:, ::-1], (x + 1).T[::-1].T)]

    for argument in (a, a[::-1], a[:, :, ::-1]):
        x = tg.from_numpy(argument)
        compiled = tg.compile(run)
        for _ in range(3):
            compiled(x)
        for eager, replayed in zip(run(x), compiled(x), strict=True):
            np.testing.assert_array_equal(eager, replayed, strict=True)


def test_memory_of_a_walk_does_not_touch():
    """NumPy before 2.0.2 takes touching arrays for overlapping ones, and computes exp and others of these with other bits."""
    w = tg.Tensor(np.ones((8, 8)), requires_grad=True)  # in whole cache lines

    @tg.compile
    def step(x):
        w.zero_grad()
        y = x
        for _ in range(6):
            y = tg.tanh(y * w)
        y.sum().backward()

    for _ in range(4):
        step(np.ones((8, 8)))
    (program,) = programs_of(step)
    buffers = buffers_of(program)
    assert len({buffer.offset for buffer in buffers.values()}) > 1
    assert all(value.nbytes < buffer.size for value, buffer in buffers.items())
