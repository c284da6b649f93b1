"""What the rules of eigenvalues and singular values share: quotients by gaps between values, and phases of complex vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.graph import Array
from .compare import logical_and, logical_or
from .complex_numbers import conjugate, imag, real
from .elementwise import abs, where
from .linalg import adjoint, transposed
from .matmul import matmul
from .reduce import max, sum
from .shape import reshape


def real_part(a: Array) -> Any:
    """The real part of complex numbers; real ones as they are."""
    return real(a) if a.dtype.kind == "c" else a


def over_gaps(x: Array, gaps: Array, scale: Array, fixed: bool = False) -> Any:
    """x / gaps off the diagonal, and 0 on it. Where a gap is 0 within rounding, 0 if x is 0 and `fixed`; else NaN."""
    size = max(sum(abs(scale), axis=-1, keepdims=True), axis=-2, keepdims=True)
    same = abs(gaps) <= np.finfo(x.dtype).eps * 2 * size
    none = logical_or(np.eye(x.shape[-1], dtype=bool), logical_and(same, logical_and(x == 0, fixed)))
    return over(x, gaps, none, same)


def over(x: Array, by: Array, none: Array, lost: Array) -> Any:
    """x / by. Where `none`, it is 0; else where `lost`, it is NaN, with all derivatives."""
    factor = where(none, 1, where(lost, np.full((), math.nan, by.dtype), 1))  # complex numbers divided by NaN warn
    return where(none, 0, x / where(logical_or(none, lost), 1, by) * factor)


def slopes(h: Array, w: Array, fixed: bool) -> Any:
    """(h_j - h_i) / (w_j - w_i) of two rows. Where w_i = w_j within rounding, 0 if h_i = h_j and h is `fixed`; else NaN."""
    return over_gaps(h - transposed(h), w - transposed(w), w, fixed)


def is_fixed(g: Array) -> bool:
    """Whether g is no function of the matrix, as it is unless its own gradient is asked for."""
    return not getattr(g, "requires_grad", False)


def row(w: Array) -> Any:
    """Values (..., n) as rows (..., 1, n)."""
    return reshape(w, shape=(*w.shape[:-1], 1, w.shape[-1]))


def quotients(u: Array, a: Array, v: Array) -> Any:
    """u_i^H a v_i, as rows (..., 1, n)."""
    return sum(conjugate(u) * matmul(a, v), axis=-2, keepdims=True)


def symmetric(a: Array) -> Any:
    """(a + a^H) / 2; halves of integers are float64, whose sums do not wrap around."""
    return a * 0.5 + adjoint(a) * 0.5


def with_real_elements(y: np.ndarray, row: int) -> np.ndarray:
    """The columns of y, turned until element `row` is real. LAPACK's are so but for rounding, or for wide matrices."""
    if y.dtype.kind != "c":
        return y
    first = y[..., row : row + 1, :]
    size = np.abs(first)
    none = size == 0
    sign = np.where(first.real < 0, -1, 1).astype(size.dtype)
    return np.asarray(y * np.where(none, 1, sign * first.conj() / np.where(none, 1, size)))


def divided(x: Array, by: Array, size: Array, scale: Any) -> Any:
    """x / by, a sum x of terms of this size; NaN where `by` is 0. Where it is tiny beside `scale` and x only rounding, 0."""
    eps = float(np.finfo(x.dtype).eps)
    none = logical_and(abs(x) <= 64 * eps * size, abs(by) <= math.sqrt(eps) * scale)
    return over(x, by, none, by == 0)


def for_phase(g: Array, y: Array, row: int) -> Any:
    """The gradient g in complex vectors y whose element `row` stays real, as one that no phase changes.

    Turning v_i by an angle changes f by -Im(v_i^T g_i). If the other rules move the element by i d, the vector turns back by
    d / v, so g gets another gradient in the element.
    """
    if y.dtype.kind != "c":
        return g
    turn, size = (imag(sum(y * g, axis=-2, keepdims=True)), sum(abs(y) * abs(g), axis=-2, keepdims=True))
    here = np.eye(y.shape[-2], dtype=y.dtype)[:, row : row + 1]
    return g - here * (divided(turn, real(y[..., row : row + 1, :]), size, 1) * 1j)
