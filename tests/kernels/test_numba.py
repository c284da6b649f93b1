"""Compiled kernels beside the definitions of their ops in float64; the same bits eager and compiled, on any number of threads.

Without Numba, all is skipped but what is then said. With TINYGRAD_CNN_NUMBA=1 the other tests of this folder run with compiled
kernels, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.kernels.parallel import chunks
from tinygrad_cnn.ops import activation, conv, pool, reduce, scan, shape, softmax, standardize
from tinygrad_cnn.ops.losses import classification
from tinygrad_cnn.ops.losses.labels import label_weights
from tinygrad_cnn.ops.pool import Windows
from tinygrad_cnn.ops.standardize import Over

from .test_accelerations import Compared, run, users
from .test_gelu import EXACT, POINTS, ZERO

ROOT = Path(__file__).parents[2]
INSTALLED = find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not INSTALLED, reason="not installed: pip install numba")

if INSTALLED:
    from tinygrad_cnn.extra.numba import (
        attached,
        batch_norm,
        channels,
        depthwise,
        elements,
        images,
        layers,
        positions,
        products,
        rows,
        scans,
        tiles,
        vectors,
        windows,
        winograd,
    )

    APART = {
        module.__name__ for module in (batch_norm, channels, positions, products, tiles, windows, winograd)
    }  # see the files of their names
    KERNELS = [row for row in attached.KERNELS if row[1].__module__ not in APART]
else:
    KERNELS = []
every_kernel = pytest.mark.parametrize(("function", "prepare"), KERNELS, ids=[f.op.name for f, _ in KERNELS])
UNITS = {pool.max_pool: 0, pool.max_pool_which: 0, scan.cumsum: 0.501, softmax.softmax: 6, softmax.softmax_pull: 12}
"""In the last place of the largest number of a result, where it is not 4."""
SUMS = {reduce.sum, shape.sum_to, conv.convolve, conv.convolve_dx, conv.convolve_dw, pool.put_elements}
"""For these, of the largest sum of the sizes of the terms: terms may cancel."""


@pytest.fixture(params=["as they are", "tiny"])
def sizes(request, tuning):
    """Arrays of a few elements count as large, or not."""
    if request.param == "tiny":
        for module in (layers, rows, scans, depthwise):
            tuning(module, SMALL=1)
        tuning(layers, MANY=1)
        tuning(images, LARGE=2)


@pytest.fixture(params=["in registers", "in memory"])
def tables(request, monkeypatch):
    """Where GELU's numbers are looked up."""
    found = request.param == "in registers"
    if found and not vectors.FINDS:
        pytest.skip("needs AVX-512")
    monkeypatch.setattr(elements, "FINDS", found)


# What the kernels are given


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def ordered(a, order):
    return np.ascontiguousarray(np.moveaxis(a, 1, -1)).transpose(0, 3, 1, 2) if order == "last" else a


SHARES = {"classes": 130, "function": "f", "dtype": np.dtype(np.float32), "mean": True}


def rows_of(rng, order):
    return normal(rng, 37, 130) * 3 if order == "first" else normal(rng, 2, 3, 2500)


def labels(rng, order):
    x = normal(rng, 37, 130)
    return x, np.where(rng.random(37) < 0.1, -1, rng.integers(0, 130, 37))


def layer(rng, order):
    """Rows with means that are large beside their deviations, and their moments."""
    x = normal(rng, 31, 200) + np.float32(300) * normal(rng, 31, 1)
    if order == "last":
        x = x.reshape(31, 10, 20)
    over = Over(tuple(range(1, x.ndim)), 1e-5)
    return x, normal(rng, *x.shape), standardize.moments.op.raw(x, over=over), over


