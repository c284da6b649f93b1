"""What the tests of compiled kernels share: arrays, and what a kernel's result is compared with."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.extra.numba import vectors

needs_vectors = pytest.mark.skipif(not vectors.FINDS, reason="needs AVX-512")

UNIT = 2.0**-24
"""Half of a unit in the last place of float32."""


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def last(a):
    """Images with channels last in memory."""
    order = (0, *range(2, a.ndim), 1)
    return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))


def agrees(y, op, *arrays, **params):
    """Whether y is the result of the definition, as a sum of hundreds of terms rounds."""
    exact, size = (
        op.raw(*(a if a is None else f(a.astype(np.float64)) for a in arrays), **params) for f in (np.array, np.abs)
    )
    return y.dtype == np.float32 and y.shape == exact.shape and (np.abs(y - exact) <= 32 * UNIT * size).all()


def filled(prepare, out, *arrays, **params):
    """Whether the result is the same in memory that held something else, twice, and nothing around it is written."""
    memory = np.full(out.size + 64, 7, np.float32)
    into = np.ndarray(out.shape, np.float32, memory, 128, out.strides)
    task = prepare(into, *arrays, **params)
    for _ in range(2):
        task()
        if not np.array_equal(into, out):
            return False
        memory[32:-32] = 7
    return (memory == 7).all()
