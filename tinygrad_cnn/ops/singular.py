"""Singular values and singular vectors of matrices, and of stacks of them.

What :mod:`~.eigen` says of repeated values and of the phases of complex vectors holds here, and so do its symbols and sources.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Array, Tensor, implements, op
from .complex_numbers import conjugate, imag
from .eigen import hermitian_of
from .elementwise import abs, where
from .linalg import adjoint as _h
from .linalg import matrix
from .linalg import transposed as _t
from .matmul import matmul
from .reduce import max, sum
from .spectral import divided, for_phase, is_fixed, over_gaps, quotients, real_part, row, slopes, with_real_elements

__all__ = ["svd", "svdvals"]


class SVDResult(NamedTuple):
    """What :func:`svd` returns: U diag(S) Vh = a."""

    U: Any
    S: Any
    Vh: Any


@op(complex=True)
def singular_values(a: Array) -> Array:
    """y = the singular values of a, descending.   a' = u~ diag(g) v^T, with the singular vectors."""
    return np.linalg.svd(a, compute_uv=False)


@op(linear=["h"], complex=True)
def singular_weighted(a: Array, h: Array, *, fixed: bool = True) -> Array:
    """y = u diag(h) v^H, with the singular vectors u and v of a.   h' = diag(u^T g v~).

    a' = u~ ((p x + (p x)^H) / 2 + (q x - (q x)^H) / 2) v^T + (1 - u~ u^T) g v~ (h / s) v^T + u~ (h / s) u^T g (1 - v~ v^T),
    with x = u^T g v~, p_ij = (h_j - h_i) / (s_j - s_i) and q_ij = (h_j + h_i) / (s_j + s_i), elementwise. Where s_i = s_j,
    p_ij is as for :func:`symmetric_weighted`. What is to be divided by 0 within rounding gives 0 if h is `fixed`, else NaN.
    """
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return np.asarray(np.matmul(u * row(h), vh))


@op(linear=["x"], complex=True)
def singular_diagonal(a: Array, x: Array) -> Array:
    """y = diag(u^H x v), with the singular vectors u and v of a.   x' = u~ diag(g) v^T,  a' as for y = <x', x>."""
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return np.asarray((conjugate(u) * np.matmul(x, _h(vh))).sum(axis=-2))


def _singular_gradient(x: Array, a: Array, h: Array, fixed: bool) -> Any:
    """The gradient in a of <u diag(h) v^H, x>."""
    m, n = a.shape[-2:]
    y: Any = singular_vectors(a)
    u, v, h = y[..., :m, :], y[..., m:, :], row(h)
    s = real_part(quotients(u, a, v))
    left, right = matmul(x, conjugate(v)), matmul(_t(x), u)
    turned, over = matmul(_t(u), left), h * _reciprocal(s, fixed)
    even, odd = slopes(h, s, fixed) * turned, (h + _t(h)) * _reciprocal(s + _t(s), fixed) * turned
    whole = matmul(matmul(conjugate(u), (even + _h(even) + odd - _h(odd)) * 0.5), _t(v))
    if m > n:
        whole = whole + matmul((left - matmul(conjugate(u), turned)) * over, _t(v))
    if n > m:
        whole = whole + matmul(conjugate(u), _t((right - matmul(v, matmul(_h(v), right))) * over))
    return whole


def _reciprocal(s: Array, fixed: bool) -> Any:
    """1 / s. Where s is 0 within rounding, singular values have a kink, like |x| at 0: it is 0 there if `fixed`, else NaN."""
    zero = s <= 16 * np.finfo(s.dtype).eps * max(s, axis=(-2, -1), keepdims=True)
    return where(zero, 0 if fixed else math.nan, 1 / where(zero, 1, s))


def _pulled_diagonal(g: Array, a: Array) -> Any:
    """The gradient in x of diag(u^H x v)."""
    return conjugate(singular_weighted(a, conjugate(g), fixed=is_fixed(g)))


singular_values.vjp(a=_pulled_diagonal)
singular_values.jvp(a=lambda t, a: real_part(singular_diagonal(a, t)))
singular_weighted.vjp(
    a=lambda g, a, h, fixed: _singular_gradient(g, a, h, fixed),
    h=lambda g, a: conjugate(singular_diagonal(a, conjugate(g))),
)
singular_diagonal.vjp(
    a=lambda g, a, x: _singular_gradient(conjugate(x), a, conjugate(g), is_fixed(g)), x=_pulled_diagonal
)


