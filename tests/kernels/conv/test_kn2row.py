"""Convolution by sliding windows for every geometry, also where another layout would be chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import blas, blocking
from tinygrad_cnn.kernels.blocking import Geometry
from tinygrad_cnn.kernels.conv import kn2row
from tinygrad_cnn.kernels.conv.kn2row import Sliding
from tinygrad_cnn.kernels.conv.kn2row_layout import lattice
from tinygrad_cnn.ops.windows import output_sizes

from .test_convolution import booleans, channels_last, check_gradients, definition, layouts, operands, seeds, shapes


@pytest.fixture(params=["BLAS", "NumPy", "small blocks"], autouse=True, scope="module")
def how(request):
    patch = pytest.MonkeyPatch()
    if request.param == "NumPy":
        patch.setattr(blas, "GEMM", {})
    if request.param == "small blocks":
        patch.setattr(kn2row, "BLOCK_BYTES", 600)
        patch.setattr(blocking, "ALONE", 0)
    yield
    patch.undo()


def ungrouped(shape):
    x, w, options = shape
    options = {**options, "groups": 1}
    where = options["stride"], options["padding"], options["dilation"]
    return (x[0], w[1], *x[2:]), w, options, Geometry(w[2:], output_sizes(x[2:], w[2:], *where), *where)


def results(x, w, b, u, g):
    """Functions that compute the three products and return them, in memory that stays."""
    how = Sliding(g, x.shape[1])
    y, dx, dw = np.full_like(u, np.nan), np.full_like(x, np.nan), np.full_like(w, np.nan)
    works = how.convolution(x, w, b, y), how.input_gradient(u, w, dx), how.weight_gradient(x, u, dw)
    return works, (y, dx, dw)


@given(shapes(depthwise=st.just(False)).map(ungrouped), layouts, layouts, booleans, seeds)
def test_values_and_both_gradients(case, lay, lay_u, biased, seed):
    *shape, options, g = case
    rng = np.random.default_rng(seed)
    x, w, b, u, expected = operands(*shape, options, lay, lay_u, biased, rng)
    works, (y, dx, dw) = results(x, w, b, u, g)
    for work in works:
        work.do()
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
    check_gradients(x, w, u, dx, dw, options, rng)


def turnable(shape):
    """The same with no more filters than channels, and as the adjoint of a convolution around its output."""
    (n, c, *sizes), (o, _, *kernel), options = shape
    reach = [(k - 1) * d for k, d in zip(kernel, options["dilation"], strict=True)]
    padding = tuple((min(p, r), min(q, r)) for (p, q), r in zip(options["padding"], reach, strict=True))
    sizes = [max(m, r + 1) for m, r in zip(sizes, reach, strict=True)]
    options = {**options, "padding": padding, "stride": (1,) * len(sizes)}
    return ungrouped(((n, c, *sizes), (min(o, c), c, *kernel), options))


@given(shapes(depthwise=st.just(False)).map(turnable), layouts, booleans, seeds)
def test_values_as_those_of_an_adjoint(case, lay, biased, seed):
    *shape, options, g = case
    x, w, b, _, expected = operands(*shape, options, lay, lay, biased, np.random.default_rng(seed))
    y = lay(np.full(expected.shape, np.nan))
    Sliding(g, x.shape[1]).convolution(x, w, b, y).do()
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)


@given(shapes(depthwise=st.just(False)).map(ungrouped), layouts, seeds)
def test_prepared_work_sees_other_values_and_finds_its_zeros_again(case, lay, seed):
    x_shape, w_shape, _, g = case
    rng = np.random.default_rng(seed)
    x, w = lay(np.zeros(x_shape)), np.zeros(w_shape)
    u = lay(np.zeros((x_shape[0], w_shape[0], *g.out)))
    b = np.zeros(w_shape[0])
    works, found = results(x, w, b, u, g)
    calls = [work.prepared() for work in works]
    for _ in range(3):
        for array in (x, w, b, u):
            array[...] = rng.normal(size=array.shape)
        for call in calls:
            call()
        fresh = results(x, w, b, u, g)
        for work, got, expected in zip(fresh[0], found, fresh[1], strict=True):
            work.do()
            np.testing.assert_array_equal(got, expected)
            expected[...] = np.nan


def test_zeros_are_kept_for_one_geometry_alone():
    """Two grids of one shape: in one every place is a window, in the other there are seams, which must be zero."""
    rng = np.random.default_rng(0)
    for kernel, padding, width in ((1, 0, 7), (3, 1, 6)):
        g = Geometry((kernel, kernel), (7, width), (1, 1), ((padding, padding),) * 2, (1, 1))
        assert lattice(2, (7, width), g, False).grid == (7, 2, 7)
        x, u = (channels_last(rng.normal(size=(2, 4, 7, width))) for _ in range(2))
        w = np.empty((4, 4, kernel, kernel))
        Sliding(g, 4).weight_gradient(x, u, w).do()
        ones = np.ones_like(w)
        where = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation, "groups": 1}
        np.testing.assert_allclose(w.sum(), (definition(x, ones, **where) * u).sum())


def test_images_that_fit_are_used_where_they_lie():
    rng = np.random.default_rng(0)
    x = channels_last(rng.normal(size=(2, 4, 6, 8)))
    geometry = Geometry((3, 3), (4, 6), (1, 1), ((0, 0), (0, 0)), (1, 1))
    how = Sliding(geometry, 4)
    block = blocking.blocks(2, (4, 6), 1)[0]
    where, image, calls = how._image(x, block, x.dtype)
    assert where.in_place
    assert np.shares_memory(image, x)
    assert not calls
    w, u = rng.normal(size=(5, 4, 3, 3)), channels_last(rng.normal(size=(2, 5, 4, 6)))
    works, (y, dx, dw) = results(x, w, None, u, geometry)
    for work in works:
        work.do()
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    np.testing.assert_allclose(y, definition(x, w, **options))
    check_gradients(x, w, u, dx, dw, options, rng)
    padded = Sliding(geometry._replace(out=(6, 8), padding=((1, 1), (1, 1))), 4)
    where, image, calls = padded._image(x, blocking.blocks(2, (6, 8), 1)[0], x.dtype)
    assert not where.in_place
    assert not np.shares_memory(image, x)
    assert len(calls) == 1


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_window_is_multiplied_once(stride):
    """The number of rows in all products, beside the places that are wanted: what is between is seams."""
    out = (32 + 2 - 3) // stride + 1
    g = Geometry((3, 3), (out, out), (stride, stride), ((1, 1), (1, 1)), (1, 1))
    how = lattice(4, (32, 32), g, False)
    products = kn2row._products("y", how, 16, 16, np.dtype("f"))
    rows = sum(term.a.rows for term in products.terms)
    assert 3 * 4 * out * out <= rows <= 3 * 4 * out * out * how.waste
    assert how.waste < 1.07