def convolved(rng, order, k, stride, before, after):
    channels = int(rng.choice([5, 17] if order == "first" else [16, 20]))
    x = ordered(normal(rng, 3, channels, 11, 12), order)
    w = normal(rng, channels, 1, k, k)
    how = {"stride": (stride,) * 2, "padding": ((before, after),) * 2, "dilation": (1, 1), "groups": channels}
    return x, w, ordered(normal(rng, *conv.convolve.op.raw(x, w, **how).shape), order), how


def pooled(rng, order, windows):
    channels = int(rng.choice([5, 16, 37] if order == "first" else [16, 17, 31, 37]))
    x = ordered(np.round(normal(rng, 3, channels, 10, 12)), order)  # some are equal
    return x, ordered(pool.max_pool.op.raw(x, windows=windows), order)


GEOMETRIES = [(3, 1, 1, 1), (3, 1, 0, 2), (3, 2, 1, 1), (3, 2, 0, 1), (7, 1, 3, 3), (7, 1, 2, 4)]
TILES = Windows((2, 2), (5, 6), (2, 2), (0, 0), (1, 1))
WINDOWS = [
    TILES,
    Windows((2, 2), (4, 5), (2, 2), (0, 0), (1, 1)),
    Windows((3, 3), (5, 6), (2, 2), (1, 1), (1, 1)),
    Windows((2, 3), (8, 8), (1, 1), (0, 0), (2, 2)),
    Windows((13, 16), (2, 2), (1, 1), (2, 2), (1, 1)),  # numbers above 127
]


def given_to(function, rng, order):
    """Inputs and parameters that the kernel of an op must take."""
    if function in (
        activation.gelu, activation.gelu_slope, activation.silu, activation.silu_slope,
        activation.hardsigmoid, activation.hardswish,
    ):  # fmt: skip
        x = normal(rng, 5000) * 4
        yield [ordered(x.reshape(2, 50, 5, 10), order)], {"approximate": "none"} if function is activation.gelu else {}
    elif function in (
        activation.gelu_pull, activation.hardsigmoid_pull, activation.hardswish_pull, activation.silu_pull
    ):  # fmt: skip
        u, x = (ordered(a.reshape(2, 50, 5, 10), order) for a in (normal(rng, 5000), normal(rng, 5000) * 4))
        yield [u, x], {}
        yield [u, np.broadcast_to(np.float32(-1.5), u.shape)], {}
        yield [np.broadcast_to(np.float32(-1.5), u.shape), x], {}
    elif function in (softmax.softmax, softmax.log_softmax):
        yield [rows_of(rng, order)], {"axis": -1}
    elif function in (softmax.softmax_pull, softmax.log_softmax_pull):
        x = rows_of(rng, order)
        made = softmax.softmax if function is softmax.softmax_pull else softmax.log_softmax
        yield [normal(rng, *x.shape), made.op.raw(x, axis=-1)], {"axis": x.ndim - 1}
    elif function is classification.softmax_nll:
        x, target = labels(rng, order)
        yield [x, target, (target >= 0) * normal(rng, 37)], {}
        yield [x, target, target >= 0], {}
    elif function is label_weights:
        _, target = labels(rng, order)
        for size in ((37,), (1, 37)):
            some = np.resize(target, size)
            for ignored in (-1, int(target[0])):
                yield [np.where(some < 0, ignored, some)], SHARES | {"ignore_index": ignored}
            yield [some % 130], SHARES | {"ignore_index": None}
        yield [np.full(3, -1)], SHARES | {"ignore_index": -1}
    elif function is classification.softmax_nll_pull:
        yield [(u := normal(rng, 37)), *labels(rng, order)], {}
        assert u.any()
    elif function is standardize.moments:
        x, _, _, over = layer(rng, order)
        yield [x], {"over": over}
    elif function is standardize.normalized:
        x, u, stats, over = layer(rng, order)
        yield [x, None, None, stats], {"over": over}
        yield [x, u[0], None, stats], {"over": over}
        yield [x, u[0], u[1], stats], {"over": over}
    elif function is standardize.correlations:
        x, u, stats, over = layer(rng, order)
        yield [u, x, stats], {"over": over}
        yield [u, x, stats], {"over": over, "shape": x.shape[1:]}
    elif function is standardize.normalized_dx:
        x, u, stats, over = layer(rng, order)
        yield [u, x, None, standardize.correlations.op.raw(u, x, stats, over=over), stats], {"over": over}
        yield [u, x, u[0], None, stats], {"over": over}
    elif function is shape.sum_to:
        _, u, _, _ = layer(rng, order)
        yield [u], {"shape": u.shape[1:]}
    elif function is reduce.sum:
        _, u, _, _ = layer(rng, order)
        yield [u], {"axis": tuple(range(u.ndim - 1)), "keepdims": False}
    elif function is scan.cumsum:
        x = normal(rng, 21, 30, 4)
        for axis in range(3):
            yield [x], {"axis": axis}
            yield [np.flip(x, axis)], {"axis": axis}
    elif function in (conv.convolve, conv.convolve_dx, conv.convolve_dw):
        for geometry in GEOMETRIES:
            x, w, u, how = convolved(rng, order, *geometry)
            if function is conv.convolve:
                yield [x, w, normal(rng, len(w))], how
                yield [x, w], how
            elif function is conv.convolve_dx:
                yield [u, w], {"shape": x.shape, **how}
            else:
                yield [x, u], {"shape": w.shape, **how}
                yield (
                    [x, ordered(u, "last") if order == "first" else np.ascontiguousarray(u)],
                    {"shape": w.shape, **how},
                )
    else:
        for windows in [TILES] if order == "first" else WINDOWS:
            x, top = pooled(rng, order, windows)
            if function is pool.max_pool:
                yield [x], {"windows": windows}
            elif function is pool.max_pool_which:
                yield [x, top], {"windows": windows}
            else:
                which = ordered(pool.max_pool_which.op.raw(x, top, windows=windows), order)
                yield [normal(rng, *top.shape), which], {"sizes": (10, 12), "windows": windows}


