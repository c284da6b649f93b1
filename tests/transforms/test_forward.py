"""Forward mode: which rule an op has, what a walk refuses, and how it nests. Values are checked for every row by gradcheck."""

from __future__ import annotations

import gc
import math
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import registry
from tinygrad_cnn.testing import gradcheck
from tinygrad_cnn.transforms import forward, recorded_call
from tinygrad_cnn.transforms.forward import forward_rule, push_forward

from ..graphs import node_of
from ..rows import CASES

TRANSPOSED = {
    ("cholesky", "a"), ("correlations", "x"), ("det_phase", "a"), ("general_values", "a"), ("general_vectors", "a"),
    ("normalized_dx", "x"),
    *(("recurrence", name) for name in ("into", "w", "h", "c", "b", "p")),
    *((name, x) for name in ("normalized_by", "clipped_by") for x in ("b", "mean", "variance")),
    ("clipped_correlations", "x"), ("clipped_dx", "x"),
    ("pseudoinverse", "a"), ("qr_packed", "a"), ("singular_vectors", "a"),
    ("singular_diagonal", "a"), ("singular_weighted", "a"), ("symmetric_vectors", "a"), ("symmetric_diagonal", "a"),
    ("symmetric_weighted", "a"),
}  # fmt: skip
"""Inputs of ops that have no forward rule, where the transpose of the backward rule serves."""

APART = ("tinygrad_cnn.extra.onnx.", "tinygrad_cnn.extra.distributed.")  # there once they were imported
OPS = [op for n, op in registry.items() if n.startswith("tinygrad_cnn.") and not n.startswith(APART) and op.rules]


def test_nearly_every_op_has_a_forward_rule():
    assert {(op.name, name) for op in OPS for name in op.rules if forward_rule(op, name) is None} == TRANSPOSED


DECLARED = [(op, name) for op in OPS for name in op.rules if name in op.forward_rules or name in op.signature.linear]


@pytest.mark.part(12)
@pytest.mark.parametrize(("op", "name"), DECLARED, ids=lambda x: getattr(x, "name", x))
def test_a_wrong_forward_rule_is_noticed(op, name, monkeypatch):
    rule = forward_rule(op, name)
    cases = [case for case in CASES if case.function is op.function and case.order]
    wrong = [lambda *given: rule(*given) * 1.001, lambda *given: rule(*given) * 0, lambda *given: -rule(*given)]
    for broken in wrong:
        monkeypatch.setattr(forward, "forward_rule", lambda *of, b=broken: b if of == (op, name) else forward_rule(*of))
        with np.errstate(all="ignore"):
            assert any(
                not gradcheck(case, *_inputs(case, s), order=1, directions=1, budget=0)
                for s in (0, 1)
                for case in cases
            )
    monkeypatch.undo()
    assert gradcheck(cases[0], *_inputs(cases[0], 0), order=1, directions=1, budget=0)


def _inputs(case, seed):
    from tinygrad_cnn.testing.cases import Draws

    return case.draw(Draws(np.random.default_rng(seed)))


class Once:
    """`push_forward` without many tangents at once, so that they are pushed one by one."""

    def __call__(self, starts, outputs, *, create, n=None, **more):
        if n is not None:
            raise NotImplementedError
        return push_forward(starts, outputs, create=create, **more)


@pytest.mark.part(4)
@pytest.mark.parametrize("case", [case for case in CASES if case.order], ids=lambda case: case.name)
def test_many_tangents_at_once_are_those_one_by_one(case, monkeypatch):
    """By the rule of each op for many tangents, eagerly, recorded, and by transposed backward rules."""
    given = _inputs(case, 0)
    numbers = [i for i, a in enumerate(given) if a.dtype.kind == "f" and a.size]
    jacobian, together = tg.jacfwd(case.call, argnums=numbers), []

    def second(*xs):
        def mixed(*xs):
            return sum(
                (column * np.cos(np.arange(column.size)).reshape(column.shape)).sum() for column in jacobian(*xs)
            )

        return tg.grad(mixed, argnums=numbers)(*xs)

    def watched(starts, outputs, *, create, n=None, **more):
        found = push_forward(starts, outputs, create=create, n=n, **more)
        together.append(n)  # no error was raised, after which a loop would be tried
        return found

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monkeypatch.setattr(recorded_call, "push_forward", watched)
        found = [*jacobian(*given), *(second(*given) if case.order > 1 else ())]
        assert {n for n in together if n is not None} or all(given[i].size == 1 for i in numbers)
        assert None not in together or any(given[i].size == 1 for i in numbers)
        monkeypatch.setattr(recorded_call, "push_forward", Once())
        expected = [*jacobian(*given), *(second(*given) if case.order > 1 else ())]
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        scale = np.abs(b.numpy()[np.isfinite(b.numpy())]).max(initial=1)
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12 * scale)


