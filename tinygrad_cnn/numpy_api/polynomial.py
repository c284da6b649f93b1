"""Polynomials by their coefficients, highest power first, and convolutions of sequences, by NumPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.graph import Array, Tensor, implements
from ..core.registry import numpy_ops
from ..core.remedies import publish
from ..ops.complex_numbers import conjugate
from ..ops.composite import accept_lists
from ..ops.conv import conv1d
from ..ops.eigen import eigvals
from ..ops.elementwise import add, astype, cast, in_floats, sqrt, sub, where
from ..ops.least_squares import pseudoinverse
from ..ops.matmul import matmul
from ..ops.rearrange import flip
from ..ops.reduce import sum
from ..ops.shape import concatenate, pad_constant, reshape, stack
from .join import atleast_1d

__all__ = [
    "convolve", "correlate", "poly", "polyadd", "polyder", "polyfit", "polyint", "polymul", "polysub", "polyval",
    "vander",
]  # fmt: skip


@implements(np.polyval)
def polyval(p: Array, x: Array) -> Tensor:
    """y = p_0 x^(n-1) + ... + p_(n-1), by Horner's scheme.   p'_i = the sum of g x^(n-1-i),  x' = g times the slope."""
    p, x = (a if hasattr(a, "shape") else np.asarray(a) for a in (p, x))
    y: Any = x * 0
    for i in range(p.shape[0]):
        y = y * x + p[i]
    return y  # type: ignore[no-any-return]


@implements(np.vander)
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Tensor:
    """y_ij = x_i^(N-1-j), or x_i^j with `increasing`; N is the length of x by default.   x' = g times the slopes, summed.

    Raises:
        ValueError: if `x` is not 1-D.
    """
    if np.ndim(x) != 1:
        raise ValueError(f"vander: `x` has shape {np.shape(x)}; it must be 1-D")
    x = x if hasattr(x, "dtype") else np.asarray(x)
    x = x if x.dtype.kind == "f" else astype(x, np.promote_types(x.dtype, int))  # as NumPy
    count = x.shape[0] if N is None else N
    if not count:
        return reshape(x[:0], shape=(x.shape[0], 0))
    powers = [where(False, x, 1), x][:count]
    while len(powers) < count:
        powers.append(powers[-1] * x)
    return stack(powers if increasing else powers[::-1], axis=1)


def _sequences(name: str, a: Array, v: Array) -> tuple[Any, Any]:
    a, v = atleast_1d(a, v)
    if np.ndim(a) != 1 or np.ndim(v) != 1 or not np.size(a) or not np.size(v):
        raise ValueError(
            f"{name}: the sequences have shapes {np.shape(a)} and {np.shape(v)}; they must be 1-D, not empty"
        )
    dtype = np.result_type(a.dtype, v.dtype)
    return tuple(cast(s, dtype=dtype) if s.dtype != dtype and dtype.kind == "f" else s for s in (a, v))  # type: ignore[return-value]


