"""gradcheck finds what is wrong, says where, and calls nothing wrong that is right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients, gradcheck
from tinygrad_cnn.testing.gradcheck import FLOAT64
from tinygrad_cnn.testing.strategies import arrays, floating_dtypes

from .broken import off_by, values, wrong

seeds = st.integers(0, 2**32 - 1)


# What it finds


@given(
    seed=seeds, index=st.tuples(st.integers(0, 3), st.integers(0, 4)), factor=st.sampled_from([0.0, 0.999, 1.001, -1.0])
)
def test_one_wrong_element_is_found_and_named(seed, index, factor):
    x = np.random.default_rng(seed).uniform(0.5, 2.0, (4, 5))
    report = gradcheck(off_by(index, factor), x, rng=seed)
    assert not report
    failure = report.failures[0]
    assert (failure.order, failure.input, failure.index) == (1, 0, index)
    assert failure.numeric * factor == pytest.approx(failure.analytic, rel=1e-7, abs=1e-7)
    text = str(report)
    for shown in (
        "order 1, input 0",
        f"index {index}",
        f"analytic {failure.analytic:.12g}",
        f"step {failure.step:.2g}",
    ):
        assert shown in text


@pytest.mark.parametrize("count", [1, 3])
def test_which_inputs_are_wrong(count):
    @tg.op(elementwise=True)
    def product(a, b, c):
        return a * b * c

    right = {"a": lambda g, b, c: g * b * c, "b": lambda g, a, c: g * a * c, "c": lambda g, a, b: g * a * b}
    broken = {
        "a": lambda g, b, c: 1.01 * g * b * c,
        "b": lambda g, a, c: g * a * c * c,
        "c": lambda g, a, b: -g * a * b,
    }
    product.vjp(**{**right, **dict(list(broken.items())[:count])})
    xs = np.random.default_rng(0).uniform(0.5, 2.0, (3, 2, 3))
    assert {failure.input for failure in gradcheck(product, *xs).failures} == set(range(count))


def test_a_wrong_second_derivative_is_found_at_order_two():
    def rule(g, a):
        return 2 * g * (a if isinstance(a, np.ndarray) else a.detach())  # right, but constant when differentiated again

    assert gradcheck(wrong(rule), np.array([1.0, 2.0]), order=1)
    (failure,) = gradcheck(wrong(rule), np.array([1.0, 2.0]), order=2).failures
    assert (failure.order, failure.input) == (2, 0)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda g, a: 2 * a + 0 * g, "not linear in the incoming gradient"),
        (lambda g, a: 2 * a * tg.where(tg.abs(g) < 0.01, 0, g), "not linear in the incoming gradient"),
        (lambda g, a: 2 * a * tg.clip(g, -10, 10), "not linear in the incoming gradient"),
        (lambda g, a: 2 * g * a * (1.0 if isinstance(g, np.ndarray) else 1.001), "create_graph=True"),
        (lambda g, a: 2 * g * a * (1.0 if values(a).flags.c_contiguous else 1.001), "memory layout"),
        (lambda g, a: 2 * g * a * (1.001 if 0 in values(g).strides else 1.0), "memory layout"),
        (lambda g, a: 2.0 * g * a * np.ones(a.shape), "a rule of broken returned float64 where g is float32"),
        (lambda g, a: 2 * g * a * np.nan, "not finite"),
    ],
)
def test_what_else_may_be_wrong_with_a_rule(rule, text):
    report = gradcheck(wrong(rule), np.array([[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]]))
    assert not report
    assert text in str(report)


def test_values_and_gradients_that_change_from_call_to_call():
    rng = np.random.default_rng(0)
    assert "fix the seed of what is random in f" in str(gradcheck(lambda x: x * rng.uniform(size=3), np.ones(3)))
    noisy = wrong(lambda g, a: 2 * g * a * (1 + 1e-12 * rng.uniform()))
    assert "the gradient is another the second time" in str(gradcheck(noisy, np.ones(3)))


def test_writing_into_inputs_and_incoming_gradients():
    def negate(a):
        if a.flags.writeable:
            np.negative(a, out=a)
        return a * 1.0

    assert "input 0: was modified" in str(gradcheck(wrong(lambda g: g, negate), np.ones(3)))

    def overwrite(g, a):
        result = 2 * g * a
        if isinstance(g, np.ndarray) and g.flags.writeable:
            g[...] = 0
        return result

    assert "the incoming gradient was modified" in str(gradcheck(wrong(overwrite), np.ones(3)))


def test_memory_shared_between_gradients():
    def hidden(g):  # a buffer hides from the walk that it looks at g
        return np.frombuffer(memoryview(g), g.dtype) if isinstance(g, np.ndarray) and g.flags.c_contiguous else g

    report = gradcheck(wrong(hidden, lambda a: a + 0.0), np.ones(3))
    assert "input 0: its gradient shares memory with the incoming gradient" in str(report)

    @tg.op
    def add(a, b):
        return a + b

    rows = np.empty((2, 3), np.float32), np.empty((2, 3))

    def kept(g):
        if not isinstance(g, np.ndarray):
            return g
        (row,) = (each[0] for each in rows if each.dtype == g.dtype)
        row[...] = g
        return row

    add.vjp(a=kept, b=kept)
    a, b = (tg.Tensor(np.ones(3), requires_grad=True) for _ in range(2))
    add(a, b).sum().backward()
    assert not np.shares_memory(a.grad.numpy(), b.grad.numpy()), "the walk keeps them apart"


def test_results_in_memory_that_is_used_again_or_is_the_input_s():
    memory = {}

    def reused(a):
        y = memory.setdefault((a.dtype, a.shape), np.empty(a.shape, a.dtype))
        y[...] = a * a
        return y

    narrow_only = wrong(lambda g, a: 2 * g * a, lambda a: reused(a) if a.dtype == np.float32 else a * a)
    square = wrong(lambda g, a: 2 * g * a, reused)
    text = "broken returned memory of its last call, whose result it has overwritten"
    assert text in str(gradcheck(square, np.array([0.5, 2.0]), order=1))
    assert text in str(gradcheck(lambda x: square(x.exp()).sum(), np.array([0.5, 2.0]), order=1)), "within f, too"
    assert text in str(gradcheck(narrow_only, np.array([0.5, 2.0]), order=1))
    report = gradcheck(wrong(lambda g: g, lambda a: a), np.array([0.5, 2.0]), order=1)
    assert "broken returned its input itself" in str(report)
    table = np.array([1.0, 2.0])
    assert gradcheck(lambda x: x * tg.reshape(table, (2,)), np.ones(2)), "a view of a constant is nobody's buffer"


def test_no_gradient_where_there_is_a_dependence():
    report = gradcheck(lambda a, b: a * b.detach(), np.ones(3), np.ones(3))
    assert [failure.input for failure in report.failures] == [1]
    assert "no gradient reaches it, but f depends on it" in str(report)


# What it accepts


@given(seed=seeds)
def test_right_gradients_pass_whatever_the_seed(seed):
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(2, 3, 3, 3)), rng.normal(size=2)
    report = gradcheck(lambda x, w, b: tg.conv2d(x, w, b, padding=1).exp().sum(axis=(2, 3)), x, w, b, rng=rng, budget=4)
    assert report, report
    assert not report.kinks


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: x, np.ones(3)),
        (lambda x: (x * 2, x.exp()), np.ones((2, 2))),
        (lambda x: [x.max(), (x > 0)], np.array([1.0, 2.0])),
        (lambda x: tg.Tensor(np.ones(2)) + 0.0, np.ones(2)),
        (lambda x: x * x, np.array(1.5)),
        (lambda x: x * x, np.zeros((0, 2))),
        (lambda x: x.sum(), np.zeros((0, 2))),
        (lambda x: (x * 1e6).exp(), np.array([1e-6, -1e-6])),
        (lambda x: x.log(), np.array([1e-4, 3e-3])),
        (lambda x: 1 / x, np.array([1e-2, -3e-3])),
        (lambda x: x * x, np.array([1e6, -1e6])),
        (lambda x: (x * 1e-8).exp() * 1e8, np.array([1.0, 2.0])),
    ],
)
def test_functions_of_every_form_and_scale(f, x):
    report = gradcheck(f, x, order=3)
    assert report, report


def test_independence_is_a_zero_gradient():
    assert gradcheck(lambda a, b: a * 2.0, np.ones(3), np.ones((2, 2)))


def test_other_dtypes_are_passed_as_they_are():
    index, keep = np.array([2, 0]), np.array([True, False, True])
    assert gradcheck(lambda x, i, k: tg.where(k, x, 0.0)[i], np.arange(3.0), index, keep)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rules_in_a_narrow_dtype_are_compared_with_those_in_float64(dtype):
    x = np.array([0.5, 1.0, -2.0], dtype)
    assert gradcheck(lambda x: (x * x).exp().sum(), x, order=3)

    def only_narrow(g, a):
        return 2 * g * a * (1.0 if a.dtype == np.float64 else 1.1)

    report = gradcheck(wrong(only_narrow), x)
    assert f"in {np.dtype(dtype)} but" in str(report)
    assert not gradcheck(off_by((0,), 1.001), x), "the rule is wrong in float64 too, which is where it shows"


def test_a_rule_that_is_only_wrong_in_float32_is_found_from_float64():
    def only_narrow(g, a):
        return 2 * g * a * (1.0 if a.dtype == np.float64 else 1.001)

    report = gradcheck(wrong(only_narrow), np.array([0.5, 1.0, -2.0]), order=1)
    assert "the rule of broken for `a` gives" in str(report)
    assert "in float32" in str(report)

    value = wrong(lambda g, a: 2 * g * a, lambda a: a * a * (1 if a.dtype == np.float64 else np.float32(1.001)))
    assert "broken gives" in str(gradcheck(value, np.array([0.5, 1.0, -2.0]), order=1))

    def small_only(g, a):  # in one of many elements, a small one
        return 2 * g * a * (1.0 if a.dtype == np.float64 else np.where(np.abs(values(a)) < 0.01, 0, 1).astype(a.dtype))

    assert not gradcheck(wrong(small_only), np.array([0.005, *np.linspace(1, 2, 50)]), order=1)


def product(rule, value=np.multiply):
    """An op of two inputs with one rule for both."""

    @tg.op(elementwise=True)
    def broken(a, b):
        return value(a, b)

    broken.joint_vjp("a", "b")(rule)
    return broken


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda g, a, b, needs: (g * (b if needs[1] else a), g * a), "is another if no other input requires one"),
        (
            lambda g, a, b, needs: (g * b, g * a if needs[0] else None),
            "TypeError if no other input requires a gradient",
        ),
    ],
)
def test_a_rule_that_is_only_wrong_if_one_of_the_inputs_needs_no_gradient(rule, text):
    a, b = np.array([0.5, -1.0]), np.array([2.0, 1.5])
    assert text in str(gradcheck(product(rule), a, b, order=1))
    assert gradcheck(product(lambda g, a, b, needs: (g * b, g * a if needs[1] else None)), a, b)
    assert gradcheck(lambda a, b: (a * a, b.exp()), a, b), "outputs of one input each"


@pytest.mark.parametrize("shortcut", [lambda g: (values(g) == 1).all(), lambda g: values(g).strides == (0,)])
def test_a_rule_that_is_only_wrong_below_a_sum(shortcut):
    def rule(g, a):
        return 2 * a * g if not shortcut(g) else a

    assert not gradcheck(wrong(rule), np.array([0.5, -1.0]), order=1)


def test_a_rule_that_is_only_wrong_for_several_dtypes():
    def rule(g, a, b):
        return g * b, g * a if a.dtype == b.dtype else g * (a + 0.01)

    a, b = np.array([0.5, -1.0]), np.array([2.0, 1.5])
    report = gradcheck(product(rule), a, b, order=1)
    assert "the rule of broken for `b` gives" in str(report)
    assert "in float32 with float64, but" in str(report)
    wrong_value = product(lambda g, a, b: (g * b, g * a), lambda a, b: a * b * (1 if a.dtype == b.dtype else 1.01))
    assert "broken gives" in str(gradcheck(wrong_value, a, b, order=1))

    def refusing(a, b):
        if a.dtype != b.dtype:
            raise TypeError("one dtype, please")
        return a * b

    report = gradcheck(product(lambda g, a, b: (g * b, g * a), refusing), a, b, order=1)
    assert report, report
    assert "not checked with input 0 in float32, where f raises TypeError: broken: one dtype, please" in str(report)


@pytest.mark.part(1)
@pytest.mark.parametrize("wrong_for", [{np.float16}, {np.float16, np.float32}, {np.float16, np.float64}])
def test_drawn_dtypes_find_what_is_wrong_in_some_of_them(wrong_for):
    op = product(lambda g, a, b: (g * b, g * a * (1 if {a.dtype.type, b.dtype.type} != wrong_for else 2)))
    numbers = arrays((2, 3), floating_dtypes(), low=0.5)

    @settings(max_examples=100, database=None, report_multiple_bugs=False)
    @given(numbers, numbers)
    def check(a, b):
        assert_gradients(op, a, b, order=1, directions=1, budget=1)

    with pytest.raises(AssertionError, match="the rule of broken for `b` gives"):
        check()


def test_rules_that_cancel_in_float32_are_not_called_wrong():
    """1 - y^2 keeps three digits near y = 1, by the rounding of y itself."""
    assert gradcheck(tg.tanh, np.array([4.0, 6.0, -5.5]), order=1)
    assert gradcheck(lambda x: tg.var(x + 1000.0), np.array([1.0, 1.1, 1.3]), order=1)
    assert gradcheck(lambda x: (x * 1e150) * 1e150, np.ones(2), order=1), "infinite in float32"


def test_a_function_that_fails_in_float32_is_reported_and_not_raised():
    def f(x):
        one = x * 0 + 1.0
        return tg.linalg.cholesky(tg.stack([tg.stack([one, one]), tg.stack([one, one + 1e-8 * x])]))

    report = gradcheck(f, np.array(3.0), order=1, eps=0.01, atol=1e-8)
    assert report, report
    assert "not checked in float32, where f raises LinAlgError: cholesky: `a` (2, 2) is not positive definite" in str(
        report
    )
    nearly = np.array([[1.0, 1.0], [1.0, 1 + 1e-9]])
    assert "f is not finite around this point" in str(gradcheck(tg.linalg.cholesky, nearly, order=1))

    def double_only(a):
        if a.dtype != np.float64:
            raise TypeError("float64 only")
        return a * a

    report = gradcheck(wrong(lambda g, a: 2 * g * a, double_only), np.ones(2), order=1)
    assert "f raises TypeError in float32 and not in float64: broken: float64 only" in str(report)


def test_rounding_inside_of_f_needs_a_larger_step():
    def f(x):
        return (x.astype(np.float32) ** 3).astype(np.float64)

    x = np.array([0.5, 1.0])
    assert not gradcheck(f, x, order=1)
    assert gradcheck(f, x, order=1, eps=0.03, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_told_is_not_called_right():
    noisy = wrong(lambda g: g, lambda a: a + (a * 1e12 % 1) * 1e-4)  # right, as far as differences can tell
    report = gradcheck(noisy, np.array([0.3, 0.7]), order=1)
    assert not report
    assert "is uncertain by" in str(report)


# What it misses


N = 10_000


def normal(seed):
    return np.random.default_rng(seed).normal(size=N)


def visible(gradient):
    """Whether 1e-3 of an element is beyond the tolerance, by gradcheck's docstring."""
    return 4e3 * FLOAT64[1] < np.abs(gradient)


