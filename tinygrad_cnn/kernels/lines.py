"""Normalization of rows, with a scale and a shift for each element of a row: layer norm and RMS norm.

With x as a matrix, y = x * (r w) + (b - m r w), where r and m are columns and w and b rows. NumPy's inner loop is one row, and
each pass over short rows takes twice as long as over a long array. A product of two matrices with two columns and rows is as
fast as a copy: BLAS computes what x is multiplied with, and adds the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops.standardize import Over, correlations, normalized, normalized_dx
from .blas import Matrix, Products, Term
from .block_sums import SHORT, ones
from .cells import QUIET, Cells, Copied, cells, dots
from .parallel.task import Call, Work
from .parallel.workspace import buffer, scratch

if TYPE_CHECKING:
    from .normalization import Centred

Array = np.ndarray

FEW = 1 << 15
"""Fewer elements are computed sooner by the definitions."""

LONG = 1 << 10
"""Elements in a row from which on NumPy's inner loop is as fast as BLAS."""

WITHIN = 1e9
"""Up to this factor from 1, numbers of rows and columns have products, also of three, without overflow or underflow."""


def rows(over: Over, arrays: Sequence[Array], *small: Any) -> Cells | None:
    """How to cut arrays that are normalized over their last axes, with a number, or None, for each element of a row."""
    x = arrays[0]
    kept = [i not in over.axis for i in range(x.ndim)]
    line = tuple([1 if own else n for n, own in zip(x.shape, kept, strict=True)])
    if x.size < FEW or any(a is not None and (1,) * (x.ndim - a.ndim) + a.shape != line for a in small):
        return None
    return _rows(kept, *arrays)


def rows_of(kept: Sequence[int], shape: Sequence[int], x: Array) -> Cells | None:
    """The same for sums to an array of `shape` with a number for each element, where moments vary along the other axes."""
    if x.size < FEW or any((m == 1) == (n == 1) for m, n, k in zip(kept, shape, x.shape, strict=True) if k > 1):
        return None
    return _rows([n == 1 for n in shape], x)


def _rows(kept: Sequence[bool], *arrays: Array) -> Cells | None:
    how = cells(kept, kept, *arrays)
    inner = [] if how is None else [i for i in how.order if not kept[i] and arrays[0].shape[i] > 1]
    fits = how is not None and not how.whole and not how.last and how.group == 1 and inner == sorted(inner)
    return how if fits else None


class Factors:
    """Two columns and two rows whose product is what an element is multiplied with, and two more for what is added."""

    def __init__(self, how: Cells, dtype: Any) -> None:
        self.how, (self.m, _, self.n) = how, how.view
        self.left, self.right = buffer((self.m, 4), dtype), buffer((4, self.n), dtype)
        self.fits = True

    def fill(self, r: Array, w: Array | None, left: Any, right: Any) -> None:
        """Fill them: r and w are of what is multiplied, two columns and two rows of what is added."""
        self.left[:, 0], self.left[:, 1] = r, 0
        self.right[0], self.right[1] = 1 if w is None else w.reshape(-1), 0
        self.left[:, 2], self.left[:, 3] = left
        self.right[2], self.right[3] = right
        most = max(float(self.left[:, 0].max()), float(np.abs(self.right[0]).max()))
        self.fits = most < WITHIN and float(self.left[:, 0].min()) > 1 / WITHIN

    def times(self, cut: slice, x: Array, out: Array) -> None:
        """The product of rows with the factors of their elements."""
        factor = scratch("factor", x.shape, x.dtype)
        if self.n < LONG:
            np.matmul(self.left[cut, :2], self.right[:2], factor)
        else:
            np.multiply(self.left[cut, :1], self.right[0], factor)
        np.multiply(x, factor, out)

    def adders(self, y: Array) -> Sequence[Call]:
        """For each block, the call that adds to rows of y what is added to their elements."""
        products = _adders(self.m, self.n, tuple([(cut.start, cut.stop) for cut in self.how.cuts]), y.dtype)
        return products.each_on(self.left, self.right, y.transpose(self.how.order))


@lru_cache(maxsize=256)
def _adders(m: int, n: int, cuts: tuple[tuple[int, int], ...], dtype: Any) -> Products:
    """For each block, c += a b with the last two of four numbers for each row and for each column."""
    right = Matrix(2, n, 2 * n, n)
    terms = [
        Term(Matrix(stop - start, 2, 4 * start + 2, 4), right, Matrix(stop - start, n, start * n, n), True)
        for start, stop in cuts
    ]
    return Products(terms, dtype)


def matrices(how: Cells, *arrays: Array) -> list[list[Array]]:
    """For each array its blocks, as matrices of rows."""
    return [[block[:, 0] for block in how.of(a)] for a in arrays]


