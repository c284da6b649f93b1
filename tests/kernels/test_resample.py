"""Interpolation by slices and by matrices, beside the definition: values, gradients, infinities, and which way is taken."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import resample
from tinygrad_cnn.ops.resize import means, taps_of
from tinygrad_cnn.ops.resize import resample as op

MODES = ["nearest", "nearest-exact", "linear", "bicubic", "area"]
SIZES = [(8, 16), (8, 24), (16, 8), (9, 3), (7, 5), (5, 12), (6, 6), (1, 9), (9, 1), (40, 41), (130, 260), (130, 140)]


@pytest.fixture(autouse=True)
def of_few_elements(tuning):
    tuning(resample, FEW=1)


def taps(mode, n, m, aligned=False):
    return taps_of(mode, n, m, n / m, aligned)


def turned(t):
    return t[1], t[0], t[2]


def layouts(x):
    yield x
    yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    yield np.asfortranarray(x)
    yield np.repeat(x, 2, axis=3)[..., ::2]
    yield x[:, ::-1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("n", "m"), SIZES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("axis", [2, 3])
def test_values_and_adjoints_are_those_of_the_definition(mode, n, m, dtype, axis):
    rng = np.random.default_rng(n * m)
    for t, size, other in ((taps(mode, n, m), m, n), (turned(taps(mode, n, m)), n, m)):
        shape = [2, 3, 4, 5]
        shape[axis] = other
        for x in layouts(rng.standard_normal(shape).astype(dtype)):
            expected = op.op.raw(x.astype("f8"), axis=axis, size=size, taps=t)
            y = op(x, axis=axis, size=size, taps=t)
            assert y.dtype == dtype
            np.testing.assert_allclose(
                y, expected, rtol=1e-12 if dtype == "f8" else 1e-5, atol=1e-13 if dtype == "f8" else 2e-6
            )
            if min(n, m) > 1:  # else several orders of the axes are the same
                assert y.strides == op.op.raw(x, axis=axis, size=size, taps=t).strides
            out = np.full_like(y, 7)
            if (task := resample.prepare(out, x, axis=axis, size=size, taps=t)) is not None:
                for _ in range(2):
                    assert task() is out
                    np.testing.assert_array_equal(out, y)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 3e38])
def test_what_is_not_finite_stays_where_it_belongs(mode, bad):
    x = np.random.default_rng(0).standard_normal((2, 2, 9, 4), "f4")
    x[1, 0, 4, 2] = bad
    for t, size in ((taps(mode, 9, 14), 14), (taps(mode, 9, 4), 4), (taps(mode, 9, 18), 18)):
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(
                op(x, axis=2, size=size, taps=t), op.op.raw(x, axis=2, size=size, taps=t), rtol=1e-5, atol=1e-5
            )


def test_nothing_warns(recwarn):
    x = np.full((1, 1, 9, 4), np.inf, "f4")
    op(x, axis=2, size=18, taps=taps("nearest", 9, 18))
    op(x, axis=2, size=14, taps=taps("linear", 9, 14))
    assert not recwarn


@pytest.mark.parametrize(
    ("t", "n", "size", "pairs"),
    [
        (taps("nearest", 8, 16), 8, 16, 2),
        (turned(taps("nearest", 8, 16)), 16, 8, 2),
        (taps("nearest", 16, 8), 16, 8, 1),
        (turned(taps("nearest", 16, 8)), 8, 16, 1),
        (taps("nearest", 6, 6), 6, 6, 1),
        (taps("linear", 6, 6), 6, 6, 1),
    ],
)
def test_the_nearest_elements_are_slices(t, n, size, pairs):
    how = resample.how_of(n, size, np.dtype("f4"), *[(part.dtype.str, part.tobytes()) for part in t])
    assert len(how.pairs) == pairs


def test_long_axes_and_few_elements_are_left_to_the_definition(tuning):
    x = np.ones((1, 1, 300, 2), "f4")
    assert resample.prepare(None, x, axis=2, size=310, taps=taps("linear", 300, 310)) is None
    assert resample.prepare(None, x, axis=2, size=600, taps=taps("nearest", 300, 600)) is not None
    tuning(resample, FEW=1 << 11)
    assert resample.prepare(None, x, axis=2, size=600, taps=taps("nearest", 300, 600)) is None
    assert resample.prepare(None, x.astype("f2"), axis=2, size=600, taps=taps("nearest", 300, 600)) is None


@pytest.mark.parametrize("wrong", [-1, 9])
def test_a_tap_out_of_range_is_refused_as_ever(wrong):
    t = (np.array([0, 1]), np.array([0, wrong]), np.ones(2))
    with pytest.raises(IndexError, match=r"must have sources in range\(9\)"):
        op(np.ones((1, 1, 9, 4)), axis=2, size=300, taps=t)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(2, 3, 7, 6), (0, 3, 7, 6)])
def test_eager_and_compiled_are_the_same(mode, shape):
    x = tg.Tensor(np.random.default_rng(0).standard_normal(shape, "f4"), requires_grad=True)

    def step(x):
        y = tg.interpolate(x, scale_factor=2, mode=mode)
        return y, *tg.gradients((y * y).sum(), [x])

    compiled, expected = tg.compile(step), step(x)
    for _ in range(6):
        for got, known in zip(compiled(x), expected, strict=True):
            np.testing.assert_array_equal(got.numpy(), known.numpy())


def test_regions_that_overlap():
    t = means(10, 4)
    x = np.random.default_rng(0).standard_normal((3, 2, 10, 5))
    np.testing.assert_allclose(
        op(x, axis=2, size=4, taps=t),
        np.stack([x[:, :, a:b].mean(2) for a, b in ((0, 3), (2, 5), (5, 8), (7, 10))], 2),
        rtol=1e-13,
    )
