"""Gradients of functions of complex matrices, and products with their Hessians, beside JAX's."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg

from . import needs

jax = needs.jax()
jnp = jax.numpy


def z(*shape, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


W = z(4, 4, seed=0)


def functions(xp, linalg):
    """Real functions of a complex matrix by the names of NumPy; none depends on the phase of a vector."""

    def adjoint(a):
        return xp.conj(xp.swapaxes(a, -1, -2))

    def weighted(y, w=W):
        return xp.real(xp.sum(y * w))

    def vectors(a):
        return linalg.eigh(a + adjoint(a))[1]

    def projection(v):
        return weighted(xp.matmul(v, adjoint(v)))

    def factors(a):
        u, _, vh = linalg.svd(a, full_matrices=False)
        return (
            weighted(xp.matmul(u[:, :2], vh[:2])) + xp.sum(xp.abs(u) ** 2 * W.real) + xp.sum(xp.abs(vh) ** 2 * W.imag)
        )

    def orthogonal(a):
        q, r = linalg.qr(a)
        return weighted(q) + weighted(r, 1j * W)

    def sign(a):
        phase, size = linalg.slogdet(a)
        return size + xp.real(phase * (1 + 2j))

    return {
        "det": lambda a: xp.real(linalg.det(a) * (1 + 2j)),
        "slogdet": sign,
        "inv": lambda a: weighted(linalg.inv(a)),
        "solve": lambda a: weighted(linalg.solve(a, W[:, :2]), W[:, 2:]),
        "cholesky": lambda a: weighted(linalg.cholesky(xp.matmul(a, adjoint(a)) + np.eye(4))),
        "eigvalsh": lambda a: xp.sum(linalg.eigvalsh(a + adjoint(a)) ** 3 * np.arange(4.0)),
        "eigh": lambda a: projection(vectors(a)[:, :2]) + xp.sum(xp.abs(vectors(a)) ** 2 * W.real),
        "svdvals": lambda a: xp.sum(linalg.svd(a, compute_uv=False) ** 3 * np.arange(4.0)),
        "svd": factors,
        "qr": orthogonal,
        "norm": lambda a: linalg.norm(a) ** 3,
        "nuclear norm": lambda a: linalg.norm(a, "nuc") ** 3,
        "spectral norm": lambda a: linalg.norm(a, 2) ** 3,
        "pinv": lambda a: weighted(linalg.pinv(a[:, :3]), W[:3]),
        "var, std": lambda a: xp.var(a) + xp.sum(xp.std(a, axis=0)),
        "abs, angle": lambda a: xp.sum(xp.abs(a) * xp.angle(a) ** 2),
        "fft": lambda a: xp.sum(xp.abs(xp.fft.fft2(a)) ** 3),
    }


OURS = functions(tg, tg.linalg)


@pytest.mark.parametrize("name", OURS)
def test_derivatives_of_two_orders(name):
    theirs = functions(jnp, jnp.linalg)[name]
    a, v = z(4, 4, seed=1), z(4, 4, seed=2)
    expected, slope = jax.jvp(jax.grad(theirs), (a,), (v,))
    for found, wanted in ((tg.grad(OURS[name])(a), expected), (tg.hvp(OURS[name], (a,), (v,)), slope)):
        wanted = np.asarray(wanted)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
