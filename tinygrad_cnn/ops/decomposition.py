"""Eigenvalues, singular values, QR and the pseudoinverse of matrices, and of stacks of them.

Values and vectors are ops of their own. Where values w are repeated, single vectors have no derivative: dv_i is the sum of
v_j x_ij / (w_j - w_i). Their gradient is NaN there. That of the values is as good as at other matrices.

A complex vector may be multiplied by any number of modulus 1. LAPACK chooses the phase that makes one element real, so that
element stays real when the matrix moves. The rules are exact for these vectors, and so for functions that depend on the phase.

In docstrings, m^T is the transpose, m^H its conjugate and m~ the conjugate of m; for real matrices m^H = m^T and m~ = m. The
rules are those of M. B. Giles (2008), of M. F. Seeger et al., "Auto-differentiating linear algebra" (2017), and for the
pseudoinverse of G. H. Golub and V. Pereyra (1973).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..core.grad_mode import is_grad_enabled
from ..core.graph import Array, Tensor, implements, op
from .compare import equal, greater, logical_and, logical_or
from .complex_numbers import conjugate, imag, real
from .elementwise import abs, where
from .linalg import mirrored, solve_columns, square
from .matmul import matmul
from .real import constant
from .reduce import any, argmax, max, sum
from .shape import concatenate, reshape, swapaxes

__all__ = ["eig", "eigh", "eigvals", "eigvalsh", "lstsq", "matrix_rank", "pinv", "qr", "svd", "svdvals"]


def _t(m: Array) -> Any:
    return swapaxes(m, -1, -2)


def _h(m: Array) -> Any:
    return conjugate(_t(m))


def _real(a: Array) -> Any:
    """The real part of complex numbers; real ones as they are."""
    return real(a) if a.dtype.kind == "c" else a


def _matrix(name: str, a: Array) -> None:
    if np.ndim(a) < 2:
        raise np.linalg.LinAlgError(f"{name}: `a` has shape {np.shape(a)}; it must be a matrix, or a stack of them")


def _over_gaps(x: Array, gaps: Array, scale: Array, fixed: bool = False) -> Any:
    """x / gaps off the diagonal, and 0 on it. Where a gap is 0 within rounding, 0 if x is 0 and `fixed`; else NaN."""
    size = max(sum(abs(scale), axis=-1, keepdims=True), axis=-2, keepdims=True)
    same = abs(gaps) <= np.finfo(x.dtype).eps * 2 * size
    none = logical_or(np.eye(x.shape[-1], dtype=bool), logical_and(same, logical_and(x == 0, fixed)))
    return _over(x, gaps, none, same)


def _over(x: Array, by: Array, none: Array, lost: Array) -> Any:
    """x / by. Where `none`, it is 0; else where `lost`, it is NaN, with all derivatives."""
    factor = where(none, 1, where(lost, np.full((), math.nan, by.dtype), 1))  # complex numbers divided by NaN warn
    return where(none, 0, x / where(logical_or(none, lost), 1, by) * factor)


def _slopes(h: Array, w: Array, fixed: bool) -> Any:
    """(h_j - h_i) / (w_j - w_i) of two rows. Where w_i = w_j within rounding, 0 if h_i = h_j and h is `fixed`; else NaN."""
    return _over_gaps(h - _t(h), w - _t(w), w, fixed)


def _row(w: Array) -> Any:
    return reshape(w, shape=(*w.shape[:-1], 1, w.shape[-1]))


def _quotients(u: Array, a: Array, v: Array) -> Any:
    """u_i^H a v_i, as rows (..., 1, n)."""
    return sum(conjugate(u) * matmul(a, v), axis=-2, keepdims=True)


def _symmetric(a: Array) -> Any:
    """(a + a^H) / 2; halves of integers are float64, whose sums do not wrap around."""
    return a * 0.5 + conjugate(a).swapaxes(-1, -2) * 0.5


# The phases of complex vectors


def _turned(y: np.ndarray, row: int) -> np.ndarray:
    """The columns of y, turned until element `row` is real. LAPACK's are so but for rounding, or for wide matrices."""
    if y.dtype.kind != "c":
        return y
    first = y[..., row : row + 1, :]
    size = np.abs(first)
    none = size == 0
    sign = np.where(first.real < 0, -1, 1).astype(size.dtype)
    return np.asarray(y * np.where(none, 1, sign * first.conj() / np.where(none, 1, size)))


