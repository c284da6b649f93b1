"""Does `test_every_row.py` notice a wrong rule? Every rule of every op is broken in many ways, one at a time."""

from __future__ import annotations

import warnings
from collections import defaultdict
from contextlib import suppress
from functools import cache

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import registry
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.core.tracing import observe
from tinygrad_cnn.testing import Mutant, gradcheck, mutants, survivors
from tinygrad_cnn.testing.cases import Draws

from ..ops.test_every_row import SOURCES, Square, check
from ..rows import CASES, special

ROWS = defaultdict(list)
for _case in CASES:
    if _case.order:
        ROWS[_case.function].append(_case)

# Ops that a docstring's example declared are in the registry too, but are not what ROWS are about.
OPS = [op for name, op in registry.items() if name.startswith("tinygrad_cnn.") and op.rules and op.function in ROWS]
every_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)

EXCHANGED = {"the first two equal axes exchanged", "the last two equal axes exchanged"}
MAGNITUDE = {
    *EXCHANGED, "scaled by 1.001", "scaled by 1.01", "negated", "zero", "the largest element dropped", "transposed",
    "rounded to float32", "in memory that is used again", "the incoming gradient ignored", "the incoming gradient squared",
}  # fmt: skip
PASSED = {"the incoming gradient passed on"}
NUMBERS = MAGNITUDE - {"rounded to float32"}

USES_OF_A = {"`a` left out", "`a` exchanged"}

# What cannot be noticed, because it is not wrong: (op, input, mutants, reason).
EQUIVALENT = [
    *((name, "a", NUMBERS, "the gradient is zero, whatever is done to it") for name in (
        "sign", "floor", "ceil", "round", "trunc", "floor_divide", "heaviside",
    )),
    ("trunc", "a", {"rounded to float32"}, "zeros, which the walk converts"),
    *([] if special.present else [("ceil", "a", {"rounded to float32"}, "as trunc; only logsumexp of `special` notices it")]),
    ("floor_divide", "b", NUMBERS, "the gradient is zero, whatever is done to it"),
    *((name, "a", MAGNITUDE, "the gradient is zero, whatever is done to it") for name in ("rectify_pull", "hardsigmoid_pull")),
    ("copysign", "b", NUMBERS, "the gradient is zero, whatever is done to it"),
    ("remainder", "a", PASSED, "the rule is to pass g on"),
    ("fmod", "a", PASSED, "the rule is to pass g on"),
    *((name, side, PASSED, "the rule is to pass g on") for name in ("add", "sub") for side in "ab" if name + side != "subb"),
    ("copy", "a", PASSED, "the rule is to pass g on"),
    ("real", "val", PASSED, "the rule is to pass g on"),
    ("conj", "a", PASSED, "the rows are real; complex numbers are in test_complex.py"),
    ("dft", "a", {"in memory that is used again", "the incoming gradient written into"}, "the walk takes the real part"),
    ("det_phase", "a", {"in memory that is used again", "the incoming gradient written into"}, "the walk takes the real part"),
    ("half_dft", "a", {"the incoming gradient written into"}, "the walk takes the real part"),
    ("real_inverse", "a", {"in memory that is used again"}, "the walk takes the real part"),
    ("laid_out", "a", PASSED, "the rule is to pass g on"),
    ("checked_variance", "a", PASSED, "the rule is to pass g on"),
    ("cast", "a", {*PASSED, "widened to float64"}, "the rule passes g on in any dtype, and the walk converts it"),
    ("mean_by", "a", {*EXCHANGED, "transposed"}, "the gradient is one value, repeated"),
    *((name, "a", {"the last two equal axes exchanged"}, "the gradient in a symmetric matrix is symmetric") for name in (
        "symmetric_values", "symmetric_vectors", "symmetric_weighted", "symmetric_diagonal",
    )),
    ("symmetric_diagonal", "x", {"the last two equal axes exchanged"}, "v diag(g) v^T is symmetric"),
    *((name, x, {"`stats` left out", "`stats` exchanged"}, "the moments of x, computed anew without them") for name, x in (
        ("inside", "u"), ("clipped", "x, w, b"), *((name, x) for name in ("clipped_correlations", "clipped_dx") for x in "ux"),
        ("clipped_dx", "w"),
    )),
    *((name, x, {"`w` left out", "`w` exchanged"}, "rows are far from the limits: see tests/nn/test_joined.py") for name, x in (
        ("inside", "u"), ("clipped_correlations", "u"), ("clipped_correlations", "x"), ("clipped_dx", "w"),
    )),
    ("inside", "u", {"`x` exchanged"}, "rows keep far from the limits: see tests/nn/test_joined.py"),
    *((name, "x", {"in memory that is used again"}, "no other gradient is computed before it is added") for name in (
        "clipped_correlations", "clipped_dx",
    )),
    ("log_softmax", "a", USES_OF_A, "p is computed again from a where there are thousands of terms: see test_accuracy.py"),
    *((name, "a", USES_OF_A, "a counts only beside the domain of the logarithm: see test_edges.py") for name in (
        "xlogy", "xlog1py",
    )),
    *((name, x, EXCHANGED, "a vector, or one axis is longer than 1") for name, x in (
        ("linear", "b"), ("convolve", "b"), ("recurrent.recurrence", "b"),
        *((name, x) for name in ("normalized_by", "clipped_by") for x in ("mean", "variance", "w", "b")),
        ("clipped", "w"), ("clipped", "b"), ("clipped_dx", "w"),
    )),
]  # fmt: skip


