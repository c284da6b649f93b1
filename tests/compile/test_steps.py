"""Which op calls are the steps that a course expects, and which are not."""

from __future__ import annotations

import gc
from collections import namedtuple

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.acceleration import accelerate

from ..graphs import programs_of


@pytest.mark.parametrize("kind", [np.int8, np.int64])
def test_a_numpy_number_as_a_parameter_is_compared_by_value(kind):
    x = np.arange(6.0).reshape(2, 3)
    f = tg.compile(lambda x, axis: x.sum(axis=kind(axis)) * 2)
    for axis in (0, 0, 0, 1, 1, 0, 1):
        assert f(x, axis).tolist() == (x.sum(axis) * 2).tolist()


def test_a_longer_and_a_shorter_parameter_are_others():
    x = tg.Tensor(np.arange(6.0))
    f = tg.compile(lambda x, shape: x.reshape(tuple(shape)) * 2)
    for shape in [[2, 3]] * 4 + [[2, 3, 1]] * 4 + [[2, 3]] * 2:
        assert f(x, shape).shape == tuple(shape)


def test_named_tuples_are_compared_with_their_class():
    Twice, Thrice = (namedtuple(name, "offset") for name in ("Twice", "Thrice"))

    def factor(how):
        return 2 if isinstance(how, Twice) else 3

    @tg.op
    def scaled(x, *, how):
        return x * factor(how) + how.offset

    scaled.vjp(x=lambda g, how: g * factor(how))

    @tg.compile
    def f(x, kind, offset):
        y = scaled(x + 0.0, how=kind(offset))
        y.sum().backward()
        return y

    for kind, offset in [(Twice, 0.5)] * 5 + [(Thrice, 0.5), (Twice, 0.25), (Twice, 1 / 2), (Thrice, 0.25)]:
        x = tg.ones(1, requires_grad=True)
        assert f(x, kind, offset).item() == factor(kind(0)) + offset
        assert x.grad.item() == factor(kind(0))


@pytest.mark.parametrize("first", [0.0, -0.0])
def test_zeros_of_both_signs_are_other_numbers(first):
    f = tg.compile(lambda x, zero: x * float(zero))
    for zero in [first] * 5 + [-first, first, -first]:
        assert np.signbit(f(np.ones(2), repr(zero)).numpy()).all() == np.signbit(zero)


def test_an_array_whose_memory_a_tensor_left_keeps_its_values():
    x, f = tg.Tensor(np.zeros(3)), tg.compile(lambda x: x + 1)
    for _ in range(5):
        f(np.zeros(3))
    before = x.numpy()
    x[0] = 5.0
    assert f(before).tolist() == [1, 1, 1]


def test_a_large_integer_and_a_text_are_compared_by_value():
    """Python has small integers and names in programs once, and others as often as they are computed."""
    x = tg.Tensor(np.arange(4.0).reshape(2, 2))
    f = tg.compile(lambda x, n: tg.repeat(x[0], int(n)) * 2)
    g = tg.compile(lambda x, words: tg.einsum("".join(words), x) * 2)
    for n, formula in [("300", "ij->i")] * 4 + [("600", "ij->j")] * 4 + [("300", "ij->i")] * 2:
        np.testing.assert_array_equal(f(x, n).numpy(), np.repeat(x.numpy()[0], int(n)) * 2)
        np.testing.assert_array_equal(g(x, list(formula)).numpy(), np.einsum(formula, x.numpy()) * 2)


@pytest.mark.parametrize("first", [True, False])
def test_a_leaf_in_the_place_of_a_constant_and_the_other_way_round(first):
    f = tg.compile(lambda x: (x * 2).sum())
    for requires_grad in [first] * 5 + [not first] * 5 + [first]:
        x = tg.Tensor(np.arange(3.0), requires_grad=requires_grad)
        y = f(x)
        assert y.requires_grad is requires_grad
        if requires_grad:
            y.backward()
            assert x.grad.tolist() == [2, 2, 2]


def test_memory_that_a_result_left_is_watched_in_the_calls_after_it():
    x = tg.Tensor(np.arange(3.0))
    f = tg.compile(lambda x: x * 2)
    for _ in range(4):
        f(x)
    y = f(x)
    view = y[1:]
    y[0] = 9.0
    for _ in range(3):
        assert f(x).tolist() == [0, 2, 4]
        with pytest.raises(RuntimeError, match="out of date"):
            view + 1


def test_a_view_that_is_out_of_date_is_refused_in_a_recorded_call():
    base = tg.Tensor(np.zeros(3))
    views = [base[:2]]
    f = tg.compile(lambda: views[0] * 2 + 1)
    for _ in range(5):
        assert f().tolist() == [1, 1]
    base[0] = 5.0
    with pytest.raises(RuntimeError, match="shares memory with a Tensor x that got a new value"):
        f()
    views.clear()
    del f
    gc.collect()  # the memory, which the record still has: until then all calls of compiled functions are plain


