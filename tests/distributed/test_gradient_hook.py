"""The hook gets each gradient once, as soon as it is complete, with the value that `grad` gets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.extra.distributed.gradient_hook import GradientHook
from tinygrad_cnn.extra.distributed.step import backward_of_share, shard_step

ONE = tg.Tensor(1.0, dtype=np.float64)


def leaf(value):
    return tg.Tensor(value, requires_grad=True, dtype=np.float64)


def enabled():
    hook = GradientHook()
    hook.enabled = True
    return hook


def test_the_hook_is_called_before_the_rules_of_older_nodes_run():
    happened = []

    @tg.op
    def twice(x):
        return 2 * x

    twice.vjp(x=lambda g: happened.append("rule") or g * 2)
    first, second, hook = leaf(3.0), leaf(4.0), enabled()
    loss = twice(first) * second
    with hook.calling(lambda p, g: happened.append({id(first): "first", id(second): "second"}[id(p)])):
        backward_of_share(loss, ONE, [first, second], hook)
    assert happened == ["second", "rule", "first"]


STEPS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans()), min_size=1, max_size=12)


@given(STEPS, st.integers(1, 5), st.booleans())
def test_any_graph_has_the_same_gradients_with_the_hook(steps, count, is_enabled):
    """Values may be used any number of times."""
    rng = np.random.default_rng(0)
    leaves = [leaf(rng.normal(size=3)) for _ in range(count)]

    def loss():
        values = [*leaves]
        for a, b, product in steps:
            x, y = values[a % len(values)], values[b % len(values)]
            values.append(x * y if product else x + y)
        return (values[-1] * values[-1]).sum()

    loss().backward()
    expected = [None if p.grad is None else p.grad.numpy().tobytes() for p in leaves]
    hook, taken = GradientHook(), []
    hook.enabled = is_enabled
    with hook.calling(lambda p, g: taken.append((id(p), g.tobytes()))):
        backward_of_share(loss(), ONE, leaves, hook)
    assert [None if p.grad is None else p.grad.numpy().tobytes() for p in leaves] == expected
    assert len(dict(taken)) == len(taken)
    assert dict(taken) == ({id(p): g for p, g in zip(leaves, expected, strict=True) if g} if is_enabled else {})


def test_a_compiled_step_calls_the_current_callback():
    weights, hook = [leaf(np.ones(3)), leaf(np.ones(3))], enabled()
    step = tg.compile(shard_step(lambda x: (x * weights[0] * weights[1]).sum(), weights, hook))
    for call in range(1, 9):
        taken = []
        with hook.calling(lambda p, g, taken=taken: taken.append((id(p), g.tolist()))):
            step(ONE, tg.Tensor(np.full(3, float(call)), dtype=np.float64))
        assert dict(taken) == {id(p): [float(call)] * 3 for p in weights}
    step(ONE, tg.Tensor(np.ones(3), dtype=np.float64))  # without a callback


@pytest.mark.parametrize("frozen", [0, 1])
def test_only_leaves_that_require_a_gradient(frozen):
    weights, hook, taken = [leaf(1.0), leaf(2.0)], enabled(), []
    weights[frozen].requires_grad = False
    with hook.calling(lambda p, g: taken.append(id(p))):
        backward_of_share(weights[0] * weights[1], ONE, weights, hook)
    assert taken == [id(weights[1 - frozen])]