def prepare_normalized(y: Array, x: Array, w: Array | None, b: Array | None, small: Centred, over: Over) -> Work:
    """d r w + b - m r w, in y, which may be x."""
    how = small.how
    factors, row = Factors(how, x.dtype), Over((1,), over.eps, over.centred)
    adds = over.centred or b is not None
    parts = list(zip(how.cuts, *matrices(how, x, y), factors.adders(y), strict=True))

    def fill() -> None:
        small.fill()
        m, r = small.m[:, 0], small.r[:, 0]
        factors.fill(r, w, (-m * r, 1), (1 if w is None else w.reshape(-1), 0 if b is None else b.reshape(-1)))

    def part(i: int, cut: slice, x: Array, y: Array, add: Call) -> None:
        if not factors.fits:
            flat = [None if a is None else a.reshape(-1) for a in (w, b)]
            y[...] = normalized.op.raw(x, *flat, _stated(small, cut), over=row)
            return
        factors.times(cut, _block(small, i, x), y)
        if adds:
            add()

    return how.work(lambda i: [partial(part, i, *parts[i])], y, [fill], [])


def _block(small: Centred, i: int, x: Array) -> Array:
    """A block of rows, less their centres."""
    return x if small.centres is None else np.subtract(x, small.centres[i][:, 0], scratch("centred", x.shape, x.dtype))


def _stated(small: Centred, cut: slice) -> Array:
    """The moments of some rows, as the definitions take them."""
    return small.how.numbers(small.stats)[:, cut]


def prepare_dx(y: Array, u: Array, x: Array, w: Any, small: Centred, over: Over, copied: Copied) -> Work:
    """r (v - mean of v - (d - m) r^2 mean of (v (d - m))) with v = u w, in y, which may be u or x."""
    how = small.how
    factors, row = Factors(how, x.dtype), Over((1,), over.eps, over.centred)
    slopes = buffer((how.lead, 2), x.dtype)

    def fill() -> None:
        small.fill()
        factors.fill(small.r[:, 0], w, (0, 0), (1, 0))
        slopes[:, 1] = 0

    def part(i: int, cut: slice, u: Array, x: Array, y: Array, add: Call) -> None:
        w, m, r, n = factors.right[0], small.m[cut, 0], small.r[cut, 0], x.shape[1]
        d, t = _block(small, i, x), scratch("product", x.shape, x.dtype)
        slope = dots(np.multiply(u, d, t), w)
        total = dots(u, w)
        slope = (slope - m * total) * (r**3 / n)
        if not factors.fits or not np.isfinite(slope).all():
            y[...] = normalized_dx.op.raw(u, x, w, None, _stated(small, cut), over=row)
            return
        slopes[cut, 0] = slope
        factors.left[cut, 2] = m * slope - over.centred * r * total / n
        sloped = slopes[cut, :1] if n >= LONG else np.matmul(slopes[cut], factors.right[2:], t)
        np.multiply(d, sloped, t)
        factors.times(cut, u, y)
        np.subtract(y, t, y)
        if n < LONG:
            add()
        else:
            np.add(y, factors.left[cut, 2:3], y)

    parts = list(zip(how.cuts, *matrices(how, u, x, y), factors.adders(y), strict=True))
    return how.work(lambda i: [partial(part, i, *parts[i])], y, [QUIET, fill], [], copied)


def prepare_sums(y: Array, u: Array, x: Array, small: Centred, over: Over, copied: Copied) -> Work:
    """The sums of the columns of u, or 0 if not centred, and of u (d - m) r, in y."""
    how = small.how
    n = how.view[2]
    sums, weights = buffer((len(how.cuts), 2, n), np.dtype(float)), buffer((3, how.lead), x.dtype)

    def fill() -> None:
        small.fill()
        m, r = small.m[:, 0], small.r[:, 0]
        weights[0], weights[1], weights[2] = 1, m * r, r

    def part(i: int, cut: slice, u: Array, x: Array, y: Array) -> None:
        t = np.multiply(u, _block(small, i, x), scratch("product", x.shape, x.dtype))
        y[0], y[1] = 0, _columns(t, weights[2:, cut])[0]
        if over.centred:
            first, second = _columns(u, weights[:2, cut])
            y[0], y[1] = first, y[1] - second

    def add() -> None:
        np.copyto(y, np.add.reduce(sums, 0).reshape(y.shape), casting="same_kind")
        if not np.isfinite(y[1]).all():
            np.copyto(y, correlations.op.raw(u, x, small.stats, over=over, shape=y.shape[1:]))

    parts = list(zip(how.cuts, *matrices(how, u, x), sums, strict=True))
    return how.work(lambda i: [partial(part, i, *parts[i])], y, [QUIET, fill], [add], copied)


def _columns(a: Array, weights: Array) -> Array:
    """The sums of the rows of `a` times weights (k, rows), in float64: BLAS adds up to SHORT rows one after another."""
    (k, m), n = weights.shape, a.shape[1]
    left = m % SHORT
    y = np.zeros((k, n))
    if left < m:
        pieces = weights[:, : m - left].reshape(k, -1, SHORT).swapaxes(0, 1)
        parts = np.matmul(pieces, a[: m - left].reshape(-1, SHORT, n)).astype(np.float64).reshape(-1, k * n)
        y += ones(len(parts), parts.dtype).dot(parts).reshape(k, n)
    if left == 1:  # NumPy does not ask BLAS
        y += weights[:, m - 1 :] * a[m - 1 :]
    elif left:
        y += np.matmul(weights[:, m - left :], a[m - left :])
    return y