def test_other_gradients_are_wanted_in_other_calls():
    a, b = (tg.Tensor(np.array(values), requires_grad=True) for values in ([1.0, 2.0], [3.0, 5.0]))
    f = tg.compile(lambda x, wanted: tg.gradients((a * b * x).sum(), wanted))
    for wanted in [[a]] * 4 + [[a, b]] * 4 + [[b]] * 4 + [[a]]:
        found = [g.tolist() for g in f(np.array([1.0, 10.0]), wanted)]
        assert found == [[3, 50] if p is a else [1, 20] for p in wanted]


@pytest.mark.parametrize("held", [[], [8], range(5, 12)])
def test_the_gradient_of_a_value_that_has_another_node_in_some_calls(held):
    w, kept = leaf(1.0, 2.0), []

    @tg.compile
    def f(n):
        h = w * w
        if n in held:
            kept.append(h)
        return tg.gradients((h * h).sum(), h)

    assert [lists_of(f(n)) for n in range(12)] == [[[2, 8]]] * 12


@pytest.mark.parametrize("later", [False, True])
def test_a_leaf_that_is_written_before_the_walk_is_an_error_in_the_call_that_writes(later):
    """Whether all nodes are older than the write, or some are younger."""
    w = tg.Tensor(np.ones(2), requires_grad=True)

    @tg.compile
    def f(writes):
        loss = (w * w).sum()
        if writes:
            w.copy_([1.0, 1.0])
        (loss * 2.0 if later else loss).backward()

    for _ in range(5):
        f(False)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        f(True)


def leaf(*values):
    return tg.Tensor(np.array(values), requires_grad=True)


def lists_of(gradients):
    return [None if g is None else g.tolist() for g in gradients]


def test_one_leaf_in_two_places_of_which_one_is_wanted():
    f = tg.compile(lambda a, b, wanted: tg.gradients((a * b).sum(), wanted))
    for _ in range(4):
        a = leaf(1.0, 2.0)
        assert lists_of(f(a, leaf(3.0, 5.0), a)) == [[3, 5]]
    a = leaf(1.0, 2.0)
    assert lists_of(f(a, a, a)) == [[2, 4]]


def test_one_leaf_in_two_places_and_another_one_wanted():
    @tg.compile
    def f(a, b, c, wanted):
        b.detach() * 2, b * 2
        return tg.gradients((a * c).sum(), wanted, allow_unused=True)

    for _ in range(4):
        a, b = leaf(1.0, 2.0), leaf(7.0, 9.0)
        assert lists_of(f(a, b, leaf(3.0, 5.0), [a, b])) == [[3, 5], None]
    a, c = leaf(1.0, 2.0), leaf(3.0, 5.0)
    assert lists_of(f(a, a, c, [a, c])) == [[3, 5], [1, 2]]


def test_a_walk_that_began_with_one_leaf_in_two_places():
    @tg.compile
    def f(a, b, walks):
        y = (a * b).sum()
        if walks:
            y.backward()

    for _ in range(2):
        f(leaf(1.0, 2.0), leaf(3.0, 5.0), False)
    for _ in range(2):
        a = leaf(1.0, 2.0)
        f(a, a, True)
        assert a.grad.tolist() == [2, 4]
    for _ in range(4):
        a, b = leaf(1.0, 2.0), leaf(3.0, 5.0)
        f(a, b, True)
        assert lists_of([a.grad, b.grad]) == [[3, 5], [1, 2]]


def test_what_an_outside_op_computed_depends_on_what_is_wanted():
    f = tg.compile(lambda a, h, wanted: tg.gradients((a * h).sum(), wanted))
    for _ in range(4):
        a = leaf(1.0, 2.0)
        assert lists_of(f(a, leaf(3.0, 5.0) * 1, a)) == [[3, 5]]
    a = leaf(1.0, 2.0)
    assert lists_of(f(a, a * 1, a)) == [[2, 4]]


def test_a_node_where_a_walk_stops_and_one_that_leads_to_what_is_wanted():
    f = tg.compile(lambda a, h: tg.gradients((a * h).sum(), a))
    for _ in range(4):
        h = leaf(3.0, 5.0) * 1
        assert lists_of(f(leaf(1.0, 2.0), h)) == [[3, 5]]
    for _ in range(4):
        a = leaf(1.0, 2.0)
        assert lists_of(f(a, a * 1)) == [[2, 4]]


def test_a_walk_that_began_with_one_array_in_two_places():
    """The rule of a power reads both operands."""

    @tg.compile
    def f(a, b, walks):
        y = (a**b).sum()
        return y.item(), tg.gradients(y, a) if walks else ()

    def pair():
        return leaf(2.0, 3.0), tg.Tensor(np.array([3.0, 1.0]))

    for _ in range(2):
        assert f(*pair(), False) == (11, ())
    a, _ = pair()
    f(a, a.detach(), True)
    for _ in range(4):
        assert lists_of(f(*pair(), True)[1]) == [[12, 1]]