@pytest.mark.slow
def test_an_error_of_one_in_a_thousand_in_one_of_ten_thousand_elements_is_missed_less_than_one_time_in_a_thousand():
    """The statement of gradcheck's docstring, measured: what it says it sees, it sees, and it says so of nearly all."""
    missed = 0
    for seed in range(100):
        entry = np.random.default_rng(seed + 1).integers(N)
        missed += bool(gradcheck(off_by(entry, 1.001), normal(seed), order=1, rng=seed, directions=1, budget=0))
    assert missed == 0
    x = normal(0)
    hardest = [entry for entry in np.argsort(np.abs(x)) if visible(2 * x[entry])][:30]
    for entry in hardest:
        assert not gradcheck(off_by(entry, 1.001), x, order=1, directions=1, budget=0), x[entry]
    hidden = 0
    for seed in range(30):
        x = normal(seed)
        report = gradcheck(lambda x: x * x, x, order=1, rng=seed, directions=1, budget=0)
        hidden += report.unseen + int((~visible(2 * x)).sum())
    assert hidden / (30 * N) < 1e-4


@pytest.mark.slow
def test_right_gradients_of_ten_thousand_elements_pass():
    for seed in range(100):
        report = gradcheck(lambda x: x * x, normal(seed), order=1, rng=seed, directions=1, budget=0)
        assert report, report
    assert gradcheck(lambda x: (x.sin() * x).sum(), normal(0), budget=2)


