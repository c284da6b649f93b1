"""The Euclidean norm: how exact it is, and where its squares are too large, too small, or no numbers."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import norm
from tinygrad_cnn.ops.reduce import power_norm

AXES = [None, 0, 1, -1, (0, 2), (0, 1, 2), ()]


@pytest.fixture(autouse=True)
def small_arrays_too(tuning):
    tuning(norm, FEW=1)


def vectors(dtype, scale=1.0, order="C"):
    a = np.random.default_rng(3).standard_normal((5, 7, 300)) * scale
    return np.asarray(a, dtype, order=order)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_it_is_exact_to_a_few_units_in_the_last_place(axis, keepdims, dtype, order):
    a = vectors(dtype, order=order)
    y = tg.norm(tg.Tensor(a), axis=axis, keepdims=keepdims)
    exact = np.sqrt((a.astype(np.longdouble) ** 2).sum(axis=axis, keepdims=keepdims))
    assert y.dtype == dtype
    assert y.shape == exact.shape
    assert (abs(y.numpy() - exact) <= (3 if dtype == "f4" else 4) * np.spacing(exact.astype(dtype))).all()
    out = np.full(exact.shape, np.nan, dtype)
    assert norm.prepare(out, a, p=2, axis=axis, keepdims=keepdims)() is out
    np.testing.assert_array_equal(out, y.numpy())


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", ["huge", "small", "tiny", "one huge", "one row of zeros"])
def test_no_square_overflows_or_is_lost(dtype, size):
    limits = np.finfo(dtype)
    scale = {"huge": limits.max / 1000, "small": limits.tiny**0.5, "tiny": limits.tiny * 100}.get(size, 1.0)
    a = vectors(dtype, float(scale))
    if size == "one huge":
        a[1, 2, 3] = limits.max / 4
    if size == "one row of zeros":
        a[1, 2] = 0
    with np.errstate(all="raise", under="ignore"):
        y = tg.norm(tg.Tensor(a), axis=2).numpy()
    exact = np.sqrt((a.astype(np.longdouble) ** 2).sum(axis=2))
    np.testing.assert_allclose(y, exact.astype(float), rtol=3e-6 if dtype == "f4" else 1e-14)


def test_squares_that_lose_their_digits_are_not_added():
    a = np.full(20_000, 4.5e-23, "f4")  # its squares are 1.4 times the smallest number
    np.testing.assert_allclose(tg.norm(tg.Tensor(a)).item(), float(a[0]) * 20_000**0.5, rtol=1e-6)


def test_infinity_and_not_a_number_stay_in_their_rows():
    a = vectors("f4")
    a[0, 0, 0], a[1, 1, 1] = -np.inf, np.nan
    y = tg.norm(tg.Tensor(a), axis=2).numpy()
    assert y[0, 0] == np.inf
    assert np.isnan(y[1, 1])
    assert np.isfinite(y).sum() == y.size - 2


@pytest.mark.parametrize("p", [1.0, 3, 0, 2.5])
def test_other_norms_are_left_to_the_definition(p):
    assert norm.prepare(None, vectors("f4"), p=p, axis=None, keepdims=False) is None


def test_other_dtypes_are_left_to_the_definition():
    for dtype in ("f2", "i8", "?"):
        assert norm.prepare(None, np.ones((3, 400), dtype), p=2, axis=1, keepdims=False) is None


def test_the_gradient_is_the_same_eager_and_compiled():
    x = tg.Tensor(vectors("f4"), requires_grad=True)
    compiled = tg.compile(lambda: tg.gradients(tg.norm(x, axis=1), [x], np.ones((5, 300), "f4"))[0].numpy())
    y = power_norm.op.raw(x.numpy(), p=2, axis=1, keepdims=True)
    for _ in range(6):
        np.testing.assert_allclose(compiled(), x.numpy() / y, rtol=1e-5)
    np.testing.assert_array_equal(compiled(), tg.gradients(tg.norm(x, axis=1), [x], np.ones((5, 300), "f4"))[0].numpy())