def is_called(op, name: str) -> bool:
    """Whether this is its name, or the end of it with that of the module, for names that several ops have."""
    return name in (op.name, f"{op.function.__module__.rpartition('.')[2]}.{op.name}")


def equivalent(mutant: Mutant) -> bool:
    return any(
        is_called(mutant.op, op) and mutant.served == served and mutant.name in names
        for op, served, names, _ in EQUIVALENT
    )


@cache
def users():
    """Rows of other functions that run an op, in the function or in its gradient, by op."""
    found = defaultdict(list)
    for case in CASES:
        if case.order:
            ran = set()
            xs = [tg.Tensor(a, requires_grad=a.dtype.kind == "f") for a in case.draw(Draws(np.random.default_rng(0)))]
            with observe(lambda op, *_: ran.add(op)):  # noqa: B023
                y = case(*xs)
                y.backward(np.ones(y.shape), create_graph=True)
            for op in ran:
                if op.function is not case.function:
                    found[op].append(case)
    return found


def passes(case, source) -> bool:
    try:
        check(case, source)
    except Exception:
        return False
    return True


def noticed(mutant: Mutant) -> bool:
    """Whether `test_every_row.py` fails: for a row of the op, or for one of another function that runs it."""
    with mutant, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = (*ROWS[mutant.op.function], *users()[mutant.op])
        return not all(passes(case, source) for case in rows for source in SOURCES)


@pytest.mark.slow
@every_op
def test_the_case_table_notices_every_mutant(op):
    """Among them, for each input, a rule that is off by one percent."""
    found = list(mutants(op))
    assert {mutant.served for mutant in found if mutant.name == "scaled by 1.01"} == op.rules.keys()
    assert not [mutant for mutant in found if not equivalent(mutant) and not noticed(mutant)]


@pytest.mark.slow
@pytest.mark.parametrize(("op", "served", "names", "reason"), EQUIVALENT)
def test_what_is_called_equivalent_is(op, served, names, reason):
    known = [known for known in OPS if is_called(known, op)]
    if not known and op in ("xlogy", "xlog1py"):
        pytest.skip("SciPy, the extra `scipy`, is not installed")
    (declared,) = known
    found = {mutant.name: mutant for mutant in mutants(declared) if mutant.served == served}
    assert names <= found.keys(), "no such mutants: the table is out of date"
    assert not [name for name in names if noticed(found[name])]


def test_a_mutant_puts_the_rule_back():
    before = dict(tg.mul.op.rules)
    x = tg.Tensor([3.0], requires_grad=True)
    for mutant in mutants(tg.mul):
        with mutant:
            assert mutant.op.elementwise is False or mutant.op.rules != before
        assert tg.mul.op.rules == before
        assert tg.mul.op.elementwise
        x.zero_grad()
        (x * x).backward()
        assert x.grad.item() == 6.0
    with suppress(ZeroDivisionError), mutant:
        raise ZeroDivisionError
    assert tg.mul.op.rules == before


def test_forward_rules_are_derived_anew_in_a_mutant_and_after_it():
    x, noticed = np.array([1.5, -0.5]), set()
    for mutant in mutants(tg.mul):
        with mutant, suppress(Exception):
            if not np.array_equal(tg.jvp(lambda a: a * a, (x,), (x,))[1], 2 * x * x):
                noticed.add(mutant.served)
        np.testing.assert_array_equal(tg.jvp(lambda a: a * a, (x,), (x,))[1], 2 * x * x)
    assert {"a", "b"} <= noticed


def test_mutants_cover_every_rule_and_say_what_they_are():
    found = list(mutants(tg.mul))
    assert {mutant.served for mutant in found} == {"a", "b", ""}
    assert len({repr(mutant) for mutant in found}) == len(found)
    assert "<mul, rule for `a`: `b` left out>" in map(repr, found)


def test_a_weak_check_lets_mutants_live():
    weak = survivors(tg.exp, lambda: tg.exp(tg.Tensor([0.0], requires_grad=True)).backward())
    assert "scaled by 1.01" in [mutant.name for mutant in weak]
    assert not survivors(tg.exp, lambda: gradcheck(tg.exp, np.array([[0.5, -1.0], [1.5, 0.25]]), order=1))


@pytest.mark.parametrize("name", sorted(EXCHANGED))
@pytest.mark.parametrize(
    ("op", "served"), [(tg.sum, "a"), (tg.linear, "w"), (tg.max, "a"), (tg.prod, "a"), (tg.matmul, "b")]
)
def test_only_square_inputs_show_a_sum_along_the_wrong_axis_and_a_transposed_weight(op, served, name):
    (mutant,) = (m for m in mutants(op) if (m.served, m.name) == (served, name))
    rows = [case for case in ROWS[original(op)] if case.square]
    with mutant:
        assert not all(passes(case, Square) for case in rows)
        assert op not in (tg.sum, tg.linear) or all(passes(case, Draws) for case in rows)


def test_only_ops_have_mutants():
    with pytest.raises(TypeError, match="mutants: `op` is <built-in function print>; it must be an op"):
        list(mutants(print))