@pytest.mark.slow
def test_elements_of_very_different_sizes_are_all_seen():
    x = 10.0 ** np.random.default_rng(0).uniform(-5, 5, N)
    assert gradcheck(lambda x: x * x, x, order=1)
    for entry in np.argsort(x)[:: N // 20]:
        assert not gradcheck(off_by(entry, 1.001), x, order=1), x[entry]


def test_many_small_elements_are_split_until_they_are_seen():
    x = np.random.default_rng(0).normal(size=1000)
    report = gradcheck(lambda x: tg.softmax(x, axis=0), x, order=1)
    assert report
    assert report.unseen == 0
    small = np.full(2000, 1e-6)
    report = gradcheck(lambda x: x * x, small, order=1)
    assert report
    assert report.unseen > 1900, "0.1 % of 1e-6 is not seen in sums, and there are too many to look at each"
    assert f"{report.unseen} elements are too small" in str(report)


def test_a_gradient_replaced_by_zero_is_not_called_seen():
    """An entry that the rules call zero is looked at like others: what would not show there is counted."""
    x = normal(0)
    for size in (1e-6, 1e-5, 1e-3):
        x[1234] = size / 2
        assert not gradcheck(off_by(1234, 0.0), x, order=1, directions=1, budget=0), size
    mostly = np.zeros(N)
    mostly[17], mostly[18:28] = 1e-6, 1e4
    report = gradcheck(off_by(17, 0.0), mostly, order=1, directions=1, budget=0)
    assert not report or report.unseen


def test_zeros_among_large_gradients_are_seen():
    x = np.zeros(N)
    x[::100] = normal(0)[::100]
    report = gradcheck(lambda x: x * x, x, order=1, directions=1, budget=0)
    assert report
    assert report.unseen == 0


def test_assert_gradients_fails_for_what_it_could_not_see():
    small = np.full(2000, 1e-6)
    with pytest.raises(AssertionError, match=r"assert_gradients: \d+ elements could not be checked.*allow_unseen=True"):
        assert_gradients(lambda x: x * x, small, order=1)
    assert_gradients(lambda x: x * x, small, order=1, allow_unseen=True)
    with pytest.raises(AssertionError, match="1 failure"):
        assert_gradients(off_by(0, 1.5), np.ones(3), order=1, allow_unseen=True)


# What is beyond the rounding of f


def test_an_output_that_is_rounded_more_than_it_moves_does_not_blame_the_rule():
    for x in ([1e17, 1.0], [1.0, -1e17, 3.0], [1e17, 1e17, 1.0]):
        report = gradcheck(lambda x: x.sum(), np.array(x), order=1)
        assert report, report
        assert report.unseen >= 1, "and it is not called seen"
    report = gradcheck(lambda x, y: x * 1e17 + y, np.ones(3), np.ones(3))
    assert report, report
    assert report.unseen


@given(
    position=st.integers(0, 3), wrong_by=st.sampled_from([1.001, 0.0, -1.0]), large=st.sampled_from([0.0, 1e3, 1e17])
)
def test_an_output_that_does_not_move_excuses_no_other(position, wrong_by, large):
    """y = (a^2, large): the second does not depend on a, whatever its rounding."""

    def f(a):
        return off_by(position, wrong_by)(a), tg.Tensor(np.array([large])) + 0.0 * a[0]

    report = gradcheck(f, np.array([0.5, 1.0, -1.5, 2.0]), order=1)
    assert not report
    assert report.failures[0].index == (position,)


# Steps near poles


@given(
    exponent=st.integers(1, 10), sign=st.sampled_from([-1.0, 1.0, 2.7]),
    others=st.lists(st.sampled_from([1.0, -2.0]), max_size=2),
    f=st.sampled_from([tg.reciprocal, lambda x: 1 / (x * x), lambda x: x - 1e-9 / x, lambda x: tg.log(tg.abs(x))]),
    seed=seeds,
)  # fmt: skip
def test_the_step_does_not_reach_across_a_pole(exponent, sign, others, f, seed):
    x = np.array([sign * 10.0**-exponent, *others])
    report = gradcheck(f, x, order=1, rng=seed)
    assert report, report
    assert not report.kinks
    assert not gradcheck(lambda x: f(off_by_one_percent(x)), x, order=1, rng=seed)


@tg.op(elementwise=True)
def off_by_one_percent(a):
    """y = a, with a wrong gradient."""
    return a * 1.0


off_by_one_percent.vjp(a=lambda g: g * 1.01)


# The complex step


def test_the_complex_step_of_analytic_functions():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    assert gradcheck(
        lambda a, b: (a @ b).exp().sum(axis=0) / 2.0, a, b, order=3, method="complex", rtol=1e-12, atol=1e-12
    )
    report = gradcheck(off_by((1, 2), 1 + 1e-9), a, order=1, method="complex", rtol=1e-11, atol=1e-13)
    assert report.failures[0].index == (1, 2), "a relative error of 1e-9 shows"


@pytest.mark.parametrize("f", [tg.abs, lambda x: tg.abs(x) * x, tg.floor, tg.arctan2])
def test_the_complex_step_refuses_what_is_not_analytic(f):
    count = 2 if f is tg.arctan2 else 1
    with pytest.raises(ValueError, match="`method` is 'complex' but f is not"):
        gradcheck(f, *[np.array([0.5, 1.5])] * count, method="complex")


# Arguments


@pytest.mark.parametrize(
    ("inputs", "options", "text"),
    [
        ([], {}, "at least one must be floating-point"),
        ([np.arange(3)], {}, "at least one must be floating-point"),
        ([np.array([1.0, np.nan])], {}, "input 0 holds NaN or infinity"),
        ([np.ones(2), np.array([np.inf])], {}, "input 1 holds NaN or infinity"),
        ([np.ones(2, "M8[s]")], {}, "input 0 has dtype datetime64"),
        ([np.array(["a"])], {}, "input 0 has dtype <U1"),
        ([np.ones(2)], {"order": 0}, "`order` is 0; it must be an integer of at least 1"),
        ([np.ones(2)], {"order": 1.5}, "`order` is 1.5"),
        ([np.ones(2)], {"directions": 0}, "`directions` is 0"),
        ([np.ones(2)], {"budget": -1}, "`budget` is -1"),
        ([np.ones(2)], {"rtol": -1e-3}, "`rtol` is -0.001"),
        ([np.ones(2)], {"atol": 2.0}, "`atol` is 2.0"),
        ([np.ones(2)], {"eps": 0.0}, "`eps` is 0.0"),
        ([np.ones(2)], {"method": "forward"}, "`method` is 'forward'; it must be one of 'central', 'complex'"),
    ],
)
def test_what_cannot_be_checked_is_refused(inputs, options, text):
    with pytest.raises(ValueError, match=text):
        gradcheck(lambda *xs: sum(xs), *inputs, **options)


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda x: x.numpy(), "`f` returned a ndarray"),
        (lambda x: 1.0, "`f` returned a float"),
        (lambda x: [x, None], "`f` returned a NoneType"),
        (lambda x: x > 0, "at least one result must be floating-point"),
        (lambda x: [], "at least one result must be"),
    ],
)
def test_functions_that_return_something_else(f, text):
    with pytest.raises(ValueError, match=text):
        gradcheck(f, np.ones(2))


def test_f_outside_of_its_domain():
    with np.errstate(all="ignore"):
        assert "f is not finite at this point" in str(gradcheck(tg.log, np.array([-1.0])))
        assert "the gradient is not finite" in str(gradcheck(tg.sqrt, np.array([0.0])))
