"""What the case table does not say of linear, broadcast_to and sums of rows."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 3), (3,)), r"`w` has shape \(3,\); it must be \(out_features, in_features\)"),
        (((4, 3), (3, 2)), r"`x` has shape \(4, 3\) but `w` \(3, 2\) expects 2 features"),
        (((), (2, 3)), r"`x` has shape \(\) but `w` \(2, 3\) expects 3 features"),
        (((4, 3), (2, 3), (3,)), r"`b` has shape \(3,\); it must be \(2,\)"),
    ],
)
def test_linear_checks_sizes(shapes, message):
    with pytest.raises(ValueError, match=f"linear: {message}"):
        tg.linear(*map(tg.ones, shapes))


def test_gradients_of_linear_lie_in_memory_as_what_they_belong_to():
    x, w, b = (tg.Tensor(np.ones(s, np.float32), requires_grad=True) for s in ((4, 3), (2, 3), (2,)))
    y = tg.linear(x, w, b)
    assert y.dtype == np.float32
    gradients = tg.gradients(y.sum(), [x, w, b])
    for g, expected in zip(gradients, (np.full((4, 3), 2.0), np.full((2, 3), 4.0), np.full(2, 4.0)), strict=True):
        assert g.numpy().flags.c_contiguous
        np.testing.assert_array_equal(g.numpy(), expected.astype(np.float32), strict=True)


@pytest.mark.parametrize("dtypes", ["fdf", "ffd", "dff", "fei", "eff", "ddi"])
def test_linear_has_the_dtype_of_numpys_product_and_sum(dtypes):
    x, w, b = (np.arange(np.prod(s)).reshape(s).astype(t) for s, t in zip(((4, 3), (2, 3), (2,)), dtypes, strict=True))
    np.testing.assert_array_equal(tg.linear(*map(tg.Tensor, (x, w, b))).numpy(), x @ w.T + b, strict=True)


@pytest.mark.parametrize("shape", [(-1,), (2, -1), (-2,)])
@pytest.mark.parametrize("a", [np.float32(1), np.ones(()), tg.ones(()), np.ones(1)], ids=lambda a: type(a).__name__)
def test_negative_sizes_to_broadcast_to_are_refused(a, shape):
    with pytest.raises(ValueError, match="negative"):
        tg.broadcast_to(a, shape)


@pytest.mark.parametrize("axis", [False, True, 0.0, "0"])
@pytest.mark.parametrize("convert", [np.asarray, tg.Tensor])
def test_an_axis_that_is_no_integer_is_refused_by_a_sum_of_rows(convert, axis):
    with pytest.raises(TypeError):
        tg.sum(convert(np.ones((2, 3))), axis=axis)
