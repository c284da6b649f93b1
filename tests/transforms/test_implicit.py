"""Derivatives of solutions, against closed forms and against differences of what the solvers find."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.transforms import implicit as module

RNG = np.random.default_rng(7)
A = RNG.normal(size=(3, 3)) + 4 * np.eye(3)
S = A @ A.T
B = RNG.normal(size=(2, 2)) + 3 * np.eye(2)
X, Y = RNG.normal(size=(6, 2)), RNG.normal(size=6)
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
COUNTS = np.array([0.0, 2.0, 1.0, 4.0, 0.0, 1.0])


def newton(residual, start):
    """A solver for small systems, by differences: it knows nothing of the library's derivatives."""

    def solve(*p):
        x = np.array(start, float)
        for _ in range(100):
            f = np.asarray(residual(x, *p))
            columns = [
                (np.asarray(residual(x + d, *p)) - np.asarray(residual(x - d, *p))).ravel() / 2e-6
                for d in 1e-6 * np.eye(x.size).reshape(x.size, *x.shape)
            ]
            step = np.linalg.solve(np.stack(columns, axis=1), f.ravel()).reshape(x.shape)
            x = x - step
            if np.abs(step).max() < 1e-14 * (1 + np.abs(x).max()):
                break
        assert np.abs(np.asarray(residual(x, *p))).max() < 1e-10
        return x

    return solve


def iterated(step, start):
    """A solver for fixed points."""

    def solve(*p):
        x, before = np.array(start, float), np.inf
        while np.abs(x - before).max() > 1e-15:
            x, before = np.asarray(step(x, *p)), x
        return x

    return solve


def gradient_of(loss):
    return lambda x, *p: tg.grad(loss)(x, *p)


def ridge(w, penalty):
    return ((X @ w - Y) ** 2).sum() + penalty * (w * w).sum()


def logistic(w, penalty):
    return tg.softplus(-SIGNS * (X @ w)).sum() + penalty * (w * w).sum()


def poisson(w, penalty, shift):
    rate = X @ w + shift
    return (np.exp(rate) - COUNTS * rate).sum() + penalty * (w * w).sum()


def simplex(x, theta):
    """The largest <theta, x> + entropy(x) with sum(x) = 1; the last unknown is the multiplier."""
    return np.concatenate([theta - np.log(x[:-1]) - 1 - x[-1], np.sum(x[:-1])[None] - 1])


def eigenpair(x, s):
    v, value = x[:-1], x[-1]
    return np.concatenate([s @ v - value * v, (v @ v)[None] - 1])


def oscillator(y, k, c):
    return np.stack([y[1], -k * y[0] - c * y[1] ** 3])


def two_curves(x, r, k):
    return np.stack([x[0] ** 2 + x[1] ** 2 - r**2, x[0] - k * x[1]])