def _divided(x: Array, by: Array, size: Array, scale: Any) -> Any:
    """x / by, a sum x of terms of this size; NaN where `by` is 0. Where it is tiny beside `scale` and x only rounding, 0."""
    eps = float(np.finfo(x.dtype).eps)
    none = logical_and(abs(x) <= 64 * eps * size, abs(by) <= math.sqrt(eps) * scale)
    return _over(x, by, none, by == 0)


def _for_phase(g: Array, y: Array, row: int) -> Any:
    """The gradient g in complex vectors y whose element `row` stays real, as one that no phase changes.

    Turning v_i by an angle changes f by -Im(v_i^T g_i). If the other rules move the element by i d, the vector turns back by
    d / v, so g gets another gradient in the element.
    """
    if y.dtype.kind != "c":
        return g
    turn, size = (imag(sum(y * g, axis=-2, keepdims=True)), sum(abs(y) * abs(g), axis=-2, keepdims=True))
    here = np.eye(y.shape[-2], dtype=y.dtype)[:, row : row + 1]
    return g - here * (_divided(turn, real(y[..., row : row + 1, :]), size, 1) * 1j)


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
    return np.linalg.eigvalsh(_symmetric(a), uplo)


@op(linear=["h"], complex=True)
def symmetric_weighted(a: Array, h: Array, *, uplo: Any = "L", fixed: bool = True) -> Array:
    """y = v diag(h) v^H, with the eigenvectors v of (a + a^H) / 2.   h' = diag(v^T g v~),  a' = v~ (p * v^T g v~) v^T.

    p_ij = (h_j - h_i) / (w_j - w_i), with the eigenvalues w. Where w_i = w_j, it is 0 if h_i = h_j and h is `fixed`, not a
    function of a; else NaN.
    """
    v = np.linalg.eigh(_symmetric(a), uplo)[1]
    return np.asarray(np.matmul(v * _row(h), _h(v)))


@op(linear=["x"], complex=True)
def symmetric_diagonal(a: Array, x: Array, *, uplo: Any = "L") -> Array:
    """y = diag(v^H x v), with the eigenvectors v of (a + a^H) / 2.   x' = v~ diag(g) v^T,  a' as for y = <x', x>."""
    v = np.linalg.eigh(_symmetric(a), uplo)[1]
    return np.asarray((conjugate(v) * np.matmul(x, v)).sum(axis=-2))


def _symmetric_turned(x: Array, a: Array, h: Array, uplo: str, fixed: bool) -> Any:
    """The gradient in a of <v diag(h) v^H, x>."""
    v: Any = symmetric_vectors(a, uplo=uplo)
    w = _real(_quotients(v, _symmetric(a), v))
    turned = matmul(_t(v), matmul(x, conjugate(v)))
    return _symmetric(matmul(matmul(conjugate(v), _slopes(_row(h), w, fixed) * turned), _t(v)))


def _fixed(g: Array) -> bool:
    return not getattr(g, "requires_grad", False)


def _pulled_weights(g: Array, a: Array, uplo: str) -> Any:
    """The gradient in x of diag(v^H x v)."""
    return conjugate(symmetric_weighted(a, conjugate(g), uplo=uplo, fixed=_fixed(g)))


