"""Every row of the case table, compiled: value, gradients and second gradients are eager's, bit for bit.

Inputs of one dtype are in C order, and those of the other in a random order of memory; they change places every day.
"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.graph import op
from tinygrad_cnn.testing.cases import Case, Draws

from ..rows import CASES
from .test_layouts import laid_out, steps

DTYPES = [np.float64, np.float32]


def drawn(case: Case, seed: int, dtype) -> list[np.ndarray]:
    arrays = case.draw(Draws(np.random.default_rng(seed)))
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]


def leaves(arrays):
    return [tg.Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]


def same(a, b) -> bool:
    a, b = (v.numpy() if isinstance(v, tg.Tensor) else None if v is None else np.asarray(v) for v in (a, b))
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


SEEDS = (0, 1, 2, 3)
"""The first walk is plain, the second is recorded, the third makes a program, and the fourth finds what it has left behind."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_later_calls_with_other_values_are_what_eager_gives(case: Case, dtype, pytestconfig):
    def run(*xs):
        y = case.call(*xs)
        if y.requires_grad:
            (y * y).sum().backward()
        return y

    day = pytestconfig.option.rotation
    in_order = DTYPES[day % 2] is dtype

    def given(seed: int) -> list[tg.Tensor]:
        rng = np.random.default_rng(day)  # the same order of memory in each call
        arrays = [a if in_order else laid_out(rng, a) for a in drawn(case, seed, dtype)]
        return [tg.from_numpy(a).requires_grad_(a.dtype.kind == "f") for a in arrays]

    compiled = tg.compile(run)
    for seed in SEEDS:
        eager, others = given(seed), given(seed)
        pairs = [(run(*eager), compiled(*others)), *((a.grad, b.grad) for a, b in zip(eager, others, strict=True))]
        for a, b in pairs:
            assert same(a, b)
            assert a is None or steps(a.numpy()) == steps(b.numpy())


@pytest.mark.parametrize("case", [case for case in CASES if case.order > 1], ids=lambda case: case.name)
def test_second_gradients_too(case: Case):
    def run(*xs):
        y = case.call(*xs)
        first = tg.gradients((y * y).sum(), [x for x in xs if x.requires_grad], create_graph=True)
        sum((g * g).sum() for g in first).backward()
        return first

    compiled = tg.compile(run)
    for seed in SEEDS:
        arrays = drawn(case, seed, np.float64)
        eager, others = leaves(arrays), leaves(arrays)
        first, again = run(*eager), compiled(*others)
        assert len(first) == sum(x.requires_grad for x in eager) > 0
        for a, b in zip(first, again, strict=True):
            assert same(a, b)
        assert any(a.grad is not None for a in eager)
        for a, b in zip(eager, others, strict=True):
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


@pytest.mark.part(4)
@pytest.mark.parametrize("case", [case for case in CASES if case.order], ids=lambda case: case.name)
def test_forward_mode_too(case: Case):
    def run(*xs):
        tangents = [x * 0.5 + 1 if isinstance(x, tg.Tensor) and x.dtype.kind == "f" else None for x in xs]
        y, t = tg.jvp(case.call, xs, tangents)
        return y, t, tg.jacfwd(case.call)(*xs) if tangents[0] is not None and xs[0].size else y

    compiled = tg.compile(run)
    with np.errstate(all="ignore"):
        for seed in SEEDS:
            arrays = drawn(case, seed, np.float64)
            eager, others = ([tg.Tensor(a) for a in arrays] for _ in range(2))
            for a, b in zip(run(*eager), compiled(*others), strict=True):
                assert same(a, b)
