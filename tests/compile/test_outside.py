"""Graphs that begin outside of a compiled function, and ops and rules of users: what they are given is theirs."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg

CALLS = 7
"""The first sees a graph, the second records its walk, the third prepares it."""


def as_list(x: Any) -> Any:
    return None if x is None else x.tolist()


@tg.op(elementwise=True)
def reading(a):
    """y = a^2, by a rule that reads values."""
    return a * a


reading.vjp(a=lambda g, a: g * 2 * np.array(a))


def _by_a_walk(g, a):
    x = tg.Tensor(np.array(a), requires_grad=True)
    (x * x).sum().backward()
    return g * np.array(x.grad)


@tg.op(elementwise=True)
def walking(a):
    """y = a^2, by a rule that runs a backward pass of its own."""
    return a * a


walking.vjp(a=_by_a_walk)


def by_implicit(w, x):
    """The cube root of w x, by its equation."""
    return tg.implicit(lambda a: np.cbrt(a), lambda y, a: y**3 - a)(w * x)


OUTSIDE: dict[str, Callable[..., Any]] = {
    "plain": lambda w, x: tg.tanh(w * x),
    "implicit": by_implicit,
    "checkpoint": lambda w, x: tg.checkpoint(lambda w, x: tg.tanh(w * x) * w, w, tg.Tensor(x)),
    "a rule that reads": lambda w, x: reading(w * x),
    "a rule that walks": lambda w, x: walking(w * x),
    "a hook": lambda w, x: _hooked(tg.sin(w * x)),
    "views": lambda w, x: (w * x).reshape(3, 1).T.reshape(3),
}


def _hooked(y):
    y.register_hook(lambda g: g * 2)
    return y


INSIDE: dict[str, Callable[..., Any]] = {
    "backward": lambda y, w: y.sum().backward(),
    "gradients": lambda y, w: tg.gradients((y * y).sum(), [w]),
    "of two": lambda y, w: tg.gradients([y.sum(), (y * w).sum()], [w]),
    "of the value": lambda y, w: tg.gradients((y * y).sum(), [w, y]),
    "twice": lambda y, w: [y.sum().backward(retain_graph=True), (y * 3).sum().backward()],
    "a user's op": lambda y, w: tg.gradients((reading(y) * walking(w)).sum(), [w]),
}


@pytest.mark.part(14)
@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("outside", OUTSIDE)
def test_a_graph_that_begins_outside(outside, inside):
    rng = np.random.default_rng(0)
    w = tg.Tensor(rng.uniform(0.5, 1.5, 3), requires_grad=True)

    def step(y):
        w.grad = None
        found = INSIDE[inside](y, w)
        return as_list(w.grad), [as_list(g) for g in found or () if g is not None]

    compiled = tg.compile(step)
    for _ in range(CALLS):
        x = rng.uniform(0.5, 1.5, 3)
        expected = step(OUTSIDE[outside](w, x))
        assert compiled(OUTSIDE[outside](w, x)) == expected
        if expected[0] is None:
            assert any(np.any(g) for g in expected[1])


def keeping():
    """Ops whose definitions and rules keep all that they are given and return, and the list of that."""
    kept: list[Any] = []

    def keep(*values):
        kept.extend(v if isinstance(v, np.ndarray) else np.asarray(v) for v in values if not isinstance(v, tg.Tensor))

    @tg.op(elementwise=True)
    def scaled(a, *, out=None):
        y = np.multiply(a, 1.5, out=out)
        keep(a, y)
        return y

    def rule(g, a):
        r = g * 1.5 + 0 * a
        keep(g, a, r)
        return r

    def forward(t, a):
        keep(t, a)
        return t * 1.5

    scaled.vjp(a=rule)
    scaled.jvp(a=forward)

    @tg.op
    def total(a):
        keep(a)
        return a.sum(axis=-1)

    def spread(g, a):
        keep(g, a)
        return (
            np.repeat(np.asarray(g)[..., None], a.shape[-1], -1) if isinstance(g, np.ndarray) else g[..., None] + 0 * a
        )

    total.vjp(a=spread)
    return kept, scaled, total


def drawn_step(seed: int, wrap: Callable[..., Any]) -> list[Any]:
    """Ten steps through a random chain of library's and a user's ops, with all that the latter were given in the end."""
    rng = Random(seed)
    kept, scaled, total = keeping()
    shape = rng.choice([(3,), (2, 3), (4, 32), (8, 64, 64)])
    values = np.random.default_rng(seed)
    w = tg.Tensor(values.uniform(0.5, 1.5, shape), requires_grad=True)
    ops = [lambda h: h * 2, tg.tanh, scaled, lambda h: h + h, lambda h: h * w, tg.relu, lambda h: h.T.T, scaled]
    chain = [rng.choice(ops) for _ in range(rng.randint(2, 7))]
    how = rng.choice(["backward", "backward", "jvp"])
    ends = rng.choice([lambda h: h, total, scaled])

    def through(x):
        h = x
        for f in chain:
            h = f(h)
        return ends(h)

    @wrap
    def step(x):
        if how == "jvp":
            return tuple([t.detach() for t in tg.jvp(through, (x,), (x * 0.5,))])
        w.grad = None
        (through(x * w) * 1.25).sum().backward()
        return w.grad

    found = []
    for _ in range(9):
        result = step(tg.Tensor(values.uniform(-1, 1, shape)))
        found.append([np.array(r) for r in (result if isinstance(result, tuple) else (result,))])
    return [*found, [*kept]]


@pytest.mark.part(20)
@pytest.mark.parametrize("seed", range(100))
def test_what_a_users_op_or_rule_was_given_stays(seed):
    for found, expected in zip(drawn_step(seed, tg.compile), drawn_step(seed, lambda f: f), strict=True):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_gradients_that_a_rule_keeps():
    seen = []

    @tg.op
    def noted(a):
        return a + 0.0

    noted.vjp(a=lambda g: [seen.append(g), g][1])
    w = tg.Tensor([1.0], requires_grad=True)

    @tg.compile
    def step(n):
        w.grad = None
        (noted(w * 1.0) * n * n).sum().backward()

    for n in range(1, 10):
        step(tg.Tensor([float(n)]))
    assert [g.item() for g in seen] == [n * n for n in range(1, 10)]
