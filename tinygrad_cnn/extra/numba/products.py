"""Products of matrices of float32 with few rows or short rows, and convolutions by 1 x 1 filters, for processors with AVX-512.

BLAS copies both matrices before it multiplies, which pays where each number is used often. Here a tile of 8 x 32 results is
summed up in registers, from the matrices as they are. If the second one is transposed in memory, the rows of a tile's columns
are copied in C order first. Where the number of rows or columns is no multiple of the tile's, the last tile begins earlier: the
results that it shares with the one before are computed twice. Sums of more than DEEP terms are taken in several sums.

Weights that keep their values are laid out once, as panels with the columns of a tile: a tile then reads them in order, which
is faster where they come from memory, and not from the cache.

A number is computed in one order, wherever it is: cuts for threads, tiles and panels do not change a bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...kernels.parallel import chunks
from ...kernels.parallel.task import halved
from ...kernels.parallel.workspace import packs
from ...ops.windows import last_view
from .compiled import helper, loop
from .images import at_line, each_part
from .vectors import FINDS, LANES, ROWS, fetch, narrow_tile, transpose, wide_tile

WIDE = 2 * LANES
"""The columns of a tile."""


CHUNK = 16
"""So many rows stay in the cache while all columns are computed."""

DEEP = 256
"""The most terms of a sum; of more there are several."""

LEAST = 1 << 15
"""Fewer products are not worth the call."""

CACHED, FEW, MANY = 1 << 18, 256, 16
"""A second matrix of so many numbers stays in the cache. If it is larger, at most FEW rows are multiplied, since each chunk of
them reads it again; by a transposed one, at least MANY rows, since transposing it takes long."""

SUMS = 1 << 16
"""The most sums of more than DEEP terms: they stay in the cache while terms are added."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


def prepare(out: Array | None, a: Any, b: Any) -> Any:
    """A task for ``matmul`` of two matrices, of which one may be transposed in memory, or of several on top of each other in C
    order by one; None for others."""
    if a.__class__ is np.ndarray and a.ndim > 2 and a.flags.c_contiguous and a.size:
        rows = a.reshape(-1, a.shape[-1])
        if not _are_matrices(rows, b) or rows.shape[1] != len(b):
            return None
        return _of_rows(out, rows, b, None, (*a.shape[:-1], b.shape[1]))
    if not _are_matrices(a, b) or len(a) < ROWS or a.shape[1] != b.shape[0]:
        return None
    return _prepared(out, a, b)


def prepare_linear(out: Array | None, x: Any, w: Any, b: Any = None) -> Any:
    """A task for ``linear``."""
    if x.__class__ is not np.ndarray or x.ndim < 2 or not x.flags.c_contiguous or x.size < ROWS * max(1, x.shape[-1]):
        return None
    rows = x.reshape(-1, x.shape[-1])
    if not _are_matrices(rows, w) or rows.shape[1] != w.shape[1] or not _is_bias(b, len(w)):
        return None
    shape = *x.shape[:-1], len(w)
    return (packs() and _of_panels(out, rows, w, b, shape)) or _of_rows(out, rows, w.T, b, shape)


def _of_rows(out: Array | None, rows: Array, b: Array, shift: Array | None, shape: tuple[int, ...]) -> Any:
    """A task for rows b + shift, in this shape."""
    if out is not None and not out.flags.c_contiguous:
        return None
    task = _prepared(None if out is None else out.reshape(-1, shape[-1]), rows, b, shift)
    return task if task is None or len(shape) == 2 else (lambda: task().reshape(shape))


