"""Products and square matrices: identities that define each function, exact derivatives, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn import linalg
from tinygrad_cnn.testing import assert_gradients

small = st.integers(-2, 2).map(float)
square = hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=2).flatmap(
    lambda batch: st.integers(1, 3).flatmap(lambda n: hnp.arrays(np.float64, (*batch, n, n), elements=small))
)


def leibniz(a):
    """det a by its definition, from operations that only add and multiply: exact derivatives at every matrix."""
    n = a.shape[-1]
    total = 0.0
    for order in itertools.permutations(range(n)):
        sign = (-1) ** sum(order[i] > order[j] for j in range(n) for i in range(j))
        product = a[..., 0, order[0]]
        for i in range(1, n):
            product = product * a[..., i, order[i]]
        total = total + sign * product
    return total


def derivatives(f, a, order):
    """Gradients of a weighted sum of f, then of a weighted sum of that, and so on."""
    rng = np.random.default_rng(0)
    x = tg.Tensor(a, requires_grad=True)
    y, found = f(x), []
    for _ in range(order):
        (y,) = tg.gradients(y, x, rng.uniform(0.5, 1.5, y.shape), create_graph=True, allow_unused=True)
        found.append(np.zeros(a.shape) if y is None else y.numpy())
        if y is None or not y.requires_grad:
            break
    return found + [np.zeros(a.shape)] * (order - len(found))


@given(square)
def test_derivatives_of_det_are_exact_at_every_matrix_singular_ones_too(a):
    for ours, exact in zip(derivatives(linalg.det, a, 3), derivatives(leibniz, a, 3), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-9)


@pytest.mark.part(3)
@pytest.mark.parametrize("rank", range(6))
def test_derivatives_of_det_are_exact_whatever_the_rank(rank):
    rng = np.random.default_rng(rank)
    a = rng.normal(size=(5, rank)) @ rng.normal(size=(rank, 5))
    for ours, exact in zip(derivatives(linalg.det, a, 3), derivatives(leibniz, a, 3), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(exact).max()))


@given(square)
def test_inverse_and_solution_undo_the_product(a):
    a = a + 8 * np.eye(a.shape[-1])
    x = tg.Tensor(a, requires_grad=True)
    eye = np.broadcast_to(np.eye(a.shape[-1]), a.shape)
    np.testing.assert_allclose((linalg.inv(x) @ x).numpy(), eye, atol=1e-12)
    b = np.arange(1.0, 1.0 + a.shape[-1])
    np.testing.assert_allclose((x @ linalg.solve(x, b)[..., None]).numpy()[..., 0], np.broadcast_to(b, a.shape[:-1]))
    for y in (linalg.inv(x) @ x, linalg.solve(x, x)):  # constant, so without a gradient
        (g,) = tg.gradients(y, x, np.arange(1.0, 1.0 + a.size).reshape(a.shape))
        np.testing.assert_allclose(g.numpy(), np.zeros(a.shape), atol=1e-9)


@given(square)
def test_logarithm_of_the_determinant_agrees_with_it(a):
    a = a + 8 * np.eye(a.shape[-1])
    a[..., 0, :] *= -1
    sign, logarithm = linalg.slogdet(tg.Tensor(a, requires_grad=True))
    assert (sign.numpy() == -1).all()
    assert not sign.requires_grad
    x = tg.Tensor(a, requires_grad=True)
    for f, g in zip(
        derivatives(lambda x: linalg.slogdet(x).logabsdet, a, 3),
        derivatives(lambda x: tg.log(-linalg.det(x)), a, 3),
        strict=True,
    ):
        np.testing.assert_allclose(f, g, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(logarithm.numpy(), tg.log(-linalg.det(x)).numpy())


def test_slogdet_reaches_where_det_overflows():
    x = tg.Tensor(1e300 * np.eye(3), requires_grad=True)
    logarithm = linalg.slogdet(x).logabsdet
    assert logarithm.item() == pytest.approx(3 * 300 * math.log(10))
    (g,) = tg.gradients(logarithm, x)
    np.testing.assert_allclose(g.numpy(), 1e-300 * np.eye(3))


FLAT = [
    np.zeros((3, 3)),
    np.diag([2.0, 3.0, 0.0]),
    np.ones((3, 3)),
    np.arange(9.0).reshape(3, 3),
    np.diag([1.0, 2, 4]),
]


def _determinant(a):
    """Leibniz's formula, which is smooth at every matrix."""
    return sum(
        np.linalg.det(np.eye(3)[list(p)]).round() * a[0, p[0]] * a[1, p[1]] * a[2, p[2]]
        for p in itertools.permutations(range(3))
    )