@op(complex=True)
def singular_vectors(a: Array) -> Array:
    """y = u (m, k) above v (n, k), with u diag(s) v^H = a and k = min(m, n). LAPACK gives both, and one rule serves them.

    a' = u~ (e s + s f + i Im(u^T u') / s) v^T + (1 - u~ u^T) u' s^-1 v^T + u~ s^-1 v'^H (1 - v~ v^T), with
    e = (u^T u' - (u^T u')^H) / gaps, f = (v^T v' - (v^T v')^H) / gaps, the gaps s_j^2 - s_i^2, and the diagonal of Im(u^T u').
    The first element of each complex v_i is real, as LAPACK's; if m < n, that of u_i.
    """
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return with_real_elements(np.concatenate([u, _h(vh)], axis=-2), _real_element(a))


def _real_element(a: Array) -> int:
    m, n = np.shape(a)[-2:]
    return m if m >= n else 0


def _singular_vectors_rule(g: Array, y: Array, a: Array) -> Any:
    m, n = a.shape[-2:]
    g = for_phase(g, y, _real_element(a))
    (u, v), (gu, gv) = ((part[..., :m, :], part[..., m:, :]) for part in (y, g))
    s = real_part(quotients(u, a, v))
    squares = s * s
    x, z = matmul(_t(u), gu), matmul(_t(v), gv)
    e, f = (over_gaps(p - _h(p), squares - _t(squares), squares) for p in (x, z))
    inner = e * s + _t(s) * f
    if y.dtype.kind == "c":
        turn, size = imag(sum(u * gu, axis=-2, keepdims=True)), sum(abs(u) * abs(gu), axis=-2, keepdims=True)
        inner = inner + np.eye(s.shape[-1], dtype=y.dtype) * (divided(turn, s, size, s[..., :1]) * 1j)
    whole = matmul(matmul(conjugate(u), inner), _t(v))
    if m > n:
        whole = whole + matmul((gu - matmul(conjugate(u), x)) / s, _t(v))
    if n > m:
        whole = whole + matmul(conjugate(u), _h((gv - matmul(conjugate(v), z)) / s))
    return whole


singular_vectors.vjp(a=_singular_vectors_rule)


@implements(np.linalg.svd)
def svd(a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """The singular value decomposition: U diag(S) Vh = a, with S descending.

    a' = U~ diag(S') Vh~ and what the vectors add. Where singular values are equal, or 0 for a matrix that is not square, the
    gradient of the vectors is NaN, or infinite; :func:`svdvals` says what that of the values is. A pair of complex vectors may
    be multiplied by any number of modulus 1: here the first element of each row of Vh is real, as in NumPy, or that of each
    column of U if m < n. A function that depends on this choice has the gradient that belongs to it, NaN where that
    element is 0.

    Args:
        a: (..., m, n).
        full_matrices: must be False for a matrix that is not square: the further columns have no derivative.
        compute_uv: False for S alone.
        hermitian: whether `a` is symmetric, or Hermitian if complex; then only its lower triangle is read, as by :func:`eigh`.

    Returns:
        A named tuple (U, S, Vh) of shapes (..., m, k), (..., k) and (..., k, n), with k the smaller of m and n; or S.

    Raises:
        LinAlgError: (a ValueError) if `a` has fewer than two axes.
        ValueError: for `full_matrices` of a matrix that is not square.
    """
    a = hermitian_of("svd", a, hermitian)
    m, n = np.shape(a)[-2:]
    s = singular_values(a)
    if not compute_uv:
        return s
    if full_matrices and m != n:
        raise ValueError(
            f"svd: `full_matrices` of {np.shape(a)} asks for columns that have no derivative; pass full_matrices=False"
        )
    y = singular_vectors(a)
    return SVDResult(y[..., :m, :], s, _h(y[..., m:, :]))


@implements(np.linalg.svdvals)
def svdvals(x: Array) -> Tensor:
    """The singular values of matrices, descending.   x' = U~ diag(g) Vh~, which at 0 is one of the subgradients.

    Where they are equal, it is exact for functions that are symmetric in them. Second derivatives are as for :func:`eigvalsh`;
    a value of 0 has a kink, like the absolute value at 0, and adds 0 to them.
    """
    matrix("svdvals", x)
    return singular_values(x)
