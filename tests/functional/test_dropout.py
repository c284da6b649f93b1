"""Dropout and embedding: what is drawn, what is looked up, and bad arguments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
import tinygrad_cnn.functional as F

ONES = np.ones((40, 25, 2, 3), np.float32)


@given(p=st.floats(0.05, 0.95), seed=st.integers(0, 2**32 - 1))
def test_dropped_elements_are_zero_and_the_others_scaled_to_keep_the_mean(p, seed):
    y = F.dropout(ONES, p, rng=seed)
    assert y.dtype == np.float32
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - p)], rtol=1e-6)
    deviation = np.sqrt(p / (1 - p) / ONES.size)
    assert abs(y.mean() - 1) < 6 * deviation


@pytest.mark.parametrize("p", [2.0**-12, 1 - 2.0**-12, 0.3, 77 / 256, 77.5 / 256])
def test_probabilities_are_finer_than_the_byte_that_is_drawn_first(p):
    n = 1 << 20
    dropped = (F.dropout(np.ones(n, np.float32), p, rng=0) == 0).sum()
    assert abs(dropped - n * p) < 6 * np.sqrt(n * p * (1 - p))


def test_channels_last_images_stay_so_and_lose_the_same_elements():
    image = np.ascontiguousarray(ONES.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    y = F.dropout(image, 0.5, rng=0)
    assert y.strides == image.strides
    np.testing.assert_array_equal(y, F.dropout(ONES, 0.5, rng=0))


def test_a_list_loses_the_elements_that_its_array_loses():
    row = [1.0, 2.0, 3.0, 4.0]
    np.testing.assert_array_equal(F.dropout(row, 0.5, rng=0), F.dropout(np.array(row), 0.5, rng=0))


@given(seed=st.integers(0, 2**32 - 1))
def test_dropout2d_drops_whole_channels(seed):
    for x in (ONES, ONES[0]):
        y = F.dropout2d(x, 0.5, rng=seed)
        assert (y == y[..., :1, :1]).all()
        assert 0 < (y == 0).mean() < 1


@pytest.mark.parametrize("f", [F.dropout, F.dropout2d])
def test_nothing_is_dropped_at_0_or_outside_training_and_everything_at_1(f):
    x = tg.Tensor(ONES, requires_grad=True)
    assert f(x, 0.0) is x
    assert f(x, 0.5, training=False) is x
    y = f(x, 1.0)
    y.backward(ONES)
    assert not y.numpy().any()
    assert not x.grad.numpy().any()


def test_draws_follow_the_seed_and_not_the_dtype():
    drawn = [F.dropout(ONES.astype(dtype), 0.3, rng=5) == 0 for dtype in (np.float32, np.float64)]
    np.testing.assert_array_equal(*drawn)
    tg.manual_seed(1)
    first, second = F.dropout(ONES), F.dropout(ONES)
    assert (first != second).any()
    tg.manual_seed(1)
    np.testing.assert_array_equal(F.dropout(ONES), first)
    rng = np.random.default_rng(1)
    assert (F.dropout(ONES, rng=rng) != F.dropout(ONES, rng=rng)).any()


def test_the_gradient_passes_where_the_value_did():
    x = tg.Tensor(ONES, requires_grad=True)
    y = F.dropout(x, 0.4, rng=0)
    y.backward(ONES)
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


@pytest.mark.parametrize("f", [F.alpha_dropout, F.feature_alpha_dropout])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_alpha_dropout_keeps_mean_and_variance(f, p):
    x = np.random.default_rng(0).uniform(-(3**0.5), 3**0.5, (400, 250, 1))  # above what selu approaches
    y = f(x, p, True, rng=1)
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.03
    assert abs((y == y.min()).mean() - p) < 0.01


def test_feature_alpha_dropout_drops_whole_channels():
    y = F.feature_alpha_dropout(np.random.default_rng(0).random((4, 8, 3, 3)), 0.5, True, rng=0)
    dropped = y == y.min()
    assert dropped.any()
    np.testing.assert_array_equal(dropped.all((2, 3)), dropped.any((2, 3)))


@pytest.mark.parametrize("f", [F.alpha_dropout, F.feature_alpha_dropout])
def test_the_ends_of_alpha_dropout(f):
    x = tg.Tensor(ONES, requires_grad=True)
    assert f(x, 0.5) is x
    assert f(x, 0, True) is x
    y = f(x, np.array(1.0), True)
    y.sum().backward()
    assert y.dtype == np.float32
    assert not y.numpy().any()
    assert not x.grad.numpy().any()


@given(rows=st.integers(1, 6), data=st.data())
def test_the_gradient_of_an_embedding_counts_how_often_each_row_was_read(rows, data):
    indices = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=12)), int)
    padding = data.draw(st.none() | st.integers(-rows, rows - 1))
    weight = tg.Tensor(np.arange(rows * 2.0, dtype=np.float32).reshape(rows, 2), requires_grad=True)
    y = F.embedding(indices, weight, padding_idx=padding)
    np.testing.assert_array_equal(y.numpy(), weight.numpy()[indices])
    y.sum().backward()
    counts = np.bincount(indices, minlength=rows)
    if padding is not None:
        counts[padding] = 0
    assert weight.grad.dtype == np.float32
    np.testing.assert_array_equal(weight.grad.numpy(), np.repeat(counts[:, None], 2, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
def test_small_integers_reach_every_row_of_a_large_table(dtype):
    weight = tg.Tensor(np.ones((256, 300)), requires_grad=True)
    F.embedding(np.array([255, 7, 255], dtype), weight).sum().backward()
    np.testing.assert_array_equal(weight.grad.numpy()[[7, 255, 8]], np.repeat([[1.0], [2.0], [0.0]], 300, 1))


def test_a_negative_padding_index_counts_from_the_end():
    weight = tg.Tensor(np.ones((3, 1)), requires_grad=True)
    F.embedding(np.array([0, 2, 2]), weight, padding_idx=-1).sum().backward()
    assert weight.grad.tolist() == [[1], [0], [0]]


BAD = [
    (ValueError, lambda: F.dropout(ONES, -0.1), "dropout: `p` is -0.1; it must be a probability"),
    (ValueError, lambda: F.dropout(ONES, 1.1), "dropout: `p` is 1.1"),
    (ValueError, lambda: F.dropout(ONES, np.nan), "dropout: `p` is nan"),
    (ValueError, lambda: F.dropout2d(ONES[0, 0]), r"dropout2d: `x` has shape \(2, 3\)"),
    (ValueError, lambda: F.alpha_dropout(ONES, 1.1), "alpha_dropout: `p` is 1.1"),
    (ValueError, lambda: F.feature_alpha_dropout(ONES[0, 0, 0]), r"feature_alpha_dropout: `x` has shape \(3,\)"),
    (TypeError, lambda: F.dropout(ONES, rng=np.random), "`rng` is"),
    (IndexError, lambda: F.embedding(np.array([[0, 3]]), np.ones((3, 2))), r"embedding: `indices` holds 3 at \(0, 1\)"),
    (IndexError, lambda: F.embedding(np.array([-1]), np.ones((3, 2))), r"embedding: `indices` holds -1 at \(0,\)"),
    (
        TypeError,
        lambda: F.embedding(np.array([0.0]), np.ones((3, 2))),
        r"embedding: `indices` is float64; .* astype\(int\)",
    ),
    (ValueError, lambda: F.embedding(np.array([0]), np.ones(3)), r"embedding: `weight` has shape \(3,\)"),
    (IndexError, lambda: F.embedding(np.array([0]), np.ones((3, 2)), padding_idx=3), "embedding: `padding_idx` is 3"),
    (
        IndexError,
        lambda: F.one_hot(np.array([0, 2]), 2),
        r"one_hot: `labels` holds 2 at \(1,\); it must be from 0 to 1",
    ),
    (IndexError, lambda: F.one_hot(np.array([-1, 2])), r"one_hot: `labels` holds -1 at \(0,\)"),
    (TypeError, lambda: F.one_hot(np.array([0.0])), "one_hot: `labels` is float64"),
    (ValueError, lambda: F.one_hot(np.zeros(0, int)), "one_hot: `num_classes` is -1 but `labels` is empty"),
]


@pytest.mark.parametrize(("error", "call", "message"), BAD, ids=[message[:40] for _, _, message in BAD])
def test_bad_arguments_are_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
