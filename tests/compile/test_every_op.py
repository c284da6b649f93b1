"""Every row of the case table, compiled: value, gradients and second gradients are eager's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.compile import program
from tinygrad_cnn.core.graph import op
from tinygrad_cnn.ops import index
from tinygrad_cnn.testing.cases import Case, Draws

from ..rows import CASES

COMPILED = [case for case in CASES if case.function is not tg.trim_zeros]  # whose shape depends on values


@pytest.fixture(autouse=True)
def replayed_and_audited(replays, tuning):
    """Of four calls with arguments of one form, the first is captured, two are replayed, and the last is audited.

    The second replay finds in memory what the first has left there.
    """
    tuning(program, FIRST_AUDIT=4)


DTYPES = [np.float64, np.float32]


def drawn(case: Case, seed: int, dtype) -> list[np.ndarray]:
    arrays = case.draw(Draws(np.random.default_rng(seed)))
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]


def leaves(arrays):
    return [tg.Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]


def looks_at_values(case: Case) -> bool:
    """Whether Python looks at values in its second gradient: at which of equal indices came last."""
    if case.function in (index.assign, tg.index_set):
        at = case.params["index"]
        return any(np.asarray(part).dtype == int and np.ndim(part) for part in (at if isinstance(at, tuple) else (at,)))
    return case.function is tg.put_along_axis


def same(a, b) -> bool:
    a, b = (v.numpy() if isinstance(v, tg.Tensor) else None if v is None else np.asarray(v) for v in (a, b))
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", COMPILED, ids=lambda case: case.name)
def test_a_replay_with_other_values_is_what_eager_gives(case: Case, dtype):
    """Each call has other values than the one that was captured: nothing of those may be left in the program."""

    def run(*xs):
        y = case.call(*xs)
        if y.requires_grad:
            (y * y).sum().backward()
        return y

    compiled = tg.compile(run)
    for seed in (0, 1, 2, 3):
        arrays = drawn(case, seed, dtype)
        eager, replayed = leaves(arrays), leaves(arrays)
        y, z = run(*eager), compiled(*replayed)
        assert same(y, z)
        for a, b in zip(eager, replayed, strict=True):
            assert same(a.grad, b.grad)
    assert compiled.plain is None
    assert compiled.captures <= 2  # a draw may have other shapes


@pytest.mark.parametrize("case", [case for case in COMPILED if case.order > 1], ids=lambda case: case.name)
def test_second_gradients_too(case: Case):
    def run(*xs):
        y = case.call(*xs)
        first = tg.gradients((y * y).sum(), [x for x in xs if x.requires_grad], create_graph=True)
        sum((g * g).sum() for g in first).backward()
        return first

    compiled = tg.compile(run)
    for seed in (0, 1, 2):
        arrays = drawn(case, seed, np.float64)
        eager, replayed = leaves(arrays), leaves(arrays)
        first = run(*eager)
        if looks_at_values(case):
            with pytest.raises(tg.CaptureError, match="cannot be captured where its own gradient is recorded"):
                compiled(*replayed)
            again = run(*replayed)  # the attempt has left nothing behind
        else:
            again = compiled(*replayed)
        assert len(first) == sum(x.requires_grad for x in eager) > 0
        for a, b in zip(first, again, strict=True):
            assert same(a, b)
        assert any(a.grad is not None for a in eager)
        for a, b in zip(eager, replayed, strict=True):
            assert same(a.grad, b.grad)


@pytest.mark.parametrize("f", [tg.softmax, tg.softmin, tg.log_softmax])
def test_sums_over_the_rows_of_large_arrays(f):
    """They are added up in another order than by the method of an array, in whichever way a rule asks for them."""
    a = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)

    def run(x):
        (first,) = tg.gradients((f(x, axis=0) ** 2).sum(), x, create_graph=True)
        (first * first).sum().backward()
        return first

    compiled = tg.compile(run)
    for _ in range(2):
        eager, replayed = leaves([a, a])
        assert same(run(eager), compiled(replayed))
        assert same(eager.grad, replayed.grad)


@op(residuals=["kept"])
def cubed(a):
    """y = a^3.   a' = 3 g a^2.   The input is a residual, too."""
    return a * a * a, a


cubed.vjp(a=lambda g, kept: 3 * g * kept * kept)


def test_an_op_that_hands_on_its_input_as_a_residual():
    def run(x):
        x.zero_grad()
        y = cubed(tg.sort(x))
        z = cubed(tg.sort(y * 2))
        total = (tg.sort(z) + tg.sort(y)).sum()
        total.backward()
        return total

    compiled = tg.compile(run)
    for seed in (0, 1, 2):
        (x,) = leaves([np.random.default_rng(seed).standard_normal(5)])
        expected, gradient = run(x), np.array(x.grad)
        assert same(compiled(x), expected)
        assert same(x.grad, gradient)
