"""Transforms of a compiled function give the derivatives of the function: the transform sees its ops."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg

X = np.array([1.0, 2.0, 3.0])
CUBE = {
    "grad": (lambda f: tg.grad(f)(X), 3 * X**2),
    "value_and_grad": (lambda f: tg.value_and_grad(f)(X)[1], 3 * X**2),
    "vjp": (lambda f: tg.vjp(f, X)[1](2.0)[0], 6 * X**2),
    "jvp": (lambda f: tg.jvp(f, (X,), (X,))[1], (3 * X**3).sum()),
    "linearize": (lambda f: tg.linearize(f, X)[1](X), (3 * X**3).sum()),
    "jacobian": (lambda f: tg.jacobian(f)(X), 3 * X**2),
    "jacfwd": (lambda f: tg.jacfwd(f)(X), 3 * X**2),
    "grad in vmap": (lambda f: tg.vmap(tg.grad(f))(np.stack([X, X]))[1], 3 * X**2),
    "compiled grad": (lambda f: tg.compile(tg.grad(f))(X), 3 * X**2),
}


@pytest.mark.parametrize("name", CUBE)
def test_derivatives_of_a_compiled_function(name):
    derivative, expected = CUBE[name]
    run = tg.compile(lambda x: (x**3).sum())
    run(X)
    for _ in range(3):
        np.testing.assert_allclose(derivative(run).numpy(), expected, rtol=1e-12)


def test_checkpoint_of_a_compiled_function():
    run, x = tg.compile(lambda x: (x**3).sum()), tg.Tensor(X, requires_grad=True)
    tg.checkpoint(run, x).backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * X**2, rtol=1e-12)


def test_gradients_flow_through_compiled_calls():
    cube = tg.compile(lambda x: (x**3).sum())

    def f(v):
        return tg.compile(lambda x: (x * v).sum())(X) * cube(v)

    for _ in range(3):
        np.testing.assert_allclose(tg.grad(f)(X).numpy(), X * (X**3).sum() + (X * X).sum() * 3 * X**2)
        np.testing.assert_allclose(tg.hessian(cube)(X).numpy(), np.diag(6 * X))


def test_forward_walks_are_kept_apart_by_where_they_start_and_by_the_number_of_tangents():
    def f(x, w):
        return tg.sin(x * w)

    def run(x, w, how):
        if how == 2:
            return tg.jacfwd(f)(x, w)
        return tg.jvp(f, (x, w), (x, None) if how else (None, w))[1]

    compiled = tg.compile(run)
    for i in range(15):
        x, w = np.random.default_rng(i).normal(size=(2, 3))
        found, slope = compiled(x, w, i % 3).numpy(), np.cos(x * w)
        expected = [slope * x * w, slope * w * x, np.diag(slope * w)][i % 3]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_what_forward_walks_gave_is_not_overwritten():
    @tg.compile
    def run(x):
        return tg.jvp(tg.sin, (x,), (x,))[1], tg.jacfwd(lambda x: x**3)(x)

    kept = [run(np.full(3, n, np.float64)) for n in range(8)]
    for n, (t, jacobian) in enumerate(kept):
        np.testing.assert_allclose(t, np.full(3, np.cos(n) * n))
        np.testing.assert_array_equal(jacobian, np.diag(np.full(3, 3.0 * n * n)))


def test_a_forward_walk_over_a_value_that_was_overwritten():
    w, x = tg.Tensor(X), tg.Tensor([1.0, 2.0, 4.0], dtype=np.float64)

    @tg.compile
    def run(write):
        def f(x):
            y = x * w
            if write:
                with tg.no_grad():
                    w.copy_(X * 2)
            return tg.sin(y)

        return tg.jvp(f, (x,), (x,))[1]

    for _ in range(6):
        np.testing.assert_allclose(run(False), np.cos(x.numpy() * X) * x.numpy() * X, rtol=1e-12)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        run(True)


def test_forward_mode_by_transposed_rules():
    """Their walk is within the forward walk, and not recorded op by op."""
    run = tg.compile(lambda a: tg.jvp(tg.linalg.eigvalsh, (a,), (a * a,))[1])
    for i in range(5):
        a = np.random.default_rng(i).normal(size=(3, 3))
        a += a.T
        _, vectors = np.linalg.eigh(a)
        np.testing.assert_allclose(run(a), np.diag(vectors.T @ (a * a) @ vectors), rtol=1e-9, atol=1e-9)
