"""Where NumPy frameworks are known to go wrong, a property each; the op's own tests go further."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.strategies import conv_geometries, pool_geometries

partial = functools.partial
seeds = st.integers(0, 2**32 - 1)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def leaf(values, dtype=np.float64):
    return tg.Tensor(np.asarray(values, dtype), requires_grad=True)


def normal(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def distinct(seed, shape):
    """Values further apart than any step of a finite difference."""
    return (np.random.default_rng(seed).permutation(np.prod(shape, dtype=int)).reshape(shape) + 1) / 8


@both_dtypes
@given(value=st.floats(-1e4, 1e4, width=32), correction=st.sampled_from([0, 1]))
def test_std_at_zero_variance_has_zero_gradients_of_both_orders(dtype, value, correction):
    x = leaf([[value] * 3, [0.0, 1.0, 3.0]], dtype)
    y = x.std(axis=1, correction=correction)
    assert y[0].item() == 0
    (g,) = tg.gradients(y.sum(), [x], create_graph=True)
    (h,) = tg.gradients(g[0].sum() + (g * g).sum(), [x])
    assert not g[0].numpy().any()
    assert not h[0].numpy().any()
    assert g[1].numpy().any()
    assert np.isfinite(h.numpy()).all()
    assert g.dtype == h.dtype == dtype


@pytest.mark.part(4)
@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(
    "kwargs",
    [{"groups": 2}, {"dilation": 2}, {"stride": 2}, {"groups": 2, "dilation": 2, "stride": 2, "padding": 1}],
    ids=str,
)
def test_double_backward_through_grouped_dilated_and_strided_convolution(ndim, kwargs):
    x, w, b = normal(0, (1, 2, *(4, 3, 3)[:ndim]), (2, 2 // kwargs.get("groups", 1), *(2, 2, 1)[:ndim]), (2,))
    assert_gradients(partial(getattr(tg, f"conv{ndim}d"), **kwargs), x, w, b, order=3, budget=3)


@given(g=st.integers(1, 3).flatmap(partial(conv_geometries, max_size=4)), seed=seeds)
def test_double_backward_through_convolution_of_any_geometry(g, seed):
    x, w, b = normal(seed, g.x, g.w, g.w[:1])
    assert_gradients(partial(getattr(tg, f"conv{g.ndim}d"), **g.kwargs), x, w, b, order=2, budget=2)


@pytest.mark.part(4)
@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(
    "kwargs",
    [{"groups": 2}, {"dilation": 2}, {"stride": 2, "output_padding": 1}, {"groups": 2, "stride": 2, "padding": 1}],
    ids=str,
)
def test_double_backward_through_transposed_convolution(ndim, kwargs):
    x, w, b = normal(0, (1, 2, *(3, 2, 2)[:ndim]), (2, 1, *(2, 2, 2)[:ndim]), (kwargs.get("groups", 1),))
    assert_gradients(partial(getattr(tg, f"conv_transpose{ndim}d"), **kwargs), x, w, b, order=3, budget=3)


# Squared, so that a pool that is linear has a second derivative too.
@pytest.mark.parametrize("kind", ["max", "avg"])
@given(data=st.data(), seed=seeds)
def test_double_backward_through_every_pooling_of_any_geometry(kind, data, seed):
    g = data.draw(st.integers(1, 3).flatmap(partial(pool_geometries, max_size=4, dilated=kind == "max")))
    pool = partial(getattr(tg, f"{kind}_pool{g.ndim}d"), **g.kwargs)
    assert_gradients(lambda a: tg.square(pool(a)), distinct(seed, g.x), order=2, budget=2)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_double_backward_through_every_adaptive_pooling(kind, ndim):
    pool = getattr(tg, f"adaptive_{kind}_pool{ndim}d")
    assert_gradients(lambda a: tg.square(pool(a, 2)), distinct(0, (1, 2, *(5, 3, 2)[:ndim])), order=2, budget=4)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_double_backward_through_lp_pooling(p):
    assert_gradients(lambda a: tg.lp_pool2d(a, p, 2, ceil_mode=True), distinct(0, (1, 2, 3, 3)), order=2, budget=4)


def test_double_backward_through_unpooling():
    def through(a):
        values, indices = tg.max_pool2d(a, 2, return_indices=True)
        return tg.square(tg.max_unpool2d(values, indices, 2))

    assert_gradients(through, distinct(0, (1, 2, 4, 4)), order=2, budget=4)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@both_dtypes
@given(value=st.floats(-1e4, 1e4, width=32))
def test_ties_in_max_pool_give_the_gradient_to_the_first(ndim, dtype, value):
    x = leaf(np.full((1, 1) + (4,) * ndim, value), dtype)
    y = getattr(tg, f"max_pool{ndim}d")(x, 2)
    y.sum().backward()
    first = np.zeros(x.shape)
    first[(..., *[slice(None, None, 2)] * ndim)] = 1
    np.testing.assert_array_equal(x.grad.numpy(), first)
    assert x.grad.dtype == dtype


@pytest.mark.parametrize("f", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow])
@given(c=st.floats(0.5, 3))
def test_float32_times_a_python_float_stays_float32_to_second_order(f, c):
    for g in (lambda a: f(a, c), lambda a: f(c, a), lambda a: f(a, np.float32(c))):
        x = leaf([0.5, 1.5], np.float32)
        y = g(x)
        (first,) = tg.gradients(y.sum(), [x], create_graph=True)
        (second,) = tg.gradients((first * x).sum(), [x])
        assert y.dtype == first.dtype == second.dtype == np.float32


def test_second_backward_raises_unless_the_graph_is_retained_and_then_adds():
    x = leaf([1.0, 2.0])
    y = tg.exp(x).sum()
    y.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once)
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once)


def test_5000_deep_graphs_have_both_derivatives():
    depth = 5_000
    x = y = leaf(1.0)
    for _ in range(depth):
        y = y * x  # y = x^(depth + 1)
    (g,) = tg.gradients(y, [x], create_graph=True)
    (h,) = tg.gradients(g, [x])
    assert g.item() == depth + 1
    assert h.item() == (depth + 1) * depth


VIEWS = {
    "transpose": lambda a: a.transpose(),
    "reverse": lambda a: a[::-1],
    "every other": lambda a: a[..., ::2],
    "reshape": lambda a: a.reshape(-1),
    "new axis": lambda a: a[:, None] if a.ndim else a[None],
    "broadcast": lambda a: (
        tg.broadcast_to(a, (2, *a.shape)) if isinstance(a, tg.Tensor) else np.broadcast_to(a, (2, *a.shape))
    ),
    "row": lambda a: a[0] if a.ndim > 1 else a,
    "swap": lambda a: a.swapaxes(0, -1),
}


@given(names=st.lists(st.sampled_from(sorted(VIEWS)), min_size=2, max_size=5))
def test_gradient_through_views_of_views_counts_each_element_where_it_was(names):
    def through(a):
        for name in names:
            a = VIEWS[name](a)
        return a

    x = leaf(distinct(0, (3, 4)))
    places = through(np.arange(12).reshape(3, 4))
    y = through(x)
    np.testing.assert_array_equal(y.numpy(), x.numpy().ravel()[places])
    u = leaf(np.cos(np.arange(places.size)).reshape(places.shape))
    (g,) = tg.gradients((y * y * u).sum(), [x], create_graph=True)
    count = np.bincount(places.ravel(), u.numpy().ravel(), 12).reshape(3, 4)
    np.testing.assert_allclose(g.numpy(), 2 * count * x.numpy(), rtol=1e-12, atol=1e-14)
    (h,) = tg.gradients(g.sum(), [x])
    np.testing.assert_allclose(h.numpy(), 2 * count, rtol=1e-12, atol=1e-14)


def test_writing_into_what_a_view_shows_is_noticed():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = tg.square(x[0][::-1])
    x[0][0] = 5.0  # gives the view x[0] a value of its own
    (g,) = tg.gradients(y.sum(), [x])
    assert g.numpy().tolist() == [[2.0, 4.0], [0.0, 0.0]]
    with pytest.raises(RuntimeError, match="it is out of date"):
        tg.square(x)