PROBLEMS = {
    "cube root": (lambda a: np.cbrt(a), lambda x, a: x**3 - a, [8.0], lambda a: a ** (1 / 3)),
    "quadratic": (
        lambda b, c: (-b + np.sqrt(b * b + 4 * c)) / 2, lambda x, b, c: x * x + b * x - c, [1.5, 2.0],
        lambda b, c: (-b + (b * b + 4 * c) ** 0.5) / 2,
    ),
    "x exp(x) = a": (None, lambda x, a: x * np.exp(x) - a, [1.3], None, 0.5),
    "Kepler": (None, lambda x, e, m: x - e * np.sin(x) - m, [0.3, 1.1], None, 1.0),
    "linear system": (np.linalg.solve, lambda x, a, b: a @ x - b, [A, Y[:3]], tg.linalg.solve),
    "inverse": (np.linalg.inv, lambda x, a: a @ x - np.eye(2), [B], tg.linalg.inv),
    "square root of a matrix": (None, lambda x, s: x @ x - s, [B @ B], None, B + 0.01),
    "Sylvester": (None, lambda x, a, b, c: a @ x + x @ b - c, [A, B, X[:3]], None, np.zeros((3, 2))),
    "circle and line": (
        None, two_curves, [2.0, 0.5], lambda r, k: tg.stack([k, k * 0 + 1]) * r / (1 + k * k) ** 0.5, [1.0, 1.5],
    ),
    "cosine": (iterated(lambda x, a: np.cos(a * x), 0.5), lambda x, a: x - np.cos(a * x), [0.7], None),
    "equilibrium of a network": (
        iterated(lambda x, w, b: np.tanh(w @ x + b), np.zeros(2)), lambda x, w, b: x - tg.tanh(w @ x + b),
        [B / 12, Y[:2]], None,
    ),
    "ridge regression": (
        lambda p: np.linalg.solve(X.T @ X + p * np.eye(2), X.T @ Y), gradient_of(ridge), [0.8],
        lambda p: tg.linalg.solve(X.T @ X + p * np.eye(2), X.T @ Y),
    ),
    "logistic regression": (None, gradient_of(logistic), [0.5], None, np.zeros(2)),
    "Poisson regression": (None, gradient_of(poisson), [0.5, 0.2], None, np.zeros(2)),
    "softmax": (
        None, simplex, [Y[:3] / 2], lambda t: tg.concatenate([tg.softmax(t), tg.logsumexp(t)[None] - 1]), [0.4, 0.2, 0.4, 0.2],
    ),
    "projection": (
        lambda a: a + (1 - a.sum()) / 3, lambda x, a: x - a - (1 - np.sum(a)) / 3, [Y[:3]],
        lambda a: a + (1 - a.sum()) / 3,
    ),
    "implicit Euler": (
        None, lambda y, k, c: y - np.array([1.0, 0.0]) - 0.3 * oscillator(y, k, c), [4.0, 0.5], None, [1.0, 0.0],
    ),
    "harvest": (
        lambda r, h: (1 + np.sqrt(1 - 4 * h / r)) / 2, lambda x, r, h: r * x * (1 - x) - h, [2.0, 0.3],
        lambda r, h: (1 + (1 - 4 * h / r) ** 0.5) / 2,
    ),
    "eigenpair": (None, eigenpair, [S], None, [*np.linalg.eigh(S)[1][:, 2], np.linalg.eigh(S)[0][2]]),
    "robust mean": (None, lambda x, a: np.sum(np.tanh(a - x)), [Y], None, 0.1),
    "quantile": (None, lambda x, p: (1 + tg.erf(x / 2**0.5)) / 2 - p, [0.8], None, 0.5),
    "power of both": (
        lambda a, n: a ** (1 / n), lambda x, a, n: x**n - a, [5.0, 2.5], lambda a, n: a ** (1 / n),
    ),
}  # fmt: skip
"""Solver (None for Newton's method), residual, parameters, closed form or None, and where Newton's method starts."""


def solver(name):
    solve, residual, _, _, *start = PROBLEMS[name]
    return tg.implicit(newton(residual, start[0]) if solve is None else solve, residual)


@pytest.mark.part(2)
@pytest.mark.parametrize("name", PROBLEMS)
def test_derivatives_to_third_order_are_those_of_the_solutions(name):
    parameters = [np.asarray(p, float) for p in PROBLEMS[name][2]]
    assert_gradients(solver(name), *parameters, order=3, allow_unseen=True, budget=8)


@pytest.mark.part(5)
@pytest.mark.parametrize("name", [name for name, problem in PROBLEMS.items() if problem[3] is not None])
def test_derivatives_to_third_order_are_those_of_the_closed_form(name):
    _, _, parameters, closed, *_ = PROBLEMS[name]
    parameters = [np.asarray(p, float) for p in parameters]
    here, there, each = solver(name), closed, tuple(range(len(parameters)))
    np.testing.assert_allclose(here(*parameters), there(*parameters), rtol=1e-12)
    rng = np.random.default_rng(0)
    for derivative in (tg.jacrev, tg.jacfwd, tg.jacrev):
        u = rng.normal(size=np.shape(here(*parameters)))
        here, there = ((lambda *p, f=f, u=u: (f(*p) * u).sum()) for f in (here, there))
        found, expected = (tg.ravel_pytree(derivative(f, each)(*parameters))[0] for f in (here, there))
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
        here, there = (
            (lambda *p, f=f, derivative=derivative: tg.ravel_pytree(derivative(f, each)(*p))[0]) for f in (here, there)
        )


