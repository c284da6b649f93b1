"""Inverse, linear systems, determinants and the Cholesky factor of square matrices, and of stacks of them.

In docstrings, g is the incoming gradient and a' the gradient with respect to a. The rules are from M. B. Giles, "Collected
matrix derivative results for forward and reverse mode algorithmic differentiation" (2008), and for the Cholesky factor from
I. Murray, "Differentiation of the Cholesky decomposition" (2016).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Array, Tensor, implements, op
from .complex_numbers import conj, conjugate, imag, real
from .elementwise import mul
from .matmul import matmul
from .rearrange import tril, triu
from .reduce import sum
from .shape import reshape, sum_to

__all__ = ["cholesky", "det", "inv", "slogdet", "solve"]


def square(name: str, a: Array) -> None:
    """LinAlgError unless `a` is a square matrix, or a stack of them."""
    shape = np.shape(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise np.linalg.LinAlgError(f"{name}: `a` has shape {shape}; its last two axes must be equal: a square matrix")


def matrix(name: str, a: Array) -> None:
    """LinAlgError unless `a` is a matrix, or a stack of them."""
    if np.ndim(a) < 2:
        raise np.linalg.LinAlgError(f"{name}: `a` has shape {np.shape(a)}; it must be a matrix, or a stack of them")


def _told() -> bool:
    """Whether NumPy raises for a singular matrix. WebAssembly has no floating-point flags to tell: there the result is NaN."""
    try:
        np.linalg.inv(np.zeros((1, 1)))
    except np.linalg.LinAlgError:
        return True
    return False


_TOLD = _told()


def _factored(name: str, must: str, remedy: str, function: Callable[..., Any], *arrays: Array) -> Array:
    """Call a LAPACK function; a LinAlgError names the op, the matrix and the remedy."""
    try:
        y = function(*arrays)
        if not _TOLD and np.isnan(y).any() and all(np.isfinite(a).all() for a in arrays):
            raise np.linalg.LinAlgError
        return y
    except np.linalg.LinAlgError:
        stack = "a matrix of `a`" if np.ndim(arrays[0]) > 2 else "`a`"
        raise np.linalg.LinAlgError(f"{name}: {stack} {np.shape(arrays[0])} is not {must}; {remedy}") from None


_INVERTIBLE = ("invertible", "add a small multiple of the identity, or use a least-squares solution")


@op(numpy=np.linalg.inv, complex=True)
def inv(a: Array) -> Array:
    """y = a^-1.   a' = -y^T g y^T.

    Args:
        a: (..., n, n).

    Raises:
        LinAlgError: (a ValueError) if `a` is not square, or singular.
    """
    square("inv", a)
    return _factored("inv", *_INVERTIBLE, np.linalg.inv, a)


def transposed(m: Array) -> Any:
    """m^T, of each matrix of a stack."""
    return m.swapaxes(-1, -2)


def adjoint(m: Array) -> Any:
    """m^H = m~^T, of each matrix of a stack."""
    return conjugate(transposed(m))


def mirrored(a: Array, upper: bool = False) -> Any:
    """The symmetric matrices, Hermitian ones of a complex `a`, that have the lower triangle of `a`, or the upper one."""
    half: Any = triu if upper else tril
    kept = half(a)
    if kept.dtype.kind == "c":  # with a real diagonal
        return kept + conj(transposed(kept)) - np.eye(kept.shape[-1], dtype=kept.dtype) * real(kept)
    return kept + transposed(half(a, 1 if upper else -1))


inv.vjp(a=lambda g, y: matmul(matmul(transposed(y), -g), transposed(y)))
inv.jvp(a=lambda t, y: matmul(matmul(y, -t), y))


@op(linear=["b"], complex=True)
def solve_columns(a: Array, b: Array) -> Array:
    """y = a^-1 b, with a (..., n, n) and b (..., n, k).   b' = a^-T g,  a' = -b' y^T, summed over broadcast axes."""
    return _factored("solve", *_INVERTIBLE, np.linalg.solve, a, b)


solve_columns.vjp(
    a=lambda g, y, a, in_shape: sum_to(matmul(solve_columns(transposed(a), -g), transposed(y)), shape=in_shape),
    b=lambda g, a, in_shape: sum_to(solve_columns(transposed(a), g), shape=in_shape),
)
solve_columns.jvp(a=lambda t, y, a: solve_columns(a, matmul(-t, y)))