symmetric_values.vjp(a=_pulled_weights)
symmetric_values.jvp(a=lambda t, a, uplo: _real(symmetric_diagonal(a, t, uplo=uplo)))
symmetric_weighted.vjp(
    a=lambda g, a, h, uplo, fixed: _symmetric_turned(g, a, h, uplo, fixed),
    h=lambda g, a, uplo: symmetric_diagonal(a, _t(g), uplo=uplo),
)
symmetric_diagonal.vjp(
    a=lambda g, a, x, uplo: _symmetric_turned(conjugate(x), a, conjugate(g), uplo, _fixed(g)), x=_pulled_weights
)


@op(complex=True)
def symmetric_vectors(a: Array, *, uplo: Any = "L") -> Array:
    """y = the eigenvectors v of (a + a^H) / 2, in columns.   a' = v~ x v^T, symmetric, with x = (v^T g) / (w_j - w_i).

    The first element of a complex vector is real, for the upper triangle the last one, as LAPACK's.
    """
    v = np.linalg.eigh(_symmetric(a), uplo)[1]
    return _turned(v, _real_row(v, uplo))


def _real_row(v: Array, uplo: str) -> int:
    return 0 if uplo == "L" else v.shape[-1] - 1


def _symmetric_vectors_rule(g: Array, y: Array, a: Array, uplo: str) -> Any:
    w = _real(_quotients(y, _symmetric(a), y))
    x = matmul(_t(y), _for_phase(g, y, _real_row(y, uplo)))
    return _symmetric(matmul(matmul(conjugate(y), _over_gaps(x, w - _t(w), w)), _t(y)))


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
    a, uplo = _triangle("eigh", a, UPLO), UPLO.upper()
    return EighResult(symmetric_values(a, uplo=uplo), symmetric_vectors(a, uplo=uplo))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Array, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric or Hermitian matrices, ascending.   a' = v~ diag(g) v^T, with the eigenvectors v.

    Where eigenvalues are equal, this is the gradient for one choice of v: it is exact for functions that are symmetric in them,
    as their sum is. Second derivatives are exact there for linear functions, such as the largest eigenvalue where others are
    equal; they are NaN if g depends on a, or differs among equal eigenvalues.

    The arguments and errors are those of :func:`eigh`.
    """
    return symmetric_values(_triangle("eigvalsh", a, UPLO), uplo=UPLO.upper())


def _triangle(name: str, a: Array, UPLO: str) -> Any:
    """The symmetric matrices of one triangle of `a`, with the errors of :func:`eigh`."""
    square(name, a)
    if str(UPLO).upper() not in ("L", "U"):
        raise ValueError(f"{name}: `UPLO` is {UPLO!r}; it must be 'L' or 'U'")
    return mirrored(a, str(UPLO).upper() == "U")


def _hermitian(name: str, a: Array, hermitian: bool) -> Any:
    """`a`, or the symmetric matrices of its lower triangle."""
    _matrix(name, a)
    return _triangle(name, a, "L") if hermitian else a


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
    return solve_columns(_t(v), _t(v * _row(g)))


general_values.vjp(a=_general_values_rule)


@op(complex=True)
def general_vectors(a: Array) -> Array:
    """y = the eigenvectors v of a, of length 1, in columns; the largest element of a complex one is real, as LAPACK's.

    a' = v^-T x v^T with x = (v^T g - v^T v~ diag(Re v^T g)) / (w_j - w_i).
    """
    return _eig(a)[1]


def _general_vectors_rule(g: Array, y: Array, a: Array) -> Any:
    w, along = _quotients(y, a, y), sum(y * g, axis=-2, keepdims=True)
    g = g - conjugate(y) * _real(along)
    if y.dtype.kind == "c":
        row = argmax(where(equal(imag(y), 0), abs(y), -1), axis=-2, keepdims=True)
        here = equal(np.arange(y.shape[-2])[:, None], row)
        g = g - where(here, imag(along) * 1j / where(here, real(y), 1), 0)
    return solve_columns(_t(y), matmul(_over_gaps(matmul(_t(y), g), w - _t(w), a), _t(y)))


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


# Singular values


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
    return np.asarray(np.matmul(u * _row(h), vh))


@op(linear=["x"], complex=True)
def singular_diagonal(a: Array, x: Array) -> Array:
    """y = diag(u^H x v), with the singular vectors u and v of a.   x' = u~ diag(g) v^T,  a' as for y = <x', x>."""
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return np.asarray((conjugate(u) * np.matmul(x, _h(vh))).sum(axis=-2))