def test_the_solver_gets_arrays_and_is_not_differentiated():
    seen = []

    def solve(p, power):
        seen.append((p, power))
        return p["a"] ** (1 / power)

    root = tg.implicit(solve, lambda x, p, power: x**power - p["a"])
    x = tg.Tensor(np.array([8.0, 27.0]), requires_grad=True)
    root({"a": x}, 3).sum().backward()
    np.testing.assert_allclose(x.grad, [1 / 12, 1 / 27])
    ((p, power),) = seen
    assert (type(p["a"]), type(power)) == (np.ndarray, int)
    assert p["a"].flags.writeable
    assert not np.shares_memory(p["a"], x.numpy())
    assert isinstance(root({"a": np.ones(2)}, 3), np.ndarray)


def test_large_systems_need_no_matrix():
    pytest.importorskip("scipy")
    n = module.DENSE + 100
    rng = np.random.default_rng(0)
    b, diagonal = rng.normal(size=n), 2 + rng.random(n)

    def residual(x, b, shift):
        return (diagonal + shift) * x + 0.3 * np.roll(x, 1) - b

    def system(shift):
        return np.diag(diagonal + shift) + 0.3 * np.roll(np.eye(n), 1, axis=0)

    general = tg.implicit(lambda b, shift: np.linalg.solve(system(shift), b), residual)
    shift, h, w = 0.1, 1e-4, rng.normal(size=n)
    found, by_shift = tg.grad(lambda *p: (general(*p) * w).sum(), (0, 1))(b, shift)
    np.testing.assert_allclose(found, np.linalg.solve(system(shift).T, w), rtol=1e-7, atol=1e-9)
    high, low = (np.linalg.solve(system(shift + d), b) @ w for d in (h, -h))
    assert by_shift.item() == pytest.approx((high - low) / (2 * h), rel=1e-6)

    def energy(x, b):
        return (diagonal * x * x / 2 + x**4 / 4 - b * x).sum()

    def minimum(b):
        x = np.zeros(n)
        for _ in range(50):
            x = x - (diagonal * x + x**3 - b) / (diagonal + 3 * x**2)
        return x

    definite = tg.implicit(minimum, lambda x, b: tg.grad(energy)(x, b), positive_definite=True)
    x = minimum(b)
    np.testing.assert_allclose(tg.grad(lambda b: (definite(b) * w).sum())(b), w / (diagonal + 3 * x**2), rtol=1e-8)
    np.testing.assert_allclose(
        tg.hvp(lambda b: definite(b).sum(), (b,), (w,)), -6 * x * w / (diagonal + 3 * x**2) ** 3, rtol=1e-7
    )


def test_without_scipy_large_systems_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    f = tg.implicit(lambda b: b / 2, lambda x, b: 2 * x - b)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tinygrad_cnn\[scipy\]'"):
        tg.grad(lambda b: f(b).sum())(np.zeros(module.DENSE + 1))


def test_an_iteration_that_does_not_converge_is_an_error():
    pytest.importorskip("scipy")
    n = module.DENSE + 10
    f = tg.implicit(lambda b: np.roll(b, -1), lambda x, b: np.roll(x, 1) - b, positive_definite=True)
    with pytest.raises(RuntimeError, match="conjugate gradients did not converge"):
        tg.grad(lambda b: f(b)[0])(np.ones(n))