@implements(np.linalg.solve)
def solve(a: Array, b: Array) -> Tensor:
    """The solution y of a y = b, as np.linalg.solve.   b' = a^-T g,  a' = -b' y^T.

    Args:
        a: (..., n, n).
        b: (n,), or (..., n, k) whose leading axes broadcast with those of `a`.

    Raises:
        LinAlgError: (a ValueError) if `a` is not square, or singular.
        ValueError: if the number of rows of `b` differs from that of `a`.
    """
    square("solve", a)
    n, shape = np.shape(a)[-1], np.shape(b)
    if not shape or shape[-min(2, len(shape))] != n:
        raise ValueError(f"solve: `b` has shape {shape}; it must be ({n},) or (..., {n}, k) to match `a` {np.shape(a)}")
    if len(shape) > 1:
        return solve_columns(a, b)
    return solve_columns(a, reshape(b, shape=(n, 1)))[..., 0]


@op(numpy=np.linalg.det, complex=True)
def det(a: Array) -> Array:
    """y = det a.   a' = g C, with C the cofactors of a: y a^-T where a is invertible.

    All derivatives are exact at singular matrices, too.

    Args:
        a: (..., n, n).

    Raises:
        LinAlgError: (a ValueError) if `a` is not square.
    """
    square("det", a)
    return np.linalg.det(a)


@op(complex=True)
def cofactors(*arrays: Array) -> Array:
    """y = the gradient of D^k det(a)[x_1, ..., x_k] in a: the cofactors of a for k = 0, from arrays = (a, x_1, ..., x_k).

    It is linear and symmetric in the x_i, so its gradients are cofactors again:  a' = y(a, x_1, ..., x_k, g),
    x_i' = y(a, the other x_j, g).  At a singular a it is a combination of values at invertible matrices.
    """
    a, *directions = arrays
    terms = [w * _cofactors(a if shift is None else a + shift, tuple(directions)) for w, shift in _well_conditioned(a)]
    return functools.reduce(operator.add, terms)


def _cofactors(m: np.ndarray, directions: tuple[np.ndarray, ...]) -> Any:
    """The cofactors of an invertible m: m^T C = det(m) 1, differentiated in the directions by the product rule."""
    inverse = _factored("det", *_INVERTIBLE, np.linalg.inv, m).swapaxes(-1, -2)
    if not directions:
        return np.linalg.det(m)[..., None, None] * inverse
    less: list[Any] = [_cofactors(m, (*directions[:i], *directions[i + 1 :])) for i in range(len(directions))]
    value: Any = np.sum(less[-1] * directions[-1], axis=(-2, -1), keepdims=True)
    products = functools.reduce(operator.add, (matmul(transposed(x), c) for x, c in zip(directions, less, strict=True)))
    return matmul(inverse, value * np.eye(m.shape[-1], dtype=m.dtype) - products)


def _cofactors_rule(g: Array, i: int, arrays: Sequence[Array]) -> Array:
    a, *directions = arrays
    return cofactors([a, *(x for j, x in enumerate(directions, 1) if j != i), g])


def _cofactors_forward(t: Sequence[Array | None], arrays: Sequence[Array]) -> Array:
    terms = [
        cofactors([*arrays[:i], tangent, *arrays[i + 1 :]] if i else [*arrays, tangent])
        for i, tangent in enumerate(t)
        if tangent is not None
    ]
    return functools.reduce(operator.add, terms)


cofactors.vjp(arrays=_cofactors_rule)
cofactors.jvp(arrays=_cofactors_forward)
det.vjp(a=lambda g, a: mul(reshape(g, shape=(*g.shape, 1, 1)), cofactors([a])))
det.jvp(a=lambda t, a: sum(mul(t, cofactors([a])), axis=(-2, -1)))


