"""Rows added to a table: the same bits as additions one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.kernels import scatter
from tinygrad_cnn.ops import index as ops


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "count"), [(50, 40), (5, 100), (1, 3), (1000, 1), (70_000, 30)])
def test_rows_are_added_in_their_order(rows, count, dtype):
    rng = np.random.default_rng(0)
    shape, index = (rows, scatter.WIDE), rng.integers(-rows, rows, (count,))
    u = rng.normal(size=(count, scatter.WIDE)).astype(dtype)
    u[:, 0] = -0.0
    task = scatter.prepare(None, u, index=index, shape=shape)
    expected = np.zeros(shape, dtype)
    np.add.at(expected, index, u)
    np.testing.assert_array_equal(task(), expected)
    np.testing.assert_array_equal(np.signbit(task()), np.signbit(expected))
    np.testing.assert_array_equal(ops.add_at_zeros(u.reshape(1, *u.shape), index=index[None], shape=shape), expected)


def test_a_row_that_occurs_too_often_is_left_to_the_definition():
    u = np.ones((scatter.MOST + 1, scatter.WIDE))
    index = np.zeros(len(u), int)
    assert scatter.prepare(None, u, index=index, shape=(2, scatter.WIDE)) is None
    assert scatter.prepare(None, u[1:], index=index[1:], shape=(2, scatter.WIDE)) is not None
    np.testing.assert_array_equal(ops.add_at_zeros(u, index=index, shape=(2, scatter.WIDE))[0], float(len(u)))


def test_indices_out_of_range_are_errors():
    with pytest.raises(IndexError):
        ops.add_at_zeros(np.ones((1, scatter.WIDE)), index=np.array([7]), shape=(2, scatter.WIDE))
    for wrong in (5, -6):
        with pytest.raises(IndexError):
            ops.add_at_zeros(np.ones(5), index=np.array([0, 1, 2, 3, wrong]), shape=(5,))


def test_indices_count_from_the_end_too():
    np.testing.assert_array_equal(
        ops.add_at_zeros(np.arange(5.0), index=np.array([0, -1, 2, 4, -5]), shape=(5,)), [4, 0, 2, 0, 4]
    )
