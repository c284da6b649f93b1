"""Softmax and the cross-entropy over the last axis of a matrix in memory, in blocks of rows that stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..scope import errors
from .block_sums import BLOCK as MOST
from .block_sums import FEW, SHORT, ones
from .parallel import chunks
from .parallel.threads import each
from .parallel.workspace import scratch, with_workspace

_infinities = errors(invalid="ignore", over="ignore")

SMALL = 1 << 11
"""Smaller arrays are not worth the preparation. The cross-entropy is computed without blocks for them."""

BLOCK = 1 << 16
"""Elements in a block of rows, which stays in the L2 cache with one other."""

RUN = 16
"""NumPy's buffer size with which a row of any length is combined with its number without copies to the buffer."""

FAR = 60.0
"""e^x of numbers up to this size neither overflows nor loses digits, in sums of any length and in quotients."""

FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}
"""In native byte order."""

Array = np.ndarray


def prepare_softmax(out: Array | None, a: Any, *, axis: int) -> Any:
    """A task for ``softmax``; None unless `a` is in C order and `axis` the last."""
    return _by_rows(_softmax, out, [a]) if _fits(a, axis) else None


def prepare_nll(out: Array | None, logits: Any, target: Any, w: Any) -> Any:
    """A task for ``softmax_nll`` of a matrix of logits, whose labels are in range or have w = 0."""
    if not _scored(logits, target, w):
        return None
    y = np.empty(len(logits), logits.dtype) if out is None else out
    if _are_few(logits):
        return _alone(logits, _few_nll, logits, target, w, y)
    return _by_rows(_nll, y, [logits, target, w])


def prepare_nll_pull(out: Array | None, u: Any, logits: Any, target: Any) -> Any:
    """A task for ``softmax_nll_pull``."""
    if not _scored(logits, target, u):
        return None
    y = np.empty(logits.shape, logits.dtype) if out is None else out
    if not y.flags.c_contiguous:
        return None
    if _are_few(logits):
        return _alone(logits, _few_nll_pull, u, logits, target, y)
    return _by_rows(_nll_pull, y, [u, logits, target])


def _fits(a: Any, axis: int) -> bool:
    """Whether softmax can be computed by rows."""
    if a.__class__ is not np.ndarray or a.size < SMALL or a.dtype not in FLOATS:
        return False
    has_several = a.shape[-1] > 1  # e^x times 1 / e^x is not always 1
    return has_several and axis in (-1, a.ndim - 1) and bool(a.flags.c_contiguous)


def _scored(logits: Any, target: Any, w: Any) -> bool:
    """Whether there are a matrix of logits, a label for each row and a number for each row."""
    if not logits.__class__ is target.__class__ is w.__class__ is np.ndarray or logits.ndim != 2 or not logits.size:
        return False
    rows = logits.shape[:1]
    return (
        target.shape == w.shape == rows
        and target.dtype.kind in "iu"
        and (w.dtype is logits.dtype or w.dtype in (logits.dtype, bool))
        and logits.dtype in FLOATS
        and logits.shape[1] > 1  # see _fits
        and logits.flags.c_contiguous
    )


def _are_few(logits: Array) -> bool:
    """Whether the cross-entropy is computed without blocks."""
    return logits.size < SMALL or (logits.size <= BLOCK and _are_narrow(*logits.shape))


def _alone(logits: Array, function: Callable[..., Array], *arrays: Array) -> Callable[[], Array]:
    """A task that computes `function` of arrays, with a workspace if it takes scratch: a small one takes none."""
    return partial(function, *arrays) if logits.size < SMALL else partial(with_workspace, function, *arrays)