def _singular_turned(x: Array, a: Array, h: Array, fixed: bool) -> Any:
    """The gradient in a of <u diag(h) v^H, x>."""
    m, n = a.shape[-2:]
    y: Any = singular_vectors(a)
    u, v, h = y[..., :m, :], y[..., m:, :], _row(h)
    s = _real(_quotients(u, a, v))
    left, right = matmul(x, conjugate(v)), matmul(_t(x), u)
    turned, over = matmul(_t(u), left), h * _reciprocal(s, fixed)
    even, odd = _slopes(h, s, fixed) * turned, (h + _t(h)) * _reciprocal(s + _t(s), fixed) * turned
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
    return conjugate(singular_weighted(a, conjugate(g), fixed=_fixed(g)))


singular_values.vjp(a=_pulled_diagonal)
singular_values.jvp(a=lambda t, a: _real(singular_diagonal(a, t)))
singular_weighted.vjp(
    a=lambda g, a, h, fixed: _singular_turned(g, a, h, fixed),
    h=lambda g, a: conjugate(singular_diagonal(a, conjugate(g))),
)
singular_diagonal.vjp(a=lambda g, a, x: _singular_turned(conjugate(x), a, conjugate(g), _fixed(g)), x=_pulled_diagonal)


@op(complex=True)
def singular_vectors(a: Array) -> Array:
    """y = u (m, k) above v (n, k), with u diag(s) v^H = a and k = min(m, n). LAPACK gives both, and one rule serves them.

    a' = u~ (e s + s f + i Im(u^T u') / s) v^T + (1 - u~ u^T) u' s^-1 v^T + u~ s^-1 v'^H (1 - v~ v^T), with
    e = (u^T u' - (u^T u')^H) / gaps, f = (v^T v' - (v^T v')^H) / gaps, the gaps s_j^2 - s_i^2, and the diagonal of Im(u^T u').
    The first element of each complex v_i is real, as LAPACK's; if m < n, that of u_i.
    """
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return _turned(np.concatenate([u, _h(vh)], axis=-2), _real_element(a))


def _real_element(a: Array) -> int:
    m, n = np.shape(a)[-2:]
    return m if m >= n else 0


def _singular_vectors_rule(g: Array, y: Array, a: Array) -> Any:
    m, n = a.shape[-2:]
    g = _for_phase(g, y, _real_element(a))
    (u, v), (gu, gv) = ((part[..., :m, :], part[..., m:, :]) for part in (y, g))
    s = _real(_quotients(u, a, v))
    squares = s * s
    x, z = matmul(_t(u), gu), matmul(_t(v), gv)
    e, f = (_over_gaps(p - _h(p), squares - _t(squares), squares) for p in (x, z))
    inner = e * s + _t(s) * f
    if y.dtype.kind == "c":
        turn, size = imag(sum(u * gu, axis=-2, keepdims=True)), sum(abs(u) * abs(gu), axis=-2, keepdims=True)
        inner = inner + np.eye(s.shape[-1], dtype=y.dtype) * (_divided(turn, s, size, s[..., :1]) * 1j)
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
    a = _hermitian("svd", a, hermitian)
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
    _matrix("svdvals", x)
    return singular_values(x)


# QR


class QRResult(NamedTuple):
    """What :func:`qr` returns: Q R = a."""

    Q: Any
    R: Any


@op(complex=True)
def qr_packed(a: Array) -> Array:
    """y = q (m, n) above r (n, n), for m >= n, with q^H q = 1 and r upper triangular, with a real diagonal.

    a' = (q' + q~ c~) r^-T, where c has the lower half, and that mirrored, of x = r r'^T - q'^T q.
    """
    q, r = np.linalg.qr(a)
    return np.concatenate([q, r], axis=-2)


