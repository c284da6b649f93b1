"""Every row of the kink table, at first and second order."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.testing import gradcheck
from tinygrad_cnn.testing.cases import Case, Draws
from tinygrad_cnn.testing.kinks import KINKS, Kink

from .rows import CASES

every_kink = pytest.mark.parametrize("kink", KINKS, ids=[f"{k.label}-{n}" for n, k in enumerate(KINKS)])


@pytest.mark.whole
@every_kink
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_first_and_second_derivatives_are_those_of_the_table(kink: Kink, dtype):
    exact = {"rtol": 8 * np.finfo(dtype).eps, "atol": np.finfo(dtype).eps}
    xs = [tg.Tensor(np.array(p, dtype), requires_grad=True) for p in kink.point]
    ones = np.ones(kink.function(*xs).shape, dtype)
    plain = tg.gradients(kink.function(*xs), xs, ones)
    first = tg.gradients(kink.function(*xs), xs, ones, create_graph=True)
    for x, g, p, expected in zip(xs, first, plain, kink.subgradient, strict=True):
        assert g.shape == p.shape == x.shape == np.shape(expected)
        assert g.dtype == dtype
        np.testing.assert_allclose(g.numpy(), expected, **exact)
        np.testing.assert_array_equal(g.numpy(), p.numpy())
    hessian = np.array([row for g in first for row in _rows(g, xs)])
    np.testing.assert_allclose(hessian, np.broadcast_to(kink.second, hessian.shape), **exact)


def _rows(g, xs):
    """The gradient of each element of g with respect to all elements of all inputs."""
    for index in np.ndindex(g.shape):
        found = [None] * len(xs)
        if g.requires_grad:
            one = np.zeros(g.shape, g.dtype)
            one[index] = 1
            found = tg.gradients(g, xs, one, retain_graph=True, allow_unused=True)
        yield np.concatenate(
            [np.zeros(x.size) if h is None else h.numpy().ravel() for x, h in zip(xs, found, strict=True)]
        )


def kinked(case: Case) -> bool:
    """Whether a row of the case table has a kink where it keeps away from one."""
    draws = Draws(np.random.default_rng(0))
    points = [case.tied().draw(draws)] if case.selects else []
    for position, arg in enumerate(case.args):
        for value in arg.away:
            points.append(case.draw(draws))
            points[-1][position].reshape(-1)[0] = value
    return any(gradcheck(case, *point, order=1, budget=4).kinks for point in points)


@pytest.mark.slow
def test_every_public_function_with_a_kink_has_a_row():
    families = (*(getattr(tg.ops, name) for name in tg.ops.__all__), tg.functional)
    public = {getattr(family, name) for family in families for name in family.__all__}
    shown = {re.match(r"\w+", kink.label).group() for kink in KINKS}
    smooth = {f for f in public if not {f.__name__, re.sub(r"[23]d$", "1d", f.__name__)} & shown}
    missing = {case.function.__name__ for case in CASES if case.order and case.function in smooth and kinked(case)}
    assert not missing, "add rows to tinygrad_cnn/testing/kinks.py"
    assert all(kinked(case) for case in CASES if case.function in map(original, (tg.relu, tg.maximum, tg.sort)))


FINITE = [kink for kink in KINKS if all(np.isfinite(np.array(p, float)).all() for p in kink.point)]


@pytest.mark.parametrize("kink", FINITE, ids=[f"{k.label}-{n}" for n, k in enumerate(FINITE)])
def test_the_subgradient_lies_between_the_one_sided_derivatives(kink: Kink):
    """Along each input alone; where the function jumps, the derivatives are those beside the point."""
    point = [np.array(p, float) for p in kink.point]
    step = 2.0**-20
    for position, p in enumerate(point):
        for index in np.ndindex(p.shape):
            values = {}
            for steps in (-2, -1, 1, 2):
                moved = [q.copy() for q in point]
                moved[position][index] += steps * step
                with np.errstate(invalid="ignore"):
                    values[steps] = np.sum(kink.function(*moved))
            if np.isnan([*values.values()]).any():
                assert kink.label == "kl_div(x, t)"  # which ends at t = 0, with an infinite slope
                continue
            sides = [(values[-1] - values[-2]) / step, (values[2] - values[1]) / step]
            slope = np.asarray(kink.subgradient[position])[index]
            assert min(sides) - 1e-5 <= slope <= max(sides) + 1e-5, (position, index, sides)
