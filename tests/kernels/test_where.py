"""Choosing without a branch: bit for bit what np.where chooses, in the memory order of the inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn.kernels.where import select

DTYPES = [np.float16, np.float32, np.float64, np.dtype(">f4"), np.int64, np.uint8, np.bool_, np.complex64]


def values(dtype, shape):
    return hnp.arrays(dtype, shape)  # infinities, NaNs with payloads and -0.0 among them


@given(st.data(), st.sampled_from(DTYPES), hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_is_where_bit_for_bit_broadcast_and_into_a_buffer(data, dtype, shapes):
    sizes = shapes.input_shapes
    mask = data.draw(values(bool, sizes[0]))
    a, b = data.draw(values(dtype, sizes[1])), data.draw(values(dtype, sizes[2]))
    expected = np.where(mask, a, b)
    y = select(mask, a, b)
    assert y.dtype == expected.dtype
    assert y.shape == expected.shape
    assert y.tobytes() == expected.tobytes()
    out = np.empty(expected.shape, expected.dtype)
    assert select(mask, a, b, out) is out
    assert out.tobytes() == expected.tobytes()
    for own in (a, b):  # written over the input that it has the shape of
        if own.shape == expected.shape and own.dtype == expected.dtype:
            target = own.copy()
            inputs = (target, b) if own is a else (a, target)
            assert select(mask, *inputs, target).tobytes() == expected.tobytes()


@given(st.data(), st.sampled_from([np.float16, np.float32, np.float64]), st.sampled_from([0, 0.0, -0.0, 1, False]))
def test_a_python_number_on_either_side_keeps_the_dtype(data, dtype, number):
    a = data.draw(values(dtype, (2, 3)))
    mask = data.draw(values(bool, (2, 3)))
    for y, expected in ((select(mask, a, number), np.where(mask, a, number)),
                        (select(mask, number, a), np.where(mask, number, a))):  # fmt: skip
        assert y.dtype == dtype
        assert y.tobytes() == expected.tobytes()


@pytest.mark.filterwarnings("error")
def test_infinities_and_nan_are_cut_off_without_a_warning_or_a_sign():
    a = np.array([np.inf, -np.inf, np.nan, -1.0], np.float32)
    assert select(np.zeros(4, bool), a, 0).view(np.int32).tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(select(np.ones(4, bool), a, 0), a)


@pytest.mark.parametrize("other", [0, 1.5])
def test_channels_last_memory_stays_so(other):
    a = np.ones((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2)
    assert select(a > 0, a, other).strides == a.strides
    assert select(a > 0, other, a).strides == a.strides


def test_what_is_not_boolean_counts_as_true_unless_it_is_zero():
    np.testing.assert_array_equal(select(np.array([0, 2, -1]), np.ones(3), 5.0), [5, 1, 1])
    np.testing.assert_array_equal(select([0.0, np.nan], np.ones(2), 5.0), [5, 1])