def _of_panels(out: Array | None, rows: Array, w: Array, shift: Array | None, shape: tuple[int, ...]) -> Any:
    """A task for rows w^T + shift, in this shape, with w as panels."""
    (m, depth), n = rows.shape, len(w)
    if not FINDS or m < ROWS or n < WIDE or depth < 2 or m * depth * n < LEAST:
        return None
    y = at_line(shape, FLOAT32) if out is None else out
    if not y.flags.c_contiguous:
        return None
    panels = at_line((-(-n // WIDE), depth, WIDE), FLOAT32)
    for i, panel in enumerate(panels):
        start = min(i * WIDE, n - WIDE)
        panel[:] = w[start : start + WIDE].T
    parts, shifts = _cut(y.size, rows, y.reshape(m, n)), np.zeros(0, np.float32) if shift is None else shift

    def task() -> Array:
        each_part(lambda part: _multiply_panels(part[0], panels, shifts, part[1]), parts)
        return y

    return task


def prepare_convolve(
    out: Array | None, x: Any, w: Any, b: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve`` by filters of one pixel."""
    if not _is_pointwise(w.shape, stride, padding, groups) or not _are_images(x) or w.dtype != FLOAT32:
        return None
    if not (w.flags.c_contiguous and _is_bias(b, len(w))):
        return None
    y = _images((len(x), len(w), *x.shape[2:])) if out is None else out
    if not _are_images(y):
        return None
    task = _prepared(_pixels(y), _pixels(x), w.reshape(w.shape[:2]).T, b)
    return task and partial(_filled, task, y)


def prepare_dx(
    out: Array | None, u: Any, w: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dx``."""
    if not _is_pointwise(w.shape, stride, padding, groups) or not _are_images(u) or w.dtype != FLOAT32:
        return None
    x = _images(shape) if out is None else out
    if not (w.flags.c_contiguous and _are_images(x)):
        return None
    task = _prepared(_pixels(x), _pixels(u), w.reshape(w.shape[:2]))
    return task and partial(_filled, task, x)


def prepare_dw(
    out: Array | None, x: Any, u: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dw``."""
    if not _is_pointwise(shape, stride, padding, groups) or not (_are_images(x) and _are_images(u)):
        return None
    w = np.empty(shape, np.float32) if out is None else out
    if not w.flags.c_contiguous:
        return None
    task = _prepared(w.reshape(shape[:2]), _pixels(u).T, _pixels(x))
    return task and partial(_filled, task, w)


def _filled(task: Callable[[], object], y: Array) -> Array:
    task()
    return y


def _is_pointwise(w: Any, stride: Any, padding: Any, groups: int) -> bool:
    return groups == 1 and math.prod(w[2:]) == 1 == math.prod(stride) and not any(map(any, padding))


def _are_images(a: Any) -> bool:
    """Whether these are images of float32, channels last in memory."""
    return a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.ndim > 2 and last_view(a).flags.c_contiguous


def _images(shape: Any) -> Array:
    n, c, *sizes = shape
    return at_line((n, *sizes, c), FLOAT32).transpose(0, len(sizes) + 1, *range(1, len(sizes) + 1))


def _pixels(a: Array) -> Array:
    """Images as a matrix with a row for each pixel."""
    return last_view(a).reshape(-1, a.shape[1])


def _are_matrices(a: Any, b: Any) -> bool:
    return _is_matrix(a) and _is_matrix(b)


def _is_matrix(a: Any) -> bool:
    return a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.ndim == 2


def _is_bias(b: Any, n: int) -> bool:
    return b is None or (b.__class__ is np.ndarray and b.dtype == FLOAT32 and b.shape == (n,) and b.flags.c_contiguous)


def _prepared(out: Array | None, a: Array, b: Array, shift: Array | None = None) -> Any:
    """A task for a b + shift."""
    m, depth, n = *a.shape, b.shape[1]
    if not FINDS or m < ROWS or n < LANES or depth < 2 or m * depth * n < LEAST:
        return None
    y = at_line((m, n), FLOAT32) if out is None else out
    if not y.flags.c_contiguous:
        return None
    if a.flags.c_contiguous:
        is_transposed = not b.flags.c_contiguous
        if is_transposed and not b.T.flags.c_contiguous:
            return None
        if depth * n > CACHED and not (m >= MANY if is_transposed else m <= FEW):
            return None
        return _by_rows(y, a, b, shift)
    if a.T.flags.c_contiguous and b.flags.c_contiguous and (m * n <= SUMS or depth <= DEEP) and shift is None:
        return _by_terms(y, a, b)
    return None


def _by_rows(y: Array, a: Array, b: Array, shift: Array | None) -> Callable[[], Array]:
    """A task for y = a b + shift, whose parts are rows of y."""
    function, second = (_multiply, b) if b.flags.c_contiguous else (_multiply_turned, b.T)
    parts, shifts = _cut(y.size, a, y), np.zeros(0, np.float32) if shift is None else shift

    def task() -> Array:
        each_part(lambda part: function(part[0], second, shifts, part[1]), parts)
        return y

    return task


def _by_terms(y: Array, a: Array, b: Array) -> Callable[[], Array]:
    """A task for y = a b, with a transposed in memory: parts of the sums."""
    parts = _cut(max(a.size, b.size), a.T, b)
    if len(parts) == 1 and len(b) <= DEEP:
        return partial(_filled, partial(_correlate_few, a.T, b, y), y)
    totals, some = np.empty((len(parts), *y.shape), np.float32), np.empty((len(parts), y.size), np.float32)
    given: list[Any] = [[*part, *more] for *more, part in zip(some, totals.reshape(len(parts), -1), parts, strict=True)]

    def task() -> Array:
        each_part(lambda part: _correlate(*part), given)
        np.add.reduce(totals, 0, out=y)
        return y

    return task


def _cut(size: int, *arrays: Array) -> list[Any]:
    """Rows of the arrays in few parts for several threads, or in one."""
    n = len(arrays[0])
    if size < chunks.LARGE or n < ROWS * chunks.PARTS:
        return [arrays]
    return [[a[cut] for a in arrays] for cut in halved(n, -(-n // chunks.PARTS))]


@loop
def _multiply(a: Array, b: Array, shift: Array, c: Array) -> None:
    """c (m, n) = a (m, k) b (k, n) + shift."""
    m, depth, n = a.shape[0], a.shape[1], b.shape[1]
    x, w, y = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for start in range(0, m, CHUNK):
        stop = min(start + CHUNK, m)
        for j in range(0, n - n % WIDE, WIDE):
            for r in range(start, stop, ROWS):
                i = min(r, m - ROWS)
                for k in range(0, depth, DEEP):
                    terms = min(DEEP, depth - k)
                    wide_tile(x, i * depth + k, depth, 1, w, k * n + j, n, terms, y, i * n + j, n, k > 0)
        for s in range(n - n % WIDE, n, LANES):
            j = min(s, n - LANES)
            for r in range(start, stop, ROWS):
                i = min(r, m - ROWS)
                for k in range(0, depth, DEEP):
                    terms = min(DEEP, depth - k)
                    narrow_tile(x, i * depth + k, depth, 1, w, k * n + j, n, terms, y, i * n + j, n, k > 0)
    _shift(c, shift)


@loop
def _multiply_panels(a: Array, panels: Array, shift: Array, c: Array) -> None:
    """c (m, n) = a (m, k) w^T + shift, with panels (n / WIDE, k, WIDE) of rows of w; the last one begins earlier if needed."""
    m, depth, n = a.shape[0], a.shape[1], c.shape[1]
    x, w, y = a.reshape(-1), panels.reshape(-1), c.reshape(-1)
    for start in range(0, m, FEW):
        for p in range(panels.shape[0]):
            j = min(p * WIDE, n - WIDE)
            for r in range(start, min(start + FEW, m), ROWS):
                i = min(r, m - ROWS)
                for k in range(0, depth, DEEP):
                    first, terms = (p * depth + k) * WIDE, min(DEEP, depth - k)
                    wide_tile(x, i * depth + k, depth, 1, w, first, WIDE, terms, y, i * n + j, n, k > 0)
    _shift(c, shift)


@helper
def _shift(c: Array, shift: Array) -> None:
    """Add the shift to each row."""
    if shift.size:
        for i in range(c.shape[0]):
            row = c[i]
            for j in range(c.shape[1]):
                row[j] += shift[j]


@loop
def _multiply_turned(a: Array, w: Array, shift: Array, c: Array) -> None:
    """c (m, n) = a (m, k) w^T + shift, with w (n, k): as many rows of w are transposed at a time as a tile has columns."""
    m, depth, n = a.shape[0], a.shape[1], w.shape[0]
    x, source, y = a.reshape(-1), w.reshape(-1), c.reshape(-1)
    panel = np.empty(depth * WIDE, np.float32)
    for s in range(0, n, WIDE):
        is_wide = s + WIDE <= n
        for j in range(s, s + WIDE if is_wide else n, WIDE if is_wide else LANES):
            first = j if is_wide else min(j, n - LANES)
            for q in range(0, WIDE if is_wide else LANES, LANES):
                for k in range(0, depth - depth % LANES, LANES):
                    for r in range(LANES):
                        fetch(source, (first + q + WIDE + r) * depth + k)
                    transpose(source, (first + q) * depth + k, depth, panel, k * WIDE + q, WIDE)
                for k in range(depth - depth % LANES, depth):
                    for r in range(LANES):
                        panel[k * WIDE + q + r] = source[(first + q + r) * depth + k]
            for r in range(0, m, ROWS):
                i = min(r, m - ROWS)
                for k in range(0, depth, DEEP):
                    at, terms, target = i * depth + k, min(DEEP, depth - k), i * n + first
                    if is_wide:
                        wide_tile(x, at, depth, 1, panel, k * WIDE, WIDE, terms, y, target, n, k > 0)
                    else:
                        narrow_tile(x, at, depth, 1, panel, k * WIDE, WIDE, terms, y, target, n, k > 0)
    _shift(c, shift)


@loop
def _correlate_few(a: Array, b: Array, c: Array) -> None:
    """c (m, n) = a^T b of a (k, m) and b (k, n), for few terms."""
    depth, m, n = a.shape[0], a.shape[1], b.shape[1]
    x, w, y = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for j in range(0, n - n % WIDE, WIDE):
        for r in range(0, m, ROWS):
            i = min(r, m - ROWS)
            wide_tile(x, i, 1, m, w, j, n, depth, y, i * n + j, n, False)
    for s in range(n - n % WIDE, n, LANES):
        j = min(s, n - LANES)
        for r in range(0, m, ROWS):
            i = min(r, m - ROWS)
            narrow_tile(x, i, 1, m, w, j, n, depth, y, i * n + j, n, False)


@loop
def _correlate(a: Array, b: Array, part: Array, c: Array) -> None:
    """The same for any number of terms."""
    depth, m, n = a.shape[0], a.shape[1], b.shape[1]
    x, w = a.reshape(-1), b.reshape(-1)
    c[:] = 0.0
    for start in range(0, depth, DEEP):
        terms = min(DEEP, depth - start)
        for j in range(0, n - n % WIDE, WIDE):
            for r in range(0, m, ROWS):
                i = min(r, m - ROWS)
                wide_tile(x, start * m + i, 1, m, w, start * n + j, n, terms, part, i * n + j, n, False)
        for s in range(n - n % WIDE, n, LANES):
            j = min(s, n - LANES)
            for r in range(0, m, ROWS):
                i = min(r, m - ROWS)
                narrow_tile(x, start * m + i, 1, m, w, start * n + j, n, terms, part, i * n + j, n, False)
        for i in range(m * n):
            c[i] += part[i]
