"""Sorting: stable orders, gradients that go back to where elements came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg

few_values = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6),
    elements=st.sampled_from([0.0, 1.0, -1.0, np.nan]),
)


@given(a=few_values, data=st.data())
def test_order_is_stable_both_ways_and_gradients_go_back(a, data):
    axis = data.draw(st.one_of(st.none(), st.integers(-a.ndim, a.ndim - 1)))
    for descending in (False, True):
        x = tg.Tensor(a, requires_grad=True)
        y, order = x.sort(axis, descending), x.argsort(axis, descending).numpy()
        lines, source = (
            (order[None], a.reshape(1, -1)) if axis is None else (np.moveaxis(m, axis, -1) for m in (order, a))
        )
        for at in np.ndindex(lines.shape[:-1]):
            line, values = lines[at], source[at]
            key = np.where(np.isnan(values), 2.0, values) * (-1 if descending else 1)
            assert line.tolist() == sorted(range(len(line)), key=lambda i: (key[i], i))
        taken = a.reshape(-1)[order] if axis is None else np.take_along_axis(a, order, axis)
        np.testing.assert_array_equal(y.numpy(), taken)
        weights = np.arange(1.0, 1 + a.size).reshape(y.shape)
        (g,) = tg.gradients(y, x, weights)
        back = g.numpy().reshape(-1)[order] if axis is None else np.take_along_axis(g.numpy(), order, axis)
        np.testing.assert_array_equal(back, weights)


@given(a=few_values, data=st.data())
def test_topk_is_the_start_of_the_sorted_order(a, data):
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    k, largest = data.draw(st.integers(0, a.shape[axis])), data.draw(st.booleans())
    x = tg.Tensor(a, requires_grad=True)
    values, order = x.topk(k, axis, largest)
    start = [slice(None)] * a.ndim
    start[axis] = slice(k)
    np.testing.assert_array_equal(values.numpy(), x.sort(axis, descending=largest).numpy()[tuple(start)])
    np.testing.assert_array_equal(order.numpy(), x.argsort(axis, descending=largest).numpy()[tuple(start)])
    (g,) = tg.gradients(values, x, np.ones(values.shape))
    np.testing.assert_array_equal(g.numpy().sum(axis=axis), np.full(np.delete(a.shape, axis), k))
    assert not order.requires_grad


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.topk(4), "topk: `k` is 4, but axis -1 has size 3; `k` must be from 0 to 3"),
        (lambda x: x.topk(-1), "topk: `k` is -1"),
        (lambda x: x.topk(1, 2), "topk: axis 2 is out of bounds"),
        (lambda x: x.sort(2), "argsort: axis 2 is out of bounds"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises((ValueError, IndexError), match=message):
        call(tg.zeros(2, 3))


def test_a_fraction_is_no_number_of_elements():
    with pytest.raises(TypeError, match=r"topk: `k` is 1\.5"):
        tg.topk(np.arange(3.0), 1.5)
