"""Every row of the case tables on JAX: the value, its dtype and the gradients are the library's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Case, Draws

from ..rows import CASES
from . import needs

jax = needs.jax()

from tinygrad_cnn.extra.jax.definitions import ROWS  # noqa: E402 - it needs jax

DRAWS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "keep_mask"}
"""Functions that draw from a key here, so that their numbers are others."""

VALUES = "not known while JAX traces|size of its result|Boolean index"

REFUSED = dict.fromkeys(("argwhere", "nonzero", "trim_zeros"), VALUES)
"""Functions that are errors, and what their messages say."""

PARTLY = {"one_hot-(2,)": VALUES}
"""Rows that are errors."""

OF_ROUNDING = {"pinv-(3,1)x(1,3)-rcond=1e-10"}
"""Rows whose result in float32 is decided by rounding: a rank, of singular values below the last bit."""


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{case.name}" for n, case in enumerate(CASES)])
@pytest.mark.part(60)
def test_the_value_and_the_gradients_of_a_row(case: Case):
    arrays = case.draw(Draws(np.random.default_rng(0)))
    moving = needs.floats(case, arrays)
    y, u, grads = needs.eager(case.call, arrays, moving)
    name = case.function.__name__
    if (pattern := REFUSED.get(name) or PARTLY.get(name) or PARTLY.get(case.name)) is not None:
        with pytest.raises(tg.jax.JaxError, match=pattern):
            needs.on_jax(case.call, arrays, moving, u)
        return
    value, found = needs.on_jax(case.call, arrays, moving, u)
    assert value.shape == y.shape
    assert value.dtype == y.dtype
    if case.function.__name__ in DRAWS:
        return
    np.testing.assert_allclose(value, y, rtol=1e-9, atol=1e-11)
    for g, h in zip(found, grads, strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-9, atol=1e-10)


# The tests notice a wrong row


def changed(y: Any) -> Any:
    """A result that is a little wrong; of several, the first one."""
    if isinstance(y, tuple):
        return changed(y[0]), *y[1:]
    value = y.value if hasattr(y, "value") else y
    return value * 1.001 if value.dtype.kind == "f" else ~value if value.dtype == bool else value + 1


CHECKED = [name for name in ROWS if name.rpartition(".")[2] not in {*DRAWS, *PARTLY, "drawn_slopes"}]


@pytest.mark.whole
@pytest.mark.parametrize("name", CHECKED)
def test_a_wrong_row_is_noticed(name, monkeypatch):
    right = ROWS[name]
    module, _, function = name.rpartition(".")
    cases = [case for case in CASES if (case.function.__module__, case.function.__name__) == (module, function)]
    monkeypatch.setitem(ROWS, name, lambda *xs, **how: changed(right(*xs, **how)))
    with pytest.raises(AssertionError, match="Not equal|dtype"):
        test_the_value_and_the_gradients_of_a_row(cases[0])


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{case.name}" for n, case in enumerate(CASES)])
@pytest.mark.part(25)
def test_a_row_in_float32(case: Case):
    """The errors of value and gradients beside float64 are not much larger than the library's own, and dtypes are the same."""
    arrays = case.draw(Draws(np.random.default_rng(0)))
    narrow = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    if case.function.__name__ in {*REFUSED, *DRAWS} or case.name in {*PARTLY, *OF_ROUNDING}:
        pytest.skip("an error, a draw, or of rounding")
    moving = needs.floats(case, arrays)
    y, u, grads = needs.eager(case.call, [a.astype(np.float64) if a.dtype.kind == "f" else a for a in narrow], moving)
    own, u, own_grads = needs.eager(case.call, narrow, moving)
    found, found_grads = needs.on_jax(case.call, narrow, moving, u)
    assert found.dtype == own.dtype
    assert all(g.dtype == np.float32 for g in found_grads)
    for exact, ours, theirs in zip((y, *grads), (own, *own_grads), (found, *found_grads), strict=True):
        if exact.dtype.kind in "fc" and np.isfinite(exact).all():
            scale = np.finfo(np.float32).eps * max(1.0, float(np.max(np.abs(exact), initial=0)))
            bound = 8 * np.max(np.abs(ours - exact), initial=0) + 256 * scale
            np.testing.assert_allclose(theirs, exact, rtol=0, atol=bound)