def widened(a):
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 else a


@needs_numba
@every_kernel
@pytest.mark.parametrize("order", ["first", "last"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_a_kernel_is_its_definition_to_a_few_units_in_the_last_place(function, prepare, order, seed):
    for inputs, params in given_to(function, np.random.default_rng(seed), order):
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in inputs]
        task = prepare(None, *inputs, **params)
        assert task is not None, (inputs, params)
        y = task()
        exact = np.asarray(function.op.raw(*map(widened, inputs), **params))
        rounded = exact.astype(y.dtype)
        assert y.shape == exact.shape
        assert y.dtype == (
            np.float32 if exact.dtype == np.float64 and function is not standardize.moments else exact.dtype
        )
        sizes = [np.abs(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in inputs]
        largest = np.abs(function.op.raw(*sizes, **params) if function in SUMS else rounded).max()
        units = UNITS.get(function, 4) * np.spacing(largest) if y.dtype.kind == "f" else 0
        if function is standardize.moments:
            units = 1e-11 * np.abs(exact).max()
        assert np.abs(y - exact).max() <= units if units else np.array_equal(y, rounded)
        for a, b in zip(inputs, before, strict=True):
            assert not isinstance(a, np.ndarray) or np.array_equal(a, b)
        # Into memory that held something else, twice.
        out = np.full_like(y, 7)
        into = prepare(out, *inputs, **params)
        for _ in range(2):
            into()
            assert np.array_equal(out, y)
            out.fill(7)
        if function.op.in_place and y.shape == inputs[0].shape:
            x = np.empty_like(y)  # in the memory order of the others, where the first is one element that is repeated
            x[...] = inputs[0]
            prepare(x, x, *inputs[1:], **params)()
            assert np.array_equal(x, y)


@needs_numba
@pytest.mark.parametrize(
    ("function", "prepare"),
    [row for row in KERNELS if row[0] is not label_weights],  # rows of labels have no gradients
    ids=[f.op.name for f, _ in KERNELS if f is not label_weights],
)
@settings(suppress_health_check=[*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_rows_of_the_table_agree(function, prepare, sizes, seed, data):
    op = function.op
    compared, before = Compared(op), op.prepare or attached.definition
    compared.prepare = attached.first_of([prepare], before)
    try:
        with compared.attached():
            run(data.draw(st.sampled_from(users()[op])), np.random.default_rng(seed), np.float32)
    finally:
        op.accelerate(before, op.along, op.in_place)


@needs_numba
@pytest.mark.parametrize("ignored", [None, -1, 7, -100])
@pytest.mark.parametrize("wrong", [-(2**62), -100, -2, -1, 7, 8, 2**62])
def test_labels_that_are_no_class_are_refused_as_by_the_definition(ignored, wrong):
    target = np.array([0, 1, 2, 3, wrong, 6])
    how = {"classes": 7, "ignore_index": ignored, "function": "f", "dtype": np.dtype(np.float32), "mean": True}
    task = attached.weighing.prepare_label_weights(None, target, **how)
    if wrong == ignored:
        assert np.array_equal(task(), np.where(target == ignored, 0, np.float32(1) / np.float32(5)))
        return
    with pytest.raises(IndexError) as expected:
        label_weights.op.raw(target, **how)
    with pytest.raises(IndexError, match=str(wrong)) as found:
        task()
    assert str(found.value) == str(expected.value)


@needs_numba
@pytest.mark.parametrize("ignored", [2**63 - 1, 2**63, 2**70, -(2**63), -(2**63) - 1])
def test_labels_beside_a_number_that_none_can_be(ignored):
    before, x = attached.is_attached(), normal(np.random.default_rng(0), 3, 4)
    found = []
    try:
        for on in (False, True):
            tg.use_numba(on)
            found.append(tg.cross_entropy(x, np.array([0, 3, 2]), ignore_index=ignored).item())
    finally:
        tg.use_numba(before)
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@needs_numba
@pytest.mark.parametrize("channels", [16, 20, 33])
@pytest.mark.parametrize("geometry", [*GEOMETRIES, (3, 1, 0, 0), (3, 2, 2, 2), (7, 1, 6, 6)])
def test_depthwise_convolution_fills_its_memory_and_no_other(channels, geometry):
    k, stride, before, after = geometry
    x = ordered(normal(np.random.default_rng(0), 2, channels, 7, 9), "last")
    w = normal(np.random.default_rng(1), channels, 1, k, k)
    how = {"stride": (stride,) * 2, "padding": ((before, after),) * 2, "dilation": (1, 1), "groups": channels}
    y = conv.convolve.op.raw(x.astype(np.float64), w.astype(np.float64), **how)
    memory = np.full(y.size + 64, 7, np.float32)
    n, c, *sizes = y.shape
    out = memory[32:-32].reshape(n, *sizes, c).transpose(0, 3, 1, 2)
    depthwise.prepare(out, x, w, **how)()
    np.testing.assert_allclose(out, y, rtol=1e-4, atol=1e-5)
    assert (memory[:32] == 7).all()
    assert (memory[-32:] == 7).all()


@needs_numba
@pytest.mark.parametrize("width", [3, 15, 16, 17, 31, 32, 33, 50, 67])
@pytest.mark.parametrize("geometry", [*GEOMETRIES, (3, 2, 2, 2), (3, 2, 1, 4), (3, 2, 0, 0)])
def test_depthwise_convolution_of_rows_that_fill_vectors_or_not(width, geometry):
    k, stride, before, after = geometry
    rng = np.random.default_rng(width)
    x, w = normal(rng, 2, 25, 6 + width % 2, max(width, k)), normal(rng, 25, 1, k, k)
    how = {"stride": (stride,) * 2, "padding": ((before, after),) * 2, "dilation": (1, 1), "groups": 25}
    y = conv.convolve.op.raw(x.astype(np.float64), w.astype(np.float64), **how)
    u = normal(rng, *y.shape)
    dx, dw = (
        function.op.raw(a.astype(np.float64), b.astype(np.float64), shape=shape, **how)
        for function, a, b, shape in ((conv.convolve_dx, u, w, x.shape), (conv.convolve_dw, x, u, w.shape))
    )
    for prepare, arrays, exact, more in (
        (depthwise.prepare, (x, w), y, {}),
        (depthwise.prepare_dx, (u, w), dx, {"shape": x.shape}),
        (depthwise.prepare_dw, (x, u), dw, {"shape": w.shape}),
    ):
        memory = np.full(exact.size + 64, 7, np.float32)
        out = memory[32:-32].reshape(exact.shape)
        task = prepare(out, *arrays, **more, **how)
        for _ in range(2):  # scratch and results do not depend on what was there
            task()
            np.testing.assert_allclose(out, exact, rtol=1e-4, atol=1e-4)
        assert (memory[:32] == 7).all()
        assert (memory[-32:] == 7).all()


@needs_numba
def test_a_pixel_that_is_not_finite_reaches_its_own_elements_of_the_filters():
    x, u = np.ones((1, 64, 16, 16), np.float32), np.ones((1, 64, 8, 8), np.float32)
    x[..., 1, 1] = np.inf
    how = {"stride": (2, 2), "padding": ((1, 0),) * 2, "dilation": (1, 1), "groups": 64}
    dw = depthwise.prepare_dw(None, x, u, shape=(64, 1, 3, 3), **how)()
    np.testing.assert_array_equal(
        np.isfinite(dw[0, 0]), [[False, True, False], [True, True, True], [False, True, False]]
    )


@needs_numba
@pytest.mark.parametrize("memory", ["first", "last"])
@pytest.mark.parametrize(("k", "stride"), [(3, 1), (3, 2), (7, 1)])
def test_depthwise_adjoints_have_no_more_nan_than_the_definition(k, stride, memory):
    rng, outputs = np.random.default_rng(0), ((11 - k) // stride + 1,) * 2
    x, w, u = (rng.uniform(0.5, 1.5, s).astype(np.float32) for s in ((2, 16, 9, 9), (16, 1, k, k), (2, 16, *outputs)))
    x, u = ordered(x, memory), ordered(u, memory)
    how = {"stride": (stride,) * 2, "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": 16}
    w[3, 0, 0, 0] = x[1, 5, 8, 0] = np.inf
    for prepare, op, arrays, size in (
        (depthwise.prepare_dx, conv.convolve_dx, (u, w), x.shape),
        (depthwise.prepare_dw, conv.convolve_dw, (x, u), w.shape),
    ):
        expected = op.op.raw(*arrays, shape=size, **how)
        np.testing.assert_allclose(prepare(None, *arrays, shape=size, **how)(), expected, rtol=1e-5)


SPECIAL = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 100, -100, 3e38, -3e38], np.float32)


@needs_numba
@pytest.mark.parametrize("function", [tg.gelu, activation.gelu_slope, tg.silu, activation.silu_slope])
def test_activations_of_special_numbers(function, numba, tables):
    expected = function.op.raw(SPECIAL.astype(np.float64), **({"approximate": "none"} if function is tg.gelu else {}))
    np.testing.assert_allclose(function(np.tile(SPECIAL, 20)), np.tile(expected, 20).astype(np.float32), rtol=2e-7)


@needs_numba
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_hardswish_and_hardsigmoid_have_the_bits_of_their_definitions(numba):
    edges = [f(np.float32(c), np.float32(0)) for c in (3, -3) for f in (lambda c, to: c, np.nextafter)]
    some = np.concatenate([SPECIAL, np.array(edges, np.float32), normal(np.random.default_rng(0), 16) * 4])
    u, x = (a.ravel() for a in np.meshgrid(some, some))
    for function, inputs in (
        (activation.hardsigmoid, [x]), (activation.hardswish, [x]),
        (activation.hardsigmoid_pull, [u, x]), (activation.hardswish_pull, [u, x]),
    ):  # fmt: skip
        y, expected = np.asarray(function(*inputs)), function.op.raw(*inputs)
        np.testing.assert_array_equal(y, expected)
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(y[known]), np.signbit(expected[known]))


@needs_numba
@pytest.mark.parametrize("function", [tg.gelu, activation.gelu_slope])
def test_gelu_is_right_to_a_unit_in_the_last_place(function, numba, tables):
    x = np.random.default_rng(0).uniform(-12.9, 8, 200_000).astype(np.float32)
    x = np.concatenate([x, x[np.abs(x) < 3] / 2, x / 1000, POINTS[np.float32].astype(np.float32)])
    exact = EXACT[function](x.astype(np.float64))
    error, apart = np.abs(function(x) - exact), np.abs(x - ZERO.get(function, np.inf)) > 0.5
    units = error / np.spacing(np.maximum(np.abs(exact), 1e-37).astype(np.float32))
    assert units[apart].max() <= 0.8
    assert error[~apart].max(initial=0) <= 2.0**-25


@needs_numba
@pytest.mark.parametrize("size", [1, 15, 16, 17, 100])
def test_gelu_of_a_number_does_not_depend_on_its_neighbours(size, numba, tables):
    u, x = normal(np.random.default_rng(0), 2, 1000) * 3
    y, slope, pulled = tg.gelu(x), activation.gelu_slope(x), activation.gelu_pull(u, x)
    for start in (0, 7, 900):
        part = slice(start, start + size)
        np.testing.assert_array_equal(tg.gelu(x[part]), y[part])
        np.testing.assert_array_equal(activation.gelu_slope(x[part]), slope[part])
        np.testing.assert_array_equal(activation.gelu_pull(u[part], x[part]), pulled[part])
        with_gaps = np.repeat(x[part], 2)[::2]
        np.testing.assert_array_equal(activation.gelu_pull(u[part], with_gaps), pulled[part])
        np.testing.assert_array_equal(tg.gelu(with_gaps), y[part])
    in_place = x[:size].copy()
    elements.prepare_gelu_pull(in_place, u[:size], in_place)()
    np.testing.assert_array_equal(in_place, pulled[:size])


@needs_numba
@pytest.mark.parametrize("function", [softmax.softmax, softmax.log_softmax])
def test_rows_of_special_numbers(function, numba, sizes):
    x = np.zeros((len(SPECIAL) + 2, 60), np.float32)
    x[: len(SPECIAL), 7] = SPECIAL
    x[-1] = -np.inf
    with np.errstate(all="ignore"):
        expected = function.op.raw(x, axis=-1)
    np.testing.assert_allclose(function(x), expected, rtol=1e-6, atol=1e-45)


@needs_numba
def test_products_that_leave_float32(numba):
    x, u, w = (a.reshape(40, 50) * np.float32(1e25) for a in normal(np.random.default_rng(0), 3, 2000) + 3)
    over, w = Over((1,), 1e-5), w[0] / np.float32(1e25)
    stats = standardize.moments.op.raw(x, over=over)
    exact = standardize.normalized_dx.op.raw(widened(u), widened(x), widened(w), None, stats, over=over)
    y = standardize.normalized_dx(u, x, w, None, stats, over=over)
    np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


@needs_numba
@pytest.mark.parametrize("channels", [3, 19, 32])
@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("number", [np.nan, -np.nan, np.inf, -np.inf])
def test_pools_of_special_numbers(order, number, channels, numba):
    x = np.round(normal(np.random.default_rng(0), 2, channels, 10, 12))
    x[np.random.default_rng(1).random(x.shape) < 0.4] = number
    x[0, 0, :4] = number
    top = pool.max_pool.op.raw(x, windows=TILES)
    which = pool.max_pool_which.op.raw(x, top, windows=TILES)
    np.testing.assert_array_equal(pool.max_pool(ordered(x, order), windows=TILES), top)
    np.testing.assert_array_equal(pool.max_pool_which(ordered(x, order), ordered(top, order), windows=TILES), which)


def network():
    """A step that runs every kernel, and its arrays."""
    rng = np.random.default_rng(0)
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.GELU(), nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8), nn.SiLU(),
        nn.MaxPool2d(2), nn.Conv2d(8, 8, 7, padding=3, groups=8), nn.Conv2d(8, 16, 1), nn.MaxPool2d(3, 2, 1), nn.Flatten(),
        nn.LayerNorm(256), nn.Linear(256, 10),
    )  # fmt: skip
    x, target = tg.Tensor(normal(rng, 48, 8, 32, 32)), rng.integers(0, 10, 48)

    def step():
        model.zero_grad()
        z = model(x)
        loss = tg.cross_entropy(z, target) + (tg.softmax(z) * tg.log_softmax(z)).sum() + tg.cumsum(z, axis=1).mean()
        loss.backward()
        return loss

    return step, lambda: [p.grad.numpy().copy() for p in model.parameters()]


