"""Jacobians in one backward walk with many gradients: which graphs it serves, and that it gives what single walks give."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Draws
from tinygrad_cnn.transforms import recorded_call
from tinygrad_cnn.transforms.batching import PULLS
from tinygrad_cnn.transforms.reverse import pull_together

from ..rows import CASES

X, W = np.array([0.3, -0.7, 1.1]), np.array([[0.2, -1.0, 0.4], [0.9, 0.3, -0.6], [0.1, 0.8, 0.5]])


class Walks:
    """`pull_together`, and for each call whether it served; or what a Jacobian does where it never serves."""

    def __init__(self, monkeypatch, together):
        self.together, self.served = together, []
        monkeypatch.setattr(recorded_call, "pull_together", self)
        if not together:
            monkeypatch.setattr(recorded_call, "batch", None)  # so there is a walk for each gradient

    def __call__(self, *args, **named):
        found = pull_together(*args, **named) if self.together else None
        self.served.append(found is not None)
        return found


def both(derivative, arrays, monkeypatch):
    """What a derivative gives, and by single walks; and whether each Jacobian was one walk."""
    with monkeypatch.context() as patch:
        walks = Walks(patch, together=True)
        found = derivative(*arrays)
    with monkeypatch.context() as patch:
        Walks(patch, together=False)
        return found, derivative(*arrays), all(walks.served)


def _with_a_form():
    """A row for each elementwise op, and all rows of the ops with a rule for many gradients."""
    seen = set()
    for case in CASES:
        op = getattr(case.function, "op", None)
        if op is None or not case.order or (op in seen and op not in PULLS):
            continue
        if op in PULLS or (op.elementwise and op.name != "imaginary"):  # a complex number in between
            seen.add(op)
            yield case


@pytest.mark.part(6)
@pytest.mark.parametrize("case", [*_with_a_form()], ids=lambda case: case.name)
def test_many_gradients_in_one_walk_are_those_of_single_walks(case, monkeypatch):
    arrays = case.draw(Draws(np.random.default_rng(0)))
    numbers = [i for i, a in enumerate(arrays) if a.dtype.kind == "f" and a.size]
    jacobian = tg.jacrev(case.call, argnums=numbers)

    def mixed(*xs):
        return sum((rows * np.cos(np.arange(rows.size)).reshape(rows.shape)).sum() for rows in jacobian(*xs))

    with np.errstate(all="ignore"):
        found, expected, in_one = both(jacobian, arrays, monkeypatch)
        if case.order > 1:  # recorded
            second = both(tg.grad(mixed, argnums=numbers), arrays, monkeypatch)
            found, expected, in_one = (*found, *second[0]), (*expected, *second[1]), in_one and second[2]
    assert in_one or not case.function.op.elementwise
    for a, b in zip(found, expected, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        scale = np.abs(b.numpy()[np.isfinite(b.numpy())]).max(initial=1)
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12 * scale)


SERVED = {
    "matrices": lambda x: (tg.outer(x, x) @ W) @ (W @ x),
    "stacks of matrices": lambda x: (tg.stack([tg.outer(x, x), x * W]) @ tg.stack([x * W, x + W]))[0, :, 1],
    "layers": lambda x: tg.linear(tg.tanh(tg.linear(x, W, x)), x * W, x[::-1]),
    "layers of rows": lambda x: tg.linear(tg.tanh(tg.outer(x, x)), x * W, x).sum(axis=0),
    "parts": lambda x: 100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[None, 0]) ** 2,
    "joined": lambda x: tg.concatenate([x * x, W @ x])[1:-1],
    "axes": lambda x: (x.reshape(1, 3) * W).transpose(1, 0).mean(axis=1, keepdims=True).reshape(3) - x.mean(),
    "three axes in turn": lambda x: (tg.transpose(x.reshape(1, 3, 1) * W[:, None], (1, 2, 0)) * W).sum(axis=(1, 2)),
    "repeated": lambda x: tg.broadcast_to(x[0], (2, 3)) + x,
    "probabilities": lambda x: tg.softmax(x @ W, axis=-1) * tg.log_softmax(x, axis=0) - tg.logsumexp(x, axis=0),
    "pieces": lambda x: tg.where(x > 0, x, 0.1 * x) + tg.relu(x) * tg.maximum(x, W[0]) + tg.clip(x, -0.5, 0.5),
    "float32 within": lambda x: (x.astype(np.float32) * np.float32(2)).astype(np.float64) * x,
    "the argument": lambda x: x,
    "an input twice": lambda x: x * x + x,
}
LEFT = {
    "an index that selects twice": lambda x: x[[0, 0, 2]] * x,
    "a cumulative sum": lambda x: tg.cumsum(x, axis=0) * x,
    "matrices of other leading axes": lambda x: (tg.stack([x * W, W]) @ tg.outer(x, x))[0, 1],
    "complex numbers within": lambda x: tg.real(tg.exp(1j * x)),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", [*SERVED, *LEFT])
def test_a_jacobian_for_each_sample_is_that_of_the_sample(name, nested, monkeypatch):
    f = {**SERVED, **LEFT}[name]
    derivative = tg.jacrev(tg.jacrev(f)) if nested else tg.jacrev(f)
    with np.errstate(all="ignore"):
        xs = np.stack([X, [0.0, 2.0, -0.5]])
        found, expected, in_one = both(lambda xs: tg.stack([derivative(x) for x in xs]), [xs], monkeypatch)
        samples = tg.vmap(derivative)(xs)
    assert nested or in_one == (name in SERVED)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(samples, expected, rtol=1e-12, atol=1e-13)


def test_rows_are_nobody_else_s_memory():
    w = tg.Tensor(W)
    for f in (lambda x: x @ w, lambda x: x, lambda x: x.reshape(3, 1).reshape(3)):
        x = tg.Tensor(X)
        rows = tg.jacrev(f)(x)
        assert not np.may_share_memory(rows.numpy(), w.numpy())
        assert rows.numpy().base is None or rows.numpy().base.base is None
    by_a, by_b = tg.jacrev(lambda a, b: a + b, (0, 1))(X, X)
    assert not np.may_share_memory(by_a.numpy(), by_b.numpy())


def test_hooks_and_observers_are_told_as_before():
    """A hook sees one gradient, so its graph is left to single walks; so is one under a tracer that is told of rules."""
    seen = []

    def f(x):
        y = x * x
        y.register_hook(lambda g: seen.append(g.shape))
        return tg.sin(y)

    found = tg.jacrev(f)(X)
    assert {*seen} == {(3,)}
    with tg.detect_anomaly():
        again = tg.jacrev(lambda x: tg.sin(x * x))(X)
    np.testing.assert_allclose(found, np.diag(2 * X * np.cos(X * X)), rtol=1e-15)
    np.testing.assert_allclose(again, found, rtol=1e-15)


def test_a_graph_that_was_freed_or_overwritten_raises():
    w = tg.Tensor(W, requires_grad=True)

    def f(x):
        y = tg.tanh(x @ w)
        with tg.no_grad():
            w.copy_(W * 2)
        return y

    with pytest.raises(RuntimeError, match="overwritten in place"):
        tg.jacrev(f)(tg.Tensor(X, requires_grad=True))


SLICES = {
    "one slice": lambda x: tg.sin(x[1:]) * x[1:],
    "several": lambda x: 100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2,
    "steps": lambda x: tg.exp(x[::2]) * x[1::2],
    "from the end": lambda x: tg.sin(x[::-1]) * x,
    "an axis more": lambda x: tg.cos(tg.sin(x)[:, None] * x[:, None]),
    "a row": lambda x: tg.tanh((x.reshape(2, 3) ** 2)[1]),
    "columns": lambda x: tg.tanh(x.reshape(2, 3)[:, 1:]) ** 2,
    "other dtypes": lambda x: tg.sin(x.astype(np.float32)).astype(np.float64) * x,
    "one operand that broadcasts": lambda x: tg.sin(x) * x[:1],
}


@pytest.mark.parametrize("chunk", [512, 4])
@pytest.mark.parametrize("name", SLICES)
def test_multiples_of_unit_vectors(name, chunk, monkeypatch):
    monkeypatch.setattr(recorded_call, "CHUNK", chunk)
    f, x = SLICES[name], np.random.default_rng(0).standard_normal(6)
    for derivative in (tg.jacrev(f), tg.jacrev(tg.jacrev(f))):
        found, expected, in_one = both(derivative, [x], monkeypatch)
        assert in_one
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(tg.vmap(derivative)(np.stack([x, x])), [expected] * 2, rtol=1e-12, atol=1e-13)


def test_an_elementwise_function_depends_on_no_other_element():
    """Times the infinite slope at 0, a zero of a unit vector would be NaN."""
    with np.errstate(divide="ignore"):
        found = tg.jacrev(tg.sqrt)(np.array([0.0, 1.0, 4.0]))
    np.testing.assert_array_equal(found, [[np.inf, 0, 0], [0, 0.5, 0], [0, 0, 0.25]])
