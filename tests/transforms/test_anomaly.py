"""detect_anomaly names the first op whose value or gradient is not finite, where it was called, and on what."""

from __future__ import annotations

import contextvars
import inspect
import threading
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.core import tracing

from ..graphs import node_of


def line():
    """The number of the line that this is called in."""
    return inspect.currentframe().f_back.f_lineno


def leaf(*values):
    return tg.Tensor(np.array(values), requires_grad=True)


def caught(f):
    with pytest.raises(tg.AnomalyError) as info, tg.detect_anomaly():
        f()
    return info.value


class TestForward:
    def test_op_line_shapes_and_ranges(self):
        a, b = tg.Tensor([[1.0, -2.0, 3.0]]), leaf(1.0, 0.0, 4.0)

        def f():
            fine = a * 2.0
            f.line = line() + 1
            quotient = fine / b
            return quotient.exp()

        error = caught(f)
        assert isinstance(error, FloatingPointError)
        assert (error.op, error.filename, error.lineno) == ("div", __file__, f.line)
        assert str(error) == (
            "div: the result float64 (1, 3) has 1 element that is not finite, the first -inf at (0, 1); "
            f"called at {__file__}:{f.line} with `a` float32 (1, 3) from -4.0 to 6.0, 0 not finite, "
            "`b` float64 (3,) from 0.0 to 4.0, 0 not finite; keep its inputs where it is finite, or mask them before it"
        )

    @pytest.mark.parametrize("requires_grad", [False, True])
    @pytest.mark.parametrize("recording", [False, True])
    def test_constants_are_watched_too(self, requires_grad, recording):
        x = tg.Tensor([0.0], requires_grad=requires_grad)
        with tg.enable_grad() if recording else tg.no_grad():
            assert caught(lambda: x.log()).op == "log"

    def test_it_raises_at_once(self):
        reached = []
        caught(lambda: (tg.Tensor([0.0]).log(), reached.append(1)))
        assert not reached

    @pytest.mark.parametrize("how", ["warn", "raise", "ignore", "print"])
    def test_numpy_s_own_checks_do_not_come_first(self, how):
        with np.errstate(all=how), warnings.catch_warnings():
            warnings.simplefilter("error")
            assert caught(lambda: tg.Tensor([0.0]).log()).op == "log"
            assert caught(lambda: tg.Tensor([1e30]) * 1e30).op == "mul"
            assert np.geterr()["divide"] == how

    def test_what_comes_in_bad_is_counted(self):
        error = caught(lambda: tg.Tensor([np.nan, 1.0, np.inf, 5.0]) + 2.0)
        assert "2 elements that are not finite, the first nan at (0,)" in str(error)
        assert "`a` float32 (4,) from 1.0 to 5.0, 2 not finite, `b` 2.0;" in str(error)
        assert "`a` float32 (1,), 1 not finite" in str(caught(lambda: tg.Tensor([np.nan]) + 2.0))

    def test_variadic_ops_and_those_from_other_modules(self):
        x = tg.Tensor([np.inf])
        error = caught(lambda: tg.concatenate([tg.ones(1), x]))
        assert "`arrays[1]` float32 (1,), 1 not finite" in str(error)
        error = caught(lambda: tg.stack([tg.ones(1), x]))  # composed inside the package
        assert (error.filename, error.op) == (__file__, "concatenate")

    def test_an_op_of_the_user_s_own(self):
        @tg.op
        def half(a):
            return a / 0.0

        def f():
            f.line = line() + 1
            half(tg.ones(2))

        error = caught(f)
        assert (error.op, error.lineno) == ("half", f.line)

    def test_integers_booleans_and_empty_arrays_are_finite(self):
        x = tg.Tensor([1.0, 2.0])
        with tg.detect_anomaly():
            assert (x > 1.0).tolist() == [False, True]
            assert x.astype(int).tolist() == [1, 2]
            assert (tg.zeros(0) * 2.0).size == 0

    @given(st.lists(st.sampled_from(["log", "sqrt", "exp", "neg", "reciprocal"]), min_size=1, max_size=6), st.data())
    def test_it_is_the_first_op_of_a_chain(self, names, data):
        steps = {"log": np.log, "sqrt": np.sqrt, "exp": np.exp, "neg": np.negative, "reciprocal": lambda a: 1.0 / a}
        x = data.draw(st.sampled_from([-1.0, 0.0, 0.5, 7.0]))
        values = [np.array([x])]
        with np.errstate(all="ignore"):
            for name in names:
                values.append(steps[name](values[-1]))
        first = next((i for i, value in enumerate(values) if not np.isfinite(value).all()), None)
        assume(first is not None)
        ops = {"log": "log", "sqrt": "sqrt", "exp": "exp", "neg": "neg", "reciprocal": "div"}

        def f():
            y = tg.Tensor(np.array([x]))
            for name in names:
                y = steps[name](y)

        assert caught(f).op == ops[names[first - 1]]


