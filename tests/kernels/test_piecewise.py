"""Kernels for functions with ranges: special values, any mixture of ranges in a block, and results written over an input."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import piecewise
from tinygrad_cnn.kernels.parallel import chunks
from tinygrad_cnn.ops import activation, transcendental
from tinygrad_cnn.ops.losses import binary

ELU = {"alpha": 1.0, "scale": 1.0, "rate": 1.0}
CELU = {"alpha": 2.0, "scale": 1.5, "rate": 0.5}
SOFTPLUS = {"beta": 1.0, "threshold": 20.0}
FUNCTIONS = [
    (activation.rectify, 1, (0.1,), {}),
    (activation.rectify_pull, 2, (0.1,), {}),
    (activation.rectify_pull, 2, (0.0,), {}),
    (activation.rectify_pull, 2, (1.0,), {}),
    (activation.hardswish_pull, 2, (), {}),
    (activation.exponential_linear, 1, (), ELU),
    (activation.exponential_linear, 1, (), {**CELU, "alpha": 0.25}),
    (activation.exponential_linear_pull, 2, (), ELU),
    (activation.exponential_linear_pull, 2, (), CELU),
    (activation.softplus, 1, (), SOFTPLUS),
    (activation.softplus, 1, (), {"beta": 1, "threshold": 0}),
    (activation.softplus_pull, 2, (), SOFTPLUS),
    (activation.softplus_pull, 2, (), {"beta": 1, "threshold": 0}),
]
LOSSES = [(binary.bernoulli_nll_logits, 3, (), {}), (binary.bernoulli_nll_logits_pull, 4, (), {})]
every = pytest.mark.parametrize(
    ("f", "count", "more", "params"), FUNCTIONS + LOSSES, ids=lambda f: getattr(f, "__name__", "")
)
piece = pytest.mark.parametrize(("f", "count", "more", "params"), FUNCTIONS, ids=lambda f: getattr(f, "__name__", ""))
SPECIAL = np.array((
    np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1e-42, 3, -3, 2.9999998, -2.9999998, 20, 20.000002, 86.9, 87, 87.1, -104,
    1e-7, -1e-7, 89, 100, 120, -88, -120, 750, -750, 1e30, -1e30,
))  # fmt: skip


def arrays(count, dtype, size=5000):
    """The last of them holds the special values among normal numbers, the others hold some of them."""
    rng = np.random.default_rng(0)
    found = [rng.normal(size=size).astype(dtype) * 2 for _ in range(count)]
    for a in found:
        a[rng.permutation(size)[: 28 * 4]] = np.tile(SPECIAL, 4).astype(dtype)
    return found


def units(y, expected):
    """The largest difference in units in the last place; NaN and infinities must agree."""
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
    fine = np.isfinite(y)
    return (np.abs(y[fine].astype(float) - expected[fine]) / np.spacing(np.abs(expected[fine]))).max()


@pytest.fixture(autouse=True)
def from_one_element_on(tuning):
    tuning(piecewise, SHORT=0)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("few", [1, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@piece
def test_special_values_are_those_of_the_definition(f, count, more, params, dtype, few, tuning):
    tuning(piecewise, FEW=few)  # the elements of other ranges are many, or few
    xs = arrays(count, dtype)
    task = f.op.prepare(None, *xs, *more, **params)
    y, expected = task(), f.op.raw(*xs, *more, **params)
    assert y.dtype == dtype
    assert units(y, expected) <= 2
    if f in (activation.rectify_pull, activation.hardswish_pull):
        np.testing.assert_array_equal(np.signbit(y)[y == 0], np.signbit(expected)[y == 0])


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_of_logits_of_any_size(dtype):
    x = arrays(1, dtype)[0]
    t = np.random.default_rng(1).uniform(size=x.size).astype(dtype)
    for each in (t, np.zeros_like(t), np.ones_like(t)):
        u = 1 - each
        for f, xs in ((binary.bernoulli_nll_logits, (x, each, u)),
                      (binary.bernoulli_nll_logits_pull, (np.ones_like(x), x, each, u))):  # fmt: skip
            y, expected = f.op.prepare(None, *xs)(), f.op.raw(*xs)
            if each is t:  # the terms of the gradient cancel
                np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)
            else:  # each is within 4 units of the true value
                assert units(y, expected) <= 6


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@every
def test_blocks_threads_orders_and_few_elements_change_no_bit(f, count, more, params, tuning):
    xs = [a[:4998].reshape(42, 7, 17) for a in arrays(count, np.float32)]
    expected = f.op.run(*xs, *more, **params)
    tuning(piecewise, LONG=97)
    tuning(chunks, LARGE=1)
    for threads in (1, 2):
        tg.set_num_threads(threads)
        np.testing.assert_array_equal(f.op.run(*xs, *more, **params), expected)
    turned = [np.asfortranarray(x) for x in xs]
    y = f.op.run(*turned, *more, **params)
    np.testing.assert_array_equal(y, expected)
    assert y.strides == turned[0].strides
    gaps = [np.repeat(x, 2, axis=-1)[..., ::2] for x in xs]
    np.testing.assert_array_equal(f(*gaps, *more, **params), f.op.raw(*xs, *more, **params) if count > 1 else expected)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@every
def test_a_result_may_be_written_over_any_input(f, count, more, params, tuning):
    tuning(piecewise, LONG=1000)
    xs = arrays(count, np.float32)
    expected = f.op.run(*xs, *more, **params)
    for i in range(count):
        given = [x.copy() for x in xs]
        f.op.bind(given[i], *given, *more, **params)()
        np.testing.assert_array_equal(given[i], expected)


@every
def test_one_number_for_all_elements(f, count, more, params):
    xs = [np.cos(a) for a in np.random.default_rng(0).normal(size=(count, 50, 20)).astype(np.float32)]
    for i in range(count if count > 1 else 0):
        number = np.broadcast_to(np.float32(0.7), (50, 20))
        given = [number if i == j else x for j, x in enumerate(xs)]
        y = f.op.prepare(None, *given, *more, **params)()
        full = f.op.prepare(None, *map(np.array, given), *more, **params)()
        np.testing.assert_array_equal(y, full)


def test_what_kernels_do_not_compute_is_left_to_definitions():
    a = np.ones(5000, np.float32)
    assert activation.rectify_pull.op.prepare(None, a, a, -0.5) is None
    assert activation.exponential_linear.op.prepare(None, a, alpha=1.67, scale=1.05, rate=1.0) is None
    assert activation.exponential_linear_pull.op.prepare(None, a, a, alpha=1.67, scale=1.05, rate=1.0) is None
    assert activation.softplus.op.prepare(None, a, beta=2.0, threshold=20.0) is None
    assert activation.softplus.op.prepare(None, a, beta=1.0, threshold=-1.0) is None
    assert activation.hardswish_pull.op.prepare(None, a.astype(np.float16), a.astype(np.float16)) is None


def test_both_signs_of_the_sigmoid():
    x = np.linspace(-800, 800, 4001)
    for dtype in (np.float32, np.float64):
        z = x.astype(dtype)
        s, r = np.empty_like(z), np.empty_like(z)
        piecewise.of_both_signs(z, s, r)
        np.testing.assert_allclose(s, transcendental.sigmoid.op.raw(z), rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_allclose(r, transcendental.sigmoid.op.raw(-z), rtol=4 * np.finfo(dtype).eps)
