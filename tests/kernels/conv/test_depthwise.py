"""Depthwise convolution for every geometry, in small blocks and large."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import blocking
from tinygrad_cnn.kernels.blocking import Geometry
from tinygrad_cnn.kernels.conv import depthwise
from tinygrad_cnn.kernels.conv.convolution import forward, input_gradient, parameter_gradients
from tinygrad_cnn.kernels.conv.depthwise import Depthwise
from tinygrad_cnn.ops.windows import output_sizes

from .test_convolution import booleans, check_gradients, layouts, operands, seeds, shapes


@pytest.fixture(params=["default blocks", "small blocks"], autouse=True, scope="module")
def block_size(request):
    patch = pytest.MonkeyPatch()
    if request.param == "small blocks":
        patch.setattr(depthwise, "BLOCK_BYTES", 600)
        patch.setattr(blocking, "ALONE", 0)
    yield
    patch.undo()


def on_geometry(shape):
    x, w, options = shape
    where = options["stride"], options["padding"], options["dilation"]
    return *shape, Geometry(w[2:], output_sizes(x[2:], w[2:], *where), *where)


cases = shapes(depthwise=st.just(True)).map(on_geometry)


def results(x, w, b, u, g):
    """The works, and the memory that they fill."""
    how = Depthwise(g)
    y, dx, dw, db = np.full_like(u, np.nan), np.full_like(x, np.nan), np.full_like(w, np.nan), np.full(len(w), np.nan)
    works = how.convolution(x, w, b, y), how.input_gradient(u, w, dx), how.weight_gradient(x, u, dw, db)
    return works, (y, dx, dw, db)


@given(cases, layouts, layouts, booleans, seeds)
def test_values_and_all_gradients(case, lay, lay_u, biased, seed):
    *shape, options, g = case
    rng = np.random.default_rng(seed)
    x, w, b, u, expected = operands(*shape, options, lay, lay_u, biased, rng)
    works, (y, dx, dw, db) = results(x, w, b, u, g)
    for work in works:
        work.do()
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(db, u.sum(axis=(0, *range(2, u.ndim))), rtol=1e-11, atol=1e-11)
    check_gradients(x, w, u, dx, dw, options, rng)


@given(cases, layouts, seeds)
def test_prepared_work_sees_other_values(case, lay, seed):
    x_shape, w_shape, _, g = case
    rng = np.random.default_rng(seed)
    x, w, b = lay(np.zeros(x_shape)), np.zeros(w_shape), np.zeros(w_shape[0])
    u = lay(np.zeros((x_shape[0], w_shape[0], *g.out)))
    works, found = results(x, w, b, u, g)
    calls = [work.prepared() for work in works]
    for _ in range(3):
        for array in (x, w, b, u):
            array[...] = rng.normal(size=array.shape)
        for call in calls:
            call()
        fresh, expected = results(x, w, b, u, g)
        for work in fresh:
            work.do()
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@given(cases, layouts, seeds, st.integers(2, 4))
def test_the_bits_do_not_depend_on_the_number_of_threads(case, lay, seed, count):
    x_shape, w_shape, options, _ = case
    rng = np.random.default_rng(seed)
    x, w = lay(rng.normal(size=x_shape).astype(np.float32)), rng.normal(size=w_shape).astype(np.float32)
    found = []
    for n in (1, count):
        tg.set_num_threads(n)
        y = forward(x, w, w.sum(axis=tuple(range(1, w.ndim))), **options)
        u = lay(y)
        both = parameter_gradients(x, u, w_shape[2:], **options)
        found.append((y, input_gradient(u, w, x_shape[2:], **options), both))
    for one, many in zip(*found, strict=True):
        assert one.dtype == many.dtype == np.float32
        np.testing.assert_array_equal(one, many)


def test_a_compiled_step_has_the_bits_of_eager():
    rng = np.random.default_rng(0)
    leaves = [[tg.Tensor(np.float32(rng.normal(size=s)), requires_grad=True) for s in ((8, 1, 3, 3), (8,))]]
    leaves.append([tg.Tensor(t.numpy(), requires_grad=True) for t in leaves[0]])

    def stepping(w, b):
        def step(x):
            w.grad = b.grad = None
            h = tg.conv2d(x, w, b, padding=1, groups=8)
            loss = tg.conv2d(h, w, stride=2, groups=8).square().mean()
            loss.backward()
            return loss

        return step

    eager, compiled = stepping(*leaves[0]), tg.compile(stepping(*leaves[1]))
    for _ in range(3):
        x = np.float32(rng.normal(size=(6, 8, 20, 20)))
        np.testing.assert_array_equal(eager(x).numpy(), compiled(x))
        for one, other in zip(*leaves, strict=True):
            np.testing.assert_array_equal(one.grad, other.grad, strict=True)