@st.composite
def programs(draw):
    """A function of one vector: a composition of ops that have all kinds of forward rules, and a user's op that has none."""
    steps = draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=5))

    def f(x):
        for step in steps:
            x = STEPS[step](x)
        return x

    return steps, f


@tg.op
def wave(a):
    """sin(a) in reversed order: not elementwise, and without a forward rule."""
    return np.sin(a)[::-1]


wave.vjp(a=lambda g, a: tg.flip(g) * tg.cos(a))

STEPS = {
    "wave": wave,
    "tanh": tg.tanh,
    "square": tg.square,
    "cumsum": lambda x: tg.cumsum(x, axis=0),
    "softmax": lambda x: tg.softmax(x, axis=0) * 3,
    "norm": lambda x: x / tg.norm(x + 0.1),
    "outer": lambda x: tg.einsum("i,j->ij", x, x).mean(axis=0),
    "matmul": lambda x: (x.reshape(2, 2) @ x.reshape(2, 2).T).reshape(4),
    "joined": lambda x: tg.concatenate([x[2:], x[:2] * 2]),
    "logsumexp": lambda x: x - tg.logsumexp(x),
    "set": lambda x: tg.index_set(x, slice(0, 2), x[2:] * 0.5),
}


@given(programs(), st.integers(0, 2**32 - 1))
def test_forward_and_backward_agree_and_nest(program, seed):
    _, f = program
    rng = np.random.default_rng(seed)
    x, t, u = rng.uniform(-1, 1, (3, 4))
    y, dy = tg.jvp(f, (x,), (t,))
    np.testing.assert_allclose(y, f(x))
    np.testing.assert_allclose(tg.jacobian(f)(x).numpy() @ t, dy, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tg.jacfwd(f)(x), tg.jacobian(f)(x), rtol=1e-9, atol=1e-12)

    def loss(x):
        return (f(x) * u).sum()

    hessian = tg.jacobian(tg.jacobian(loss))(x).numpy()
    scale = np.abs(hessian).max() * 1e-9 + 1e-12
    np.testing.assert_allclose(tg.hvp(loss, (x,), (t,)), hessian @ t, rtol=1e-9, atol=scale)
    np.testing.assert_allclose(tg.grad(lambda x: tg.jvp(loss, (x,), (t,))[1])(x), hessian @ t, rtol=1e-9, atol=scale)
    twice = tg.jvp(lambda x: tg.jvp(loss, (x,), (t,))[1], (x,), (u,))[1]
    np.testing.assert_allclose(twice, u @ hessian @ t, rtol=1e-9, atol=scale)


@given(programs(), st.integers(0, 2**32 - 1))
def test_compiled_has_the_bits_of_eager(program, seed):
    _, f = program
    rng = np.random.default_rng(seed)
    step = tg.compile(lambda x, t: tg.jvp(f, (x,), (t,)))
    for _ in range(4):  # the first is captured, two are audited, and the last is a replay
        x, t = (tg.Tensor(a.astype(np.float32)) for a in rng.uniform(-1, 1, (2, 4)))
        for a, b in zip(step(x, t), tg.jvp(f, (x,), (t,)), strict=True):
            assert a.dtype == b.dtype == np.float32
            np.testing.assert_array_equal(a, b)


def test_any_order():
    def derivative(f):
        return lambda x: tg.jvp(f, (x,), (1.0,))[1]

    f, x = lambda x: tg.exp(x * 2.0), 0.5
    for n, g in enumerate((f, derivative(f), tg.grad(derivative(f)), derivative(tg.grad(derivative(f)))), start=0):
        assert g(x).item() == pytest.approx(2**n * math.e, rel=1e-5)