def test_determinants_of_singular_matrices_in_a_batch_and_compiled():
    a = np.stack(FLAT)
    first, second = tg.grad(linalg.det), tg.hessian(linalg.det)
    expected = [[tg.grad(_determinant)(x).numpy() for x in a], [tg.hessian(_determinant)(x).numpy() for x in a]]
    for f, values in zip((first, second), expected, strict=True):
        np.testing.assert_allclose(tg.vmap(f)(tg.Tensor(a)), values, atol=1e-12)
    step = tg.compile(lambda x: tg.gradients(linalg.det(x), x)[0])
    tangent = np.arange(9.0).reshape(3, 3) ** 2
    along = tg.compile(lambda x: tg.jvp(linalg.det, (x,), (tg.Tensor(tangent),))[1])
    for x, g in zip([*a, *a], [*expected[0], *expected[0]], strict=True):
        np.testing.assert_allclose(step(tg.Tensor(x, requires_grad=True)), g, atol=1e-12)
        np.testing.assert_allclose(along(tg.Tensor(x)), (g * tangent).sum(), atol=1e-11)
    third = tg.gradients(tg.hessian(linalg.det)(leaf := tg.Tensor(a[0], requires_grad=True))[0, 0, 1, 1], leaf)
    np.testing.assert_allclose(third[0], np.diag([0.0, 0, 1]), atol=1e-12)


@given(square)
def test_cholesky_factor_gives_the_matrix_back_and_has_the_gradient_of_one_triangle(a):
    spd = a @ a.swapaxes(-1, -2) + np.eye(a.shape[-1])
    x = tg.Tensor(spd, requires_grad=True)
    for upper in (False, True):
        y = linalg.cholesky(x, upper=upper)
        lower = y.swapaxes(-1, -2) if upper else y
        np.testing.assert_array_equal(np.triu(lower.numpy(), 1), np.zeros(a.shape))
        back = lower @ lower.swapaxes(-1, -2)
        np.testing.assert_allclose(back.numpy(), spd, rtol=1e-12, atol=1e-12)
        weights = np.arange(1.0, 1.0 + a.size).reshape(a.shape)
        (g,) = tg.gradients(y, x, weights, retain_graph=True)
        np.testing.assert_array_equal((np.tril if upper else np.triu)(g.numpy(), -1 if upper else 1), np.zeros(a.shape))
        (g,) = tg.gradients(back, x, weights)
        half, k = (np.triu, 1) if upper else (np.tril, -1)
        expected = half(weights) + half(weights.swapaxes(-1, -2), k)
        np.testing.assert_allclose(g.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_a_gaussians_log_density_through_cholesky_is_exact_to_third_order():
    def density(c, z):
        s = c @ c.swapaxes(-1, -2) + np.eye(3)
        lower = linalg.cholesky(s)
        w = linalg.solve(lower, z)
        return -0.5 * tg.dot(w, w) - tg.log(tg.diagonal(lower)).sum() + linalg.det(s) / 100

    rng = np.random.default_rng(0)
    assert_gradients(density, rng.normal(size=(3, 3)), rng.normal(size=3), order=3, budget=3)


@given(data=st.data())
def test_tensordot_is_einsum(data):
    letters = data.draw(st.permutations("abcde"))
    a, b = letters[: data.draw(st.integers(0, 4))], letters[data.draw(st.integers(1, 5)) :]
    b = data.draw(st.permutations(b))
    shared = [c for c in a if c in b]
    sizes = {c: i % 3 + 1 for i, c in enumerate("abcde")}
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-3, 4, [sizes[c] for c in term]).astype(float) for term in (a, b))
    axes = ([a.index(c) for c in shared], [b.index(c) - len(b) for c in shared])
    out = [c for c in [*a, *b] if c not in shared]
    expected = np.einsum(f"{''.join(a)},{''.join(b)}->{''.join(out)}", x, y)
    np.testing.assert_array_equal(tg.tensordot(tg.Tensor(x), tg.Tensor(y), axes).numpy(), expected)


