"""Convolution of small images with many filters: each filter is read once, and where it is.

With M output positions of all images, O filters and K = c k elements in a window, windows are copied to columns A (M, K), their
elements in the order of a filter's. Then

    y^T = w A^T + b,    w' = u^T A,    A' = u w,    x' = the sum over k of A', each element at its pixel.

The other methods copy or pack the filters first, which takes as long as the products where M is much smaller than O. The
products are in this order because OpenBLAS is faster with the longer matrix in rows. For some sizes they are of a few rows,
which OpenBLAS does not pack: see kn2row.py. The convolution itself copies windows to A^T, with all images side by side; there,
the adjoint in x computes A'^T = w^T u^T, and so reads the filters where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ...ops.windows import Sizes, interior, last_view, overlaps, volume, windows
from .. import blocking
from ..blas import MOST as MOST_ROWS
from ..blas import READS_SMALL, UNPACKED, Matrix, Products, Term, in_columns, in_rows, pieces
from ..blocking import Geometry, is_last
from ..parallel.task import Call, Work, halved
from ..parallel.workspace import blank, buffer, scratch

FOR_EACH = 0.5
"""The most positions for each filter: with more, copying windows takes longer than copying filters."""

FEW = 64
"""With at most so many positions, products that BLAS does not pack give the gradient in the filters faster: others fill it with
zeros first."""

WIDE, AT_ONCE, SUMS = 64, 512, 16
"""Products that BLAS does not pack give the convolution itself, if such a product has at least AT_ONCE results, in rows of
which at most WIDE count, or as many rows as a product may have. Long sums are cut into as few as this needs, up to SUMS."""

NARROW, MOST, ENOUGH = 32, 128, 256
"""They give the gradient in the images for up to NARROW positions, or for up to MOST in parts of NARROW ones, if a product has
at least ENOUGH results, or as many rows as it may have."""

IN_SUMS, DEEP, RUN = (NARROW,), 32, 64
"""For these numbers of positions, a product over all filters would be of few elements of the windows, and the processor reads
filters in memory faster in long runs. So sums are over DEEP filters at a time, for a multiple of RUN elements, and added up."""

LEAST = 1 << 18
"""Fewer numbers in the filters are not worth it."""

Array = np.ndarray
DType = np.dtype[Any]


def serves(g: Geometry, x: Sizes, w: Sizes, groups: int) -> bool:
    """Whether this is the fastest method for x (N, C, *sizes) and w (O, C / groups, *k)."""
    return volume(w) >= LEAST * groups and x[0] * volume(g.out) * groups <= FOR_EACH * w[0]


def convolve(g: Geometry, x: Array, w: Array, b: Array | None, y: Array) -> Work:
    """y (N, O, *out) of x (N, c, *sizes) with filters w (O, c, *k) and biases b (O,)."""
    k, m = volume(w.shape[1:]), len(x) * volume(g.out)
    sums, parts = _cut(k, m)
    apart = parts if parts and g.out[0] % parts == 0 else 1
    columns = buffer((apart, k, m // apart), y.dtype)  # A^T, its positions (*out, N), or parts of its columns
    filters, before = _matrix(w, (len(w), k), y.dtype)
    target = np.moveaxis(last_view(y), 0, -2)
    length = -(-k // sums)
    terms = [slice(i, i + length) for i in range(0, k, length)]  # the elements of a window in each sum
    rights = [columns[:, own] if apart > 1 else _right(columns[0, own], parts) for own in terms]

    def arrange(own: slice) -> list[Call]:
        rows = scratch("rows", (own.stop - own.start, m), y.dtype)
        values = np.moveaxis(rows.reshape(len(rows), *g.out, len(x)), 0, -1)
        calls = _products(filters[own, terms[0]], rights[0], rows, parts)
        for term, right in zip(terms[1:], rights[1:], strict=True):
            more = scratch("more rows", rows.shape, y.dtype)
            calls += [*_products(filters[own, term], right, more, parts), partial(np.add, rows, more, rows)]
        if b is None:
            return [*calls, partial(np.copyto, target[..., own], values)]
        return [*calls, partial(np.add, values, b[own], target[..., own])]

    return _work(g, x.shape, w.shape, arrange, len(w), partial(_fill, g, x, columns), *before)


def _cut(k: int, m: int) -> tuple[int, int]:
    """In how many sums to multiply by a (k, m) matrix, and by how many parts of its columns, a few rows at a time; 1 and 0 if
    the whole product is as fast."""
    for sums in range(1, SUMS + 1) if READS_SMALL else ():
        rows, parts = pieces(-(-k // sums), m)
        if _is_enough(rows, m // parts, AT_ONCE):
            return sums, parts
    return 1, 0


def _parts(filters: int, m: int) -> int:
    """By how many parts of m positions to multiply the transposed filters, a few rows at a time; 0 if the whole product is as
    fast."""
    parts = 1 if m <= NARROW else m // NARROW
    if not READS_SMALL or m < 2 or (m > NARROW and (m > MOST or m % NARROW)):
        return 0
    return parts if _is_enough(pieces(filters, m, parts)[0], m // parts, ENOUGH) else 0


def _is_enough(rows: int, columns: int, results: int) -> bool:
    """Whether a product has so many results, in rows of which at most WIDE count, or as many rows as a product may have."""
    return rows == MOST_ROWS or rows * min(columns, WIDE) >= results


def _right(b: Array, parts: int) -> Array:
    """A matrix as `parts` of its columns, if there are any."""
    return in_columns(b, parts) if parts else b


def _products(a: Array, right: Array, c: Array, parts: int) -> list[Call]:
    """The calls for c = a b: of b as a whole; or a few rows at a time of its parts, so that BLAS does not pack them."""
    pairs = in_rows(a, c, parts) if parts else [(a, c)]
    return [partial(np.matmul, left, right, out) for left, out in pairs]


def _fill(g: Geometry, x: Array, columns: Array) -> None:
    """Copy the windows of x to columns (parts, c k, positions), by way of padded pixels of which all images are side by
    side."""
    sizes = [n + before + after for n, (before, after) in zip(x.shape[2:], g.padding, strict=True)]
    shape = x.shape[1], *sizes, len(x)
    padded = np.moveaxis(blank(("few positions", shape, g.padding, columns.dtype), shape, columns.dtype), -1, 0)
    np.copyto(padded[interior(x.shape[2:], g.padding)], x, casting="same_kind")
    view, d = windows(padded, g.kernel, g.out, g.stride, g.dilation), len(g.out)  # (N, c, *out, *k)
    view = view.transpose(2, 1, *range(2 + d, 2 + 2 * d), *range(3, 2 + d), 0)
    view = view.reshape(len(columns), g.out[0] // len(columns), *view.shape[1:])  # (parts, rows, c, *k, *out[1:], N)
    view = np.moveaxis(view, 1, 2 + d)
    np.copyto(columns.reshape(view.shape), view)


def weight_gradient(g: Geometry, x: Array, u: Array, w: Array) -> Work:
    """The adjoint in w: w (O, c, *k) of x (N, c, *sizes) and u (N, O, *out)."""
    columns, fill = _columns(g, x, w.dtype)
    rows, before = _matrix(last_view(u), (len(u) * volume(g.out), len(w)), w.dtype)
    in_order = w.flags.c_contiguous
    found = w if in_order else buffer(w.shape, w.dtype)
    flat, by_filter = found.reshape(len(w), columns.shape[1]), rows.T
    parts = pieces(*columns.shape)[1] if READS_SMALL and len(rows) <= FEW else 0
    if parts:
        by_filter = buffer(rows.T.shape, w.dtype)
        before.append(partial(np.copyto, by_filter, rows.T))
    right = _right(columns, parts)

    def arrange(own: slice) -> list[Call]:
        products = _products(by_filter[own], right, flat[own], parts)
        return products if in_order else [*products, partial(np.copyto, w[own], found[own])]

    return _work(g, x.shape, w.shape, arrange, len(w), fill, *before)


def input_gradient(g: Geometry, u: Array, w: Array, x: Array) -> Work:
    """The adjoint in x: x (N, c, *sizes) of u (N, O, *out)."""
    n, size, m = len(u), volume(g.kernel), len(u) * volume(g.out)
    filters, before = _matrix(w, (len(w), volume(w.shape[1:])), x.dtype)
    parts = _parts(len(w), m)
    if parts:
        rows = buffer((len(w), m), x.dtype)  # u^T, its positions (*out, N)
        before.append(partial(np.copyto, rows.reshape(len(w), *g.out, n), np.moveaxis(u, 0, -1)))
    else:
        by_position, copied = _matrix(last_view(u), (m, len(w)), x.dtype)  # (N, *out)
        rows, before = by_position.T, [*before, *copied]
    right = _right(rows, parts)

    def arrange(own: slice) -> list[Call]:
        part, count, every = np.moveaxis(x[:, own], 0, -1), own.stop - own.start, slice(None)  # (c, *sizes, N)
        elements = slice(own.start * size, own.stop * size)
        if parts:
            terms = scratch("terms", (count * size, m), x.dtype)
            of_windows = terms.reshape(count, *g.kernel, *g.out, n)
            total = scratch("total", part.shape, x.dtype)  # adding to another order of memory is slow
        else:
            terms = scratch("terms", (m, count * size), x.dtype).T
            of_windows = np.moveaxis(terms.reshape(count, *g.kernel, n, *g.out), 1 + len(g.out), -1)
            total = part
            if not is_last(x):
                total = np.moveaxis(scratch("total", (*part.shape[1:], count), x.dtype), -1, 0)
        if parts == 1 and m in IN_SUMS:
            products = _by_filters(filters.shape, elements.start, len(terms), m, x.dtype)
            calls: list[Call] = [products.on(filters, rows, terms)]
        else:
            calls = _products(filters[:, elements].T, right, terms, parts)
        calls.append(partial(total.fill, 0))
        for element, inside, pixels in _overlaps(g, x.shape[2:]):
            to = total[(every, *pixels[1:])]
            calls.append(partial(np.add, to, of_windows[(every, *element, *inside[1:])], to))
        return calls if total is part else [*calls, partial(np.copyto, part, total)]

    return _work(g, x.shape, w.shape, arrange, w.shape[1], *before)


@lru_cache(maxsize=64)
def _by_filters(filters: Sizes, start: int, count: int, m: int, dtype: DType) -> Products:
    """w^T u^T for `count` elements of a window from `start` on, and m positions, a few filters at a time."""
    deep = min(filters[0], DEEP)
    times = -(-count // max(RUN, UNPACKED // (deep * m) // RUN * RUN))
    run = -(-count // (times * RUN)) * RUN
    terms = []
    for i in range(0, count, run):
        for j in range(0, filters[0], deep):
            rows, depth = min(run, count - i), min(deep, filters[0] - j)
            w = Matrix(rows, depth, j * filters[1] + start + i, filters[1], is_transposed=True)
            terms.append(Term(w, Matrix(depth, m, j * m, m), Matrix(rows, m, i * m, m), adds=j > 0))
    return Products(terms, dtype)


def _columns(g: Geometry, x: Array, dtype: DType) -> tuple[Array, Call]:
    """A buffer for the columns (M, K) of x, and the call that fills it."""
    columns = buffer((len(x) * volume(g.out), x.shape[1] * volume(g.kernel)), dtype)
    source, every = last_view(x), slice(None)
    windows = columns.reshape(len(x), *g.out, x.shape[1], *g.kernel)
    copies = [
        (windows[(every, *inside[1:], every, *element)], source[(every, *pixels[1:])])
        for element, inside, pixels in _overlaps(g, x.shape[2:])
    ]

    def fill() -> None:
        columns.fill(0)  # for the windows that reach beyond the images
        for element, pixels in copies:
            np.copyto(element, pixels, casting="same_kind")

    return columns, fill


@lru_cache(maxsize=256)
def _overlaps(g: Geometry, sizes: Sizes) -> list[tuple[Sizes, Any, Any]]:
    """For each element of the kernel: the element, its windows inside of images of these sizes, and its pixels there."""
    before = tuple(pair[0] for pair in g.padding)
    return list(overlaps(sizes, g.kernel, g.out, g.stride, before, g.dilation))


def _matrix(a: Array, shape: Sizes, dtype: DType) -> tuple[Array, list[Call]]:
    """An array as a matrix: a view, or else a buffer and the call that copies it there."""
    if a.flags.c_contiguous and a.dtype == dtype:
        return a.reshape(shape), []
    copied = buffer(a.shape, dtype)
    return copied.reshape(shape), [partial(np.copyto, copied, a)]


def _work(g: Geometry, shape: Sizes, w: Sizes, arrange: Callable[[slice], list[Call]], n: int, *before: Call) -> Work:
    """Work on n filters or channels in parts."""
    little = shape[0] * volume(g.out) * volume(w) <= blocking.ALONE
    parts = [slice(0, n)] if little else halved(n, n)  # two, since each packs the columns again
    return Work(parts, arrange, before, little=little)
