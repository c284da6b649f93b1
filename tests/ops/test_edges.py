"""Single points at which a value or a gradient is easily wrong: zeros, subnormal numbers, NaN, signs, byte order."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import tinygrad_cnn as tg


def leaf(values, dtype=np.float64):
    return tg.Tensor(np.asarray(values, dtype), requires_grad=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_slope_of_a_power_of_zero_is_zero(dtype):
    """Where 1 / a overflows too: below the smallest normal number."""
    info = np.finfo(dtype)
    a = leaf([0, info.smallest_subnormal, -info.smallest_subnormal, info.tiny, info.max, np.nan, np.inf], dtype)
    (a ** tg.zeros(a.shape, dtype=dtype)).sum().backward()
    assert a.grad.tolist() == [0] * a.size
    a, b = leaf(2.0), leaf(0.0)
    (slope,) = tg.gradients(a**b, [a], create_graph=True)
    assert tg.gradients(slope, [b])[0].item() == 0.5  # b a^(b-1) has slope 1 / a at b = 0


def test_a_square_has_a_third_derivative():
    a = leaf(3.0)
    y, found = a**2, []
    for _ in range(3):
        (y,) = tg.gradients(y, [a], create_graph=True)
        found.append(y.item())
    assert found == [6, 2, 0]


@pytest.mark.parametrize("f", [tg.maximum, tg.minimum])
def test_the_gradient_of_an_extreme_with_one_nan_is_passed_to_both(f):
    a, b = leaf([np.nan, 1.0, np.nan]), leaf([1.0, np.nan, np.nan])
    f(a, b).sum().backward()
    assert a.grad.tolist() == b.grad.tolist() == [1, 1, 1]


@pytest.mark.skipif(importlib.util.find_spec("scipy") is None, reason="tinygrad_cnn.special needs SciPy")
def test_xlogy_at_zero_has_finite_slopes():
    from tinygrad_cnn.extra import special

    for f, at in ((special.xlogy, 0.0), (special.xlog1py, -1.0)):
        a, b = leaf([0.0, 0.0]), leaf([at, at + 2])
        f(a, b).sum().backward()
        assert a.grad.tolist() == [0, np.log(2)]
        assert b.grad.tolist() == [0, 0]


def test_cross_entropy_with_every_label_ignored_has_slope_zero_in_both_modes():
    logits, labels = tg.Tensor(np.array([[1.0, 2.0], [0.0, 1.0]])), np.array([-100, -100])
    value, moved = tg.jvp(lambda x: tg.cross_entropy(x, labels), (logits,), (tg.ones(2, 2, dtype=np.float64),))
    assert np.isnan(value.item())
    assert moved.item() == 0
    assert not tg.grad(lambda x: tg.cross_entropy(x, labels))(logits).numpy().any()


@pytest.mark.parametrize("uplo", ["L", "U", "u"])
@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_eigenvectors_have_the_signs_of_numpy(n, uplo):
    for seed in range(10):
        a = np.random.default_rng(seed).normal(size=(n, n))
        for found, expected in zip(tg.linalg.eigh(a, UPLO=uplo), np.linalg.eigh(a, UPLO=uplo), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_sign_of_booleans_is_refused_with_a_remedy():
    with pytest.raises(TypeError, match=r"sign: the op has no meaning for these dtypes; convert an input with astype"):
        tg.sign(tg.Tensor(np.array([True])))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_i0_is_even(dtype):
    x = leaf([0.0, -0.0], dtype)
    y = tg.i0(x)
    y.sum().backward()
    assert y.tolist() == [1, 1]
    assert x.grad.tolist() == [0, 0]
    np.testing.assert_array_equal(tg.i0(np.linspace(-3, 0, 50)), tg.i0(np.linspace(3, 0, 50)))


BIG_ENDIAN = np.dtype("f8").newbyteorder("S")
"""One object for all arrays: dtypes are compared by identity first."""


def test_tensors_are_in_the_byte_order_of_the_machine():
    a = np.array([[1.0, -2.0, 3.0]], BIG_ENDIAN)
    made = [
        tg.Tensor(a), tg.Tensor([1.0], dtype=BIG_ENDIAN), tg.zeros(2, dtype=BIG_ENDIAN), tg.ones(2).astype(BIG_ENDIAN),
        tg.arange(3, dtype=BIG_ENDIAN), tg.asarray(a), tg.full_like(a, 2.0), tg.zeros_like(a),
        tg.stack([a[0], tg.zeros(3)]), tg.concatenate([a, a]), tg.Tensor([tg.zeros(3, dtype=np.float64), a[0]]),
        tg.ones(1) + a, a * tg.ones(1), a @ tg.ones((3, 1), dtype=np.float64), tg.grad(lambda x: (x * x).sum())(a),
        tg.vmap(lambda x: x * x)(a), tg.jacrev(lambda x: x * x)(a[0]),
    ]  # fmt: skip
    made += [f(a, dtype=BIG_ENDIAN) for f in (tg.sum, tg.mean, tg.prod, tg.var, tg.std, tg.ones_like)]
    for x in made:
        assert np.asarray(x).dtype == np.float64
        assert np.asarray(x).dtype.isnative
    np.testing.assert_array_equal(made[0], [[1, -2, 3]])
    x = tg.Tensor(a, requires_grad=True)
    (x * a).backward(a)
    assert x.grad.dtype.isnative
    np.testing.assert_array_equal(x.grad, [[1, 4, 9]])
    with pytest.raises(
        TypeError, match=r"from_numpy: `array` has dtype '[<>]f8', the other byte order.* use Tensor\(array\)"
    ):
        tg.from_numpy(a)


def test_arrays_in_the_other_byte_order_are_copied_where_functions_and_pickles_give_them():
    a = np.array([[1.0, -2.0, 3.0]])

    @tg.op
    def read(x):
        return x.astype(BIG_ENDIAN)

    class Read(tg.nn.Module):
        def forward(self, x):
            return x.numpy().astype(BIG_ENDIAN)

    made, (values, *others) = tg.Tensor(a).__reduce__()
    found = [read(tg.Tensor(a)), Read()(tg.Tensor(a)), made(values.astype(BIG_ENDIAN), *others), tg.exp([read(a[0])])]
    for freeze in (False, True):
        compiled = tg.compile(tg.nn.Identity().eval(), freeze=freeze)
        found += [compiled(a.astype(BIG_ENDIAN)) for _ in range(3)]
    for x in found:
        assert np.asarray(x).dtype.isnative
        np.testing.assert_array_equal(x, np.exp(a) if x is found[3] else a)


@pytest.mark.parametrize("channels", [1, 3, 8, 16])
@pytest.mark.parametrize("groups", [1, "all"])
def test_convolution_of_two_big_endian_arrays(channels, groups):
    rng = np.random.default_rng(0)
    groups = channels if groups == "all" else 1
    for size in (6, 40):
        x, w = (rng.normal(size=s) for s in ((2, channels, size, size), (channels, channels // groups, 3, 3)))
        y = tg.conv2d(np.asarray(x, BIG_ENDIAN), np.asarray(w, BIG_ENDIAN), groups=groups)
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, tg.conv2d(x, w, groups=groups), rtol=1e-12, atol=1e-12)
