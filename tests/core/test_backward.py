"""The backward walk: accumulation, ownership, freed and overwritten graphs, higher orders, and its errors."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import optim


def leaf(*values, dtype=np.float64):
    return tg.Tensor(np.array(values, dtype), requires_grad=True)


class TestAccumulation:
    def test_gradients_add_up_over_uses_and_over_backwards(self):
        x = leaf(1.0, 2.0)
        (x * 3 + x * x).sum().backward()
        assert x.grad.tolist() == [5, 7]
        held = x.grad
        (x * 2).sum().backward()
        assert x.grad.tolist() == [7, 9]
        assert held.tolist() == [5, 7], "a gradient that the user holds does not change"
        x.zero_grad()
        assert x.grad is None

    def test_their_sum_is_recorded_if_both_are(self):
        x = leaf(1.0, 2.0)
        (x**3).sum().backward(create_graph=True)
        (x**4).sum().backward(create_graph=True)
        (second,) = tg.gradients(x.grad.sum(), [x])
        assert second.tolist() == [6 + 12, 12 + 48]

    def test_a_single_element_of_any_rank_has_an_implied_gradient(self):
        x = leaf(2.0)
        (x * x).reshape(1, 1, 1).backward()
        assert x.grad.tolist() == [4]

    def test_a_leaf_is_its_own_gradient_path(self):
        x, g = leaf(2.0, 3.0), np.array([5.0, 6.0])
        x.backward(g)
        assert x.grad.tolist() == [5, 6]
        assert not np.shares_memory(x.grad.numpy(), g)

    def test_a_rule_that_returns_what_it_is_given_does_not_give_it_away(self):
        x, g = leaf(2.0, 3.0), np.array([5.0, 6.0])
        (x + 1.0).backward(g)
        assert x.grad.tolist() == [5, 6]
        assert not np.shares_memory(x.grad.numpy(), g)

    def test_leaves_that_nothing_reaches_keep_no_gradient(self):
        x, unused = leaf(1.0), leaf(1.0)
        (x * 2).backward()
        assert unused.grad is None

    @pytest.mark.parametrize("create_graph", [False, True])
    def test_gradients_never_share_memory(self, create_graph):
        a, b, c = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(1.0, 1.0)
        g = tg.Tensor(np.ones((2, 1)))
        (a + b + c.reshape(2)).reshape(2, 1).backward(g, create_graph=create_graph)
        grads = [a.grad.numpy(), b.grad.numpy(), c.grad.numpy(), g.numpy()]
        for i, x in enumerate(grads):
            assert not any(np.shares_memory(x, y) for y in grads[i + 1 :])

    @pytest.mark.parametrize("create_graph", [False, True])
    @pytest.mark.parametrize("second", [lambda d: d, lambda d: d[::-1], lambda d: d.reshape(2, 1).reshape(2)])
    def test_one_array_that_a_joint_rule_returns_twice_is_two_gradients(self, second, create_graph):
        @tg.op
        def both(a, b):
            return a + b[::-1]

        @both.joint_vjp("a", "b")
        def _(g):
            d = g * 2
            return d, second(d)

        a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
        both(a, b).backward(np.array([1.0, 3.0]), create_graph=create_graph)
        assert not np.shares_memory(a.grad.numpy(), b.grad.numpy())
        assert a.grad.tolist() == [2, 6]

    @pytest.mark.parametrize("create_graph", [False, True])
    @pytest.mark.parametrize("f", [tg.sum, lambda x: (x.T * np.ones((3, 2))).sum(), lambda x: x.T.sum() + x.sum()])
    def test_gradients_are_writable_contiguous_arrays(self, f, create_graph):
        x = tg.Tensor(np.ones((2, 3)), requires_grad=True)
        f(x).backward(create_graph=create_graph)
        x.grad.copy_(7.0)  # in place
        assert x.grad.numpy().flags.c_contiguous
        assert x.grad.tolist() == [[7.0] * 3] * 2

    @given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
    def test_a_sum_of_picked_leaves_counts_each(self, picks):
        leaves = {name: leaf(1.0, 2.0) for name in "abc"}
        sum((leaves[name] for name in picks), tg.Tensor(0.0)).sum().backward()
        for name, x in leaves.items():
            count = picks.count(name)
            assert (x.grad is None and count == 0) or x.grad.tolist() == [count, count]


class TestFreedGraphs:
    def test_a_second_backward_raises_and_names_retain_graph(self):
        x = leaf(2.0)
        for y in (x * x, x + x, x.reshape(1)):
            y.backward()
            before = x.grad.tolist()
            with pytest.raises(RuntimeError, match="freed by an earlier backward; pass retain_graph=True"):
                y.backward()
            assert x.grad.tolist() == before

    def test_a_freed_part_is_noticed_before_anything_changes(self):
        x, w = leaf(2.0), leaf(3.0)
        shared = x * x
        y, z = shared * 2, shared * w
        y.backward()
        x.zero_grad()
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            z.backward()
        assert x.grad is None
        assert w.grad is None

    def test_retain_graph_allows_another(self):
        x = leaf(2.0)
        y = x * x
        y.backward(retain_graph=True)
        y.backward()
        assert x.grad.tolist() == [8]

    def test_create_graph_retains_unless_told_otherwise(self):
        x = leaf(2.0)
        y = x * x
        y.backward(create_graph=True)
        y.backward(create_graph=True, retain_graph=False)
        with pytest.raises(RuntimeError, match="freed"):
            y.backward()


class TestOverwrittenValues:
    def test_a_step_between_forward_and_backward_raises(self):
        w, x = leaf(2.0), leaf(3.0)
        y = w * x
        w.copy_(5.0)
        with pytest.raises(RuntimeError, match="overwritten in place after it was recorded"):
            y.backward()
        assert w.grad is None
        assert x.grad is None

    @pytest.mark.parametrize(
        "view",
        [
            lambda a: np.lib.stride_tricks.as_strided(a, (3,), (8,)),
            lambda a: np.lib.stride_tricks.sliding_window_view(a, 3)[0],
        ],
        ids=["as_strided", "sliding_window_view"],
    )
    def test_a_window_on_what_was_written_counts(self, view):
        array = np.array([1.0, 2.0, 3.0])
        w = tg.from_numpy(array, requires_grad=True)
        x = leaf(4.0, 5.0, 6.0)
        y = (x * tg.from_numpy(view(array))).sum()
        w.copy_(0.0)
        with pytest.raises(RuntimeError, match="overwritten"):
            y.backward()

    def test_a_view_of_what_was_written_counts(self):
        w, x = leaf(2.0, 1.0), leaf(3.0, 1.0)
        y = (w.reshape(2, 1).T * x).sum()
        w.copy_(5.0)
        with pytest.raises(RuntimeError, match="overwritten"):
            y.backward()

    def test_a_graph_that_saved_nothing_of_it_gives_the_recorded_gradient(self):
        w, x = leaf(2.0), leaf(3.0)
        y = (w + x) * 2
        w.copy_(5.0)
        y.backward()
        assert w.grad.tolist() == [2]

    def test_only_values_that_a_wanted_gradient_needs_are_saved(self):
        w = leaf(2.0)
        x = tg.Tensor(np.array([3.0]))
        y = w * x  # w' needs x alone
        w.copy_(5.0)
        y.backward()
        assert w.grad.tolist() == [3]

    def test_an_optimizers_step_counts_and_a_new_forward_is_fine(self):
        w = leaf(2.0)
        opt = optim.SGD([w], lr=0.1)
        first, second = w * w, w * w
        first.backward()
        opt.step()
        with pytest.raises(RuntimeError, match="overwritten"):
            second.backward()
        opt.zero_grad()
        (w * w).backward()
        np.testing.assert_allclose(w.grad.numpy(), 2 * w.numpy())


class TestErrors:
    def test_a_non_scalar_needs_a_gradient(self):
        x = leaf(1.0, 2.0)
        with pytest.raises(RuntimeError, match=r"shape \(2,\); only a single element has an implied gradient"):
            (x * 2).backward()

    def test_a_tensor_outside_the_graph(self):
        with pytest.raises(RuntimeError, match="does not require a gradient"):
            tg.Tensor([1.0]).backward()

    def test_a_gradient_of_another_shape_or_kind(self):
        x = leaf(1.0, 2.0)
        y = x * 2
        with pytest.raises(ValueError, match=r"the gradient has shape \(3,\) but the Tensor has shape \(2,\)"):
            y.backward(np.ones(3))
        with pytest.raises(TypeError, match="gradient has dtype complex128; it must hold real numbers"):
            y.backward(np.ones(2) * 1j)
        assert x.grad is None
        y.backward([1, 2])
        assert x.grad.tolist() == [2, 4]

    def test_a_wrong_shape_from_a_rule_names_op_and_input(self):
        @tg.op
        def head(a):
            return a[:1]

        head.vjp(a=lambda g: g)
        with pytest.raises(
            ValueError, match=r"head: the rule for `a` returned shape \(1,\) for an input of shape \(2,\)"
        ):
            head(leaf(1.0, 2.0)).backward()

    def test_a_rule_that_returns_no_array(self):
        @tg.op
        def odd(a):
            return a * 1.0

        odd.vjp(a=lambda g: None)
        with pytest.raises(TypeError, match="odd: the rule for `a` returned None, not an array"):
            odd(leaf(1.0)).backward()


class TestHigherOrder:
    def test_second_and_third_derivatives_are_exact(self):
        x = leaf(3.0)
        (first,) = tg.gradients(x**4, x, create_graph=True)
        (second,) = tg.gradients(first, x, create_graph=True)
        (third,) = tg.gradients(second, x)
        assert [first.item(), second.item(), third.item()] == [108, 108, 72]

    def test_a_recorded_gradient_can_enter_a_loss(self):
        x = leaf(1.0, 2.0)
        (x * x * x).sum().backward(create_graph=True)
        g = x.grad
        x.zero_grad()
        (g * g).sum().backward()  # d/dx (3 x^2)^2 = 36 x^3
        assert x.grad.tolist() == [36, 288]

    def test_create_graph_works_under_no_grad(self):
        x = leaf(3.0)
        y = x**3
        with tg.no_grad():
            (g,) = tg.gradients(y, x, create_graph=True)
        assert g.requires_grad


class TestGradients:
    def test_it_touches_no_grad_and_serves_intermediates(self):
        x, w = leaf(2.0), leaf(3.0)
        h = x * w
        y = h * h
        gh, gx = tg.gradients(y, [h, x])
        assert (gh.item(), gx.item()) == (12, 36)
        assert x.grad is None
        assert w.grad is None

    def test_only_rules_on_a_path_to_an_input_run(self):
        @tg.op
        def forbidden(a):
            return a * 1.0

        forbidden.vjp(a=lambda g: pytest.fail("not on the path"))
        x, w = leaf(2.0), leaf(3.0)
        (g,) = tg.gradients(x * forbidden(w), x)
        assert g.item() == 3

    def test_several_outputs_with_their_own_gradients(self):
        x = leaf(1.0, 2.0)
        (g,) = tg.gradients([x * 2, (x * x).sum()], [x], grad_outputs=[np.array([1.0, 10.0]), None])
        assert g.tolist() == [4, 24]

    def test_an_unused_input(self):
        x, other = leaf(1.0), leaf(1.0)
        with pytest.raises(RuntimeError, match=r"no output depends on `inputs\[1\]`; allow_unused=True returns None"):
            tg.gradients(x * 2, [x, other])
        g, none = tg.gradients(x * 2, [x, other], allow_unused=True)
        assert g.item() == 2
        assert none is None

    def test_the_output_itself_and_repeats(self):
        x = leaf(2.0)
        y = x * 3
        a, b, c = tg.gradients(y, [y, x, x])
        assert (a.item(), b.item(), c.item()) == (1, 3, 3)
        assert not np.shares_memory(b.numpy(), c.numpy())

    def test_errors(self):
        x = leaf(1.0, 2.0)
        with pytest.raises(RuntimeError, match=r"`inputs\[0\]` does not require a gradient"):
            tg.gradients((x * 2).sum(), [tg.ones(2)])
        with pytest.raises(ValueError, match="1 `grad_outputs` for 2 `outputs`"):
            tg.gradients([x.sum(), x.sum()], x, grad_outputs=[None])
        with pytest.raises(RuntimeError, match="implied gradient"):
            tg.gradients(x * 2, x)


class TestSwitches:
    def test_no_grad_and_enable_grad_nest(self):
        x = leaf(1.0)
        assert tg.is_grad_enabled()
        with tg.no_grad():
            assert not tg.is_grad_enabled()
            assert not (x * 2).requires_grad
            with tg.enable_grad():
                assert (x * 2).requires_grad
            assert not (x * 2).requires_grad
        assert (x * 2).requires_grad

    def test_the_switch_is_put_back_after_an_exception(self):
        with pytest.raises(KeyError), tg.no_grad():
            raise KeyError
        assert tg.is_grad_enabled()

    @pytest.mark.parametrize("decorate", [tg.no_grad(), tg.no_grad])
    def test_they_decorate_functions_recursive_ones_too(self, decorate):
        @decorate
        def countdown(n):
            return [tg.is_grad_enabled(), *(countdown(n - 1) if n else [])]

        assert countdown(2) == [False] * 3
        assert tg.is_grad_enabled()
        assert countdown.__name__ == "countdown"

    def test_a_function_that_suspends_is_refused(self):
        with pytest.raises(TypeError, match=r"`steps` suspends.*use `with no_grad\(\):` inside"):

            @tg.no_grad()
            def steps():
                yield 1

        with pytest.raises(TypeError, match="`awaited` suspends"):

            @tg.no_grad()
            async def awaited():
                yield 1

    def test_another_thread_has_its_own(self):
        seen = []
        with tg.no_grad():
            thread = threading.Thread(target=lambda: seen.append(tg.is_grad_enabled()))
            thread.start()
            thread.join()
        assert seen == [True]

    def test_threads_can_walk_graphs_over_shared_leaves(self):
        w = leaf(2.0)
        results = []

        def work():
            for _ in range(50):
                (g,) = tg.gradients((w * w * w).sum(), w)
                results.append(g.item())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [12.0] * 200


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_are_in_c_order_whatever_the_rule_returned(create_graph):
    """Optimizers go through parameter and gradient side by side, which is slow in two orders."""
    w = tg.Tensor(np.ones((3, 2)), requires_grad=True)
    (tg.ones(4, 2, dtype=np.float64) @ w.T).sum().backward(create_graph=create_graph)
    assert w.grad.numpy().flags.c_contiguous


def channels_last(rng):
    return np.moveaxis(rng.normal(size=(2, 5, 5, 3)), -1, 1)


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_of_a_leaf_in_another_order_has_that_order_if_the_rule_gives_it(create_graph):
    x = tg.from_numpy(channels_last(np.random.default_rng(0)))
    x.requires_grad = True
    for times in (1, 2):
        (x.relu() ** 2).sum().backward(create_graph=create_graph)
        assert x.grad.numpy().strides == x.numpy().strides
        np.testing.assert_allclose(x.grad.numpy(), times * 2 * np.maximum(x.numpy(), 0))
    x.grad = None
    (x.transpose(0, 2, 3, 1)[:, ::-1] * np.ones((2, 5, 5, 3))).sum().backward(
        create_graph=create_graph
    )  # a view with gaps
    assert x.grad.numpy().flags.c_contiguous
    assert x.grad.numpy().tolist() == np.ones(x.shape).tolist()
    x.grad = None
    x.register_hook(lambda g: kept.append(g))
    kept = []
    (x.relu() ** 2).sum().backward(create_graph=create_graph)
    assert not np.shares_memory(kept[0].numpy(), x.grad.numpy())


def test_the_gradient_of_a_leaf_with_gaps_has_none():
    @tg.op
    def double(a):
        return 2 * a

    double.vjp(a=lambda g, a: np.full((4, 6), 2.0)[:, ::2])
    x = tg.from_numpy(np.ones((4, 6))[:, ::2])
    x.requires_grad = True
    double(x).sum().backward()
    assert x.grad.numpy().flags.c_contiguous
    assert x.grad.tolist() == [[2.0] * 3] * 4


def test_gradients_in_the_order_of_their_leaves_are_the_same_compiled():
    found = []
    for compiled in (False, True):
        rng = np.random.default_rng(0)
        x = tg.from_numpy(channels_last(rng))
        w = tg.from_numpy(np.moveaxis(rng.normal(size=(4, 3, 3, 3)), -1, 1))
        x.requires_grad = w.requires_grad = True
        optimizer = tg.optim.SGD([x, w], lr=0.1, momentum=0.9)

        def step(x, w, optimizer=optimizer):
            loss = (tg.conv2d(x.relu(), w * w) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            tg.optim.clip_grad_norm_([x, w], 0.5)
            optimizer.step()
            return loss

        run = tg.compile(step) if compiled else step
        losses = [run(x, w).item() for _ in range(6)]
        found.append([losses, *(a.numpy().tolist() for a in (x, w, x.grad, w.grad)), x.grad.numpy().strides])
    assert found[0] == found[1]
    assert found[0][-1] == x.numpy().strides


PARTS = [
    0,
    1,
    -1,
    slice(None),
    slice(1, 3),
    ...,
    None,
    (slice(None), 0),
    (1, -1),
    np.array([0, 2, 0]),
    np.array([True, False, True]),
]


@given(st.lists(st.integers(0, len(PARTS) - 1), min_size=1, max_size=7), st.booleans())
def test_the_sum_of_parts_of_one_array(chosen, of_a_result):
    """Beside what is added as a whole; d of the sum of squares of parts is twice the value, for each part that has it."""
    x = tg.Tensor(np.arange(1.0, 10).reshape(3, 3), requires_grad=True)
    z = x * 1.0 if of_a_result else x
    y = sum((z[PARTS[i]] ** 2).sum() for i in chosen) + (z * 2).sum()
    counts = np.zeros((3, 3))
    for i in chosen:
        np.add.at(counts, PARTS[i], 1)
    (again,) = tg.gradients(y, x, create_graph=True)
    (g,) = tg.gradients(y, x)
    np.testing.assert_allclose(g, 2 + 2 * counts * x.numpy())
    np.testing.assert_array_equal(g, again.detach())
