"""Graphs hold no more than they need, for no longer than they need it, and without the garbage collector's help."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.node import Leaf, Node
from tinygrad_cnn.core.tracing import observe

from .graphs import array_of, counting_results, node_of, nodes_behind

pytestmark = pytest.mark.usefixtures("no_collector")


def network(x, w, b, v):
    hidden = tg.conv2d(x, w, b, padding=1).relu()
    return tg.mse(hidden.reshape(len(x), -1) @ v, np.zeros((len(x), 2)))


@pytest.fixture
def leaves():
    rng = np.random.default_rng(0)
    shapes = {"x": (2, 3, 4, 4), "w": (5, 3, 3, 3), "b": (5,), "v": (80, 2)}
    return {name: tg.randn(shape, rng=rng, requires_grad=True, dtype=np.float64) for name, shape in shapes.items()}


def test_dropping_the_output_frees_the_graph(leaves):
    y = network(**leaves)
    things = [weakref.ref(node) for node in nodes_behind(y) if isinstance(node, Node)]
    things += [weakref.ref(v) for node in nodes_behind(y) for v in node.saved if isinstance(v, np.ndarray) and node.op]
    kept = {id(array_of(leaf)) for leaf in leaves.values()}
    things = [thing for thing in things if id(thing()) not in kept]
    assert len(things) >= 8
    del y
    assert not any(thing() is not None for thing in things)


@pytest.mark.parametrize("create_graph", [False, True])
def test_dropping_everything_after_backward_frees_everything(leaves, create_graph):
    y = network(**leaves)
    y.backward(create_graph=create_graph)
    things = [weakref.ref(node) for node in ([node_of(y)] if not create_graph else nodes_behind(y))]
    things += [weakref.ref(leaf) for leaf in leaves.values()]
    things += [weakref.ref(array_of(leaf)) for leaf in leaves.values()] + [
        weakref.ref(leaf.grad) for leaf in leaves.values()
    ]
    del y
    leaves.clear()
    assert not any(thing() is not None for thing in things)


def test_recorded_gradients_leave_no_cycle(leaves):
    tg.gradients(network(**leaves), list(leaves.values()), create_graph=True)  # imports what it needs
    gc.collect()
    g = tg.gradients(network(**leaves), list(leaves.values()), create_graph=True)
    tg.gradients(sum((h * h).sum() for h in g), list(leaves.values()), allow_unused=True)
    del g
    assert gc.collect() == 0


def test_backward_frees_saved_arrays_as_it_goes():
    alive = []

    @tg.op
    def probe(a):
        return a * 1.0

    def rule(g, y):
        alive.append(sum(ref() is not None for ref in saved))
        return g

    probe.vjp(a=rule)
    x = tg.Tensor(np.ones(3), requires_grad=True)
    y, saved = x, []
    for _ in range(10):
        y = probe(y)
        saved.append(weakref.ref(array_of(y)))
    y.backward(np.ones(3))
    assert alive == [10, 10, 9, 8, 7, 6, 5, 4, 3, 2]  # y itself stays alive


def test_an_intermediate_that_no_rule_needs_dies_at_once():
    x = tg.Tensor(np.ones(3), requires_grad=True)
    middle = x + 1.0
    data = weakref.ref(array_of(middle))
    y = middle + 2.0
    del middle
    assert data() is None
    y.backward(np.ones(3))
    assert x.grad is not None


def test_first_order_backward_builds_no_tensor_but_the_gradients(leaves):
    y = network(**leaves)
    calls = []
    with observe(lambda *call: calls.append(call)), counting_results() as made:
        y.backward()
        assert made() == len(leaves)
    assert not calls


def _chain(n):
    x = tg.Tensor(np.zeros(1), requires_grad=True)
    y = x
    for _ in range(n):
        y = y * 1.0
    return x, y


DEEP = 100_000
"""Far deeper than what the stack of C holds, if each of them took a hundred bytes."""


def test_a_chain_of_many_ops():
    x, y = _chain(DEEP)
    first = weakref.ref(node_of(y))
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1.0])
    del y
    assert first() is None


def test_a_chain_of_many_ops_that_is_dropped_unused():
    x, y = _chain(DEEP)
    first, last = weakref.ref(node_of(x)), weakref.ref(node_of(y))
    del x, y
    assert first() is None
    assert last() is None


def test_work_grows_linearly_with_depth():
    """Counted in node visits by the walk, which do not depend on the machine."""
    visits = []
    for depth in (100, 200):
        visits.append(0)

        @tg.op
        def step(a):
            return a * 1.0

        def rule(g):
            visits[-1] += 1
            return g

        step.vjp(a=rule)
        x = tg.Tensor(np.zeros(1), requires_grad=True)
        y = x
        for _ in range(depth):
            y = step(y) + step(y)  # 2^depth paths
            y = y * 0.5
        y.backward()
    assert visits == [200, 400]


def test_a_diamond_of_depth_ten_thousand():
    x = tg.Tensor(np.zeros(1), requires_grad=True)
    y = x
    for _ in range(10_000):
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.item() == 1.0
    plain = x
    with np.errstate(over="ignore"):
        for _ in range(10_000):
            plain = plain + plain
        plain.backward()
    assert x.grad.item() == np.inf  # 2^10000


def test_nodes_refer_to_no_tensor(leaves):
    y = network(**leaves)
    for node in nodes_behind(y):
        held = gc.get_referents(node)
        assert not any(isinstance(thing, tg.Tensor) for thing in held)
        assert isinstance(node, Node | Leaf)
