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
