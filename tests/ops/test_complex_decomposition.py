"""Decompositions of complex matrices: derivatives of two orders beside differences, phases included."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import linalg
from tinygrad_cnn.ops import eigen, singular
from tinygrad_cnn.testing.cases import Arg, Case

from ..complex_rows import outcome


def z(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def adjoint(a):
    return np.conj(np.swapaxes(a, -1, -2))


def positive(f):
    return lambda a, **params: f(a @ adjoint(a) + np.eye(a.shape[-1]), **params)


def hermitian(f):
    return lambda a, **params: f(a + adjoint(a), **params)


def thin(a):
    return np.linalg.svd(a, full_matrices=False)


FUNCTIONS = [
    ("cholesky", positive(np.linalg.cholesky), [(3, 3)]),
    ("cholesky of the upper triangle", positive(lambda a: np.linalg.cholesky(a, upper=True)), [(2, 3, 3)]),
    ("eigh", lambda a: list(np.linalg.eigh(a)), [(3, 3)]),
    ("eigh of the upper triangle", lambda a: list(np.linalg.eigh(a, "U")), [(2, 4, 4)]),
    ("eigh of a Hermitian matrix", hermitian(lambda a: list(np.linalg.eigh(a))), [(3, 3)]),
    ("eigvalsh", np.linalg.eigvalsh, [(4, 4)]),
    ("eig", lambda a: list(np.linalg.eig(a)), [(2, 3, 3)]),
    ("eigvals", np.linalg.eigvals, [(4, 4)]),
    ("svd", lambda a: list(thin(a)), [(3, 3)]),
    ("svd of tall matrices", lambda a: list(thin(a)), [(2, 4, 2)]),
    ("svd of a wide matrix", lambda a: list(thin(a)), [(2, 3)]),
    ("svd of a very wide matrix", lambda a: list(thin(a)), [(2, 6)]),
    ("svd of one row", lambda a: list(thin(a)), [(1, 3)]),
    ("svd of a Hermitian matrix", lambda a: list(np.linalg.svd(a, hermitian=True)), [(3, 3)]),
    ("svdvals", np.linalg.svdvals, [(2, 3, 4)]),
    ("qr", lambda a: list(np.linalg.qr(a)), [(3, 3)]),
    ("qr of tall matrices", lambda a: list(np.linalg.qr(a)), [(2, 4, 2)]),
    ("qr of a wide matrix", lambda a: list(np.linalg.qr(a)), [(2, 4)]),
    ("pinv", np.linalg.pinv, [(3, 3)]),
    ("pinv of a tall matrix", np.linalg.pinv, [(4, 2)]),
    ("pinv of wide matrices", np.linalg.pinv, [(2, 2, 4)]),
    ("lstsq", lambda a, b: [tg.linalg.lstsq(a, b)[i] for i in (0, 1, 3)], [(4, 2), (4, 3)]),
    ("slogdet", lambda a: list(np.linalg.slogdet(a)), [(2, 3, 3)]),
    ("nuclear norm", lambda a: np.linalg.norm(a, "nuc"), [(3, 2)]),
    ("spectral norm", lambda a: np.linalg.norm(a, 2), [(3, 3)]),
    ("smallest singular value", lambda a: np.linalg.norm(a, -2), [(3, 3)]),
    ("cond", np.linalg.cond, [(3, 3)]),
    ("symmetric_weighted", eigen.symmetric_weighted, [(3, 3), (3,)]),
    ("symmetric_diagonal", eigen.symmetric_diagonal, [(3, 3), (3, 3)]),
    ("singular_weighted", singular.singular_weighted, [(4, 2), (2,)]),
    ("singular_diagonal", singular.singular_diagonal, [(2, 4), (2, 4)]),
]  # fmt: skip


@pytest.mark.parametrize(("f", "shapes"), [entry[1:] for entry in FUNCTIONS], ids=[entry[0] for entry in FUNCTIONS])
def test_derivatives_of_two_orders(f, shapes):
    assert outcome(Case(f, tuple(map(Arg, shapes)), lambda *_: []), 2, False) == "right"


@pytest.mark.parametrize(("f", "shapes"), [entry[1:] for entry in FUNCTIONS], ids=[entry[0] for entry in FUNCTIONS])
def test_forward_mode(f, shapes):
    def values(*arrays):
        y = f(*arrays)
        return y if isinstance(y, list) else [y]

    arrays, steps = ([z(*shape, seed=seed + i) for i, shape in enumerate(shapes)] for seed in (0, 5))
    _, tangents = tg.jvp(values, tuple(arrays), tuple(steps))
    h = 1e-5
    ahead, behind = (
        values(*[tg.Tensor(a + t * d) for a, d in zip(arrays, steps, strict=True)]) for t in (h, -h)
    )  # fmt: skip
    for found, y, x in zip(tangents, ahead, behind, strict=True):
        expected = (y.numpy() - x.numpy()) / (2 * h)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max(initial=1))


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (2, 3, 3), (0, 2), (1, 1)], ids=str)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_values_are_numpys(shape, dtype):
    a = z(*shape).astype(dtype)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.complex64 else {"rtol": 1e-11, "atol": 1e-12}
    u, s, vh = linalg.svd(a, full_matrices=False)
    assert (u.dtype, s.dtype) == (dtype, np.finfo(dtype).dtype)
    np.testing.assert_allclose((u * s[..., None, :]) @ vh, a, **close)
    if shape[-2] >= shape[-1]:
        for found, expected in zip((u, s, vh), thin(a), strict=True):
            np.testing.assert_allclose(found, expected, **close)
    for found, expected in zip(linalg.qr(a), np.linalg.qr(a), strict=True):
        np.testing.assert_allclose(found, expected, **close)
    np.testing.assert_allclose(linalg.pinv(a), np.linalg.pinv(a), **close)
    if shape[-2] == shape[-1]:
        for name in ("eigh", "eig", "slogdet"):
            found, expected = getattr(linalg, name)(tg.Tensor(a)), getattr(np.linalg, name)(a)
            for x, y in zip(found, expected, strict=True):
                assert x.dtype == y.dtype
                np.testing.assert_allclose(x, y, **close)


def test_a_real_matrix_with_complex_eigenvalues():
    a, h, weights = z(3, 3).real + 2 * np.tri(3) - 2 * np.tri(3).T, 1e-6, z(3, 3, seed=1)

    def f(a):
        w, v = tg.linalg.eig(a)
        return tg.real((v * weights).sum() + (w * w * weights[0]).sum())

    assert np.linalg.eigvals(a).dtype == np.complex128
    np.testing.assert_allclose(linalg.eig(a)[1], np.linalg.eig(a)[1], rtol=1e-12)
    g = tg.grad(f)(a)
    assert g.dtype == np.float64
    d = z(3, 3, seed=2).real
    np.testing.assert_allclose((g.numpy() * d).sum(), (f(a + h * d).item() - f(a - h * d).item()) / (2 * h), rtol=1e-7)


@pytest.mark.parametrize("uplo", ["L", "U"])
def test_what_no_phase_changes_where_the_real_element_is_zero(uplo):
    """Vectors of block matrices have elements that are 0, and so no phase: projections are differentiable all the same."""
    a = np.zeros((4, 4), complex)
    for block in (slice(0, 2), slice(2, 4)):
        part = z(2, 2, seed=block.start)
        a[block, block] = part + adjoint(part)
    weights = z(4, 4, seed=1)

    def f(a):
        v = np.linalg.eigh(a, uplo)[1][..., :2]
        u, _, vh = np.linalg.svd(a)
        return np.real(((v @ adjoint(v) + u[..., :1] @ vh[..., :1, :]) * weights).sum())

    d, h = z(4, 4, seed=3), 1e-6
    d = d + adjoint(d)
    assert not np.linalg.eigh(a)[1][0].all()
    slope = (tg.grad(f)(a).numpy() * d).sum().real
    np.testing.assert_allclose(slope, (f(a + h * d) - f(a - h * d)) / (2 * h), rtol=1e-7)
    product = (tg.hvp(f, (a,), (d,)).numpy() * d).sum().real
    np.testing.assert_allclose(product, (f(a + 1e-3 * d) - 2 * f(a) + f(a - 1e-3 * d)) / 1e-6, rtol=1e-3)


def test_a_phase_that_matters_where_it_is_not_defined():
    """A diagonal matrix has vectors whose first element is 0: turning them changes f, and f jumps."""
    a = np.diag([1.0, 2.0, 3.0]).astype(complex)
    g = tg.grad(lambda a: np.imag(np.linalg.eigh(a)[1][2, 2]))(a).numpy()
    assert not np.isfinite(g).all()


def test_equal_values():
    a = np.diag([1.0, 1.0, 2.0]).astype(complex)
    g = tg.grad(lambda a: np.linalg.eigvalsh(a)[2] ** 2)(a).numpy()
    np.testing.assert_allclose(g, np.diag([0, 0, 4.0]), atol=1e-14)
    vectors = tg.grad(lambda a: np.real(np.linalg.eigh(a)[1] * z(3, 3)).sum())(a).numpy()
    assert np.isnan(vectors).any()


def test_vmap_and_compile():
    a = z(4, 3, 3)

    def f(a):
        w, v = np.linalg.eigh(a @ adjoint(a))
        u, s, vh = np.linalg.svd(a)
        q, r = np.linalg.qr(a)
        sign, size = np.linalg.slogdet(a)
        pieces = [v * w, (u * s) @ np.abs(vh), q + r, np.linalg.pinv(a), np.linalg.eig(a)[1] * sign]
        return sum(np.real(piece * z(3, 3, seed=i)).sum() for i, piece in enumerate(pieces)) + size

    rows = np.stack([tg.grad(f)(row).numpy() for row in a])
    np.testing.assert_allclose(tg.vmap(tg.grad(f))(a).numpy(), rows, rtol=1e-9)
    step = tg.compile(tg.grad(f))
    for seed in range(5):
        x = z(3, 3, seed=seed)
        # Not the last bit: a product of complex matrices is BLAS's, whose bits may depend on their order in memory.
        np.testing.assert_allclose(step(tg.Tensor(x)).numpy(), tg.grad(f)(x).numpy(), rtol=1e-13)
