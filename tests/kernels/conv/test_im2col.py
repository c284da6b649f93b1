"""Convolution by columns along the image for every geometry, also where another layout would be chosen."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import blocking
from tinygrad_cnn.kernels.blocking import Geometry
from tinygrad_cnn.kernels.conv import im2col
from tinygrad_cnn.kernels.conv.col2im import LINES, fall
from tinygrad_cnn.kernels.conv.im2col import Along
from tinygrad_cnn.kernels.parallel import threads
from tinygrad_cnn.ops.windows import overlaps

from .test_convolution import booleans, check_gradients, layouts, operands, seeds, shapes
from .test_kn2row import ungrouped

cases = shapes(depthwise=st.just(False)).map(ungrouped)


HOW = ["one block", "small blocks", "images together", "parts of images", "place by place"]


@pytest.fixture(params=HOW, autouse=True, scope="module")
def how(request):
    patch = pytest.MonkeyPatch()
    if request.param == "small blocks":
        for function in (blocking.blocks, blocking.cut, blocking.image_blocks):
            patch.setattr(function, "__defaults__", (300,))
        patch.setattr(blocking, "ALONE", 0)
        patch.setattr(threads, "LANES", 1)
    if request.param == "images together":
        patch.setattr(blocking, "UNCOPIED", 1)
    if request.param == "parts of images":
        patch.setattr(blocking, "UNCOPIED", 50)
        patch.setattr(blocking, "SHORTEST", 1)
    if request.param == "place by place":
        patch.setattr(im2col, "MOST_WASTE", 0)
    yield
    patch.undo()


def results(x, w, b, u, g, last):
    """Works that compute the three products, and where."""
    how = Along(g, x.shape[1])
    y = np.full((len(u), *g.out, len(w)), np.nan, u.dtype)
    y = np.moveaxis(y, -1, 1) if last else np.ascontiguousarray(np.moveaxis(y, -1, 1))
    dx, dw, db = np.full_like(x, np.nan), np.full_like(w, np.nan), None if b is None else np.full_like(b, np.nan)
    works = how.convolution(x, w, b, y), how.input_gradient(u, w, dx), how.weight_gradient(x, u, dw, db)
    return works, (y, dx, dw) if b is None else (y, dx, dw, db)


@given(cases, layouts, layouts, booleans, booleans, seeds)
def test_values_and_gradients(case, lay, lay_u, biased, last, seed):
    *shape, options, g = case
    rng = np.random.default_rng(seed)
    x, w, b, u, expected = operands(*shape, options, lay, lay_u, biased, rng)
    works, (y, dx, dw, *db) = results(x, w, b, u, g, last)
    for work in works:
        work.do()
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
    check_gradients(x, w, u, dx, dw, options, rng)
    if biased:
        np.testing.assert_allclose(db[0], u.sum(axis=(0, *range(2, u.ndim))), rtol=1e-11, atol=1e-11)


@given(cases, layouts, layouts, booleans, seeds)
def test_prepared_work_sees_other_values_and_finds_its_zeros_again(case, lay, lay_u, last, seed):
    x_shape, w_shape, _, g = case
    rng = np.random.default_rng(seed)
    x, w, b = lay(np.zeros(x_shape)), np.zeros(w_shape), np.zeros(w_shape[0])
    u = lay_u(np.zeros((x_shape[0], w_shape[0], *g.out)))
    works, found = results(x, w, b, u, g, last)
    calls = [work.prepared() for work in works]
    for _ in range(3):
        for array in (x, w, b, u):
            array[...] = rng.normal(size=array.shape)
        for call in calls:
            call()
        fresh, expected = results(x, w, b, u, g, last)
        for work in fresh:
            work.do()
        for got, value in zip(found, expected, strict=True):
            np.testing.assert_array_equal(got, value)


@given(cases, seeds)
def test_what_falls_on_a_pixel_is_what_windows_took_from_it(case, seed):
    """Of integers, so that sums are exact: a sum for each element of the windows, where it lies on the image."""
    (n, c, *sizes), _, options, g = case
    n, sizes = max(1, n), tuple(sizes)
    values = np.random.default_rng(seed).integers(-9, 9, (c, *g.kernel, n, *g.out)).astype(float)
    expected = np.zeros((c, n, *sizes))
    before = tuple(pair[0] for pair in options["padding"])
    for k, spans, pixels in overlaps(sizes, g.kernel, g.out, g.stride, before, g.dilation):
        expected[pixels] += values[(slice(None), *k)][spans]

    how = fall(g, sizes, 0, g.out[0])
    wide = np.zeros((c, *g.kernel, n, *how.pitch))
    wide[(..., *(slice(0, m) for m in g.out))] = values
    memory = np.zeros((c * np.prod(g.kernel), how.lead + n * np.prod(how.pitch)))
    memory[:, how.lead :] = wide.reshape(len(memory), -1)
    x = np.full(expected.shape, np.nan)
    for phase in how.phases:
        total = phase.terms(memory, g.kernel, how.lead).sum(phase.axes)
        x[phase.pixels] = total.reshape(c, n, *how.pitch)[phase.places]
    np.testing.assert_array_equal(np.isnan(x).any(), not how.covers and x.size > 0)
    np.testing.assert_array_equal(np.nan_to_num(x), expected)


def test_windows_larger_than_their_grid_are_added_place_by_place():
    """A grid of all pixels would be 784 times as large."""
    x, u, w = np.empty((64, 1, 28, 28)), np.ones((64, 4, 1, 1)), np.arange(4.0 * 784).reshape(4, 1, 28, 28)
    how = Along(Geometry((28, 28), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)), 1)
    assert fall(how.g, (28, 28), 0, 1).waste > im2col.MOST_WASTE
    work = how.input_gradient(u, w, x)
    tracemalloc.start()
    work.do()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * x.nbytes
    np.testing.assert_array_equal(x, np.broadcast_to(w.sum(0), x.shape))


def test_rows_are_kept_apart_in_the_cache():
    for size in (32, 62, 126):
        g = Geometry((3, 3), (size, size), (1, 1), ((1, 1), (1, 1)), (1, 1))
        assert np.prod(fall(g, (size, size), 0, size).pitch) % LINES
