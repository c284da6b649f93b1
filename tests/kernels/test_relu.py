"""relu, by the ufunc behind np.clip: the values of np.maximum, and the same bits wherever an array is cut, however it lies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tests.conftest import tuned
from tinygrad_cnn.kernels import relu

SPECIAL = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3e38, -3e38, 1.0, -1.0]


def lay(a, how):
    """The array in another memory order, or with gaps."""
    if how == "gaps":
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    return {"C": np.ascontiguousarray, "F": np.asfortranarray, "reversed": lambda a: a[::-1].copy()[::-1]}[how](a)


def keeps_minus_zero():
    """Whether the maximum of -0 and 0 is -0, as it is from NumPy 2.1 on."""
    return bool(np.signbit(np.clip(np.float32(-0.0), 0, np.inf)))


def signs_of_zero():
    """The signs of -0 limited to [0, inf] in two orders of memory: one, but for some builds such as Debian's of NumPy 2.2."""
    rows = np.full((2, 5), -0.0, np.float32)
    return {bool(sign) for a in (rows, rows[::-1]) for sign in np.signbit(np.clip(a, 0, np.inf)).flat}


SIGNS = signs_of_zero()


@pytest.fixture(params=[{}, {"LARGE": 4}], ids=["few", "many"], scope="module", autouse=True)
def sizes(request):
    with tuned() as tune:
        tune(relu, **request.param)
        yield


@pytest.fixture(params=["its ufunc", "np.clip"], scope="module", autouse=True)
def clip(request):
    """A NumPy that has the ufunc of np.clip elsewhere is served by np.clip."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "np.clip":
            patch.setattr(relu, "clip", np.clip)
        yield


ARRAYS = (
    st.sampled_from("fde"), st.sampled_from([(3,), (2, 5), (4, 3, 2, 2), (0, 3)]),
    st.sampled_from(["C", "F", "gaps", "reversed"]), st.sampled_from(["new", "given", "gaps", "itself"]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
"""The dtype, shape and memory order of an array, where the result goes, and a seed."""

LIMITS = [(0.0, 6.0), (-1.0, 1.0), (-0.0, 0.0), (0.1, 0.1), (0, 6), (-np.inf, 1.0), (0.0, 1e39), (np.nan, 1.0)]


def array(values, dtype, shape, how, seed):
    with np.errstate(over="ignore"):
        return lay(np.random.default_rng(seed).choice(values, shape).astype(dtype), how)


def place(out, a):
    """Memory for the result of a; None if the task makes it."""
    return {"new": None, "given": np.empty_like(a), "gaps": lay(np.zeros(a.shape, a.dtype), "gaps"), "itself": a}[out]


def result(task, target):
    with np.errstate(all="raise"):
        y = task()
    return y if target is None else target


@given(*ARRAYS)
def test_values_and_bits(dtype, shape, how, out, seed):
    a = array(SPECIAL, dtype, shape, how, seed)
    expected, zero, signs = np.maximum(a, 0), a == 0, np.signbit(a) & keeps_minus_zero()
    target = place(out, a)
    task = relu.prepare(target, a)
    if dtype == "e":
        assert task is None
        return
    y = result(task, target)
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == expected.dtype
    assert len(SIGNS) > 1 or (np.signbit(y)[zero] == signs[zero]).all()


@given(*ARRAYS, st.sampled_from(LIMITS))
def test_limits(dtype, shape, how, out, seed, limits):
    a, b = (array([*SPECIAL, 0.1, 5.5, 6.5], dtype, shape, how, seed) for _ in range(2))
    target, low, high = place(out, a), *limits
    with np.errstate(over="ignore"):
        expected = np.clip(b, *limits, out=place(out, b))  # the sign of a zero may depend on the order of memory
    task = relu.prepare_hardtanh(target, a, min_val=low, max_val=high)
    if dtype == "e" or low.__class__ is int or not -1e38 < low <= high < 1e38:
        assert task is None
        return
    y = result(task, target)
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == expected.dtype
    assert len(SIGNS) > 1 or (np.signbit(y) == np.signbit(expected)).all()


@pytest.mark.parametrize("n", [1, 7, 5000, 70_000])
def test_minus_zero_gives_the_same_in_arrays_of_every_size(n):
    y = tg.from_numpy(np.full((2, n), -0.0, np.float32)).relu()
    assert (np.signbit(y.numpy()) == keeps_minus_zero()).all()
