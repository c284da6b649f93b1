"""Arrays in the other byte order: a compiled step, with kernels in NumPy and in Numba, has the bits that it has for others."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Draws

from .test_accelerations import ACCELERATED, users


@pytest.fixture(params=["NumPy", "Numba"])
def kernels(request, tiny):
    if request.param == "Numba":
        request.getfixturevalue("numba")


def swapped(array):
    return array.astype(array.dtype.newbyteorder("S"))


def results(case, arrays, change):
    """The value of a row and its gradients, of four calls of a compiled function."""
    inputs = [tg.Tensor(change(a), requires_grad=True) if a.dtype.kind == "f" else change(a) for a in arrays]
    floats = [x for x in inputs if isinstance(x, tg.Tensor)]

    @tg.compile
    def step(factor):
        y = case.call(*inputs)
        if not (case.order and floats and isinstance(y, tg.Tensor) and y.requires_grad):
            return [y]
        y = y * factor
        weights = change(np.arange(1, y.size + 1, dtype=y.dtype).reshape(y.shape))
        return [y, *[g for g in tg.gradients(y, floats, weights, allow_unused=True) if g is not None]]

    return [step(change(np.array(1.5, floats[0].dtype if floats else float))) for _ in range(4)]


@pytest.mark.part(8)
@pytest.mark.parametrize("op", ACCELERATED, ids=lambda op: op.name)
def test_the_byte_order_changes_no_bit(op, kernels):
    for case in users()[op][:2]:
        arrays = [
            a.astype(np.float32) if a.dtype.kind == "f" else a for a in case.draw(Draws(np.random.default_rng(0)))
        ]
        for found, right in zip(results(case, arrays, swapped), results(case, arrays, np.copy), strict=True):
            for y, expected in zip(found, right, strict=True):
                assert np.asarray(y.numpy() if isinstance(y, tg.Tensor) else y).dtype.isnative
                np.testing.assert_array_equal(*(a.numpy() if isinstance(a, tg.Tensor) else a for a in (y, expected)))
