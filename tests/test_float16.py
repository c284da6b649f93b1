"""float16 beside float64: every row of the case table, also with sums longer than 2,048, where adding 1 in float16 ends.

A result may err by a few units in the last place of its largest element, and by as much as it changes when its inputs, and the
incoming gradient, are moved by one unit in the last place: what cancels in any arithmetic is not counted.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.numpy_api import statistics
from tinygrad_cnn.ops import complex_numbers, fourier, linalg, standardize
from tinygrad_cnn.testing.cases import Case, Draws

from .enlarged import lengthened, runs
from .rows import CASES

ULP, TINY, MOST = 2.0**-10, 2.0**-24, 2.0**15
LENGTH = 2100
COMPLEX = (fourier.dft, fourier.half_dft, fourier.real_inverse, complex_numbers.imaginary, linalg.det_phase)
"""Functions with complex values on the way, of which complex64 is the smallest dtype."""

ROWS = [case for case in CASES if "dtype" not in case.params and case.function not in COMPLEX]
WIDE = {standardize.moments, statistics.weighed_places}
"""Functions whose results are float64 whatever the inputs."""

ALL = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = ALL[np.isfinite(ALL)]


def units(x):
    """The distance of float16 numbers at |x|."""
    return np.maximum(2.0 ** np.floor(np.log2(np.maximum(np.abs(x), TINY))) * ULP, TINY)


def results(case, arrays, g):
    """The value, and the gradients that there are."""
    xs = [tg.Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = case.call(*xs)
    if y.requires_grad:
        y.backward(tg.Tensor(g.astype(y.dtype)))
    found = [y.detach(), *(x.grad for x in xs if x.grad is not None)]
    return [x.numpy() for x in found]


def check(case, limit=2.0):
    rng = np.random.default_rng(0)
    half = [a.astype(np.float16) if a.dtype.kind == "f" else a for a in case.draw(Draws(rng))]
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in half]
    y = np.asarray(case.call(*wide))
    g = (0.75 + 0.25 * np.cos(np.arange(y.size))).reshape(y.shape).astype(np.float16)

    def moved(a):
        return a * (1 + ULP * rng.uniform(-1, 1, a.shape)) if a.dtype.kind == "f" else a

    with np.errstate(all="ignore"):
        exact = results(case, wide, g.astype(np.float64))
        changed = results(case, [moved(a) for a in wide], moved(g.astype(np.float64)))
        if any(np.abs(e).max(initial=0) > MOST or not np.isfinite(e).all() for e in exact):
            return
        found = results(case, half, g)
    for y, e, c in zip(found, exact, changed, strict=True):
        assert y.dtype == (e.dtype if e.dtype.kind != "f" or case.function in WIDE else np.float16)
        allowed = units(np.abs(e).max(initial=0)) + np.abs(c.astype(np.float64) - e).max(initial=0)
        error = np.abs(y.astype(np.float64) - e).max(initial=0)
        assert error <= limit * allowed, f"{error / allowed:.3g} units, {np.abs(e).max(initial=0):.3g} at most"


def is_refused(case):
    """LAPACK has no float16."""
    arrays = [a.astype(np.float16) if a.dtype.kind == "f" else a for a in case.draw(Draws(np.random.default_rng(0)))]
    try:
        case.call(*arrays)
    except TypeError as error:
        if "float16 is unsupported in linalg" not in str(error):
            raise
        return True
    return False


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_rows(case: Case):
    if not is_refused(case):
        check(case)


FUNCTIONS = {}
for row in ROWS:
    FUNCTIONS.setdefault(row.function, []).append(row)


@pytest.mark.parametrize("rows", FUNCTIONS.values(), ids=[f.__name__ for f in FUNCTIONS])
def test_long_axes(rows):
    """Of each function the first row that accepts one: a sum in float16 would stay at 2,048."""
    long = next((big for case in rows for big in lengthened(case, LENGTH) if runs(big)), None)
    if long is None or is_refused(long):
        pytest.skip("no row has an axis that may be longer")
    check(long)


N = 5000
ZEROS, ONES = np.zeros(N, int), np.ones(N, np.float16)


def leaf(*shape):
    return tg.Tensor(np.ones(shape, np.float16), requires_grad=True)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: tg.take(a, ZEROS),
        lambda a: tg.take_along_axis(a, ZEROS),
        lambda a: tg.embedding(ZEROS, a.reshape(1, 1)),
        lambda a: a[ZEROS],
        lambda a: tg.interpolate(a.reshape(1, 1, 1), size=N),
        lambda a: tg.cummax(tg.concatenate([a, np.zeros(N - 1, np.float16)]), 0)[0],
    ],
    ids=["take", "take_along_axis", "embedding", "getitem", "interpolate", "cummax"],
)
def test_a_gradient_counts_beyond_2048(f):
    a = leaf(1)
    f(a).backward(ONES.reshape(f(a).shape))
    assert a.grad.tolist() == [N]


def test_scattered_sums_and_means():
    """Of 5,000 halves: the sum is 2,500, the mean 1/2; the mean of numbers whose sum overflows is theirs."""
    halves, zero = ONES / 2, np.zeros(1, np.float16)
    assert tg.scatter_add(zero, 0, ZEROS, halves).tolist() == [N / 2]
    assert tg.index_add(zero, 0, ZEROS, halves).tolist() == [N / 2]
    assert tg.scatter_reduce(zero, 0, ZEROS, halves, "sum").tolist() == [N / 2]
    assert tg.scatter_reduce(zero, 0, ZEROS, halves, "mean", include_self=False).tolist() == [0.5]
    assert tg.scatter_reduce(zero, 0, ZEROS, ONES * 100, "mean", include_self=False).tolist() == [100]
    src = leaf(N)
    tg.scatter_reduce(zero, 0, ZEROS, src, "mean", include_self=False).backward()
    np.testing.assert_array_equal(src.grad.numpy(), np.float16(1 / N))
    src = leaf(70_000)
    tg.scatter_reduce(zero, 0, np.zeros(70_000, int), src, "amax", include_self=False).backward()
    np.testing.assert_array_equal(src.grad.numpy(), np.float16(1 / 70_000))


MANY = 70_000
"""More than the largest float16."""


def test_the_cross_entropy_of_many_rows():
    logits = tg.Tensor(np.zeros((MANY, 2), np.float16), requires_grad=True)
    tg.cross_entropy(logits, np.zeros(MANY, int)).backward()
    np.testing.assert_allclose(logits.grad.numpy()[:, 1].astype(float), 0.5 / MANY, atol=TINY)


@pytest.mark.parametrize("weight", [None, np.float16([1, 3])], ids=["alike", "weighed"])
def test_the_mean_of_many_labelled_rows(weight):
    q = tg.Tensor(np.tile(np.float16([-1, -2]), (MANY, 1)), requires_grad=True)
    loss = tg.nll_loss(q, np.arange(MANY) % 2, weight=weight)
    assert loss.item() == (1.5 if weight is None else 1.75)
    loss.backward()
    top = 1 if weight is None else 1.5
    np.testing.assert_allclose(q.grad.numpy().astype(float).min(), -top / MANY, atol=TINY)


@pytest.mark.parametrize(
    ("f", "value", "slope"),
    [
        (tg.log_softmax, -math.log(MANY), 0),
        (tg.softmax, 1 / MANY, 0),
        (tg.logsumexp, math.log(MANY) + 1, 1 / MANY),
        (tg.max, 1, 1 / MANY),
        (tg.mean, 1, 1 / MANY),
        (tg.norm, math.sqrt(MANY), 1 / math.sqrt(MANY)),
        (tg.normalize, 1 / math.sqrt(MANY), 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_many_equal_numbers(f, value, slope):
    a = leaf(1, MANY)
    y = f(a)
    np.testing.assert_allclose(y.detach().numpy().astype(float), value, atol=TINY, rtol=ULP)
    y.backward(np.ones(y.shape, np.float16))
    np.testing.assert_allclose(a.grad.numpy().astype(float), slope, atol=TINY, rtol=2 * ULP)


erf, erfc = np.vectorize(math.erf), np.vectorize(math.erfc)


def _normal(x):
    return erfc(-x / math.sqrt(2)) / 2, np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def _mish(x):
    t = np.tanh(np.log1p(np.exp(np.minimum(x, 30))))
    return x * t, t + x * (1 - t * t) * _logistic(x)


EXACT = {
    tg.gelu: lambda x: (x * _normal(x)[0], _normal(x)[0] + x * _normal(x)[1]),
    tg.silu: lambda x: (x * _logistic(x), _logistic(x) * (1 + x * _logistic(-x))),
    tg.mish: _mish,
    tg.hardswish: lambda x: (x * np.clip(x / 6 + 0.5, 0, 1), np.where(x >= 3, 1, np.where(x > -3, x / 3 + 0.5, 0))),
    tg.erf: lambda x: (erf(x), 2 / math.sqrt(math.pi) * np.exp(-x * x)),
}


@pytest.mark.parametrize("f", EXACT, ids=lambda f: f.__name__)
def test_every_float16_number(f):
    """Value and slope of the activations err by one unit in the last place, or by less than 1e-6 where the slope is 0."""
    x = tg.Tensor(FINITE, requires_grad=True)
    y = f(x)
    y.backward(np.ones(FINITE.shape, np.float16))
    with np.errstate(all="ignore"):
        expected = EXACT[f](FINITE.astype(np.float64))
    for found, exact in zip((y.detach().numpy(), x.grad.numpy()), expected, strict=True):
        assert found.dtype == np.float16
        error = np.abs(found.astype(np.float64) - exact)
        assert (error <= units(exact) + 1e-6).all(), FINITE[np.argmax(error / units(exact))]
