"""Convolution's tasks over sizes that reach every way to compute it: values, buffers, threads, and what is refused."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import blocking
from tinygrad_cnn.kernels.conv import cached_im2col, depthwise, few_positions, im2col, kn2row, pointwise
from tinygrad_cnn.kernels.conv.convolution import convolve, convolve_dw, convolve_dx
from tinygrad_cnn.kernels.parallel import threads
from tinygrad_cnn.kernels.parallel.task import Work

from ...tuning import tuned

seeds, booleans = st.integers(0, 2**32 - 1), st.booleans()


@st.composite
def shapes(draw, depthwise=booleans):
    """(x, w, options): few channels and many, kernels that shifts suit and kernels they do not, rows of unequal padding."""
    ndim = draw(st.sampled_from([1, 2, 2, 2, 3]))
    groups, c, o = draw(st.sampled_from([1, 1, 1, 2])), draw(st.sampled_from([1, 3, 8, 16])), draw(st.integers(1, 9))
    if draw(depthwise):
        groups, c = draw(st.integers(2, 5)), 1
        o = draw(st.integers(1, 2))
    axis = st.tuples(
        st.integers(1, 4), st.integers(0, 9 if ndim < 3 else 3), st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.sampled_from([1, 1, 1, 2, 3]), st.sampled_from([1, 1, 1, 2]),
    )  # fmt: skip
    kernel, more, padding, stride, dilation = zip(*(draw(axis) for _ in range(ndim)), strict=True)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = [max(1, n - sum(p)) + extra for n, p, extra in zip(spans, padding, more, strict=True)]
    x = (draw(st.integers(0, 4)), groups * c, *sizes)
    return x, (groups * o, c, *kernel), {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def definition(x, w, stride, padding, dilation, groups):
    """One kernel element at a time, from a padded copy."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    n, o, kernel = len(x), len(w), w.shape[2:]
    out = [(m - (k - 1) * d - 1) // s + 1 for m, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    y = np.zeros((n, o, *out))
    xs = x.reshape(n, groups, x.shape[1] // groups, *x.shape[2:])
    ws = w.reshape(groups, o // groups, *w.shape[1:])
    for k in np.ndindex(*kernel):
        places = tuple(
            slice(i * d, i * d + (m - 1) * s + 1, s) for i, d, m, s in zip(k, dilation, out, stride, strict=True)
        )
        term = np.einsum("ngc...,goc->ngo...", xs[(..., *places)], ws[(..., *k)])
        y += term.reshape(y.shape)
    return y


def check_gradients(x, w, u, dx, dw, options, rng):
    """A linear form is known by its values: <dx, v> = <conv(v, w), u>, and so is dw."""
    for _ in range(2):
        v, z = rng.normal(size=x.shape), rng.normal(size=w.shape)
        for got, value in (
            (np.vdot(dx, v), definition(v, w, **options)),
            (np.vdot(dw, z), definition(x, z, **options)),
        ):
            assert abs(got - np.vdot(value, u)) <= 1e-11 * (np.abs(value * u).sum() + 1)


def operands(x_shape, w_shape, options, lay, lay_u, biased, rng):
    """x, w, b or None, a gradient u of the output, and what the output must be."""
    x, w = lay(rng.normal(size=x_shape)), rng.normal(size=w_shape)
    b = rng.normal(size=w_shape[0]) if biased else None
    expected = definition(x, w, **options)
    u = lay_u(rng.normal(size=expected.shape))
    return x, w, b, u, expected if b is None else expected + b.reshape(-1, *(1 for _ in x_shape[2:]))


def channels_last(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def apart(a):
    """The same values with gaps between them."""
    wide = np.full([2 * n + 1 for n in a.shape], np.nan, a.dtype)
    view = wide[tuple(slice(1, 2 * n, 2) for n in a.shape)]
    view[...] = a
    return view


def images_apart(a):
    """Channels last, with a gap behind every image."""
    return channels_last(np.concatenate([a, np.full_like(a, np.nan)], 2))[:, :, : a.shape[2]]


layouts = st.sampled_from([np.ascontiguousarray, channels_last, images_apart, apart])


@pytest.fixture(params=["small blocks", "default blocks", "few positions"], autouse=True)
def block_size(request, tuning):
    if request.param == "few positions":
        tuning(few_positions, LEAST=0, FOR_EACH=np.inf)
    if request.param == "small blocks":
        for module in (blocking, depthwise, kn2row):
            tuning(module, BLOCK_BYTES=600)
        tuning(cached_im2col, MOST=0, MOST_FLIPPED=0)


def tasks(x, w, b, u, options, out=(None,) * 3):
    """The output, and the gradients in x and in w."""
    geometry = {"shape": w.shape, **options}
    return [
        convolve(out[0], x, w, b, **options),
        convolve_dx(out[1], u, w, shape=x.shape, **options),
        convolve_dw(out[2], x, u, **geometry),
    ]


@given(shapes(), layouts, layouts, booleans, seeds)
def test_values_gradients_and_buffers(shape, lay, lay_u, biased, seed):
    rng = np.random.default_rng(seed)
    x, w, b, u, expected = operands(*shape, lay, lay_u, biased, rng)
    found = [task() for task in tasks(x, w, b, u, shape[2])]
    y, dx, dw = found
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
    assert dx.shape == x.shape
    assert dw.shape == w.shape
    check_gradients(x, w, u, dx, dw, shape[2], rng)
    buffers = [np.full_like(array, np.nan) for array in found]
    for task, buffer, array in zip(tasks(x, w, b, u, shape[2], buffers), buffers, found, strict=True):
        assert task() is buffer
        np.testing.assert_array_equal(buffer, array)


@given(shapes(), layouts, seeds)
def test_a_task_sees_other_values_every_time(shape, lay, seed):
    """As in a program, where convolution and gradient share what they keep for x."""
    rng = np.random.default_rng(seed)
    x, w, b, u, _ = operands(*shape, lay, lay, True, rng)
    shared, options = {}, shape[2]
    y, dw = convolve(None, x, w, b, **options)(), convolve_dw(None, x, u, shape=w.shape, **options)()
    calls = [
        convolve(y, x, w, b, **options, shared=shared),
        convolve_dw(dw, x, u, shape=w.shape, **options, shared=shared),
    ]
    calls = [call.prepared() if hasattr(call, "prepared") else call for call in calls]
    for _ in range(3):
        for array in (x, w, b, u):
            array[...] = rng.normal(size=array.shape)
        for call in calls:
            call()
        np.testing.assert_array_equal(y, convolve(None, x, w, b, **options)())
        np.testing.assert_array_equal(dw, convolve_dw(None, x, u, shape=w.shape, **options)())


@given(shapes(depthwise=st.just(False)), layouts, seeds, st.integers(2, 5))
def test_the_bits_do_not_depend_on_the_number_of_threads(shape, lay, seed, count):
    rng = np.random.default_rng(seed)
    x, w, b, u, _ = operands(*shape, lay, lay, True, rng)
    arrays = [a.astype(np.float32) for a in (x, w, b, u)]
    results = []
    for n in (1, count):
        threads.set_num_threads(n)
        results.append([task() for task in tasks(*arrays, shape[2])])
    for one, many in zip(*results, strict=True):
        assert one.dtype == many.dtype == np.float32
        np.testing.assert_array_equal(one, many)


def test_a_long_signal_is_cut_into_blocks_in_depthwise_convolution():
    x, w = np.arange(1.0, 401.0).reshape(1, 2, 200), np.array([[[1.0, -1.0]], [[2.0, 1.0]]])
    y = convolve(None, x, w, stride=(1,), padding=((0, 0),), dilation=(1,), groups=2)()
    np.testing.assert_array_equal(y[0, 0], np.full(199, -1.0))
    np.testing.assert_array_equal(y[0, 1], 3 * x[0, 1, :-1] + 1)


PLAIN = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


def test_bits_of_large_products_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    x, w, u = (rng.normal(size=s).astype(np.float32) for s in ((3, 16, 40, 40), (24, 16, 3, 3), (3, 24, 40, 40)))
    for n in (3, 1):
        results = []
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            results.append([task() for task in tasks(x[:n], w, None, u[:n], PLAIN)])
        for other in results[1:]:
            for one, many in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(one, many)


def test_memory_follows_the_incoming_gradient():
    w, u = np.ones((4, 16, 3, 3)), np.ones((2, 4, 5, 5))
    for given_u, is_last in ((u, False), (channels_last(u), True)):
        dx = convolve_dx(None, given_u, w, shape=(2, 16, 5, 5), **PLAIN)()
        assert (np.moveaxis(dx, 1, -1) if is_last else dx).flags.c_contiguous


X, W, U = np.ones((2, 4, 6, 6)), np.ones((8, 4, 3, 3)), np.ones((2, 8, 6, 6))
DX, DW = {"shape": (2, 4, 6, 6), **PLAIN}, {"shape": (8, 4, 3, 3), **PLAIN}

REFUSED = {
    "shape": (lambda: convolve(np.ones((2, 8, 5, 6)), X, W, **PLAIN), "`out` is float64 of shape"),
    "dtype": (lambda: convolve(np.ones((2, 8, 6, 6), np.float32), X, W, **PLAIN), "it must be float64"),
    "gaps": (lambda: convolve_dx(np.ones((2, 4, 6, 12))[..., ::2], U, W, **DX), "`out` has strides"),
    "shape of w": (lambda: convolve_dw(np.ones((8, 4, 3, 2)), X, U, **DW), "`out` is float64 of shape"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_memory_that_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match="convolution: ") as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize("block_size", ["default blocks"], indirect=True)
def test_what_computes_a_convolution_is_chosen_by_shape(monkeypatch):
    asked, taken = [], []
    modules = (depthwise, few_positions, im2col, kn2row, pointwise)
    for module in modules:
        monkeypatch.setattr(module, "convolve", lambda *_, module=module: asked.append(module) or Work([], list))
    monkeypatch.setattr(cached_im2col, "with_plan", lambda *_: taken.append(True))

    def chosen(channels, kernel=(3, 3), stride=(1, 1), groups=1, padding=1, filters=96, size=9):
        asked.clear()
        x, w = np.zeros((2, channels * groups, size, size)), np.zeros((filters, channels, *kernel))
        geometry = {"stride": stride, "padding": ((padding, padding),) * 2, "dilation": (1, 1), "groups": groups}
        with tuned() as tune:
            task = convolve(None, x, w, **geometry)
            if isinstance(task, partial):
                task()
                tune(cached_im2col, MOST=0)
                convolve(None, x, w, **geometry)
        few = [cached_im2col] * len(taken)
        taken.clear()
        return few + asked

    assert chosen(3) == [cached_im2col, im2col]  # the runs along the image are longer
    assert chosen(32) == [cached_im2col, kn2row]
    assert chosen(32, groups=2) == [kn2row, kn2row]  # each group by itself
    assert chosen(1, groups=32) == [depthwise]
    assert chosen(32, (1, 1)) == [kn2row]
    assert chosen(32, (1, 1), (2, 2)) == [kn2row]  # nothing to lay out
    assert chosen(32, (1, 1), padding=0) == [pointwise]
    assert chosen(128, filters=256, size=8) == [few_positions]  # 128 positions
    assert chosen(128, filters=512, groups=2, size=8) == [few_positions] * 2
    assert chosen(128, filters=256) == [cached_im2col, kn2row]
    assert chosen(64, filters=256, size=8) == [cached_im2col, kn2row]  # few numbers
