"""Where a function has two one-sided derivatives, gradcheck says so, and accepts what lies between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import gradcheck

from .broken import selecting, values, wrong

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.part(2)
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


@pytest.mark.slow
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


# Ties


def greedy(**over):
    """max, with a gradient that each of those that tie gets whole."""

    @tg.op
    def largest(a):
        return np.asarray(np.max(a, **over))

    def rule(g, a):
        kept = {**over, "keepdims": True}
        return tg.where(a == tg.max(a, **kept), tg.reshape(g, np.shape(np.max(np.zeros(a.shape), **kept))), 0)

    largest.vjp(a=rule)
    return largest


@pytest.mark.part(2)
@pytest.mark.parametrize(
    ("f", "x"),
    [
        (greedy(), [1.0, 1.0, 0.3]),
        (greedy(), [2.0, 2.0, 2.0, 2.0]),
        (greedy(axis=1), [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]),
        (greedy(axis=0), [[0.5, 0.25, 1.0], [0.5, 0.75, 1.0]]),
        (lambda x: (tg.relu(x) * 2, greedy()(x)), [0.0, 0.0, 0.0]),
        (lambda x: greedy()(x * x) + x.exp().sum(), [0.5, -0.5, 0.25]),
    ],
)
def test_elements_that_tie_are_judged_together(f, x):
    """Each gradient lies between the two sides, and what they add up to does not."""
    report = gradcheck(f, np.array(x), order=1)
    assert not report
    assert "a tie; analytic" in str(report)
    assert report.kinks


@pytest.mark.slow
@given(seed=seeds, ties=st.integers(2, 6), sort=st.booleans())
def test_a_sum_of_gradients_at_a_tie_must_be_that_of_the_tie(seed, ties, sort):
    """Shared in any way that adds up, the gradient of max is right: otherwise it is not."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(ties))
    x = np.concatenate([np.ones(ties), [0.25, -0.5]])

    def check(total):
        def rule(g, a):
            plain = a if isinstance(a, np.ndarray) else a.numpy()
            top = plain == plain.max()
            weights = np.zeros(plain.shape)
            weights[top] = share * total if top.sum() == ties else 1 / top.sum()
            return g * weights.astype(plain.dtype)

        @tg.op
        def largest(a):
            return np.asarray(np.max(a))

        largest.vjp(a=rule)
        f = (lambda x: tg.concatenate([largest(x).reshape(1), tg.sort(x)])) if sort else largest
        return gradcheck(f, x, order=1, rng=seed)

    assert check(1.0), check(1.0)
    assert not check(1.01)
    assert not check(0.99)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: tg.sort(x)[1], [1.0, 1.0, 1.0]),  # flat along each of them, and yet the gradient goes to one
        (tg.sort, [1.0, 1.0, 1.0, 1.0, 1.0]),
        (lambda x: tg.topk(x, 2)[0], [0.5, 0.5, 0.5, 0.25]),
        (lambda x: tg.clip(x[0], x[1], x[2]), [0.5, 0.5, 0.5]),
        (tg.norm, [0.0, 0.0, 0.0]),
        (lambda x: tg.norm(x, np.inf), [-1.0, 1.0, 1.0]),
        (lambda x: (tg.relu(x) - 2 * tg.abs(x)).sum() + x.max(), [0.0, 0.0, 0.0]),
        (lambda x: x.max() ** 2, [1.0, 1.0]),
        (lambda x: tg.max_pool1d(x.reshape(1, 1, 5), 3, stride=1), [1.0, 1.0, 0.5, 1.0, 1.0]),
    ],
)
def test_right_gradients_pass_where_several_tie(f, x):
    for seed in range(5):
        report = gradcheck(f, np.array(x), rng=seed)
        assert report, report


def test_the_tip_of_a_cone_is_judged_along_more_than_the_axes():
    @tg.op
    def length(a):
        return np.asarray(np.sqrt((a * a).sum()))

    length.vjp(a=lambda g, a: g * a / tg.norm(a) if np.any(values(a)) else g * np.ones(a.shape, a.dtype))
    report = gradcheck(length, np.zeros(3), order=1)
    assert "a tie; analytic" in str(report), "1 in each direction: sqrt(3) together"


SELECTIONS = {
    "max": (np.max, [1.0, 1.0, 1.0]),
    "min": (np.min, [[2.0, 3.0], [2.0, 2.0]]),
    "second largest": (lambda a: np.sort(a)[1], [1.0, 1.0, 1.0]),
    "largest magnitude": (lambda a: np.max(np.abs(a)), [1.0, -1.0, 1.0]),
    "second magnitude": (lambda a: np.sort(np.abs(a))[1], [1.0, -1.0, 1.0]),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_zero_is_no_gradient_of_a_tie(name):
    """Each element alone may have none, since the others hold the value; moved together they move it."""
    f, x = SELECTIONS[name]
    for seed in range(3):
        broken = selecting(f, lambda share: share if np.abs(share).sum() == 1 else 0 * share)
        report = gradcheck(broken, np.array(x), order=1, rng=seed)
        assert "does not lie between the one-sided derivatives" in str(report)
    assert gradcheck(selecting(f, lambda share: share / np.abs(share).sum()), np.array(x), order=1)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("f", "x"),
    [*SELECTIONS.values(), (np.linalg.norm, [0.0, 0.0]), (lambda a: np.maximum(a, 0), [0.0]), (np.abs, [0.0, 1.0])],
)
def test_a_rule_that_returns_zeros_is_not_right_because_it_is_called_at_a_kink(f, x, order):
    @tg.op
    def broken(a):
        return np.asarray(f(a))

    broken.vjp(a=lambda g, a: 0 * a * tg.sum(g))
    assert "analytic 0, numerical" in str(gradcheck(broken, np.array(x), order=order))


@pytest.mark.parametrize("side", [-1, 1])
def test_a_wrong_slope_on_one_side_of_a_kink_is_found_at_the_kink(side):
    def rule(g, a):  # that of relu, but 1.01 or 0.01 on one side
        return tg.where(a > 0, g, 0) + 0.01 * side * tg.where(side * a > 0, g, 0)

    report = gradcheck(wrong(rule, lambda a: np.maximum(a, 0)), np.array([0.0, -1.5 * side]), order=1)
    assert "beside a kink" in str(report)