@needs_numba
def test_eager_and_compiled_steps_have_the_same_bits_on_any_number_of_threads(numba, tuning):
    tuning(chunks, LARGE=400)  # else all rows here are one part
    found = []
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        for compiled in (False, True):
            step, gradients = network()
            step = tg.compile(step) if compiled else step
            for _ in range(4):
                loss = step()
            found.append([loss.numpy().copy(), *gradients()])
    for other in found[1:]:
        assert all(map(np.array_equal, found[0], other))


@needs_numba
def test_gradients_are_those_without_numba(numba):
    step, gradients = network()
    step()
    compiled = gradients()
    tg.use_numba(False)
    step, gradients = network()
    step()
    for a, b in zip(compiled, gradients(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


@needs_numba
def test_long_rows_keep_their_digits(numba):
    x = np.full((2, 100_000), np.float32(1.1))
    assert np.abs(tg.softmax(x).sum(1) - 1).max() < 1e-5
    np.testing.assert_allclose(tg.log_softmax(x), -np.log(100_000), rtol=2e-7)
    np.testing.assert_array_equal(scan.cumsum(x, axis=1), np.cumsum(x, 1, np.float64).astype(np.float32))


def _python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=ROOT,
        encoding="utf-8",
        capture_output=True,
        check=False,
    )


def test_numba_is_imported_when_it_is_asked_for():
    code = "import sys, tinygrad_cnn as tg; tg.softmax(tg.ones(3, 400)); assert 'numba' not in sys.modules"
    ended = _python(code, TINYGRAD_CNN_NUMBA="0")
    assert ended.returncode == 0, ended.stderr


@needs_numba
def test_the_environment_variable():
    code = "import sys, tinygrad_cnn; from tinygrad_cnn.extra.numba import attached; assert attached.is_attached()"
    ended = _python(code, TINYGRAD_CNN_NUMBA="1")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.part(1)
@pytest.mark.parametrize(
    ("code", "variable"),
    [("tg.use_numba()", "0"), ("tg.use_numba(False)", "0"), ("", "1")],
    ids=["on", "off", "variable"],
)
def test_without_numba_the_error_names_the_extra(code, variable):
    ended = _python(
        f"import sys; sys.modules['numba'] = None; import tinygrad_cnn as tg; {code}", TINYGRAD_CNN_NUMBA=variable
    )
    assert ended.returncode == 1
    assert "ImportError: use_numba: Numba is not installed" in ended.stderr
    assert "pip install 'tinygrad_cnn[numba]'" in ended.stderr