class TestOps:
    def test_a_rule_of_ones_own(self):
        @tg.op
        def total(a, *, axis):
            return a.sum(axis)

        total.vjp(a=lambda g, in_shape, axis: tg.broadcast_to(tg.expand_dims(g, axis), shape=in_shape))
        asked = []
        total.jvp(a=lambda t, axis, out_shape: (asked.append(out_shape), total(t, axis=axis))[1])
        y, t = tg.jvp(lambda x: total(x, axis=1), (np.ones((2, 3)),), (np.arange(6.0).reshape(2, 3),))
        assert (y.tolist(), t.tolist(), asked) == ([3, 3], [3, 12], [(2,)])

    def test_a_rule_that_does_not_fit_is_reported_by_gradcheck(self):
        @tg.op
        def cube(a):
            return a * a * a

        cube.vjp(a=lambda g, a: 3 * g * a * a)
        assert gradcheck(cube, np.array([0.5, 1.5]))
        cube.jvp(a=lambda t, a: 2 * t * a * a)
        report = gradcheck(cube, np.array([0.5, 1.5]), order=1)
        assert not report
        assert "forward mode gives" in str(report)

    def test_an_op_that_is_not_linear_is_reported_by_gradcheck(self):
        @tg.op(linear=["a"])
        def cube(a):
            return a * a * a

        cube.vjp(a=lambda g, a: 3 * g * a * a)
        assert "declared linear" in str(gradcheck(cube, np.array([0.5, 1.5]), order=1))

    def test_what_is_refused(self):
        @tg.op
        def scaled(a, b, *, by):
            return a * b * by

        scaled.vjp(a=lambda g, b, by: g * b * by)
        with pytest.raises(TypeError, match=r"scaled\.jvp: `b` has no backward rule; it has a"):
            scaled.jvp(b=lambda t: t)
        with pytest.raises(TypeError, match="the rule for `a` names `a`; legal names are t, b, by, out_shape"):
            scaled.jvp(a=lambda t, a: t * a)
        assert not scaled.op.forward_rules
        with pytest.raises(TypeError, match="op twice: `linear` names x; it must name inputs: a"):
            tg.op(linear=["x"])(_twice)

        @tg.op
        def shifted(t):
            return t + 1

        shifted.vjp(t=lambda g: g)
        with pytest.raises(TypeError, match=r"shifted\.jvp: `t` is the tangent"):
            shifted.jvp(t=lambda t: t)


def _twice(a):
    return 2 * a


_twice.__name__ = "twice"


class TestTransforms:
    def test_linearize_calls_the_function_once(self):
        calls = []
        y, push = tg.linearize(lambda x, w: (calls.append(1), x * w)[1], np.array([1.0, 2.0]), np.array([3.0, 4.0]))
        assert y.tolist() == [3, 8]
        assert push(np.ones(2), np.zeros(2)).tolist() == [3, 4]
        assert push(None, np.ones(2)).tolist() == [1, 2]
        assert push(None, None).tolist() == [0, 0]
        assert calls == [1]
        with pytest.raises(ValueError, match=r"linearize: `tangents\[0\]` has shape \(3,\)"):
            push(np.ones(3), np.ones(2))

    def test_structure_integers_and_results_that_do_not_move(self):
        def f(p, n):
            return {"y": p["w"] * n, "n": n, "same": p["w"], "constant": tg.Tensor(1.0)}

        w, t = np.array([1.0, 2.0]), np.array([10.0, 20.0])
        y, dy = tg.jvp(f, ({"w": w}, 3), ({"w": t}, None))
        assert dy["y"].tolist() == [30, 60]
        assert dy["n"] is None
        assert dy["same"].tolist() == [10, 20]
        assert dy["constant"].item() == 0
        assert y["y"].tolist() == [3, 6]

    @pytest.mark.parametrize("f", [lambda x: x, lambda x: x + 0.0, lambda x: tg.broadcast_to(x, shape=(3, 2))])
    def test_results_are_in_memory_of_their_own(self, f):
        t = tg.Tensor([1.0, 2.0])
        _, dy = tg.jvp(f, (tg.Tensor([5.0, 6.0]),), (t,))
        assert not np.shares_memory(dy.numpy(), t.numpy())
        assert dy.numpy().flags.c_contiguous
        t.copy_([7.0, 8.0])
        assert dy.numpy().reshape(-1, 2)[0].tolist() == [1, 2]

    def test_no_graph_is_left_and_nothing_is_recorded(self):
        made = []

        def f(x):
            y = tg.exp(x)
            made.append(weakref.ref(node_of(y)))
            return y

        y, dy = tg.jvp(f, (tg.Tensor([1.0]),), (tg.Tensor([1.0]),))
        assert not y.requires_grad
        assert not dy.requires_grad
        gc.collect()
        assert made[0]() is None

    def test_an_outer_gradient_passes_through(self):
        w = tg.Tensor([2.0, 3.0], requires_grad=True)
        t = tg.Tensor([1.0, 10.0], requires_grad=True)
        _, dy = tg.jvp(lambda x: x * x * w, (tg.Tensor([1.0, 1.0]),), (t,))
        dy.sum().backward()
        assert w.grad.tolist() == [2, 20]
        assert t.grad.tolist() == [4, 6]

    def test_a_value_that_was_overwritten_is_refused(self):
        x = tg.Tensor([1.0, 2.0])
        _, push = tg.linearize(lambda x: x * x, x)
        x.copy_([3.0, 4.0])
        with pytest.raises(RuntimeError, match="overwritten in place"):
            push(np.ones(2, np.float32))
