"""What is kept for convolutions of little data: that it is used again, and for what it was made alone."""

from __future__ import annotations

import weakref
from functools import partial

import numpy as np
import pytest

from tinygrad_cnn.kernels.blocking import Geometry
from tinygrad_cnn.kernels.conv import cached_im2col
from tinygrad_cnn.kernels.conv.convolution import convolve, convolve_dw, convolve_dx

from .test_convolution import PLAIN, channels_last, definition


@pytest.fixture(autouse=True)
def filled(monkeypatch):
    """The arrays with which plans were filled, of a thread that has none yet."""
    found = []
    fill = cached_im2col.Plan.fill
    monkeypatch.setattr(cached_im2col.Plan, "fill", lambda plan, x: (found.append(x), fill(plan, x)))
    cached_im2col.forget()
    return found


def arrays(filters=8):
    rng = np.random.default_rng(0)
    return [rng.normal(size=s) for s in ((2, 3, 6, 6), (filters, 3, 3, 3), (2, filters, 6, 6))]


def gradient(x, u):
    return convolve_dw(None, x, u, shape=(u.shape[1], 3, 3, 3), **PLAIN)()


def test_the_gradient_finds_the_columns_of_the_convolution(filled):
    """From the second gradient on; a plan that has served none keeps nothing for it."""
    x, w, u = arrays()
    other = x + 1
    convolve(None, x, w, **PLAIN)()
    gradient(x, u)
    assert [a is x for a in filled] == [True, True]
    filled.clear()
    convolve(None, x, w, **PLAIN)()
    expected = gradient(x, u)
    assert [a is x for a in filled] == [True]
    np.testing.assert_array_equal(gradient(other, u), gradient(other.copy(), u))
    assert len(filled) == 2  # of the copy they were the same
    np.testing.assert_array_equal(gradient(x, u), expected)
    assert filled[2] is x


@pytest.mark.parametrize("write", [lambda x: x.fill(1), lambda x: np.negative(x, x), lambda x: x.fill(np.nan)])
def test_columns_are_filled_anew_where_the_array_has_been_written(write):
    """By NumPy, of which no graph knows; the second zero has another sign than the first."""
    x, w, u = arrays()
    x[0, 0, 0, 0] = 0
    convolve(None, x, w, **PLAIN)()
    write(x)
    expected = gradient(x.copy(), u)
    convolve(None, x * 0.5, w, **PLAIN)()
    np.testing.assert_array_equal(gradient(x, u), expected)


@pytest.mark.parametrize("order", [np.asfortranarray, channels_last])
def test_columns_are_found_in_other_memory_orders(filled, order):
    """Or filled anew where the bytes are those of another dtype."""
    x, w, u = arrays()
    expected, x = gradient(x, u), order(x)
    for _ in range(2):
        filled.clear()
        convolve(None, x, w, **PLAIN)()
        np.testing.assert_allclose(gradient(x, u), expected, rtol=1e-12)
    assert len(filled) == 1
    bits = x.view(x.dtype.newbyteorder())
    np.testing.assert_array_equal(gradient(bits, u), gradient(bits.copy(), u))
    assert filled[1] is bits


def test_a_program_has_columns_of_its_own(filled):
    """Between its convolution and its gradient another call may fill those of the thread."""
    x, w, u = arrays()
    shared = {}
    y, dw = convolve(None, x, w, **PLAIN)(), gradient(x, u)
    first = convolve(y, x, w, **PLAIN, shared=shared)
    second = convolve_dw(dw, x, u, shape=w.shape, **PLAIN, shared=shared)
    second()  # from now on the plan keeps the images
    filled.clear()
    for factor in (1, 2):
        x *= factor
        first()
        convolve(None, x + 1, w, **PLAIN)()
        second()
        np.testing.assert_array_equal(dw, gradient(x, u))
    assert [a is x for a in filled] == [True, False, True] * 2  # once for both, for another call, and by `gradient`


def test_plans_are_few_and_no_two_calls_have_one():
    geometry = Geometry((3, 3), (6, 6), *(PLAIN[name] for name in ("stride", "padding", "dilation")))
    given = (cached_im2col.Columns((1, 3, 6, 6), geometry, (1, 1)), np.dtype(float))
    seen, alive = [], weakref.WeakSet()

    def use(plan, depth):
        seen.append(plan)
        return partial(cached_im2col.with_plan, *given, use, depth - 1) if depth else list

    cached_im2col.with_plan(*given, use, 1)
    cached_im2col.with_plan(*given, use, 0)
    assert seen[0] is seen[2] is not seen[1]
    for _ in range(2 * cached_im2col.KEPT):
        given = (cached_im2col.Columns((1, 3, 6, 6), geometry, (1, 1)), np.dtype(float))
        cached_im2col.with_plan(*given, lambda plan: partial(alive.add, plan))
    assert len(alive) == cached_im2col.KEPT


@pytest.mark.parametrize("filters", [1, cached_im2col.FEW_FILTERS - 1, cached_im2col.FEW_FILTERS])
def test_an_output_of_few_filters_is_filter_by_filter_in_memory(filters):
    x, w, _ = arrays(filters)
    y = convolve(None, x, w, **PLAIN)()
    is_few = filters < cached_im2col.FEW_FILTERS
    assert (y.swapaxes(0, 1) if is_few else np.moveaxis(y, 1, -1)).flags.c_contiguous
    np.testing.assert_allclose(y, definition(x, w, **PLAIN), rtol=1e-11, atol=1e-11)


def test_filters_that_have_gaps_are_read_in_every_call():
    x, w, _ = arrays()
    wide = np.zeros((8, 3, 3, 6))
    view, y = wide[..., ::2], channels_last(np.empty((2, 8, 6, 6)))
    task = convolve(y, x, view, **PLAIN)
    for factor in (1, 2):
        view[...] = w * factor
        np.testing.assert_array_equal(task(), convolve(None, x, w * factor, **PLAIN)())


@pytest.mark.parametrize("lay", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize(("channels", "stride"), [(3, 1), (9, 1), (3, 2), (9, 2)])
def test_the_gradient_in_small_images_is_a_convolution(filled, channels, stride, lay):
    rng = np.random.default_rng(0)
    geometry = {**PLAIN, "stride": (stride, stride)}
    x, w = rng.normal(size=(2, channels, 6, 6)), rng.normal(size=(5, channels, 3, 3))
    size = 6 // stride
    u = lay(rng.normal(size=(2, 5, size, size)))
    dx = convolve_dx(None, u, w, shape=x.shape, **geometry)()
    assert [a is u for a in filled] == [True]
    y = definition(x, w, **geometry)
    np.testing.assert_allclose(np.vdot(dx, x), np.vdot(y, u), rtol=1e-12)
    for i in rng.integers(x.size, size=20):
        one = np.zeros(x.size)
        one[i] = 1
        np.testing.assert_allclose(np.vdot(definition(one.reshape(x.shape), w, **geometry), u), dx.reshape(-1)[i])
