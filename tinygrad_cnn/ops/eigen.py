"""Eigenvalues and eigenvectors of matrices, and of stacks of them.

Values and vectors are ops of their own. Where values w are repeated, single vectors have no derivative: dv_i is the sum of
v_j x_ij / (w_j - w_i). Their gradient is NaN there. That of the values is as good as at other matrices.

A complex vector may be multiplied by any number of modulus 1. LAPACK chooses the phase that makes one element real, so that
element stays real when the matrix moves. The rules are exact for these vectors, and so for functions that depend on the phase.

In docstrings, m^T is the transpose, m^H its conjugate and m~ the conjugate of m; for real matrices m^H = m^T and m~ = m. The
rules are those of M. B. Giles (2008) and of M. F. Seeger et al., "Auto-differentiating linear algebra" (2017).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Array, Tensor, implements, op
from .compare import equal
from .complex_numbers import conjugate, imag, real
from .elementwise import abs, where
from .linalg import adjoint as _h
from .linalg import matrix, mirrored, solve_columns, square
from .linalg import transposed as _t
from .matmul import matmul
from .reduce import argmax, sum
from .spectral import (
    for_phase,
    is_fixed,
    over_gaps,
    quotients,
    real_part,
    row,
    slopes,
    symmetric,
    with_real_elements,
)

__all__ = ["eig", "eigh", "eigvals", "eigvalsh"]

# Symmetric matrices


class EighResult(NamedTuple):
    """What :func:`eigh` returns: v diag(w) v^H = a."""

    eigenvalues: Any
    eigenvectors: Any


@op(complex=True)
def symmetric_values(a: Array, *, uplo: Any = "L") -> Array:
    """y = the eigenvalues of (a + a^H) / 2, ascending.   a' = v~ diag(g) v^T, with the eigenvectors v.

    LAPACK reads one triangle: from which one it starts decides the signs of v, and the rounding.
    """
    return np.linalg.eigvalsh(symmetric(a), uplo)


@op(linear=["h"], complex=True)
def symmetric_weighted(a: Array, h: Array, *, uplo: Any = "L", fixed: bool = True) -> Array:
    """y = v diag(h) v^H, with the eigenvectors v of (a + a^H) / 2.   h' = diag(v^T g v~),  a' = v~ (p * v^T g v~) v^T.

    p_ij = (h_j - h_i) / (w_j - w_i), with the eigenvalues w. Where w_i = w_j, it is 0 if h_i = h_j and h is `fixed`, not a
    function of a; else NaN.
    """
    v = np.linalg.eigh(symmetric(a), uplo)[1]
    return np.asarray(np.matmul(v * row(h), _h(v)))


@op(linear=["x"], complex=True)
def symmetric_diagonal(a: Array, x: Array, *, uplo: Any = "L") -> Array:
    """y = diag(v^H x v), with the eigenvectors v of (a + a^H) / 2.   x' = v~ diag(g) v^T,  a' as for y = <x', x>."""
    v = np.linalg.eigh(symmetric(a), uplo)[1]
    return np.asarray((conjugate(v) * np.matmul(x, v)).sum(axis=-2))


def _symmetric_gradient(x: Array, a: Array, h: Array, uplo: str, fixed: bool) -> Any:
    """The gradient in a of <v diag(h) v^H, x>."""
    v: Any = symmetric_vectors(a, uplo=uplo)
    w = real_part(quotients(v, symmetric(a), v))
    turned = matmul(_t(v), matmul(x, conjugate(v)))
    return symmetric(matmul(matmul(conjugate(v), slopes(row(h), w, fixed) * turned), _t(v)))


def _pulled_weights(g: Array, a: Array, uplo: str) -> Any:
    """The gradient in x of diag(v^H x v)."""
    return conjugate(symmetric_weighted(a, conjugate(g), uplo=uplo, fixed=is_fixed(g)))


symmetric_values.vjp(a=_pulled_weights)
symmetric_values.jvp(a=lambda t, a, uplo: real_part(symmetric_diagonal(a, t, uplo=uplo)))
symmetric_weighted.vjp(
    a=lambda g, a, h, uplo, fixed: _symmetric_gradient(g, a, h, uplo, fixed),
    h=lambda g, a, uplo: symmetric_diagonal(a, _t(g), uplo=uplo),
)
symmetric_diagonal.vjp(
    a=lambda g, a, x, uplo: _symmetric_gradient(conjugate(x), a, conjugate(g), uplo, is_fixed(g)), x=_pulled_weights
)


@op(complex=True)
def symmetric_vectors(a: Array, *, uplo: Any = "L") -> Array:
    """y = the eigenvectors v of (a + a^H) / 2, in columns.   a' = v~ x v^T, symmetric, with x = (v^T g) / (w_j - w_i).

    The first element of a complex vector is real, for the upper triangle the last one, as LAPACK's.
    """
    v = np.linalg.eigh(symmetric(a), uplo)[1]
    return with_real_elements(v, _real_row(v, uplo))


def _real_row(v: Array, uplo: str) -> int:
    return 0 if uplo == "L" else v.shape[-1] - 1


def _symmetric_vectors_rule(g: Array, y: Array, a: Array, uplo: str) -> Any:
    w = real_part(quotients(y, symmetric(a), y))
    x = matmul(_t(y), for_phase(g, y, _real_row(y, uplo)))
    return symmetric(matmul(matmul(conjugate(y), over_gaps(x, w - _t(w), w)), _t(y)))


symmetric_vectors.vjp(a=_symmetric_vectors_rule)