def _well_conditioned(a: np.ndarray) -> list[tuple[float, np.ndarray | None]]:
    """Pairs (w, B) such that det m = sum of w det(m + B) for every m, and every a + B is well-conditioned.

    With B of rank r, det(m + t B) is a polynomial in t of degree r, so its value at 0 follows from r + 1 other values. If r
    singular values of `a` are small, B is built from their singular vectors, scaled to the largest singular value.
    """
    if not np.isfinite(a).all():
        return [(1.0, None)]
    u, s, vt = np.linalg.svd(a)
    small = s <= math.sqrt(np.finfo(s.dtype).eps) * s[..., :1]
    rank = int(small.sum(axis=-1).max(initial=0))
    if not rank:
        return [(1.0, None)]
    scale = np.where(s[..., :1] > 0, s[..., :1], 1)
    b = matmul(u * (small * scale)[..., None, :], vt)
    nodes = [(k // 2 + 1) * (-1) ** k for k in range(rank + 1)]
    return [(math.prod(j / (j - t) for j in nodes if j != t), (t * b).astype(a.dtype)) for t in nodes]


class SlogdetResult(NamedTuple):
    """The result of :func:`slogdet`: det a = sign exp(logabsdet)."""

    sign: Any
    logabsdet: Any


@op(differentiable=False)
def det_sign(a: Array) -> Array:
    """y = the sign of det a: 1, -1, or 0 for a singular matrix; without a gradient."""
    return np.linalg.slogdet(a)[0]


@op(complex=True)
def det_phase(a: Array) -> Array:
    """y = det a / |det a| of complex matrices, 0 for a singular one.   a' = i Im(g y) a^-T."""
    return np.linalg.slogdet(a)[0]


det_phase.vjp(a=lambda g, y, a: reshape(imag(g * y) * 1j, shape=(*g.shape, 1, 1)) * transposed(inv(a)))


@op(complex=True)
def log_abs_det(a: Array) -> Array:
    """y = log |det a|, -inf for a singular matrix.   a' = g a^-T."""
    return np.linalg.slogdet(a)[1]


log_abs_det.vjp(a=lambda g, a: reshape(g, shape=(*g.shape, 1, 1)) * transposed(inv(a)))
log_abs_det.jvp(a=lambda t, a: sum(t * transposed(inv(a)), axis=(-2, -1)))


@implements(np.linalg.slogdet)
def slogdet(a: Array) -> SlogdetResult:
    """The sign of det a, and log |det a|, which does not overflow.   a' = g a^-T, with g the gradient of logabsdet.

    The sign of a complex determinant is det a / |det a|, which adds i Im(g sign) a^-T with its own gradient g.

    Args:
        a: (..., n, n).

    Returns:
        A named tuple (sign, logabsdet); the sign has no gradient if it is real.

    Raises:
        LinAlgError: (a ValueError) if `a` is not square; in the backward pass, if it is singular.
    """
    square("slogdet", a)
    a = a if hasattr(a, "dtype") else np.asarray(a)
    return SlogdetResult(det_phase(a) if a.dtype.kind == "c" else det_sign(a), log_abs_det(a))


@op(numpy=np.linalg.cholesky, complex=True)
def cholesky(a: Array, *, upper: bool = False) -> Array:
    """y = the lower triangular L with L L^H = a, or L^H.   a' = the conjugate of L^-H (P + P^H)/2 L^-1, as one triangle.

    P is L^H conj(g) with the part above the diagonal set to zero and the diagonal halved. As only one triangle is read, a' has
    the elements of the other one added to its own. The diagonal of L is real, and so is that of `a` as it is read.

    Args:
        a: (..., n, n), symmetric, or Hermitian if complex, and positive definite; only the lower triangle is read, as by NumPy.
        upper: whether to return L^H, and to read the upper triangle.

    Raises:
        LinAlgError: (a ValueError) if `a` is not square, or not positive definite.
    """
    square("cholesky", a)
    remedy = "add a small multiple of the identity"
    return _factored("cholesky", "positive definite", remedy, functools.partial(np.linalg.cholesky, upper=upper), a)


def _cholesky_rule(g: Array, y: Array, upper: bool) -> Array:
    left, g = (y, transposed(g)) if upper else (adjoint(y), conjugate(g))
    product = matmul(left, g)
    p = tril(product) + tril(product, -1)
    middle = (p + adjoint(p)) * 0.25
    half = solve_columns(left, middle)
    whole = conjugate(solve_columns(left, adjoint(half)))
    triangle: Any = triu if upper else tril
    return triangle(whole) + triangle(adjoint(whole), 1 if upper else -1)


cholesky.vjp(a=_cholesky_rule)
