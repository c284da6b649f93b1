"""Copies of transposed matrices whose columns are far apart: a few columns at a time, with the values of any other copy."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import copies

SHAPES = [(512, 128), (128, 512), (33, 256), (300, 128), (17, 1024)]


def transposed(rows, columns, dtype):
    """A matrix (rows, columns) in Fortran order, in memory with 128 numbers, or a multiple, to each column."""
    wide = -(-rows // 128) * 128
    a = np.zeros((columns, wide), dtype)
    a[:, :rows] = np.arange(rows * columns).reshape(columns, rows) % 251
    return a[:, :rows].T


@pytest.fixture(autouse=True)
def of_few_elements(tuning):
    tuning(copies, TILE=1)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "c16"])
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_a_copy_in_the_other_order(rows, columns, dtype):
    a = transposed(rows, columns, dtype)
    assert copies.is_far(a)
    laid_out = copies.prepare_laid_out(None, np.ascontiguousarray(a), axes=(1, 0))()
    assert laid_out.T.flags.c_contiguous
    assert laid_out.dtype == dtype
    np.testing.assert_array_equal(laid_out, a)


@pytest.mark.parametrize(
    "a",
    [
        np.ones((4, 4)),
        np.ones((4, 130)).T,
        np.ones((2, 3, 128)).T,
        np.ones((128, 256)).T[::2],
        np.broadcast_to(np.ones((256, 1)), (256, 128)),
    ],
)
def test_the_columns_of_other_arrays_are_near(a):
    assert not copies.is_far(a)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_the_gradient_of_a_transposed_use(rows, columns):
    x = tg.Tensor(np.ones((rows, columns), "f4"), requires_grad=True)
    g = np.random.default_rng(0).standard_normal((columns, rows), dtype="f4")
    for _ in range(2):
        (x.T * 2).backward(g)
    np.testing.assert_array_equal(x.grad.numpy(), g.T * 4)
    assert x.grad.numpy().flags.c_contiguous
