"""Hooks see a gradient once it is complete, and may replace it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.core.node import hooked

from ..graphs import array_of, node_of


def leaf(*values):
    return tg.Tensor(np.array(values), requires_grad=True)


@pytest.mark.parametrize("create_graph", [False, True])
class TestBothRegimes:
    def test_a_hook_sees_the_whole_gradient_once(self, create_graph):
        x = leaf(1.0, 2.0)
        middle = x * 2.0
        seen = []
        middle.register_hook(lambda g: seen.append(("middle", g)))
        x.register_hook(lambda g: seen.append(("x", g)))
        y = (middle * 3.0 + middle * middle + x).sum()
        y.register_hook(lambda g: seen.append(("y", g)))
        y.backward(create_graph=create_graph)
        assert [name for name, _ in seen] == ["y", "middle", "x"]
        values = [g.numpy() for _, g in seen]
        np.testing.assert_array_equal(values[0], 1.0)
        np.testing.assert_array_equal(values[1], [7.0, 11.0])
        np.testing.assert_array_equal(values[2], [15.0, 23.0])
        assert all(isinstance(g, tg.Tensor) for _, g in seen)
        assert seen[1][1].requires_grad is create_graph

    @given(st.lists(st.sampled_from(["double", "add", "none"]), max_size=5))
    def test_hooks_run_in_order_each_on_what_the_one_before_returned(self, create_graph, names):
        do = {"double": lambda g: g * 2.0, "add": lambda g: g + 1.0, "none": lambda g: None}
        x = leaf(1.0)
        expected = 3.0
        for name in names:
            x.register_hook(do[name])
            expected = {"double": expected * 2, "add": expected + 1, "none": expected}[name]
        (x * 3.0).sum().backward(create_graph=create_graph)
        assert x.grad.item() == expected

    def test_a_replacement_is_used_for_everything_behind(self, create_graph):
        x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
        middle = x * w
        middle.register_hook(lambda g: g * 10.0)
        middle.sum().backward(create_graph=create_graph)
        np.testing.assert_array_equal(x.grad.numpy(), [30.0, 40.0])
        np.testing.assert_array_equal(w.grad.numpy(), [10.0, 20.0])

    def test_gradients_go_through_hooks_too(self, create_graph):
        x = leaf(1.0, 2.0)
        middle, elsewhere = x * 2.0, x * 5.0
        seen = []
        elsewhere.register_hook(seen.append)
        middle.register_hook(lambda g: g + 1.0)
        x.register_hook(lambda g: g * 10.0)
        y = (middle * 3.0).sum()
        (by_middle,) = tg.gradients(y, middle, retain_graph=True, create_graph=create_graph)
        np.testing.assert_array_equal(by_middle.numpy(), [4.0, 4.0])
        (by_x,) = tg.gradients(y, x, retain_graph=True, create_graph=create_graph)
        np.testing.assert_array_equal(by_x.numpy(), [80.0, 80.0])
        tg.gradients(y + elsewhere.sum(), middle, create_graph=create_graph)  # does not need the gradient of elsewhere
        assert not seen

    def test_numpy_replacements_are_taken_and_copied(self, create_graph):
        x, mine = leaf(1.0, 2.0), np.array([5.0, 6.0])
        x.register_hook(lambda g: mine)
        x.sum().backward(create_graph=create_graph)
        mine[:] = 0
        np.testing.assert_array_equal(x.grad.numpy(), [5.0, 6.0])

    def test_what_a_hook_keeps_is_not_what_the_leaf_gets(self, create_graph):
        x, kept = leaf(1.0, 2.0), []
        x.register_hook(kept.append)
        (x * x).sum().backward(create_graph=create_graph)
        np.testing.assert_array_equal(kept[0].numpy(), x.grad.numpy())
        assert not np.shares_memory(kept[0].numpy(), x.grad.numpy())

    @pytest.mark.parametrize(
        ("result", "error", "message"),
        [
            (
                tg.ones(3, dtype=np.float64),
                ValueError,
                r"the hook returned float64 \(3,\) for the gradient float64 \(2,\)",
            ),
            (tg.ones(2), ValueError, r"the hook returned float32 \(2,\) for the gradient float64 \(2,\)"),
            (3.0, TypeError, "the hook returned 3.0; it must return None or a Tensor"),
        ],
    )
    def test_replacements_are_checked(self, create_graph, result, error, message):
        x = leaf(1.0, 2.0)
        x.register_hook(lambda g: result)
        with pytest.raises(error, match=message):
            x.sum().backward(create_graph=create_graph)
        assert x.grad is None

    def test_a_hook_records_only_if_the_walk_does(self, create_graph):
        x, seen = leaf(1.0), []
        x.register_hook(lambda g: seen.append(tg.is_grad_enabled()))
        (x * 2.0).sum().backward(create_graph=create_graph)
        with tg.no_grad():
            (tg.enable_grad()(lambda: x * 2.0)()).backward(create_graph=create_graph)
        assert seen == [create_graph] * 2
        assert tg.is_grad_enabled()

    def test_every_walk_calls_the_hook(self, create_graph):
        x, seen = leaf(1.0), []
        x.register_hook(seen.append)
        for n in range(3):
            (x * 2.0).sum().backward(create_graph=create_graph)
            assert len(seen) == n + 1
            assert seen[-1].item() == 2.0  # of this walk, not of the sum in grad
        assert x.grad.item() == 6.0


def test_a_hook_is_differentiated_if_the_graph_of_the_gradient_is_asked_for():
    x, w = leaf(2.0), leaf(3.0)
    x.register_hook(lambda g: g * w)
    (x**3).sum().backward(create_graph=True)
    (g,) = tg.gradients(x.grad.sum(), w, retain_graph=True)
    assert g.item() == 12.0
    x.zero_grad()
    (x**3).sum().backward()
    assert x.grad.item() == 36.0
    assert not x.grad.requires_grad


class TestHandles:
    def test_remove(self):
        x, seen = leaf(1.0), []
        first, second = x.register_hook(lambda g: seen.append(1)), x.register_hook(lambda g: seen.append(2))
        first.remove()
        first.remove()
        x.sum().backward()
        assert seen == [2]
        second.remove()
        x.sum().backward()
        assert seen == [2]
        assert id(node_of(x)) not in hooked
        assert not hasattr(node_of(x), "hooks")

    def test_a_handle_is_a_context_manager(self):
        x, seen = leaf(1.0), []
        with x.register_hook(seen.append):
            x.sum().backward()
        x.sum().backward()
        assert len(seen) == 1

    def test_one_function_may_be_registered_twice(self):
        x, seen = leaf(1.0), []
        first = x.register_hook(seen.append)
        x.register_hook(seen.append)
        first.remove()
        x.sum().backward()
        assert len(seen) == 1

    def test_a_hook_may_remove_itself_and_register_others(self):
        x, seen = leaf(1.0), []

        def once(g):
            seen.append("once")
            handle.remove()
            x.register_hook(lambda g: seen.append("later"))

        handle = x.register_hook(once)
        x.sum().backward()
        assert seen == ["once"]
        x.sum().backward()
        assert seen == ["once", "later"]

    def test_removing_after_the_graph_is_gone(self):
        middle = leaf(1.0) * 2.0
        place = weakref.ref(node_of(middle))
        handle = middle.register_hook(lambda g: None)
        del middle
        assert place() is None, "the handle keeps the graph alive"
        handle.remove()
        handle.remove()


class TestErrors:
    def test_a_tensor_without_a_gradient_takes_no_hook(self):
        with pytest.raises(RuntimeError, match="register_hook: this Tensor does not require a gradient"):
            tg.ones(2).register_hook(lambda g: None)

    def test_a_hook_is_a_function(self):
        with pytest.raises(TypeError, match="register_hook: `hook` is 3"):
            leaf(1.0).register_hook(3)

    def test_an_error_in_a_hook_goes_through(self):
        x = leaf(1.0)

        def fails(g):
            raise KeyError("mine")

        x.register_hook(fails)
        with pytest.raises(KeyError, match="mine"):
            x.sum().backward()


def test_hooks_leave_no_cycle(no_collector):
    x = leaf(1.0, 2.0)
    middle = x * 2.0
    handle = middle.register_hook(lambda g: g * 2.0)
    x.register_hook(lambda g: None)
    middle.sum().backward()
    things = [weakref.ref(thing) for thing in (x, middle, node_of(middle), node_of(x), array_of(middle))]
    del x, middle
    assert not any(thing() is not None for thing in things)
    assert not hooked
    handle.remove()


def test_a_hook_that_refers_to_its_tensor_can_still_be_collected():
    x = leaf(1.0)
    x.register_hook(lambda g: g * x.detach())
    gone = weakref.ref(x)
    x = None
    gc.collect()
    assert gone() is None
    assert not hooked


def test_hooks_outside_are_not_called_by_transforms_of_the_tensor_s_value():
    x, seen = leaf(1.0, 2.0), []
    x.register_hook(seen.append)
    tg.grad(lambda t: (t * t).sum())(x)
    assert not seen