def test_an_array_in_the_place_of_a_leaf():
    v, w = tg.Tensor(np.array([3.0, 4.0])), leaf(1.0, 2.0)
    given = []
    f = tg.compile(lambda: (v * given[0]).sum())
    for given[:] in [[w]] * 4 + [[leaf(1.0, 2.0)]] * 2 + [[w.numpy()]] * 3:
        y = f()
        assert y.item() == 11
        assert y.requires_grad is isinstance(given[0], tg.Tensor)


def test_a_list_that_changes_is_another_parameter():
    x, axes = tg.Tensor(np.arange(6.0).reshape(2, 3)), [0, 1]
    f = tg.compile(lambda x: tg.sum(x, axis=axes) * 2)
    for axes[:] in [[0, 1]] * 4 + [[1]] * 4 + [[0, 1]] * 2:
        assert f(x).tolist() == (x.numpy().sum(tuple(axes)) * 2).tolist()


def test_a_second_walk_through_a_freed_graph_is_an_error():
    w = leaf(1.0, 2.0)

    @tg.compile
    def f(twice):
        y = (w * w).sum()
        y.backward()
        if twice:
            y.backward()

    for _ in range(4):
        f(False)
    with pytest.raises(RuntimeError, match="freed"):
        f(True)


def test_one_output_given_twice():
    w = leaf(1.0, 2.0)

    @tg.compile
    def f():
        y = w * w
        return tg.gradients([y, y], w, [np.array([1.0, 2.0]), np.array([10.0, 20.0])])

    for _ in range(5):
        assert lists_of(f()) == [[22, 88]]


def test_a_leaf_on_the_memory_of_a_value_is_a_place_of_its_own():
    x = tg.Tensor(np.ones(2))

    @tg.compile
    def f():
        h = (x * 2).detach().requires_grad_()
        (h * 3).sum().backward()
        return h.grad

    for _ in range(6):
        assert f().tolist() == [3, 3]
    assert len(programs_of(f)) == 1


def test_gradients_that_are_held_are_no_new_program_in_each_call():
    w = leaf(1.0, 2.0)
    f = tg.compile(lambda: tg.gradients((w * w).sum(), w))
    held = [f() for _ in range(4)]
    programs = programs_of(f)
    held += [f() for _ in range(4)]
    assert programs == programs_of(f)
    assert [lists_of(each) for each in held] == [[[2, 4]]] * 8


def test_a_rule_that_returns_what_it_was_given_from_some_call_on():
    w, factor = leaf(1.0, 2.0), [2.0]

    @tg.op
    def passed(x):
        return x * 1

    passed.vjp(x=lambda g: g * factor[0] if factor[0] != 1 else g)
    f = tg.compile(lambda g: tg.gradients(passed(w), w, g))
    for _ in range(4):
        assert lists_of(f(np.array([3.0, 5.0]))) == [[6, 10]]
    factor[0] = 1.0
    first, second = (f(np.array(g)) for g in ([3.0, 5.0], [7.0, 9.0]))
    assert lists_of(first) == [[3, 5]]
    assert lists_of(second) == [[7, 9]]


def test_integers_are_compared_with_a_number_between_them():
    x = tg.Tensor(np.array([2, 3]))
    f = tg.compile(lambda x: x >= 2.5)
    for _ in range(4):
        assert f(x).tolist() == [False, True]


def test_one_operand_in_two_places_and_two_operands():
    f = tg.compile(lambda a, b: (a * b).sum())
    for n in range(12):
        a, b = leaf(1.0, n), leaf(3.0, 5.0)
        other = a if n % 3 == 0 else b
        y = f(a, other)
        y.backward()
        assert y.item() == (1 + n * n if other is a else 3 + 5 * n)
        assert a.grad.tolist() == ([2, 2 * n] if other is a else [3, 5])


@pytest.mark.parametrize("size", [4, 1 << 13])
def test_a_kernel_that_computes_new_arrays_only(size):
    @tg.op
    def doubled(x):
        return x * 2

    doubled.vjp(x=lambda g: doubled(g))
    accelerate(doubled, lambda out, x: None if out is not None or x[0] < 0 else lambda: x * 2.5)
    w = tg.Tensor(np.ones(size), requires_grad=True)

    def f(x):
        y = doubled(w * x)
        return y, *tg.gradients((y * x).sum(), w)

    compiled = tg.compile(f)
    for sign in (1, 1, 1, 1, 1, -1, 1, -1):
        x = tg.Tensor(np.full(size, 3.0 * sign))
        assert lists_of(compiled(x)) == lists_of(f(x))


@pytest.mark.parametrize("call", range(8))
@pytest.mark.parametrize("rows", [2, 200])
def test_another_parameter_from_some_call_on(call, rows):
    rng = np.random.default_rng(call)
    x, *weights = [tg.Tensor(a, requires_grad=True) for a in rng.normal(size=(3, rows, rows))]

    @tg.compile
    def step(w):
        (tg.tanh(x @ w) ** 2).sum().backward()

    for i in range(10):
        w = weights[i >= call].numpy()
        y = np.tanh(x.numpy() @ w)
        x.grad = None
        step(weights[i >= call])
        np.testing.assert_allclose(x.grad.numpy(), 2 * y * (1 - y * y) @ w.T, rtol=1e-9, atol=1e-12)