@implements(np.linalg.eigh)
def eigh(a: Array, UPLO: str = "L") -> EighResult:
    """The eigenvalues w of symmetric matrices, ascending, and their eigenvectors, the columns of v: a = v diag(w) v^H.

    a' = v~ (diag w' + (v^T v') / (w_j - w_i)) v^T, symmetric. Where eigenvalues are equal, the gradient of the eigenvectors is
    NaN; :func:`eigvalsh` says what that of the eigenvalues is. Complex vectors have a real first element, for `UPLO` "U" a
    real last one, as NumPy's. A function that depends on this choice has the gradient that belongs to it, NaN where that
    element is 0; a function that does not, such as a projection v v^H, has the gradient of any choice.

    Args:
        a: (..., n, n), symmetric, or Hermitian if complex; only one triangle is read, as by NumPy. The gradient belongs to
            what is read: that of an element off the diagonal is the sum of both of the symmetric gradient, and that of the
            other triangle 0.
        UPLO: "L" for the lower triangle, or "U" for the upper one.

    Raises:
        LinAlgError: (a ValueError) if `a` is not square.
        ValueError: for another `UPLO`.
    """
    a, uplo = triangle("eigh", a, UPLO), UPLO.upper()
    return EighResult(symmetric_values(a, uplo=uplo), symmetric_vectors(a, uplo=uplo))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Array, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric or Hermitian matrices, ascending.   a' = v~ diag(g) v^T, with the eigenvectors v.

    Where eigenvalues are equal, this is the gradient for one choice of v: it is exact for functions that are symmetric in them,
    as their sum is. Second derivatives are exact there for linear functions, such as the largest eigenvalue where others are
    equal; they are NaN if g depends on a, or differs among equal eigenvalues.

    The arguments and errors are those of :func:`eigh`.
    """
    return symmetric_values(triangle("eigvalsh", a, UPLO), uplo=UPLO.upper())


def triangle(name: str, a: Array, UPLO: str) -> Any:
    """The symmetric matrices of one triangle of `a`, with the errors of :func:`eigh`."""
    square(name, a)
    if str(UPLO).upper() not in ("L", "U"):
        raise ValueError(f"{name}: `UPLO` is {UPLO!r}; it must be 'L' or 'U'")
    return mirrored(a, str(UPLO).upper() == "U")


def hermitian_of(name: str, a: Array, hermitian: bool) -> Any:
    """`a`, or the symmetric matrices of its lower triangle."""
    matrix(name, a)
    return triangle(name, a, "L") if hermitian else a


# Other square matrices


class EigResult(NamedTuple):
    """What :func:`eig` returns: a v = v diag(w)."""

    eigenvalues: Any
    eigenvectors: Any


def _eig(a: Array) -> Any:
    """NumPy's, up to 2.4: real if the matrix and all eigenvalues are."""
    w, v = np.linalg.eig(a)
    if np.iscomplexobj(a) or np.any(w.imag):
        return w, v
    return np.ascontiguousarray(w.real), np.ascontiguousarray(v.real)


@op(complex=True)
def general_values(a: Array) -> Array:
    """y = the eigenvalues of a.   a' = v^-T diag(g) v^T, with the eigenvectors v."""
    return _eig(a)[0]


def _general_values_rule(g: Array, a: Array) -> Any:
    v: Any = general_vectors(a)
    return solve_columns(_t(v), _t(v * row(g)))


general_values.vjp(a=_general_values_rule)


@op(complex=True)
def general_vectors(a: Array) -> Array:
    """y = the eigenvectors v of a, of length 1, in columns; the largest element of a complex one is real, as LAPACK's.

    a' = v^-T x v^T with x = (v^T g - v^T v~ diag(Re v^T g)) / (w_j - w_i).
    """
    return _eig(a)[1]


def _general_vectors_rule(g: Array, y: Array, a: Array) -> Any:
    w, along = quotients(y, a, y), sum(y * g, axis=-2, keepdims=True)
    g = g - conjugate(y) * real_part(along)
    if y.dtype.kind == "c":
        largest = argmax(where(equal(imag(y), 0), abs(y), -1), axis=-2, keepdims=True)
        here = equal(np.arange(y.shape[-2])[:, None], largest)
        g = g - where(here, imag(along) * 1j / where(here, real(y), 1), 0)
    return solve_columns(_t(y), matmul(over_gaps(matmul(_t(y), g), w - _t(w), a), _t(y)))


general_vectors.vjp(a=_general_vectors_rule)


@implements(np.linalg.eig)
def eig(a: Array) -> EigResult:
    """The eigenvalues w of square matrices, and their eigenvectors, the columns of v, of length 1: a v = v diag(w).

    a' = v^-T (diag w' + (v^T v' - v^T v~ diag(Re v^T v')) / (w_j - w_i)) v^T. Where eigenvalues are equal, the gradient of the
    eigenvectors is NaN. The largest element of a complex vector is real, as in NumPy; a function that depends on this choice
    has the gradient that belongs to it.

    Args:
        a: (..., n, n). If it is real and all eigenvalues are, so are the results; else they are complex.

    Raises:
        LinAlgError: (a ValueError) if `a` is not square; in backward, if the computed eigenvectors are dependent. Fewer than n
            true ones may be independent by rounding: then the gradient is meaningless.
    """
    square("eig", a)
    return EigResult(general_values(a), general_vectors(a))


@implements(np.linalg.eigvals)
def eigvals(a: Array) -> Tensor:
    """The eigenvalues of square matrices, with the dtype and errors of :func:`eig`.   a' = v^-T diag(g) v^T."""
    square("eigvals", a)
    return general_values(a)
