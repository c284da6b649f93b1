"""Integer powers: how exact they are, what special bases give, and that they may be computed in place."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import blocks, power

EXPONENTS = [-7, -3, -2, -1, 0, 1, 2, 3, 4, 5, 8, 13, 2.0, 3.0, 40, 2**24 - 1]
OTHERS = [0.5, 1.5, -0.5, np.inf, -np.inf, np.nan, 2.0**60]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0]

quiet = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def bases(dtype, n=3000):
    rng = np.random.default_rng(0)
    wide = rng.standard_normal(n) * 10 ** rng.uniform(-6, 6, n)
    limits = np.finfo(dtype)
    return np.concatenate([wide, SPECIAL, [limits.max, -limits.max, limits.tiny, -limits.tiny]]).astype(dtype)


@quiet
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("b", EXPONENTS)
@pytest.mark.parametrize("n", [500, 3000])
def test_powers_are_exact_to_two_units_in_the_last_place(b, dtype, n):
    a = bases(dtype)[-n:]
    y, exact = tg.Tensor(a) ** b, np.power(a.astype(np.longdouble), b)
    assert y.dtype == dtype
    known = exact.astype(dtype)
    normal = np.isfinite(known) & (abs(known) >= np.finfo(dtype).tiny)
    assert normal.any()
    assert (abs(y.numpy()[normal] - exact[normal]) <= 2 * np.spacing(abs(known[normal]))).all()


@quiet
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("b", [*EXPONENTS, *OTHERS])
def test_special_bases_have_the_powers_of_numpy(b, dtype):
    a = np.array([*SPECIAL, np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    y, expected = tg.Tensor(a) ** b, np.power(a, b)
    np.testing.assert_array_equal(y.numpy(), expected)
    finite = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(y.numpy())[finite], np.signbit(expected)[finite])


@quiet
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("b", [*EXPONENTS, *OTHERS])
@pytest.mark.parametrize("size", [10, 1000])
def test_in_place_and_in_blocks_the_bits_are_the_same(b, dtype, size, tuning):
    a = bases(dtype, 600)
    expected = (tg.Tensor(a) ** b).numpy()
    tuning(blocks, BLOCK=size)
    np.testing.assert_array_equal((tg.Tensor(a) ** b).numpy(), expected)
    for y in (np.full_like(a, 7), a.copy()):
        task = power.prepare(y, y if y[0] == a[0] else a, b)
        task()
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("order", ["transposed", "with gaps"])
def test_the_memory_order_is_numpys(order):
    a = np.linspace(-2, 2, 4000, dtype="f4").reshape(40, 100)
    a = a.T if order == "transposed" else a[:, ::2]
    y = (tg.Tensor(a) ** 3).numpy()
    np.testing.assert_allclose(y, a * a * a, rtol=1e-6)
    assert y.strides == np.power(a, 3).strides


def test_integers_and_arrays_of_exponents_are_left_to_numpy():
    a, b = np.arange(1, 2000), np.full(1999, 3.0)
    for x, exponent in ((a, 2), (a / 2, b), (a[:30].astype("f2"), 3), (0.5, b)):
        y = tg.pow(tg.Tensor(x) if np.ndim(x) else x, tg.Tensor(b) if np.ndim(exponent) else exponent)
        np.testing.assert_array_equal(y.numpy(), np.power(x, exponent))
        assert y.dtype == np.power(x, exponent).dtype


@pytest.mark.parametrize("n", [10, 5000])
def test_the_gradient_of_a_cube_is_that_of_its_definition(n):
    x = tg.Tensor(np.linspace(-2, 3, n), requires_grad=True)
    first = tg.gradients((x**3).sum(), [x], create_graph=True)[0]
    np.testing.assert_allclose(first.numpy(), 3 * x.detach().numpy() ** 2, rtol=1e-14)
    second = tg.gradients(first.sum(), [x])[0]
    np.testing.assert_allclose(second.numpy(), 6 * x.detach().numpy(), rtol=1e-14)