def test_numpys_functions_reach_these():
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    x = tg.Tensor(a, requires_grad=True)
    for f in (
        np.linalg.inv,
        np.linalg.det,
        np.linalg.cholesky,
        np.trace,
        np.diagonal,
        np.tril,
        np.sort,
        np.ravel,
        np.flip,
    ):
        y = f(x)
        assert y.requires_grad
        np.testing.assert_allclose(y.numpy(), f(a))
    np.testing.assert_allclose(np.linalg.solve(x, a[0]).numpy(), np.linalg.solve(a, a[0]))
    np.testing.assert_allclose(np.linalg.slogdet(x).logabsdet.numpy(), np.linalg.slogdet(a).logabsdet)
    np.testing.assert_array_equal(np.dot(x, x).numpy(), a @ a)
    np.testing.assert_array_equal(np.take_along_axis(x, np.argsort(x), -1).numpy(), np.sort(a))


X, SINGULAR = np.array([[2.0, 1.0], [1.0, 3.0]]), np.ones((2, 2))
LinAlgError = np.linalg.LinAlgError


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        *(
            (f, LinAlgError, rf"{name}: `a` has shape \(2, 3\); its last two axes must be equal")
            for name, f in (
                ("inv", lambda x: linalg.inv(tg.zeros(2, 3))),
                ("det", lambda x: linalg.det(tg.zeros(2, 3))),
                ("slogdet", lambda x: linalg.slogdet(tg.zeros(2, 3))),
                ("cholesky", lambda x: linalg.cholesky(tg.zeros(2, 3))),
                ("solve", lambda x: linalg.solve(tg.zeros(2, 3), x)),
            )
        ),
        (lambda x: linalg.det(x[0]), LinAlgError, r"det: `a` has shape \(2,\)"),
        (lambda x: linalg.inv(x * SINGULAR * 0), LinAlgError, r"inv: `a` \(2, 2\) is not invertible; add a small multiple"),
        (lambda x: linalg.inv(np.stack([X, SINGULAR])), LinAlgError, r"inv: a matrix of `a` \(2, 2, 2\) is not invertible"),
        (lambda x: linalg.solve(SINGULAR, x), LinAlgError, "solve: `a` .* is not invertible"),
        (lambda x: linalg.solve(x, np.ones(3)), ValueError, r"solve: `b` has shape \(3,\); it must be \(2,\) or \(..., 2, k\)"),
        (lambda x: linalg.solve(x, np.float64(1)), ValueError, r"solve: `b` has shape \(\)"),
        (lambda x: linalg.cholesky(-x), LinAlgError, r"cholesky: `a` \(2, 2\) is not positive definite; add a small"),
        (lambda x: linalg.slogdet(x * 0).logabsdet.backward(), LinAlgError, "inv: `a` .* is not invertible"),
        (lambda x: tg.dot(x, tg.zeros(3)), ValueError, r"dot: axis -1 of `a` \(2, 2\) has size 2 but axis -1 of `b` \(3,\)"),
        (lambda x: tg.inner(x, tg.zeros(2, 3)), ValueError, r"inner: .*`b` \(2, 3\) has size 3; they must agree"),
        (lambda x: tg.tensordot(x, x, 3), ValueError, "tensordot: `axes` is 3; it must be from 0"),
        (lambda x: tg.tensordot(x, x, ((0, 0), (0, 1))), ValueError, "tensordot: `a`: the axes \\(0, 0\\) of 2 hold"),
        (lambda x: tg.tensordot(x, x, (0, 2)), ValueError, "tensordot: `b`: axis 2 is out of bounds"),
        (lambda x: tg.tensordot(x, tg.zeros(2, 3), (0, 1)), ValueError, r"tensordot: the axes \(0,\) of `a` \(2, 2\) and"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(tg.Tensor(X, requires_grad=True))