def _by_rows(function: Callable[..., object], out: Array | None, arrays: Sequence[Array]) -> Any:
    """A task that computes `function` of blocks of the rows of arrays, and of `out`, which it fills."""
    y = np.empty_like(arrays[0]) if out is None else out
    if not y.flags.c_contiguous:
        return None
    largest = max((*arrays, y), key=lambda a: a.size)
    columns = largest.shape[-1]
    rows = largest.size // columns
    views = [a.reshape(rows, -1) if a.size == largest.size else a for a in (*arrays, y)]
    step = max(1, BLOCK // columns)
    blocks = [[a[i : i + step] for a in views] for i in range(0, rows, step)]
    call = partial(_quietly, function)
    if _are_narrow(rows, columns):
        call = partial(_ignoring, _TRANSPOSED[function])

    def task() -> Array:
        if len(blocks) == 1:
            with_workspace(call, blocks[0])
        else:
            each(call, blocks, alone=largest.size < chunks.LARGE)
        return y

    return task


def _are_narrow(rows: int, columns: int) -> bool:
    """Whether a matrix has many rows of few numbers. NumPy reduces such rows one by one, and the columns of its transpose
    sixteen at a time."""
    return columns <= SHORT <= rows


def _quietly(function: Callable[..., object], block: Sequence[Array]) -> None:
    before = np.setbufsize(RUN)
    try:
        _ignoring(function, block)
    finally:
        np.setbufsize(before)


@_infinities  # -inf gets probability 0
def _ignoring(function: Callable[..., object], block: Sequence[Array]) -> None:
    function(*block)


def _sums(a: Array) -> Array:
    """The sums of rows, as a column of the dtype of a: blocks by BLAS, and the blocks in float64."""
    size = _block(a.shape[1])
    if not size:
        return np.add.reduce(a, 1, np.float64, keepdims=True).astype(a.dtype)
    return _together(a, np.matmul(a.reshape(-1, size), ones(size, a.dtype)))


def _block(columns: int) -> int:
    """How many terms of a row BLAS adds with enough precision, as a divisor of their number; 0 if there is none."""
    return columns if columns <= MOST else next((k for k in range(MOST, FEW, -1) if columns % k == 0), 0)


def _together(a: Array, parts: Array) -> Array:
    """The sums of blocks of the rows of a, added for each row."""
    parts = parts.reshape(len(a), -1)
    return parts if parts.shape[1] == 1 else np.add.reduce(parts, 1, np.float64, keepdims=True).astype(a.dtype)


def _tops(x: Array, axis: int = 1) -> Array:
    return np.asarray(np.maximum.reduce(x, axis, keepdims=True, initial=-math.inf))  # faster with `initial`


def _powers(x: Array, y: Array, axis: int) -> None:
    """y = e^(x - c), with c = 0 for lines of numbers up to FAR, and their maximum for others."""
    if x.max() <= FAR and x.min() >= -FAR:
        np.exp(x, y)
    else:
        top = _tops(x, axis)
        plain = (top <= FAR) & (np.minimum.reduce(x, axis, keepdims=True, initial=math.inf) >= -FAR)
        np.exp(np.subtract(x, np.where(plain, 0, top), y), y)


def _softmax(x: Array, y: Array) -> None:
    """e^(x - c) / sum."""
    _powers(x, y, 1)
    np.multiply(y, 1 / _sums(y), y)


def _nll(x: Array, target: Array, w: Array, y: Array) -> None:
    """w (log sum e^z - z at the target)."""
    z = np.subtract(x, _tops(x), scratch("row", x.shape, x.dtype))
    rows, known = np.arange(len(x)), _known(target, x.shape[1])
    picked = z[rows, known]
    np.multiply(np.log(_sums(np.exp(z, z)))[:, 0] - picked, w, y)
    outside = known != target
    if outside.any():
        y[outside] = 0


def _nll_pull(u: Array, x: Array, target: Array, y: Array) -> None:
    """u (softmax - one at the target)."""
    np.exp(np.subtract(x, _tops(x), y), y)
    np.multiply(y, u[:, None] / _sums(y), y)
    inside = (target >= 0) & (target < x.shape[1])
    rows = np.flatnonzero(inside)
    y[rows, target[rows]] -= u[rows]


# The same of many rows of few numbers. A transpose has shape (columns, rows).


def _transposed(x: Array, name: str = "transposed") -> Array:
    """The transpose of x in memory."""
    if x.size < SMALL:
        return x.T.copy()
    z = scratch(name, x.shape[::-1], x.dtype)
    np.copyto(z, x.T)
    return z


def _column_sums(z: Array) -> Array:
    """BLAS adds the numbers of a column one after another; in two halves, the sum has half the error."""
    half = len(z) // 2
    if half < 2:
        return np.asarray(ones(len(z), z.dtype).dot(z))
    return np.asarray(ones(half, z.dtype).dot(z[:half]) + ones(len(z) - half, z.dtype).dot(z[half:]))


def _transposed_softmax(x: Array, y: Array) -> None:
    p = _transposed(x)
    _powers(p, p, 0)
    np.multiply(p, np.divide(1, _column_sums(p)), y.T)


def _transposed_nll(x: Array, target: Array, w: Array, y: Array) -> None:
    z = _transposed(x)
    top = np.maximum.reduce(z)
    places, inside = _places(target, x.shape[1])
    picked = np.subtract(x.reshape(-1)[places], top)
    np.exp(np.subtract(z, top, z), z)
    np.multiply(np.subtract(np.log(_column_sums(z)), picked), w, y)
    if inside is not None:
        y[~inside] = 0


def _transposed_nll_pull(u: Array, x: Array, target: Array, y: Array) -> None:
    z = _transposed(x)
    np.exp(np.subtract(z, np.maximum.reduce(z), z), z)
    if x.size < SMALL:  # a mask takes fewer calls, and more time for each number
        np.divide(z, _column_sums(z), z)
        np.multiply(np.subtract(z, np.equal(_column(x.shape[1]), target), z), u, y.T)
        return
    np.multiply(z, np.divide(u, _column_sums(z)), y.T)
    places, inside = _places(target, x.shape[1])
    if inside is not None:
        places, u = places[inside], u[inside]
    y.reshape(-1)[places] -= u


_TRANSPOSED: dict[Callable[..., object], Callable[..., object]] = {
    _softmax: _transposed_softmax,
    _nll: _transposed_nll,
    _nll_pull: _transposed_nll_pull,
}

# The cross-entropy of few rows


@_infinities
def _few_nll(x: Array, target: Array, w: Array, y: Array) -> Array:
    """:func:`_nll` without blocks."""
    if _are_narrow(*x.shape):
        _transposed_nll(x, target, w, y)
        return y
    z = np.subtract(x, np.maximum.reduce(x, 1, keepdims=True))
    places, inside = _places(target, x.shape[1])
    picked = z.reshape(-1)[places]
    np.multiply(np.subtract(np.log(_few_sums(np.exp(z, z))), picked), w, y)
    if inside is not None:
        y[~inside] = 0
    return y


@_infinities
def _few_nll_pull(u: Array, x: Array, target: Array, y: Array) -> Array:
    """:func:`_nll_pull` without blocks."""
    if _are_narrow(*x.shape):
        _transposed_nll_pull(u, x, target, y)
        return y
    np.exp(np.subtract(x, np.maximum.reduce(x, 1, keepdims=True), y), y)
    np.multiply(y, np.divide(u, _few_sums(y))[:, None], y)
    places, inside = _places(target, x.shape[1])
    if inside is not None:
        places, u = places[inside], u[inside]
    y.reshape(-1)[places] -= u
    return y


def _places(target: Array, classes: int) -> tuple[Array, Array | None]:
    """The places of the labels in the rows one after the other, and which labels are classes; None if all are.

    Compared as np.intp: the labels' own dtype may not hold the number of classes. Read as unsigned, negative ones are large.
    """
    labels = target.astype(np.intp, copy=False)
    firsts, unsigned = _firsts(len(labels), classes), labels.view(np.uintp)
    if unsigned.item(unsigned.argmax()) < classes:
        return firsts + labels, None
    inside = np.less(unsigned, classes)
    return firsts + np.where(inside, labels, 0), inside


@lru_cache(maxsize=SHORT)
def _column(classes: int) -> Array:
    """The classes below each other."""
    column = np.arange(classes)[:, None]
    column.flags.writeable = False
    return column


@lru_cache(maxsize=64)
def _firsts(rows: int, classes: int) -> Array:
    """The place of the first number of each row."""
    firsts = np.arange(0, rows * classes, classes)
    firsts.flags.writeable = False
    return firsts


def _known(target: Array, classes: int) -> Array:
    """The labels as np.intp, since their dtype may not hold the number of classes; those out of range are the nearest class."""
    return np.asarray(np.minimum(np.maximum(target.astype(np.intp, copy=False), 0), classes - 1))


def _few_sums(a: Array) -> Array:
    """The sums of rows, of the dtype of a."""
    if a.shape[1] <= MOST:
        return np.asarray(a.dot(ones(a.shape[1], a.dtype)))
    return np.asarray(np.add.reduce(a, 1, np.float64)).astype(a.dtype)
