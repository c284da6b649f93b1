"""Convolution of small images with many filters: each filter is read once, and where it is.

With M output positions of all images, O filters and K = c k elements in a window, windows are copied to columns A (M, K), their
elements in the order of a filter's. Then

    y^T = w A^T + b,    w' = u^T A,    A' = u w,    x' = the sum over k of A', each element at its pixel.

The other methods copy or pack the filters first, which takes as long as the products where M is much smaller than O. The
products are in this order because OpenBLAS is faster with the longer matrix in rows. For very few positions, w' is products of
a few rows, which OpenBLAS does not pack: see kn2row.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ...ops.windows import Sizes, last_view, overlaps, volume
from .. import blocking
from ..blas import READS_SMALL, in_columns, in_rows
from ..blocking import Geometry, is_last
from ..parallel.task import Call, Work, halved
from ..parallel.workspace import buffer, scratch

FOR_EACH = 0.5
"""The most positions for each filter: with more, copying windows takes longer than copying filters."""

FEW = 64
"""With at most so many positions, products that BLAS does not pack give the gradient in the filters faster: others fill it with
zeros first."""

LEAST = 1 << 18
"""Fewer numbers in the filters are not worth it."""

Array = np.ndarray
DType = np.dtype[Any]


def serves(g: Geometry, x: Sizes, w: Sizes, groups: int) -> bool:
    """Whether this is the fastest method for x (N, C, *sizes) and w (O, C / groups, *k)."""
    return volume(w) >= LEAST * groups and x[0] * volume(g.out) * groups <= FOR_EACH * w[0]


def convolve(g: Geometry, x: Array, w: Array, b: Array | None, y: Array) -> Work:
    """y (N, O, *out) of x (N, c, *sizes) with filters w (O, c, *k) and biases b (O,)."""
    columns, fill = _columns(g, x, y.dtype)
    filters, before = _matrix(w, (len(w), volume(w.shape[1:])), y.dtype)
    target = last_view(y)

    def arrange(own: slice) -> list[Call]:
        rows = scratch("rows", (own.stop - own.start, len(columns)), y.dtype)
        values = np.moveaxis(rows.reshape(len(rows), len(x), *g.out), 0, -1)
        product = partial(np.matmul, filters[own], columns.T, rows)
        if b is None:
            return [product, partial(np.copyto, target[..., own], values)]
        return [product, partial(np.add, values, b[own], target[..., own])]

    return _work(g, x.shape, w.shape, arrange, len(w), fill, *before)


def weight_gradient(g: Geometry, x: Array, u: Array, w: Array) -> Work:
    """The adjoint in w: w (O, c, *k) of x (N, c, *sizes) and u (N, O, *out)."""
    columns, fill = _columns(g, x, w.dtype)
    rows, before = _matrix(last_view(u), (len(u) * volume(g.out), len(w)), w.dtype)
    in_order = w.flags.c_contiguous
    found = w if in_order else buffer(w.shape, w.dtype)
    flat, by_filter, in_pieces = found.reshape(len(w), columns.shape[1]), rows.T, READS_SMALL and len(rows) <= FEW
    if in_pieces:
        by_filter = buffer(rows.T.shape, w.dtype)
        before.append(partial(np.copyto, by_filter, rows.T))

    def arrange(own: slice) -> list[Call]:
        pairs, right = [(by_filter[own], flat[own])], columns
        if in_pieces:
            pairs, right = in_rows(*pairs[0]), in_columns(columns)
        products: list[Call] = [partial(np.matmul, left, right, out) for left, out in pairs]
        return products if in_order else [*products, partial(np.copyto, w[own], found[own])]

    return _work(g, x.shape, w.shape, arrange, len(w), fill, *before)


def input_gradient(g: Geometry, u: Array, w: Array, x: Array) -> Work:
    """The adjoint in x: x (N, c, *sizes) of u (N, O, *out)."""
    rows, before = _matrix(last_view(u), (len(u) * volume(g.out), len(w)), x.dtype)
    filters, copied = _matrix(w, (len(w), volume(w.shape[1:])), x.dtype)
    size = volume(g.kernel)

    def arrange(own: slice) -> list[Call]:
        part, (start, stop) = last_view(x)[..., own], (own.start, own.stop)
        total = part if is_last(x) else scratch("total", part.shape, x.dtype)  # adding to channels far apart is slow
        terms = scratch("terms", (len(rows), (stop - start) * size), x.dtype)
        product = partial(np.matmul, rows, filters[:, start * size : stop * size], terms)
        calls: list[Call] = [product, partial(total.fill, 0)]
        for element, places in _elements(g, x.shape, terms):
            calls.append(partial(np.add, total[places], element, total[places]))
        return calls if total is part else [*calls, partial(np.copyto, part, total)]

    return _work(g, x.shape, w.shape, arrange, w.shape[1], *before, *copied)


def _columns(g: Geometry, x: Array, dtype: DType) -> tuple[Array, Call]:
    """A buffer for the columns (M, K) of x, and the call that fills it."""
    columns = buffer((len(x) * volume(g.out), x.shape[1] * volume(g.kernel)), dtype)
    source = last_view(x)
    copies = [(element, source[places]) for element, places in _elements(g, x.shape, columns)]

    def fill() -> None:
        columns.fill(0)  # for the windows that reach beyond the images
        for element, pixels in copies:
            np.copyto(element, pixels, casting="same_kind")

    return columns, fill


def _elements(g: Geometry, shape: Sizes, columns: Array) -> Iterator[tuple[Array, Any]]:
    """For each element of the kernel: a view of it in the columns of windows that have it inside of the images, and an index of
    its pixels there, in images (N, *sizes, c)."""
    windows = columns.reshape(shape[0], *g.out, columns.shape[1] // volume(g.kernel), *g.kernel)
    for inside, pixels in _places(g, shape[2:]):
        yield windows[inside], pixels


@lru_cache(maxsize=256)
def _places(g: Geometry, sizes: Sizes) -> list[tuple[Any, Any]]:
    """For each element of the kernel, indices of its windows (N, *out, c, *k) and of its pixels (N, *sizes, c)."""
    before = tuple(pair[0] for pair in g.padding)
    every = slice(None)
    found = overlaps(sizes, g.kernel, g.out, g.stride, before, g.dilation)
    return [((every, *inside[1:], every, *k), (every, *pixels[1:])) for k, inside, pixels in found]


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