def _qr_rule(g: Array, y: Array, in_shape: tuple[int, ...]) -> Any:
    m = in_shape[-2]
    q, r, gq, gr = y[..., :m, :], y[..., m:, :], g[..., :m, :], g[..., m:, :]
    c = mirrored(matmul(r, _t(gr)) - matmul(_t(gq), q))
    left, size = abs(sum(r * np.eye(r.shape[-1], dtype=r.dtype), axis=-2)), max(abs(r), axis=-2)  # of each column of a
    dependent = any(left <= 4 * math.sqrt(m) * np.finfo(r.dtype).eps * size, axis=-1)
    dependent = reshape(dependent, shape=(*dependent.shape, 1, 1))
    r = where(dependent, np.eye(r.shape[-1], dtype=r.dtype), r)  # what can be solved for
    lost = where(dependent, np.full((1, 1), math.nan, r.dtype), np.ones((1, 1), r.dtype))
    return lost * _t(solve_columns(r, _t(gq + matmul(conjugate(q), conjugate(c)))))


qr_packed.vjp(a=_qr_rule)


@op(differentiable=False)
def complete_basis(a: Array) -> Array:
    """y = q (m, m) of a (m, n), for m > n: a basis whose columns beyond the n-th are any that complete it; no gradient."""
    return np.linalg.qr(a, "complete")[0]


@implements(np.linalg.qr)
def qr(a: Array, mode: str = "reduced") -> Any:
    """Q R = a, with Q^H Q = 1 and R upper triangular, with a real diagonal.   a' = (Q' + Q~ c~) R^-T.

    c is the lower half of R R'^T - Q'^T Q, mirrored.

    Args:
        a: (..., m, n). Where its first min(m, n) columns are dependent within rounding, the gradient is NaN.
        mode: "reduced"; "r" for R alone; "complete" for a square Q. Where m > n, its further columns are any that complete
            the basis, so they have no derivative, and `a` must not require one.

    Returns:
        A named tuple (Q, R) of shapes (..., m, k) and (..., k, n), with k the smaller of m and n, or m for "complete"; or R.
        LAPACK chooses the signs of R's diagonal, and another one for a column that is already zero below it: there Q and R
        jump.

    Raises:
        LinAlgError: (a ValueError) if `a` has fewer than two axes.
        ValueError: for another mode; for "complete" of a tall matrix that requires a gradient.
    """
    _matrix("qr", a)
    m, n = np.shape(a)[-2:]
    if mode not in ("reduced", "r", "complete"):
        raise ValueError(f"qr: `mode` is {mode!r}; it must be 'reduced', 'r' or 'complete'")
    a = a if hasattr(a, "shape") else np.asarray(a)
    if mode == "complete" and m > n:
        if getattr(a, "requires_grad", False) and is_grad_enabled():
            raise ValueError(
                f"qr: `a` {np.shape(a)} requires a gradient, which the further columns of Q do not have with `mode` "
                "'complete'; use mode='reduced', or a.detach()"
            )
        r = qr_packed(a)[..., m:, :]
        return QRResult(complete_basis(a), concatenate([r, np.zeros((*r.shape[:-2], m - n, n), r.dtype)], axis=-2))
    y: Any = qr_packed(a[..., :, :m] if n > m else a)
    q, r = y[..., :m, :], y[..., m:, :]
    if n > m:
        r = concatenate([r, matmul(_h(q), a[..., :, m:])], axis=-1)
    return r if mode == "r" else QRResult(q, r)


# Least squares


@op(complex=True)
def pseudoinverse(a: Array, *, rtol: float) -> Array:
    """y = a^+, in which singular values up to `rtol` times the largest one count as 0.

    a' = -y^T g y^T + ((1 - a y) g^T y y^H + y^H y g^T (1 - y a))~, where the rank is constant.
    """
    return np.linalg.pinv(a, rtol)


