"""Products of matrices with few rows, or with sums of few terms, in pieces that OpenBLAS packs less, or not at all.

A linear layer on a small batch multiplies few rows by many weights, and uses each weight a few times only. Packing the weights
then takes longer than the multiplication: 8 rows by 256 x 256 weights take a quarter of the time in two pieces, which OpenBLAS
reads where they are. The form depends on the operands' layout alone, so results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from .blas import READS_SMALL, UNPACKED
from .parallel.threads import each
from .parallel.workspace import buffer

OUTPUTS, DEEP = 1200 if READS_SMALL else 1 << 62, 32
"""OpenBLAS packs the matrices of a product by a transposed matrix that has more elements than this, or sums of fewer terms."""

FEW, LONG = 128, 128
"""The rows of a product are few if a column of them has up to FEW bytes. For up to twice as many rows, at least as many columns
and LONG terms in each sum, the transposed product is computed. For more rows, packing pays."""

MANY = 1 << 14
"""Packing fewer numbers takes no longer than a second piece."""

LEAST_ROWS, LEAST_TRANSPOSED, LEAST = 16, 4, 96
"""The fewest rows in a piece, and the fewest columns: of a transposed matrix, and of one in C order. A few columns of the
latter are a few numbers in each of many rows, far apart in memory."""

SUMS, RAGGED, TALL = 4, (8, 9, 10, 11), 512
"""Where the number of columns leaves 8 to 11 when divided by 16, OpenBLAS is slow with a transposed matrix of float32. For
sums of up to SUMS terms, as in the gradient of weights from a few images, a copy of TALL or more rows in C order is faster."""

PARTS, WIDE = 4, 256
"""The number of parts that threads share, and the fewest columns of a part for which the other matrix is packed again."""


class _Form(NamedTuple):
    """How a product is computed."""

    kind: str
    """In pieces of its "rows" or "columns"; "copied", from a copy of the first matrix in C order; or "transposed": its
    transpose is computed and copied, for which OpenBLAS packs the weights right before it uses them."""
    length: int
    """Of a piece."""


def may_be(n: int, k: int, m: int) -> bool:
    """Whether an (n, k) by (k, m) product may have such a form, for some dtype and order of its matrices in memory."""
    is_packed = n * k * m > UNPACKED or (n * m > OUTPUTS and k * m >= MANY)
    return (READS_SMALL and is_packed and 1 < min(n, k) <= FEW // 2) or is_ragged(n, k, m)


def is_ragged(n: int, k: int, m: int) -> bool:
    """Whether the form of an (n, k) by (k, m) product is "copied", if the matrices have float32 numbers and the first one is
    transposed."""
    return 1 < k <= SUMS and n >= TALL and m % 16 in RAGGED and n * k * m <= UNPACKED and READS_SMALL


def prepare(out: np.ndarray | None, a: np.ndarray, b: np.ndarray, shares: bool) -> Callable[[], Any] | None:
    """A task for the product of two matrices, `shares` it among threads; None if it is better left to NumPy."""
    (n, k), m = a.shape, b.shape[1]
    dtype = a.dtype
    first, second = a.flags, b.flags
    if dtype is not b.dtype or dtype.char not in "fd" or not (first.forc and second.forc):
        return None
    form = form_of(n, k, m, dtype.itemsize, not first.c_contiguous, not second.c_contiguous)
    if form is None:
        return None
    if out is None and form.kind == "copied":
        return partial(_from_copy, a, b)
    y = np.empty((n, m), dtype) if out is None else out
    if y.dtype is not dtype or not y.flags.c_contiguous:
        return None
    kind, length = form
    if kind == "copied":
        rows = buffer(a.shape, dtype)
        return partial(_copied, list(zip(rows.T, a.T, strict=True)), rows, b, y)
    if kind == "transposed" and shares:
        length = max(WIDE, -(-m // PARTS))
    pieces = [slice(i, i + length) for i in range(0, n if kind == "rows" else m, length)]
    calls: list[Callable[[], object]]
    if kind == "rows":
        calls = [partial(np.matmul, a[at], b, y[at]) for at in pieces]
    elif kind == "columns":
        calls = [partial(np.matmul, a, b[:, at], y[:, at]) for at in pieces]
    else:
        transposed = buffer((m, n), dtype)
        calls = [partial(_by_transpose, b.T[at], a.T, transposed[at], y[:, at]) for at in pieces]
    step = -(-len(calls) // PARTS) if shares else len(calls)
    parts = [calls[i : i + step] for i in range(0, len(calls), step)]

    def task() -> np.ndarray:
        each(_run, parts, not shares)
        return y

    return task


def _from_copy(a: np.ndarray, b: np.ndarray) -> Any:
    rows = np.empty(a.shape, a.dtype)
    for i in range(a.shape[1]):
        rows[:, i] = a[:, i]
    return rows.dot(b)


def _copied(copies: Sequence[Any], rows: np.ndarray, b: np.ndarray, y: np.ndarray) -> Any:
    for to, column in copies:
        to[...] = column
    return rows.dot(b, y)


def _run(calls: list[Callable[[], object]]) -> None:
    for call in calls:
        call()


def _by_transpose(b: np.ndarray, a: np.ndarray, transposed: np.ndarray, y: np.ndarray) -> None:
    np.matmul(b, a, transposed)
    np.copyto(y, transposed.T)


@lru_cache(maxsize=1024)
def form_of(n: int, k: int, m: int, size: int, a_transposed: bool, b_transposed: bool) -> _Form | None:
    """How to compute an (n, k) by (k, m) product of numbers of `size` bytes; None if as one product in C order."""
    few = FEW // size
    if not may_be(n, k, m) or (a_transposed and b_transposed):
        return None
    if is_ragged(n, k, m):
        return _Form("copied", n) if a_transposed and size == 4 else None
    if a_transposed:  # the gradient of weights, from few images
        if k > few:
            return None
        kind, length, most, least = "rows", n, UNPACKED // (k * m), LEAST_ROWS
    elif b_transposed:  # by weights of shape (outputs, inputs)
        if k < DEEP or k * m < MANY:
            return None
        kind, length, most, least = "columns", m, min(UNPACKED // (n * k), OUTPUTS // n), LEAST_TRANSPOSED
        if n > few or most < least:
            return _Form("transposed", m) if n <= min(2 * few, m) and k >= LONG else None
    else:
        if n > few:
            return None
        kind, length, most, least = "columns", m, UNPACKED // (n * k), LEAST
    if not least <= most < length:
        return None
    times = -(-length // most)
    return _Form(kind, min(most, -(-length // times // 16) * 16))