@pytest.mark.parametrize("create_graph", [False, True])
class TestBackward:
    def test_the_op_whose_gradient_is_first_not_finite(self, create_graph):
        x = leaf(4.0, 0.0)

        def f():
            f.line = line() + 1
            root = (x * 1.0).sqrt()
            (root * 3.0).sum().backward(create_graph=create_graph)

        error = caught(f)
        assert (error.op, error.filename, error.lineno) == ("sqrt", __file__, f.line)
        assert str(error) == (
            "sqrt: the gradient for `a` float64 (2,) has 1 element that is not finite, the first inf at (1,); "
            f"called at {__file__}:{f.line} with `a` float64 (2,) from 0.0 to 4.0, 0 not finite; "
            "keep its inputs where it is finite, or mask them before it"
        )
        assert x.grad is None

    def test_under_gradients_and_transforms(self, create_graph):
        x = leaf(0.0)

        def f():
            f.line = line() + 1
            y = x.sqrt()
            tg.gradients(y.sum(), x, create_graph=create_graph)

        assert caught(f).lineno == f.line
        transform = tg.hessian if create_graph else tg.grad
        assert caught(lambda: transform(lambda x: x.sqrt())(0.0)).op == "sqrt"

    def test_which_input(self, create_graph):
        a, b = leaf(1e200), leaf(1e-200)

        def f():
            (a / b).sum().backward(create_graph=create_graph)

        error = caught(f)
        assert "div: the result" in str(error)
        a, b = leaf(1e100), leaf(1e-150)
        error = caught(f)
        assert "div: the gradient for `b`" in str(error)

    def test_a_bad_gradient_that_comes_in_is_said_to(self, create_graph):
        x = leaf(1.0)
        error = caught(lambda: (x * 2.0).backward(np.array([np.nan]), create_graph=create_graph))
        assert "mul: the gradient of its result float64 (1,) has 1 element" in str(error)
        assert "as it comes in" in str(error)

    def test_a_value_that_a_rule_computes_on_its_way_may_be_infinite(self, create_graph):
        @tg.op
        def careful(a):
            return a * 1.0

        careful.vjp(a=lambda g, a: tg.where(a == 0, g, g / a))
        x = leaf(0.0, 2.0)
        with tg.detect_anomaly():
            careful(x).sum().backward(create_graph=create_graph)
        np.testing.assert_array_equal(x.grad.numpy(), [1.0, 0.5])

    def test_inside_a_checkpoint(self, create_graph):
        x = leaf(0.0)

        def segment(x):
            y = x * 1.0
            return y.sqrt()

        def f():
            f.line = inspect.getsourcelines(segment)[1] + 2
            tg.checkpoint(segment, x).backward(create_graph=create_graph)

        error = caught(f)
        assert (error.op, error.filename, error.lineno) == ("sqrt", __file__, f.line)

    def test_recorded_before_the_block(self, create_graph):
        y = leaf(0.0).sqrt()
        error = caught(lambda: y.backward(create_graph=create_graph))
        assert "sqrt: the gradient for `a`" in str(error)
        assert "recorded before detect_anomaly() was entered" in str(error)
        assert error.filename is None


def test_second_order_names_the_forward_op_too():
    x = leaf(0.0)

    def f():
        f.line = line() + 1
        y = x**1.5
        (g,) = tg.gradients(y.sum(), x, create_graph=True)
        g.sum().backward()

    error = caught(f)
    assert error.op == "pow"
    assert f"in the gradient of pow called at {__file__}:{f.line}" in str(error)


def test_finite_work_is_left_alone():
    x = leaf(1.0, 2.0)
    y = (x * x).exp().sum()
    y.backward()
    expected, x2 = x.grad.numpy(), leaf(1.0, 2.0)
    with tg.detect_anomaly():
        z = (x2 * x2).exp().sum()
        z.backward()
    np.testing.assert_array_equal(x2.grad.numpy(), expected)
    assert z.item() == y.item()


def test_outside_the_block_nothing_is_watched():
    with tg.detect_anomaly():
        pass
    with pytest.raises(tg.AnomalyError), tg.detect_anomaly():
        tg.Tensor([0.0]).log()
    assert not tracing.watchers
    assert tracing.tracer() is tracing.NO_TRACER
    with np.errstate(all="ignore"):
        assert tg.Tensor([0.0]).log().item() == -np.inf


def test_it_holds_in_its_own_context_only():
    with tg.detect_anomaly():
        found = []

        def elsewhere():
            with np.errstate(all="ignore"):
                found.append(tg.Tensor([0.0]).log().item())
                x = leaf(0.0)
                x.sqrt().backward()
                found.append(x.grad.item())

        thread = threading.Thread(target=lambda: contextvars.Context().run(elsewhere))
        thread.start()
        thread.join()
    assert found == [-np.inf, np.inf]


def test_observers_outside_still_see_every_call():
    seen = []
    with tracing.observe(lambda op, *_: seen.append(op.name)), tg.detect_anomaly():
        leaf(1.0).exp()
    assert seen == ["exp"]


def test_as_a_decorator():
    @tg.detect_anomaly()
    def f(x):
        return x.log()

    for _ in range(2):
        with pytest.raises(tg.AnomalyError):
            f(tg.Tensor([0.0]))


def test_it_keeps_no_graph(no_collector):
    x = leaf(1.0)
    with tg.detect_anomaly():
        y = (x * 2.0).exp()
        nodes = [weakref.ref(node_of(y)), weakref.ref(node_of(y).parents[0])]
        del y
        assert not any(node() is not None for node in nodes)


def test_a_warning_of_numpy_names_the_op_and_as_an_error_has_the_line_of_the_user():
    x = tg.Tensor([0.0])
    with pytest.warns(RuntimeWarning, match="divide by zero encountered in log") as caught:
        x.log()
    assert caught[0].filename == "<log: call>"
    with (
        pytest.raises(FloatingPointError, match="divide by zero encountered in log") as error,
        np.errstate(divide="raise"),
    ):
        x.log()  # this line
    assert "x.log()  # this line" in str(error.traceback[0].statement)