def _correlated(name: str, a: Any, v: Any, mode: str) -> Any:
    """y_k = the sum of a_(i+k) v_i, for as many k as `mode` says, where v is not longer than a."""
    n, m = a.shape[0], v.shape[0]
    starts = {"full": 0, "same": m - 1 - m // 2, "valid": m - 1}
    if mode not in starts:
        raise ValueError(f"{name}: `mode` is {mode!r}; it must be 'full', 'same' or 'valid'")
    y = reshape(conv1d(reshape(a, shape=(1, 1, n)), reshape(v, shape=(1, 1, m))), shape=(-1,))
    if mode == "valid" or m == 1:
        return y
    turned = flip(v)
    y = concatenate([_shifted(a[: m - 1], turned)[: m - 1], y, _shifted(a[1 - m :], turned)[1 - m :]])
    return y if mode == "full" else y[starts[mode] : starts[mode] + n]


def _shifted(a: Any, w: Any) -> Any:
    """The sum of w_j a, moved by j places. Borders are added, not multiplied, as by a convolution: 0 times infinity is NaN."""
    n, m, y = a.shape[0], w.shape[0], None
    for start in range(0, m, 64):  # so many rows at a time
        part = w[start : start + 64]
        k = part.shape[0]
        rows = reshape(pad_constant(reshape(part, shape=(k, 1)) * a, pad_width=((0, 0), (0, k))), shape=(-1,))
        total = sum(reshape(rows[:-k], shape=(k, n + k - 1)), axis=0)
        total = pad_constant(total, pad_width=((start, m - start - k),))
        y = total if y is None else y + total
    return astype(y, a.dtype)


@implements(np.convolve)
def convolve(a: Array, v: Array, mode: str = "full") -> Tensor:
    """y_k = the sum of a_i v_(k-i) of two sequences: the coefficients of a product of polynomials.

    a' = g correlated with v,  v' = g correlated with a.

    Args:
        a, v: vectors.
        mode: "full" for every k, "same" for as many as the longer one has, "valid" for those where the sequences overlap fully.

    Raises:
        ValueError: if they are not 1-D or are empty, or for another mode.
    """
    a, v = _sequences("convolve", a, v)
    if v.shape[0] > a.shape[0]:
        a, v = v, a
    return _correlated("convolve", a, flip(v), mode)  # type: ignore[no-any-return]


@implements(np.correlate)
def correlate(a: Array, v: Array, mode: str = "valid") -> Tensor:
    """y_k = the sum of a_(i+k) conj(v_i) of two sequences, with the modes of :func:`convolve`.

    a' = g convolved with v,  v' = a correlated with g.

    Raises:
        ValueError: if they are not 1-D or are empty, or for another mode.
    """
    a, v = _sequences("correlate", a, v)
    v = conjugate(v)
    if v.shape[0] > a.shape[0]:
        return flip(_correlated("correlate", v, a, mode))
    return _correlated("correlate", a, v, mode)  # type: ignore[no-any-return]


def _aligned(a: Array, b: Array) -> list[Any]:
    sequences = atleast_1d(a, b)
    n = max(s.shape[0] for s in sequences)
    return [s if s.shape[0] == n else pad_constant(s, pad_width=((n - s.shape[0], 0),)) for s in sequences]


@implements(np.polyadd)
def polyadd(a1: Array, a2: Array) -> Tensor:
    """The coefficients of the sum of two polynomials.   Each gets its own part of g."""
    return add(*_aligned(a1, a2))


@implements(np.polysub)
def polysub(a1: Array, a2: Array) -> Tensor:
    """The coefficients of the difference of two polynomials.   a1' = its part of g,  a2' = minus its part."""
    return sub(*_aligned(a1, a2))


@implements(np.polymul)
def polymul(a1: Array, a2: Array) -> Tensor:
    """The coefficients of the product of two polynomials: :func:`convolve` of theirs.

    Leading zeros are kept, so that the length depends on shapes alone: for m and n coefficients it is m + n - 1. NumPy drops
    them.
    """
    return convolve(a1, a2)


def _powers(n: int, dtype: np.dtype[Any]) -> Any:
    """n, n - 1, ..., 1, in the dtype of floating-point coefficients."""
    powers = np.arange(n, 0, -1)
    return powers.astype(dtype) if dtype.kind == "f" else powers


@implements(np.polyder)
def polyder(p: Array, m: int = 1) -> Tensor:
    """The coefficients of the m-th derivative of a polynomial.   p' = g times the factors of its powers.

    Raises:
        ValueError: if `m` is negative.
    """
    if m < 0:
        raise ValueError(f"polyder: `m` is {m}; it must be 0 or more")
    p = atleast_1d(p)
    for _ in range(m):
        n = p.shape[0] - 1
        p = p[: max(n, 0)] * _powers(max(n, 0), p.dtype)
    return p  # type: ignore[no-any-return]


@implements(np.polyint)
def polyint(p: Array, m: int = 1, k: Array = None) -> Tensor:
    """The coefficients of an m-th integral of a polynomial, with the constants k, 0 by default.   p' = g over the powers.

    A single constant serves every integral.

    Raises:
        ValueError: if `m` is negative, or `k` has fewer than `m` constants and not exactly one.
    """
    k = np.zeros(m) if k is None else atleast_1d(k)
    k = k if np.size(k) != 1 else k * np.ones(max(m, 1), k.dtype)
    if m < 0 or np.shape(k)[0] < m:
        raise ValueError(
            f"polyint: `m` is {m} and `k` has {np.size(k)} constants; m must be >= 0, with a constant each"
        )
    p = atleast_1d(p)
    for i in range(m):
        n = p.shape[0]
        constant = k[i : i + 1] if k.dtype == p.dtype or p.dtype.kind != "f" else cast(k[i : i + 1], dtype=p.dtype)
        p = concatenate([p / _powers(n, p.dtype), constant], axis=0)
    return p  # type: ignore[no-any-return]


@implements(np.poly)
def poly(seq_of_zeros: Array) -> Tensor:
    """The coefficients of the polynomial (x - z_0) (x - z_1) ..., or of the characteristic polynomial of a square matrix.

    Raises:
        ValueError: if the zeros are neither 1-D nor a square matrix.
        LinAlgError: if the eigenvalues of the matrix are complex.
    """
    zeros = in_floats(atleast_1d(seq_of_zeros), complex=True)
    if np.ndim(zeros) == 2:
        zeros = eigvals(zeros)
    if np.ndim(zeros) != 1:
        raise ValueError(f"poly: `seq_of_zeros` has shape {np.shape(zeros)}; it must be 1-D or a square matrix")
    y: Any = concatenate([zeros[:0], np.ones(1, zeros.dtype)], axis=0)  # a Tensor for a Tensor, also without zeros
    for i in range(zeros.shape[0]):
        z = zeros[i : i + 1]
        y = convolve(y, concatenate([where(False, z, 1), -z], axis=0))
    return y  # type: ignore[no-any-return]


@implements(np.polyfit)
def polyfit(x: Array, y: Array, deg: int, rcond: float | None = None, *, w: Array = None) -> Tensor:
    """The coefficients of the polynomial of degree `deg` that fits the points (x, y) with the least squares.

    Gradients reach x, y and w through the pseudoinverse of the scaled Vandermonde matrix.

    Args:
        x: the places, a vector.
        y: the heights: as many, or several sets in columns.
        deg: the degree.
        rcond: for :func:`tinygrad_cnn.linalg.lstsq`; the number of points times the dtype's eps by default.
        w: weights of the distances, as many.

    Raises:
        ValueError: if `deg` is negative, or the shapes do not fit.
    """
    if deg < 0 or np.ndim(x) != 1 or np.ndim(y) not in (1, 2) or np.shape(y)[0] != np.shape(x)[0]:
        raise ValueError(
            f"polyfit: `deg` {deg} must be >= 0, and `x` {np.shape(x)} and `y` {np.shape(y)} as many points"
        )
    left: Any = vander(x, deg + 1)
    left = left if left.dtype.kind in "fc" else left.astype(np.float64)
    right: Any = y
    if w is not None:
        if np.shape(w) != np.shape(x):
            raise ValueError(f"polyfit: `w` {np.shape(w)} must be one weight for each of the points `x` {np.shape(x)}")
        left = left * reshape(w, shape=(-1, 1))
        right = right * (w if np.ndim(y) == 1 else reshape(w, shape=(-1, 1)))
    scale: Any = sqrt(sum(left * left, axis=0))
    cut = np.shape(x)[0] * np.finfo(left.dtype).eps if rcond is None else rcond
    c: Any = matmul(pseudoinverse(left / scale, rtol=float(cut)), right)
    return c / (scale if np.ndim(y) == 1 else reshape(scale, shape=(-1, 1)))  # type: ignore[no-any-return]


accept_lists(globals(), numpy_ops)
publish(globals())
