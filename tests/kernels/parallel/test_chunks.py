"""Work on large arrays in parts: what comes out is what comes out of the whole, bit for bit, for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import relu, where
from tinygrad_cnn.kernels.parallel import chunks, threads
from tinygrad_cnn.ops import pool
from tinygrad_cnn.testing.strategies import arrays

ORDERS = st.permutations(range(4))
SHAPES = st.tuples(*(st.integers(1, 5) for _ in range(4)))


@pytest.fixture(autouse=True)
def small_is_large(tuning):
    tuning(chunks, SMALL=1, LARGE=2)
    tuning(where, LARGE=2, SHORT=0)
    tuning(relu, LARGE=2)


def lying(a, order):
    """The same values in memory in another order of the axes."""
    return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))


@given(shape=SHAPES, order=ORDERS, count=st.integers(1, 3), data=st.data())
def test_every_element_is_worked_on_once(shape, order, count, data):
    threads.set_num_threads(count)
    a, b = (lying(data.draw(arrays(shape)), order) for _ in range(2))
    row = data.draw(arrays((1, 1, 1, shape[3])))
    number, counts = np.asarray(3.0), np.zeros(shape)

    def work(out, a, b, row, number):
        assert number == 3.0
        out += a * b + row + number

    task = chunks.shared(work, counts, counts, a, b, row, number)
    for times in (1, 2):
        assert task() is counts
        np.testing.assert_allclose(counts, times * (a * b + row + 3.0))


@given(shape=SHAPES, order=ORDERS, other=ORDERS, count=st.integers(1, 3), data=st.data())
def test_choosing_and_relu(shape, order, other, count, data):
    threads.set_num_threads(count)
    a = lying(data.draw(arrays(shape, low=-1.0, high=1.0)).astype(np.float32), order)
    b = lying(data.draw(arrays(shape, low=-1.0, high=1.0)).astype(np.float32), other)
    mask = lying(a > b, order)
    for task, expected in (
        (where.prepare, np.where(mask, a, b)),
        (lambda out, mask, a, b: where.prepare(out, mask, a, 0), np.where(mask, a, np.float32(0))),
        (lambda out, mask, a, b: where.prepare(out, mask, 0, b), np.where(mask, np.float32(0), b)),
        (lambda out, mask, a, b: tg.relu.op.prepare(out, a), np.maximum(a, 0)),
    ):
        np.testing.assert_array_equal(task(None, mask, a, b)(), expected, strict=True)
        out = np.full_like(a, np.nan)
        task(out, mask, a, b)()
        np.testing.assert_array_equal(out, expected, strict=True)


@given(
    images=st.integers(1, 5),
    order=st.sampled_from([(0, 1, 2, 3), (0, 2, 3, 1)]),
    count=st.integers(1, 3),
    data=st.data(),
)
def test_max_pooling(images, order, count, data):
    x = lying(data.draw(arrays((images, 2, 4, 6), low=-1.0, high=1.0)), order)
    u = data.draw(arrays((images, 2, 2, 3), low=-1.0, high=1.0))
    windows = pool.Windows((2, 2), (2, 3), (2, 2), (0, 0), (1, 1))

    def there_and_back(x, u):
        y = pool.max_pool(x, windows=windows)
        which = pool.max_pool_which(x, y, windows=windows)
        return y, which, pool.put_elements(u, which, sizes=(4, 6), windows=windows)

    threads.set_num_threads(count)
    whole = there_and_back(x, u)
    for i in range(images):
        for one, part in zip(whole, there_and_back(x[i : i + 1], u[i : i + 1]), strict=True):
            np.testing.assert_array_equal(one[i : i + 1], part, strict=True)
    if images > 1:
        assert whole[2].strides == lying(np.empty((images, 2, 4, 6)), order).strides


def test_what_a_part_raises_is_raised():
    def work(a):
        raise ArithmeticError("here")

    with pytest.raises(ArithmeticError, match="here"):
        chunks.shared(work, *[np.zeros((4, 4))] * 2)()
