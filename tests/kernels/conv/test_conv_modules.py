"""Every way to compute a convolution, for every geometry, also where another one would be chosen."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import blas, blocking
from tinygrad_cnn.kernels.blocking import Geometry
from tinygrad_cnn.kernels.conv import depthwise, few_positions, im2col, kn2row, pointwise
from tinygrad_cnn.kernels.conv.kn2row_layout import layout
from tinygrad_cnn.kernels.parallel import threads, workspace
from tinygrad_cnn.ops.windows import output_sizes

from ...tuning import tuned
from .test_convolution import booleans, channels_last, check_gradients, definition, layouts, operands, seeds, shapes

UNROLLED = kn2row.UNROLLED


class How(NamedTuple):
    """A module, what is set elsewhere while it is tested, and a change of what :func:`shapes` draws."""

    module: ModuleType
    sizes: list[tuple[ModuleType, str, Any]]
    change: Any


def ungrouped(shape):
    (n, _, *sizes), w, options = shape
    return (n, w[1], *sizes), w, {**options, "groups": 1}


def single_pixels(shape):
    (n, c, *sizes), w, options = ungrouped(shape)
    d = len(sizes)
    return (n, c, *sizes), (*w[:2], *(1,) * d), {**options, "stride": (1,) * d, "padding": ((0, 0),) * d}


def depthwise_only(shape):
    (n, c, *sizes), (o, _, *kernel), options = shape
    groups = min(c, 5)
    return (n, groups, *sizes), (groups * (1 + o % 2), 1, *kernel), {**options, "groups": groups}


def small(module, name="BLOCK_BYTES"):
    """Blocks of a few positions, each for any thread, and few lanes."""
    return [(module, name, 300), (blocking, "ALONE", 0), (threads, "LANES", 2)]


UNPACKED = [
    *((kn2row, name, value) for name, value in (("READS_SMALL", True), ("NARROWEST", 1), ("LEAST", 1), ("FEWEST", 1))),
    *((blas, name, value) for name, value in (("UNPACKED", 300), ("FEWEST", 3), ("MOST", 4), ("NARROW", 1))),
    *((blas, name, value) for name, value in (("READS_SMALL", True), ("SUMMED", 8), ("FEWEST_SUMMED", 1))),
]
"""Products of a few rows, and of a part of the filters if these are many."""


FEW_UNPACKED = [
    *((few_positions, name, value) for name, value in (("READS_SMALL", True), ("AT_ONCE", 1), ("ENOUGH", 1))),
    *UNPACKED,
]
FEW_IN_SUMS = [
    *((few_positions, name, value) for name, value in (("READS_SMALL", True), ("UNPACKED", 60), ("AT_ONCE", 100))),
    *((few_positions, name, value) for name, value in (("NARROW", 999), ("ENOUGH", 1), ("IN_SUMS", range(999)))),
    *((few_positions, name, value) for name, value in (("DEEP", 2), ("RUN", 4))),
    *UNPACKED,
]
PACKED = [(im2col, "READS_SMALL", False)]
OF_FEW_ROWS = [
    *((im2col, name, value) for name, value in (("READS_SMALL", True), ("FEWEST", 1), ("UNPACKED", 1))),
    *UNPACKED,
]

HOW = {
    "im2col": How(im2col, [], ungrouped),
    "im2col in small blocks": How(im2col, small(blocking), ungrouped),
    "im2col of images together": How(im2col, [(im2col, "UNPACKED", 1), *PACKED], ungrouped),
    "im2col of parts of images": How(im2col, [(im2col, "UNPACKED", 50), (im2col, "SHORTEST", 1), *PACKED], ungrouped),
    "im2col, unpacked": How(im2col, OF_FEW_ROWS, ungrouped),
    "im2col, unpacked, in small blocks": How(im2col, [*OF_FEW_ROWS, *small(blocking)], ungrouped),
    "im2col with memory anew": How(im2col, [(workspace, "KEPT_BYTES", 100)], ungrouped),
    "kn2row": How(kn2row, [(kn2row, "UNROLLED", np.inf)], ungrouped),
    "kn2row in small blocks": How(kn2row, [(kn2row, "UNROLLED", np.inf), *small(kn2row)], ungrouped),
    "kn2row with memory anew": How(kn2row, [(kn2row, "UNROLLED", np.inf), (workspace, "KEPT_BYTES", 100)], ungrouped),
    "kn2row by NumPy": How(kn2row, [(kn2row, "UNROLLED", np.inf), (blas, "GEMM", {})], ungrouped),
    "kn2row, unrolled": How(kn2row, [(kn2row, "UNROLLED", -1)], ungrouped),
    "kn2row, unrolled, in small blocks": How(kn2row, [(kn2row, "UNROLLED", -1), *small(kn2row)], ungrouped),
    "kn2row in two parts": How(kn2row, [(kn2row, "UNROLLED", np.inf), (blocking, "ALONE", 0)], ungrouped),
    "kn2row, unrolled, in two parts": How(kn2row, [(kn2row, "UNROLLED", -1), (blocking, "ALONE", 0)], ungrouped),
    "kn2row, unpacked": How(kn2row, [(kn2row, "UNROLLED", np.inf), *UNPACKED], ungrouped),
    "kn2row, unpacked, in small blocks": How(
        kn2row, [(kn2row, "UNROLLED", np.inf), *UNPACKED, *small(kn2row)], ungrouped
    ),
    "kn2row, unpacked, with memory anew": How(kn2row, [*UNPACKED, (workspace, "KEPT_BYTES", 100)], ungrouped),
    "kn2row, unpacked, unrolled": How(kn2row, [(kn2row, "UNROLLED", -1), *UNPACKED], ungrouped),
    "few positions": How(few_positions, [(few_positions, "READS_SMALL", False)], ungrouped),
    "few positions, unpacked": How(few_positions, FEW_UNPACKED, ungrouped),
    "few positions, unpacked, in many parts": How(
        few_positions, [*FEW_UNPACKED, (few_positions, "NARROW", 1)], ungrouped
    ),
    "few positions, in sums": How(few_positions, FEW_IN_SUMS, ungrouped),
    "few positions, in sums by NumPy": How(few_positions, [*FEW_IN_SUMS, (blas, "GEMM", {})], ungrouped),
    "few positions, in sums and two parts": How(few_positions, [*FEW_IN_SUMS, (blocking, "ALONE", 0)], ungrouped),
    "few positions in two parts": How(few_positions, [(blocking, "ALONE", 0)], ungrouped),
    "pointwise": How(pointwise, [], single_pixels),
    "pointwise in small blocks": How(pointwise, small(blocking), single_pixels),
    "depthwise by einsum": How(depthwise, [(depthwise, "FEW", 0)], depthwise_only),
    "depthwise by einsum in small blocks": How(depthwise, [(depthwise, "FEW", 0), *small(depthwise)], depthwise_only),
    "depthwise by matrix": How(depthwise, [(depthwise, "FEW", np.inf)], depthwise_only),
    "depthwise by matrix in small blocks": How(
        depthwise, [(depthwise, "FEW", np.inf), *small(depthwise, "FEW_BYTES")], depthwise_only
    ),
}


@pytest.fixture(params=HOW.values(), ids=HOW, scope="module")
def how(request):
    with tuned() as tune:
        for module, name, value in request.param.sizes:
            tune(module, **{name: value})
        yield request.param


def geometry(x, w, options):
    where = options["stride"], options["padding"], options["dilation"]
    return Geometry(w[2:], output_sizes(x[2:], w[2:], *where), *where)


def results(module, g, x, w, b, u, last):
    """Works that compute the output and the gradients in x and w, and the memory that they fill."""
    y = np.full((len(u), *g.out, len(w)), np.nan, u.dtype)
    y = np.moveaxis(y, -1, 1) if last else np.ascontiguousarray(np.moveaxis(y, -1, 1))
    dx, dw = np.full_like(x, np.nan), np.full_like(w, np.nan)
    works = [
        module.convolve(g, x, w, b, y),
        module.input_gradient(g, u, w, dx),
        module.weight_gradient(g, x, u, dw),
    ]
    return works, [y, dx, dw]


@given(shapes(), layouts, layouts, booleans, booleans, seeds)
def test_values_and_gradients(how, shape, lay, lay_u, biased, last, seed):
    x_shape, w_shape, options = how.change(shape)
    rng = np.random.default_rng(seed)
    x, w, b, u, expected = operands(x_shape, w_shape, options, lay, lay_u, biased, rng)
    works, (y, dx, dw) = results(how.module, geometry(x_shape, w_shape, options), x, w, b, u, last)
    for work in works:
        work.do()
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
    check_gradients(x, w, u, dx, dw, options, rng)


@given(shapes(), layouts, layouts, booleans, seeds)
def test_prepared_work_sees_other_values_and_finds_its_zeros_again(how, shape, lay, lay_u, last, seed):
    x_shape, w_shape, options = how.change(shape)
    g = geometry(x_shape, w_shape, options)
    rng = np.random.default_rng(seed)
    x, w, b = lay(np.zeros(x_shape)), np.zeros(w_shape), np.zeros(w_shape[0])
    u = lay_u(np.zeros((x_shape[0], w_shape[0], *g.out)))
    works, found = results(how.module, g, x, w, b, u, last)
    calls = [work.prepared() for work in works]
    for _ in range(3):
        for array in (x, w, b, u):
            array[...] = rng.normal(size=array.shape)
        for call in calls:
            call()
        fresh, expected = results(how.module, g, x, w, b, u, last)
        for work in fresh:
            work.do()
        for got, value in zip(found, expected, strict=True):
            np.testing.assert_array_equal(got, value)


@given(shapes(), layouts, booleans, seeds)
def test_images_of_float32_and_filters_of_float64(how, shape, lay, biased, seed):
    x_shape, w_shape, options = how.change(shape)
    rng = np.random.default_rng(seed)
    x, w, b, u, _ = operands(x_shape, w_shape, options, lay, lay, biased, rng)
    narrow = lay(x.astype(np.float32))
    works, (y, dx, dw) = results(how.module, geometry(x_shape, w_shape, options), x, w, b, u, True)
    with_narrow, found = results(how.module, geometry(x_shape, w_shape, options), narrow, w, b, u, True)
    dx_of_narrow = found[1]
    assert dx_of_narrow.dtype == np.float32
    x[...] = narrow
    for work in (*works, *with_narrow):
        work.do()
    np.testing.assert_allclose(found[0], y, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(dx_of_narrow, dx, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[2], dw, rtol=1e-11, atol=1e-11)


@given(shapes(), layouts, seeds, st.integers(2, 4))
def test_bits_do_not_depend_on_threads(how, shape, lay, seed, count):
    x_shape, w_shape, options = how.change(shape)
    x, w, b, u, _ = operands(x_shape, w_shape, options, lay, lay, True, np.random.default_rng(seed))
    found = []
    for n in (1, count):
        threads.set_num_threads(n)
        works, arrays = results(how.module, geometry(x_shape, w_shape, options), x, w, b, u, True)
        for work in works:
            work.do()
        found.append(arrays)
    for one, many in zip(*found, strict=True):
        np.testing.assert_array_equal(one, many)


def test_work_that_failed_leaves_nothing_behind(how):
    """Prepared, as in a program: what a lane had added is not added to the next time."""
    x_shape, w_shape, options = how.change(((8, 16, 6, 6), (16, 16, 5, 5), {
        "stride": (1, 1), "padding": ((2, 2), (2, 2)), "dilation": (1, 1), "groups": 1}))  # fmt: skip
    x, w, b, u, _ = operands(x_shape, w_shape, options, channels_last, channels_last, True, np.random.default_rng(0))
    g = geometry(x_shape, w_shape, options)
    works, arrays = results(how.module, g, x, w, b, u, True)
    run, last = works[2].prepared(), x[-1].copy()
    x[-1] = 1e308
    with np.errstate(all="ignore"):
        run()
    x[-1] = last
    run()
    fresh, expected = results(how.module, g, x, w, b, u, True)
    fresh[2].do()
    np.testing.assert_array_equal(arrays[2], expected[2])


@pytest.mark.parametrize("shape", [(2, 3, 200), (2, 1, 30, 9), (3, 2, 5, 6, 7)])
def test_col2im_of_a_long_image_is_cut_into_rows(shape, tuning):
    """The rows of two cuts reach the same pixels."""
    tuning(blocking, BLOCK_BYTES=300)
    rng, d = np.random.default_rng(0), len(shape) - 2
    w_shape, options = (4, shape[1], *(3,) * d), {
        "stride": (1,) * d, "padding": ((1, 2),) * d, "dilation": (2,) * d, "groups": 1}  # fmt: skip
    x, w, b, u, _ = operands(shape, w_shape, options, channels_last, channels_last, True, rng)
    g = geometry(shape, w_shape, options)
    assert len(blocking.cut(g.out, (w[0].size + 4) * 8, 300)[1]) > 1
    works, (_, dx, dw) = results(im2col, g, x, w, b, u, True)
    for work in works:
        work.do()
    check_gradients(x, w, u, dx, dw, options, rng)


def test_zeros_are_kept_for_one_geometry_alone():
    """Two grids of one shape: in one every position is a window, in the other those between two rows must be zero."""
    rng = np.random.default_rng(0)
    for kernel, padding, width in ((1, 0, 7), (3, 1, 6)):
        g = Geometry((kernel, kernel), (7, width), (1, 1), ((padding, padding),) * 2, (1, 1))
        assert layout(2, (7, width), g, False).grid == (7, 2, 7)
        x, u = (channels_last(rng.normal(size=(2, 4, 7, width))) for _ in range(2))
        w = np.empty((4, 4, kernel, kernel))
        kn2row.weight_gradient(g, x, u, w).do()
        where = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation, "groups": 1}
        np.testing.assert_allclose(w.sum(), (definition(x, np.ones_like(w), **where) * u).sum())


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_every_window_is_multiplied_once(stride, unrolled, packed, tuning, monkeypatch):
    """The number of rows in all products, beside the positions that are wanted: there are few between two rows, or none."""
    tuning(kn2row, UNROLLED=-1 if unrolled else np.inf, READS_SMALL=not packed, NARROWEST=16)
    rows, on = [], blas.Products.on
    monkeypatch.setattr(
        blas.Products, "on", lambda self, *memories: (rows.extend(t.a.rows for t in self.terms), on(self, *memories))[1]
    )
    monkeypatch.setattr(kn2row, "in_rows", lambda a, c: (rows.append(len(a)), blas.in_rows(a, c))[1])
    out = (32 + 2 - 3) // stride + 1
    g = Geometry((3, 3), (out, out), (stride, stride), ((1, 1), (1, 1)), (1, 1))
    x, w, y = (np.zeros(shape, np.float32) for shape in ((4, 16, 32, 32), (16, 16, 3, 3), (4, 16, out, out)))
    monkeypatch.setattr(kn2row, "arranged", lambda key, arrange: arrange())  # which would be kept for the other blocks
    kn2row.convolve(g, x, w, None, y).do()
    wanted = 3 * 4 * out * out
    assert sum(rows) == wanted if unrolled else wanted <= sum(rows) < 1.1 * wanted


def test_narrow_images_are_unrolled_for_many_filters(monkeypatch, tuning):
    unrolled = []
    tuning(kn2row, UNROLLED=UNROLLED)  # the last `how` may still be in force
    monkeypatch.setattr(kn2row, "layout", lambda *arguments: unrolled.append(arguments[-1]) or layout(*arguments))

    def chosen(kernel, size, padding, stride=1, channels=32, filters=96):
        pads = ((padding, padding),) * 2
        out = output_sizes((size, size), kernel, (stride, stride), pads, (1, 1))
        g = Geometry(kernel, out, (stride, stride), pads, (1, 1))
        shapes = (1, channels, size, size), (filters, channels, *kernel), (1, filters, *out)
        kn2row.convolve(g, *(np.zeros(shape, np.float32) for shape in shapes[:2]), None, np.zeros(shapes[2], "f")).do()
        return unrolled.pop()

    assert chosen((3, 3), 6, 1)
    assert not chosen((3, 3), 6, 1, filters=16)  # too few multiplications to spare
    assert not chosen((3, 3), 6, 1, channels=4)  # copied in runs that are too short
    assert not chosen((3, 3), 32, 1)  # next to no position is between two rows
    assert chosen((5, 5), 9, 0)
    assert not chosen((1, 1), 32, 0, 2, filters=512)  # none is
    assert not chosen((3, 3), 16, 1, 2, filters=64)