def _pinv_rule(g: Array, y: Array, a: Array) -> Any:
    h, w = _t(g), _h(y)
    first, second = matmul(matmul(h, y), w), matmul(matmul(w, y), h)
    both = first - matmul(a, matmul(y, first)) + second - matmul(matmul(second, y), a)
    return conjugate(both) - matmul(matmul(_t(y), g), _t(y))


pseudoinverse.vjp(a=_pinv_rule)


@implements(np.linalg.pinv)
def pinv(a: Array, rcond: float | None = None, hermitian: bool = False, *, rtol: float | None = None) -> Tensor:
    """y = a^+, the Moore-Penrose pseudoinverse: a^-1 for an invertible matrix, and (a^H a)^-1 a^H for independent columns.

    a' = -y^T g y^T + ((1 - a y) g^T y y^H + y^H y g^T (1 - y a))~, which holds while the rank does not change.

    Args:
        a: (..., m, n).
        rcond: singular values up to this number times the largest one count as 0; 1e-15 by default, as in NumPy.
        hermitian: whether `a` is symmetric; then only its lower triangle is read, as by :func:`eigh`.
        rtol: another name of `rcond`.

    Raises:
        LinAlgError: (a ValueError) if `a` has fewer than two axes.
        TypeError: if `rcond` requires a gradient.
    """
    a = _hermitian("pinv", a, hermitian)
    cut = constant("pinv", "rcond", rcond) if rtol is None else constant("pinv", "rtol", rtol)
    return pseudoinverse(a, rtol=1e-15 if cut is None else float(cut))


class LstsqResult(NamedTuple):
    """What :func:`lstsq` returns."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


@implements(np.linalg.lstsq)
def lstsq(a: Array, b: Array, rcond: float | None = None) -> LstsqResult:
    """x = a^+ b, the shortest of those with the least |a x - b|.

    Args:
        a: (m, n).
        b: (m,) or (m, k).
        rcond: singular values up to this number times the largest one count as 0; None for the larger of m and n times the
            dtype's eps.

    Returns:
        A named tuple: x, its `solution`; the `residuals`, sums of squares |a x - b|^2, empty unless m > n (for a lower rank
        than n, NumPy leaves them out, too); the `rank`, an integer; and the `singular_values` of a. All but the rank have
        gradients.

    Raises:
        LinAlgError: (a ValueError) if `a` is not a matrix.
        ValueError: if `b` has another number of rows.
    """
    shape, size = np.shape(a), np.shape(b)
    if len(shape) != 2:
        raise np.linalg.LinAlgError(f"lstsq: `a` has shape {shape}; it must be a matrix")
    if len(size) not in (1, 2) or size[0] != shape[0]:
        raise ValueError(
            f"lstsq: `b` has shape {size}; it must be ({shape[0]},) or ({shape[0]}, k) to go with `a` {shape}"
        )
    s: Any = svdvals(a)
    dtype = s.dtype
    cut = float(np.finfo(dtype).eps * np.max(shape) if rcond is None or rcond < 0 else rcond)
    x: Any = matmul(pseudoinverse(a, rtol=cut), b)
    rank = sum(greater(s, cut * s[:1]))
    error: Any = matmul(a, x) - b
    residuals = reshape(real(sum(error * conjugate(error), axis=0)), shape=(-1,))
    return LstsqResult(x, residuals if shape[0] > shape[1] else residuals[:0], rank, s)


@op(numpy=np.linalg.matrix_rank, differentiable=False)
def matrix_rank(A: Array, *, tol: Any = None, hermitian: bool = False, rtol: Any = None) -> Array:
    """How many singular values of A are above `tol`, or `rtol` times the largest one; without a gradient.

    `rtol` is max(m, n) eps by default. With `hermitian`, the lower triangles of square matrices count, as in NumPy.
    """
    return np.asarray(np.linalg.matrix_rank(A, tol, hermitian, rtol=rtol))