def test_results_of_scipys_solvers():
    optimize = pytest.importorskip("scipy.optimize")

    def crossing(x, a):
        return np.stack([x[0] ** 2 + x[1] ** 2 - a, x[0] - x[1]])

    f = tg.implicit(lambda a: optimize.root(crossing, [1.0, 0.3], args=(a,), tol=1e-13), crossing)
    np.testing.assert_allclose(tg.jacobian(f)(1.0), np.full(2, 0.5**1.5), rtol=1e-10)
    g = tg.implicit(lambda a: optimize.root_scalar(lambda x: x**3 - a, bracket=(0, 10)), lambda x, a: x**3 - a)
    assert tg.grad(g)(8.0).item() == pytest.approx(1 / 12)
    fails = tg.implicit(lambda a: optimize.root(lambda x: x**2 + a, [1.0]), lambda x, a: x**2 + a)
    with pytest.raises(RuntimeError, match="the solver found no solution: "):
        tg.grad(lambda a: fails(a).sum())(1.0)


def test_batches_compiled_calls_and_other_dtypes():
    f = solver("Kepler")
    e, m = np.array([0.1, 0.3, 0.5]), np.array([1.0, 0.5, 2.0])
    x = tg.vmap(f)(tg.Tensor(e), tg.Tensor(m))
    np.testing.assert_allclose(x, [f(*each) for each in zip(e, m, strict=True)])
    slopes = tg.vmap(tg.grad(f))(tg.Tensor(e), tg.Tensor(m))
    np.testing.assert_allclose(slopes, np.sin(x.numpy()) / (1 - e * np.cos(x.numpy())))

    slope = tg.compile(tg.value_and_grad(lambda a: (f(a, 1.0) ** 2).sum()))
    for a in (0.1, 0.2, 0.3, 0.4, 0.5):
        found, expected = slope(tg.Tensor(np.array(a))), f(a, 1.0)
        np.testing.assert_allclose(found[0], expected**2)
        np.testing.assert_allclose(found[1], 2 * expected * np.sin(expected) / (1 - a * np.cos(expected)))

    a = tg.Tensor(8.0, requires_grad=True)  # float32
    y = tg.implicit(lambda a: float(a) ** (1 / 3), lambda x, a: x**3 - a)(a)
    y.backward()
    assert (y.dtype, a.grad.dtype, a.grad.item()) == (np.float64, np.float32, pytest.approx(1 / 12, rel=1e-6))


def test_a_jacobian_inverts_once(monkeypatch):
    count = []
    invert = np.linalg.inv
    monkeypatch.setattr(np.linalg, "inv", lambda a: count.append(1) or invert(a))
    f = tg.implicit(np.linalg.solve, lambda x, a, b: a @ x - b)
    np.testing.assert_allclose(tg.jacrev(f, 1)(A, Y[:3]), invert(A), rtol=1e-12)
    assert len(count) == 1


def test_a_singular_derivative_is_an_error():
    double = tg.implicit(lambda a: a * 0.0, lambda x, a: x**2 * a)
    with pytest.raises(RuntimeError, match="singular"):
        tg.grad(double)(1.0)


def test_what_the_residual_uses_must_be_a_parameter():
    w = tg.Tensor(np.array(2.0), requires_grad=True)
    f = tg.implicit(lambda a: a / 2, lambda x, a: w * x - a)
    with pytest.raises(TypeError, match="pass it to the function as a parameter"):
        f(tg.Tensor(np.array(3.0), requires_grad=True))
    with tg.no_grad():
        assert f(tg.Tensor(np.array(3.0))).item() == 1.5
    outer = tg.implicit(lambda a, w: a / w, lambda x, a, w: w * x - a)
    assert tg.grad(lambda a: outer(a, w.detach()))(3.0).item() == 0.5
    assert tg.grad(outer, 1)(3.0, w).item() == -0.75


def test_wrong_calls():
    a = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True)
    with pytest.raises(TypeError, match="implicit: "):
        tg.implicit(3, lambda x, a: x)
    with pytest.raises(ValueError, match=r"residual has shape \(\) for a solution of shape \(2,\)"):
        tg.implicit(lambda a: a, lambda x, a: (x - a).sum())(a)
    with pytest.raises(RuntimeError, match="not finite at the solution"):
        tg.implicit(lambda a: a * np.nan, lambda x, a: x - a)(a)
    with pytest.raises(TypeError, match="must hold real numbers"):
        tg.implicit(lambda a: a * 1j, lambda x, a: x - a)(a)
