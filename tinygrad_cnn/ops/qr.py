"""The QR decomposition of matrices, and of stacks of them.

The rule is that of M. F. Seeger et al., "Auto-differentiating linear algebra" (2017), for matrices that may be complex: m^T is
the transpose of m, m^H its conjugate and m~ the conjugate of m.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..core.grad_mode import is_grad_enabled
from ..core.graph import Array, implements, op
from .complex_numbers import conjugate
from .elementwise import abs, where
from .linalg import adjoint as _h
from .linalg import matrix, mirrored, solve_columns
from .linalg import transposed as _t
from .matmul import matmul
from .reduce import any, max, sum
from .shape import concatenate, reshape

__all__ = ["qr"]


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
    matrix("qr", a)
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
