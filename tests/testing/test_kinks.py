"""Where a function has two one-sided derivatives, gradcheck says so, and accepts what lies between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import gradcheck

from .broken import wrong

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("f", "inputs", "kinks"),
    [
        (tg.relu, [[0.0, 1.0]], [(0, (0,))]),
        (tg.abs, [[-1.0, 0.0]], [(0, (1,))]),
        (tg.maximum, [[1.0, 2.0], [1.0, 3.0]], [(0, (0,)), (1, (0,))]),
        (tg.max, [[1.0, 1.0, 0.3]], [(0, (0,)), (0, (1,))]),
        (lambda x: tg.relu(x).sum() - tg.abs(x).sum(), [[0.0, 0.0]], [(0, (0,)), (0, (1,))]),
        (lambda x: tg.floor(x), [[1.0, 1.5]], [(0, (0,))]),
    ],
)
def test_kinks_are_recognised_and_not_called_wrong(f, inputs, kinks):
    report = gradcheck(f, *map(np.array, inputs), order=1)
    assert report, report
    assert sorted((kink.input, kink.index) for kink in report.kinks) == kinks
    assert str(report).count("a kink; analytic") == len(kinks)
    for kink in report.kinks:
        assert kink.low <= kink.analytic <= kink.high
    higher = gradcheck(f, *map(np.array, inputs), order=3)
    assert higher, higher


@given(seed=seeds)
def test_every_kink_among_many_elements_is_found_whatever_the_seed(seed):
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.5, 0.0, 0.5, 2.0], size=(5, 6))
    report = gradcheck(tg.relu, x, rng=rng)
    assert report, report
    for order in (1, 2):
        assert {kink.index for kink in report.kinks if kink.order == order} == set(
            zip(*np.nonzero(x == 0), strict=True)
        )


@pytest.mark.parametrize(("slope", "allowed"), [(-0.01, False), (0.0, True), (0.5, True), (1.0, True), (1.01, False)])
def test_at_a_kink_the_analytic_value_must_lie_between_the_sides(slope, allowed):
    def rule(g, a):
        return tg.where(a > 0, g, 0) + tg.where(a == 0, slope * g, 0)

    report = gradcheck(wrong(rule, lambda a: np.maximum(a, 0)), np.array([-1.0, 0.0, 2.0]), order=1)
    assert bool(report) is allowed
    assert ("does not lie between the one-sided derivatives" in str(report)) is not allowed


@given(distance=st.sampled_from([1e-2, 1e-3, 1e-4, 1e-5]), seed=seeds)
def test_near_a_kink_the_step_shrinks(distance, seed):
    x = np.array([distance, -distance, 1.0])
    report = gradcheck(lambda x: tg.relu(x) * x.exp(), x, rng=seed)
    assert report, report
    assert not report.kinks
    assert not gradcheck(wrong(lambda g, a: g * 1.001, lambda a: np.maximum(a, 0)), np.array([distance]))
