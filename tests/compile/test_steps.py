"""Which op calls are the steps that a course expects, and which are not."""

from __future__ import annotations

import contextvars
import sys
import threading

import numpy as np
import pytest

import tinygrad_cnn as tg

from ..graphs import steps_of


@pytest.mark.parametrize("kind", [np.int8, np.int64])
def test_a_numpy_number_as_a_parameter_is_compared_by_value(kind):
    x = np.arange(6.0).reshape(2, 3)
    f = tg.compile(lambda x, axis: x.sum(axis=kind(axis)) * 2)
    for axis in (0, 0, 0, 1, 1, 0, 1):
        assert f(x, axis).tolist() == (x.sum(axis) * 2).tolist()


@pytest.mark.skipif(sys.platform == "emscripten", reason="a browser's Python cannot start threads")
def test_a_call_by_another_thread_in_the_same_context_is_no_step():
    x = np.arange(3.0)

    @tg.compile
    def f(x, elsewhere):
        if elsewhere:
            thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: x * 2,))
            thread.start()
            thread.join()
        return (x * 2).sum()

    for _ in range(4):
        assert f(x, False).item() == 6
    before = steps_of(f)
    for _ in range(4):
        assert f(x, True).item() == 6
    assert steps_of(f) == before


def test_a_longer_and_a_shorter_parameter_are_others():
    x = tg.Tensor(np.arange(6.0))
    f = tg.compile(lambda x, shape: x.reshape(tuple(shape)) * 2)
    for shape in [[2, 3]] * 4 + [[2, 3, 1]] * 4 + [[2, 3]] * 2:
        assert f(x, shape).shape == tuple(shape)


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


def test_other_gradients_are_wanted_in_other_calls():
    a, b = (tg.Tensor(np.array(values), requires_grad=True) for values in ([1.0, 2.0], [3.0, 5.0]))
    f = tg.compile(lambda x, wanted: tg.gradients((a * b * x).sum(), wanted))
    for wanted in [[a]] * 4 + [[a, b]] * 4 + [[b]] * 4 + [[a]]:
        found = [g.tolist() for g in f(np.array([1.0, 10.0]), wanted)]
        assert found == [[3, 50] if p is a else [1, 20] for p in wanted]
