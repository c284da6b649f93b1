"""The digits: what the source says of them; enlarging, by its properties."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn import data


def test_shapes_dtypes_and_ranges():
    images, labels = data.digits()
    assert type(images) is type(labels) is np.ndarray
    assert (images.shape, images.dtype) == ((1797, 8, 8), np.uint8)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert images.min() == 0
    assert images.max() == 16
    assert images.flags.c_contiguous


def test_label_counts_are_those_of_the_collection():
    """Its description lists how often each digit occurs in the test set."""
    _, labels = data.digits()
    np.testing.assert_array_equal(np.bincount(labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])


def test_pixels_and_order_are_those_of_the_collection():
    """The first image, and a digest taken from scikit-learn's copy written as the source is: 64 pixels and a label a line."""
    images, labels = data.digits()
    assert images[0].tolist() == [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
        [0, 4, 12, 0, 0, 8, 8, 0],
        [0, 5, 8, 0, 0, 9, 8, 0],
        [0, 4, 11, 0, 1, 12, 7, 0],
        [0, 2, 14, 5, 10, 12, 0, 0],
        [0, 0, 6, 13, 10, 0, 0, 0],
    ]
    rows = np.column_stack([images.reshape(len(images), 64), labels])
    text = "\n".join(",".join(map(str, row)) for row in rows.tolist())
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "63e266dec490e75ef6c22e592ba8e509f5cd6d9536f6a3c84547c959afa1f82a"
    )


def test_each_call_gives_new_arrays():
    first, second = data.digits(), data.digits()
    for mine, other in zip(first, second, strict=True):
        mine += 1
        assert not np.shares_memory(mine, other)
        assert (mine == other + 1).all()
    np.testing.assert_array_equal(data.digits()[0], second[0])


images = hnp.arrays(
    st.sampled_from([np.uint8, np.int64, np.float32, np.bool_]),
    st.tuples(*[st.integers(0, 2)] * 2, *[st.integers(1, 5)] * 2).map(lambda shape: shape[shape[0] :]),
    elements={"min_value": 0, "max_value": 1},
)


@given(images, st.integers(5, 12))
def test_enlarge_takes_the_pixel_in_which_each_centre_falls(a, size):
    big = data.enlarge(a, size)
    assert big.shape == (*a.shape[:-2], size, size)
    assert big.dtype == a.dtype
    for i, j in np.ndindex(size, size):
        row, column = (int((k + 0.5) / size * n) for k, n in zip((i, j), a.shape[-2:], strict=True))
        np.testing.assert_array_equal(big[..., i, j], a[..., row, column])


@given(images, st.integers(1, 4))
def test_enlarge_by_a_whole_factor_repeats_each_pixel(a, factor):
    a = np.broadcast_to(a[..., :1], (*a.shape[:-1], a.shape[-2]))
    size = factor * a.shape[-1]
    np.testing.assert_array_equal(data.enlarge(a, size), a.repeat(factor, -1).repeat(factor, -2))


def test_enlarge_gives_a_new_contiguous_array():
    a = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8)
    for size in (8, 11, 32):
        big = data.enlarge(a, size)
        assert big.flags.c_contiguous
        assert not np.shares_memory(big, a)


@pytest.mark.parametrize(
    ("shape", "size", "error", "message"),
    [
        ((8,), 8, ValueError, r"`images` has shape \(8,\); it must be \(\.\.\., H, W\)"),
        ((3, 0, 8), 8, ValueError, r"`images` has shape \(3, 0, 8\).*at least one pixel"),
        ((3, 8, 9), 8, ValueError, r"`size` is 8 but the images are 8 x 9; it must not be smaller"),
        ((8, 8), 32.0, TypeError, r"`size` is 32\.0; it must be an integer"),
    ],
)
def test_enlarge_refuses(shape, size, error, message):
    with pytest.raises(error, match="enlarge: " + message):
        data.enlarge(np.zeros(shape), size)
