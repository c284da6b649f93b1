"""The pseudoinverse, least squares and the rank of matrices.

The rule of the pseudoinverse is that of G. H. Golub and V. Pereyra (1973), for matrices that may be complex: m^T is the
transpose of m, m^H its conjugate and m~ the conjugate of m.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Array, Tensor, implements, op
from .compare import greater
from .complex_numbers import conjugate, real
from .eigen import hermitian_of
from .linalg import adjoint as _h
from .linalg import transposed as _t
from .matmul import matmul
from .real import constant
from .reduce import sum
from .shape import reshape
from .singular import svdvals

__all__ = ["lstsq", "matrix_rank", "pinv"]


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
    a = hermitian_of("pinv", a, hermitian)
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
