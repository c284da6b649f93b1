"""Decompositions: what happens at repeated values, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import linalg


def leaf(values):
    return tg.Tensor(np.array(values, np.float64), requires_grad=True)


def lower(symmetric):
    """The gradient of what is read of a symmetric matrix, its lower triangle, from that of the whole."""
    return np.tril(symmetric) + np.tril(symmetric, -1)


REPEATED = [np.eye(3) * 2, np.diag([2.0, 2.0, 5.0]), np.full((3, 3), 1.0) + 3 * np.eye(3), np.zeros((3, 3))]


@pytest.mark.parametrize("a", REPEATED, ids=range(len(REPEATED)))
@pytest.mark.parametrize("f", [linalg.eigvalsh, lambda a: linalg.eigh(a).eigenvalues], ids=["eigvalsh", "eigh"])
def test_symmetric_functions_of_repeated_eigenvalues_have_exact_gradients(f, a):
    """sum of w^2 = |a|^2 for a symmetric a, with gradient 2 a; sum of w = trace a."""
    x = leaf(a)
    np.testing.assert_allclose(tg.gradients((f(x) ** 2).sum(), x)[0], lower(2 * a), atol=1e-14)
    np.testing.assert_allclose(tg.gradients(f(x).sum(), x)[0], np.eye(3), atol=1e-14)


@pytest.mark.parametrize("a", REPEATED[:3], ids=range(3))
def test_symmetric_functions_of_repeated_singular_values_have_exact_gradients(a):
    x = leaf(a)
    np.testing.assert_allclose(tg.gradients((linalg.svdvals(x) ** 2).sum(), x)[0], 2 * a, atol=1e-14)
    np.testing.assert_allclose(tg.gradients(linalg.matrix_norm(x, ord="nuc"), x)[0], np.eye(3), atol=1e-14)


@pytest.mark.parametrize("a", REPEATED, ids=range(len(REPEATED)))
def test_vectors_of_repeated_values_have_gradients_that_are_not_numbers(a):
    """Also where a function of them is smooth, as v diag(w) v^T = a is: a wrong number would be worse."""
    x = leaf(a)
    w, v = linalg.eigh(x)
    assert np.isnan(tg.gradients(((v * w) @ v.T).sum(), x)[0].numpy()).any()
    u, s, vh = linalg.svd(x)
    assert not np.isfinite(tg.gradients(((u * s) @ vh).sum(), x)[0].numpy()).all()
    _, t = tg.jvp(lambda a: linalg.eigh(a).eigenvectors, (tg.Tensor(a),), (tg.Tensor(np.ones((3, 3))),))
    assert np.isnan(t.numpy()).any()


@pytest.mark.parametrize("a", [[[0, 1], [0, 0]], [[1, 1], [0, 1]], [[3, 1, 0], [0, 3, 1], [0, 0, 3]], [[0, 0], [0, 0]]])
def test_general_vectors_of_repeated_values_have_gradients_that_are_not_numbers(a):
    """Also where all eigenvalues are 0: the size of the matrix says what is rounding."""
    x = leaf(a)
    assert np.isnan(tg.gradients(linalg.eig(x).eigenvectors.sum(), x)[0].numpy()).any()


def test_second_derivatives_at_repeated_eigenvalues_are_not_numbers():
    x = leaf(np.eye(3))
    (g,) = tg.gradients((linalg.eigvalsh(x) ** 2).sum(), x, create_graph=True)
    assert np.isnan(tg.gradients(g.sum(), x)[0].numpy()).any()


def _norms(x):
    """|x| |(x0, x1)|, which is the one singular value of x (x0, x1)^T."""
    return (x * x).sum().sqrt() * (x[:2] * x[:2]).sum().sqrt()


RANK_ONE = {
    "nuclear norm of equal rows": (lambda x: linalg.svd(tg.stack([x, x]), full_matrices=False).S.sum(),
                                   lambda x: 2**0.5 * (x * x).sum().sqrt()),
    "of equal columns": (lambda x: linalg.svdvals(tg.stack([x, x, x], axis=1)).sum(), lambda x: (3 * (x * x).sum()).sqrt()),
    "of a product": (lambda x: linalg.svdvals(x[:, None] * x[None, :2]).sum(), _norms),
    "of a transposed product": (lambda x: linalg.svdvals(x[:2, None] * x).sum(), _norms),
    "largest singular value": (lambda x: linalg.svdvals(x[:, None] * x)[0], lambda x: (x * x).sum()),
    "largest eigenvalue": (lambda x: linalg.eigvalsh(x[:, None] * x)[-1], lambda x: (x * x).sum()),
    "its square root": (lambda x: linalg.eigvalsh(x[:, None] * x)[-1].sqrt(), lambda x: (x * x).sum().sqrt()),
    "largest eigenvalue beside others of 1": (lambda x: linalg.eigvalsh(x[:, None] * x + tg.eye(3, dtype=x.dtype))[-1],
                                              lambda x: (x * x).sum() + 1),
    "smallest": (lambda x: linalg.eigvalsh(tg.eye(3, dtype=x.dtype) - x[:, None] * x)[0], lambda x: 1 - (x * x).sum()),
}  # fmt: skip


LOSES = "its square root"
"""Its rule cannot know how g depends on the other eigenvalues, so it may give NaN, and no wrong number."""


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", RANK_ONE)
def test_second_derivatives_of_values_beside_equal_ones(name, dtype):
    f, closed = RANK_ONE[name]
    ways = {
        "hessian": tg.hessian,
        "twice back": lambda f: tg.jacrev(tg.grad(f)),
        "twice": lambda f: tg.jacfwd(tg.jacfwd(f)),
    }
    for seed, (way, hessian) in itertools.product(range(4), ways.items()):
        x = np.random.default_rng(seed).normal(size=3).astype(dtype)
        found = hessian(f)(tg.Tensor(x)).numpy()
        if (name == LOSES or way == "twice") and np.isnan(found).any():
            continue
        tolerance = 1e3 * np.finfo(dtype).eps
        np.testing.assert_allclose(found, tg.hessian(closed)(tg.Tensor(x)), rtol=tolerance, atol=tolerance)


def test_second_derivatives_where_a_singular_value_is_zero():
    """The value itself has a kink, whose second derivative counts as 0. Of its square, whose is 2, no wrong number is given."""
    a = tg.Tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    grows = tg.Tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert (tg.hvp(lambda a: linalg.svdvals(a).sum(), (a,), (grows,)).numpy() == 0).all()
    assert np.isnan(tg.hvp(lambda a: (linalg.svdvals(a) ** 2).sum(), (a,), (grows,)).numpy()).any()


def test_eigenvalues_that_differ_give_back_the_matrix():
    x = leaf([[2.0, 0.5, 0.25], [0.5, 1.0, 0.125], [0.25, 0.125, 3.0]])
    w, v = linalg.eigh(x)
    c = np.arange(9.0).reshape(3, 3)
    np.testing.assert_allclose(tg.gradients((((v * w) @ v.T) * c).sum(), x)[0], lower((c + c.T) / 2), atol=1e-13)
    u, s, vh = linalg.svd(x)
    np.testing.assert_allclose(tg.gradients((((u * s) @ vh) * c).sum(), x)[0], c, atol=1e-13)
    q, r = linalg.qr(x)
    np.testing.assert_allclose(tg.gradients(((q @ r) * c).sum(), x)[0], c, atol=1e-13)
    w, v = linalg.eig(leaf([[1.0, 0.5], [0.25, 2.0]]))
    assert (w.numpy().dtype, v.shape) == (np.float64, (2, 2))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("a", [[[1, 2], [2, 4]], [[1, 1]] * 3, [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, 0], [0, 0]]])
def test_qr_of_dependent_columns_has_a_gradient_that_is_not_a_number(a, dtype):
    """Where they are dependent within rounding, at any scale; not where columns are only small, nor in the rest of a stack."""
    independent = np.eye(*np.shape(a)) + 1
    small = independent * np.array([1e-20, 1, 1])[: len(a[0])]
    matrices = [np.multiply(a, 1e-12), a, np.multiply(a, 1e12), independent, small]
    x = tg.Tensor(np.array(matrices, dtype), requires_grad=True)
    for f in linalg.qr(x):
        lost = np.isnan(tg.gradients(f.sum(), x, retain_graph=True)[0].numpy())
        assert lost.all(axis=(1, 2)).tolist() == lost.any(axis=(1, 2)).tolist() == [True] * 3 + [False] * 2


@pytest.mark.parametrize("UPLO", ["L", "U"])
def test_one_triangle_of_a_matrix_that_is_not_symmetric_is_read_and_gets_the_gradient(UPLO):
    a = np.array([[2.0, 0.5, 0.25], [1.5, 1.0, -0.125], [0.75, 0.375, 3.0]])
    x, unread = leaf(a), np.triu(np.ones((3, 3)), 1) if UPLO == "L" else np.tril(np.ones((3, 3)), -1)
    for f, g in ((linalg.eigvalsh, np.linalg.eigvalsh), (np.linalg.eigvalsh, np.linalg.eigvalsh)):
        np.testing.assert_allclose(f(x, UPLO).numpy(), g(a, UPLO), rtol=1e-14)
        np.testing.assert_array_equal(f(x, UPLO).numpy(), f(leaf(a + 7 * unread), UPLO).numpy())
        (slope,) = tg.gradients((f(x, UPLO) ** 3).sum(), x)
        assert not (slope.numpy() * unread).any()
    np.testing.assert_allclose(
        np.linalg.cholesky(leaf(a + 2 * np.eye(3))).numpy(), np.linalg.cholesky(a + 2 * np.eye(3))
    )
    for f in (np.linalg.pinv, np.linalg.matrix_rank):
        np.testing.assert_allclose(f(x, hermitian=True).numpy(), f(a, hermitian=True), rtol=1e-12)
    np.testing.assert_allclose(
        np.linalg.svd(x, True, False, True).numpy(), np.linalg.svd(a, True, False, True), rtol=1e-12
    )
    u, s, vh = np.linalg.svd(x, hermitian=True)
    np.testing.assert_allclose(((u * s) @ vh).numpy(), np.tril(a) + np.tril(a, -1).T, atol=1e-13)


def test_the_rank_of_least_squares():
    a = leaf([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    x, residuals, rank, s = result = linalg.lstsq(a, tg.ones(3, dtype=np.float64))
    assert result.solution is x
    assert result.singular_values is s
    assert (rank.item(), residuals.shape, s.shape, linalg.matrix_rank(a).item()) == (1, (1,), (2,), 1)
    np.testing.assert_allclose(x.numpy(), np.linalg.lstsq(a.numpy(), np.ones(3), rcond=None)[0], atol=1e-13)
    _, residuals, _, _ = tg.compile(lambda a, b: linalg.lstsq(a, b))(tg.Tensor(WIDE), tg.ones(2, dtype=np.float64))
    assert (residuals.shape, residuals.dtype) == ((0,), np.float64)


@pytest.mark.parametrize("shape", [(4, 2), (2, 3, 1), (3, 3), (2, 4), (3, 0)])
def test_a_complete_qr_is_numpys(shape):
    a = np.random.default_rng(0).normal(size=shape)
    with tg.no_grad():
        for x in (a, tg.Tensor(a), leaf(a)):
            for found, expected in zip(linalg.qr(x, mode="complete"), np.linalg.qr(a, "complete"), strict=True):
                np.testing.assert_allclose(found, expected, atol=1e-14, strict=True)


WIDE = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linalg.eigh(WIDE), r"eigh: `a` has shape \(2, 3\); its last two axes must be equal"),
        (lambda: linalg.eigh(np.eye(2), "X"), "eigh: `UPLO` is 'X'; it must be 'L' or 'U'"),
        (lambda: linalg.eig(WIDE), r"eig: `a` has shape \(2, 3\); its last two axes must be equal"),
        (lambda: linalg.svd(WIDE), r"svd: `full_matrices` of \(2, 3\) .* pass full_matrices=False"),
        (lambda: linalg.svd(np.ones(3), False), r"svd: `a` has shape \(3,\); it must be a matrix"),
        (
            lambda: linalg.qr(leaf(WIDE.T), "complete"),
            r"qr: `a` \(3, 2\) requires a gradient, which the further columns",
        ),
        (lambda: linalg.qr(WIDE, "raw"), "qr: `mode` is 'raw'"),
        (lambda: linalg.lstsq(WIDE, np.ones(3)), r"lstsq: `b` has shape \(3,\); it must be \(2,\) or"),
        (lambda: linalg.lstsq(np.ones(3), np.ones(3)), "lstsq: `a` has shape"),
        (lambda: linalg.pinv(np.ones(3)), "pinv: `a` has shape"),
        (lambda: linalg.norm(WIDE, 3), "matrix_norm: `ord` is 3; it must be"),
        (lambda: linalg.norm(np.ones((2, 2, 2)), 1), "norm: the axes .* are neither one, for vectors, nor two"),
        (lambda: linalg.norm(np.ones(2), "fro"), "norm: `ord` is 'fro'"),
        (lambda: linalg.norm(WIDE, 1, axis=(0, 0)), "norm: the axes .* hold the same one twice"),
        (lambda: linalg.cond(np.zeros((2, 2)), 1), "inv: `a` .* is not invertible"),
        (lambda: linalg.matrix_power(WIDE, 2), "matrix_power: `a` has shape"),
        (lambda: linalg.matrix_power(np.eye(2), 0.5), "matrix_power: `n` is 0.5; it must be an integer"),
        (lambda: linalg.multi_dot([WIDE]), "multi_dot: the arrays have shapes"),
        (lambda: linalg.tensorsolve(WIDE, np.ones(2)), "tensorsolve: `a` .* is not square"),
        (lambda: linalg.tensorinv(WIDE, 1), "tensorinv: `a` .* is not square"),
        (lambda: linalg.tensorinv(WIDE, 0), "tensorinv: `ind` is 0"),
        (lambda: linalg.outer(WIDE, WIDE), "outer: the inputs have shapes"),
        (lambda: linalg.vecdot(WIDE, np.ones(2)), "vecdot: axis -1"),
        (lambda: tg.cross(WIDE, np.ones(4)), "cross: the vectors have sizes 3 and 4"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
