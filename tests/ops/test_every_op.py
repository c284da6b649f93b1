"""Every row of the case table: value, derivatives, dtype, both regimes, and inputs left alone."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import registry
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.core.tracing import Tracer, trace
from tinygrad_cnn.testing import assert_gradients, gradcheck
from tinygrad_cnn.testing.cases import Case, Draws
from tinygrad_cnn.testing.strategies import case_inputs

from ..rows import CASES

SMOOTH = [case for case in CASES if case.order]
some = settings(max_examples=max(2, settings.default.max_examples // 3))
few = settings(max_examples=max(1, settings.default.max_examples // 4))
SELECTIONS = [case for case in CASES if case.selects]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_smooth_case = pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.name)


def tensors(arrays, requires_grad=True):
    return [tg.Tensor(a, requires_grad=requires_grad and a.dtype.kind == "f") for a in arrays]


def test_every_op_has_a_row():
    covered = {case.function for case in CASES}
    # Ops of parts of extra are there once these were imported, and are tested in folders of their own.
    apart = ("tinygrad_cnn.extra.onnx.", "tinygrad_cnn.extra.distributed.")
    ours = [name for name in registry if name.startswith("tinygrad_cnn.") and not name.startswith(apart)]
    declared = [registry[name] for name in ours]
    kept = [op for op in declared if hasattr(sys.modules[op.function.__module__], op.name)]  # not a docstring's example
    primitives = {op.function for op in kept}
    missing = sorted(f.__name__ for f in primitives - covered)
    assert not missing, f"ops without a row in tests/rows: {missing}"
    families = (getattr(tg.ops, name) for name in tg.ops.__all__ if name != "random")
    public = {getattr(family, name) for family in (*families, tg.functional) for name in family.__all__}
    missing = sorted(f.__name__ for f in {*map(original, public)} - covered if inspect.isfunction(f))
    assert not missing, f"public functions without a row in tests/rows: {missing}"


@pytest.mark.slow
def test_every_row_whose_axes_could_be_exchanged_has_a_square_sample():
    """Or another row of the function has one, where parameters say the shapes."""

    def shapes(case):
        return case.square or [(2, 3) if arg.shape is None else arg.shape for arg in case.args]

    def axes(case):
        return [[n for n in shape if n > 1] for shape in shapes(case)]

    square = {case.function for case in CASES if any(len(set(sizes)) < len(sizes) for sizes in axes(case))}
    wide = [case for case in CASES if any(len(sizes) > 1 for sizes in axes(case))]
    assert not [case.name for case in wide if case.function not in square]
    without = [case for case in wide if not case.square and not any(len(set(s)) < len(s) for s in axes(case))]
    assert all(case.params or case.via is not Case.via for case in without)
    assert len(without) < len(CASES) / 10


@pytest.mark.part(5)
@pytest.mark.parametrize("case", [case for case in SELECTIONS if case.order], ids=lambda case: case.name)
def test_gradients_where_elements_are_equal(case: Case):
    """They lie between the one-sided derivatives, of an element that moves alone and of several that move together."""

    def tie(arrays):
        within = (np.unique(a).size < a.size for a, arg in zip(arrays, case.args, strict=True) if arg.distinct)
        return any(within) or (len(arrays) > 1 and np.equal(*arrays[:2]).any())

    arrays = next(filter(tie, (case.tied().draw(Draws(np.random.default_rng(seed))) for seed in range(10))))
    assert_gradients(case, *arrays, order=1, directions=1, budget=0)


@every_case
@some
@given(data=st.data())
def test_value_is_the_reference_and_both_regimes_agree(case: Case, data):
    arrays = data.draw(case_inputs(case))
    before = [a.copy() for a in arrays]
    y = case.call(*arrays)
    assert not isinstance(y, tg.Tensor)
    np.testing.assert_allclose(y, case.expected(*arrays), rtol=1e-12, atol=1e-13)
    recorded = case.call(*tensors(arrays))
    assert isinstance(recorded, tg.Tensor)
    assert recorded.dtype == np.asarray(y).dtype
    np.testing.assert_array_equal(recorded.numpy(), y)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@every_smooth_case
@few
@given(data=st.data())
def test_derivatives_are_those_of_finite_differences(case: Case, data):
    """And the rest of what gradcheck looks at: layouts, memory, linearity, both regimes."""
    report = gradcheck(case, *data.draw(case_inputs(case)), order=case.order, directions=1, budget=1)
    assert report, str(report)
    assume(not report.unseen)  # numbers from 1/512 to 1024 may have derivatives too different in size


@every_smooth_case
@few
@given(data=st.data())
def test_the_gradient_in_an_input_is_the_same_where_no_other_is_wanted(case: Case, data):
    """Other values are kept for it then, and rules that share work with others do it alone."""
    arrays = data.draw(case_inputs(case))
    xs = tensors(arrays)
    y = case.call(*xs)
    g = np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)
    y.backward(g)
    for i, x in enumerate(xs):
        if x.requires_grad:
            single = tg.Tensor(arrays[i], requires_grad=True)
            case.call(*arrays[:i], single, *arrays[i + 1 :]).backward(g)
            np.testing.assert_allclose(single.grad, x.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    "case", [case for case in SMOOTH if case.params.get("dtype") is None], ids=lambda case: case.name
)
@few
@given(seed=st.integers(0, 2**32 - 1))
def test_float32_stays_float32_in_every_rule(case: Case, seed):
    arrays = [
        a.astype(np.float32) if a.dtype == np.float64 else a for a in case.draw(Draws(np.random.default_rng(seed)))
    ]
    with trace(Dtypes()):
        xs = tensors(arrays)
        y = case.call(*xs)
        assert y.dtype == np.float32
        y.backward(np.ones(y.shape, np.float32), create_graph=True)
        found = [x.grad for x in xs if x.grad is not None]
        assert found
        assert {g.dtype for g in found} == {np.dtype(np.float32)}
        first = [(g * g).sum() for g in found if g.requires_grad]
        if first:
            sum(first, tg.Tensor(0.0)).backward()


NUMBERS = [
    replace(case, params={**case.params, name: np.array(value)})
    for case in CASES for name, value in case.params.items()
    if isinstance(value, int | float) and not isinstance(value, bool) and name != "rng"
    and original(vars(tg).get(case.function.__name__)) is case.function
    and case.function not in map(original, (tg.clip, tg.masked_fill, tg.nan_to_num, tg.unwrap))
]  # fmt: skip
"""Rows with a number as an array without axes. The functions that are left out take an array there, as NumPy's."""


@pytest.mark.parametrize("case", NUMBERS, ids=lambda case: case.name)
def test_a_number_may_be_an_array_without_axes(case: Case):
    plain = replace(case, params={k: v if np.ndim(v) else np.asarray(v).item() for k, v in case.params.items()})
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in case.draw(Draws(np.random.default_rng(0)))]
    found, expected = (form.call(*tensors(arrays)).numpy() for form in (case, plain))
    np.testing.assert_array_equal(found, expected, strict=True)


class Dtypes(Tracer):
    """Looks at what rules return, before the walk converts it to the dtype of the input, which is all that cast's rule does."""

    def vjp(self, node, g, saved, parents):
        gradients = super().vjp(node, g, saved, parents)
        for parent, r in zip(parents, gradients, strict=True):
            if parent is not None and node.op.name != "cast" and r.dtype.kind == parent.dtype.kind:
                assert r.dtype == parent.dtype, f"{node.op.name}: a rule returned {r.dtype} for {parent.dtype}"
        return gradients
