"""Rows of the case table with longer axes: where sums are long, and where BLAS would use several threads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.ops import adaptive_pool
from tinygrad_cnn.testing.cases import Case, Draws

Shapes = tuple[tuple[int, ...], ...]


COSTLY = {*map(original, (
    tg.adaptive_max_pool3d, tg.convolve, tg.correlate, tg.kron, tg.multilabel_margin_loss, tg.poly, tg.diagflat, tg.take,
    adaptive_pool.max_region_indices,
))}  # fmt: skip
"""Functions that take seconds for long axes."""

FIXED = {"shape", "sizes"}
"""Parameters that say how long the axes are."""


def shapes_of(case: Case) -> Shapes:
    """The shapes of its inputs; (2, 3) where any will do."""
    return tuple((2, 3) if arg.shape is None else arg.shape for arg in case.args)


def with_shapes(case: Case, shapes: Shapes) -> Case:
    """The same row with other shapes."""
    return replace(case, args=tuple(replace(a, shape=shape) for a, shape in zip(case.args, shapes, strict=True)))


def lengthened(case: Case, length: int) -> Iterator[Case]:
    """The row with the axes of one size, or one axis of all inputs but the first, lengthened; the smallest arrays first.

    Numbers are positive if they may be, so that their sums are long, and equal ones are not avoided.
    """
    args = [replace(a, low=0.0) if a.kind == "float" and a.bounds()[0] < 0 < a.bounds()[1] else a for a in case.args]
    positive = replace(case, args=tuple(replace(a, distinct=False, offset=None) for a in args))
    shapes = shapes_of(case)
    if _is_fixed(case):
        return
    tried = [
        tuple(tuple(length if n == size else n for n in shape) for shape in shapes)
        for size in sorted({n for shape in shapes for n in shape if n > 1})
    ] + [
        (shapes[0], *((*s[:axis], length, *s[axis + 1 :]) if len(s) > axis else s for s in shapes[1:]))
        for axis in range(max(map(len, shapes[1:]), default=0))
    ]  # fmt: skip
    for found in sorted(dict.fromkeys(tried), key=_total):
        if found != shapes and _total(found) <= 16 * length:
            yield with_shapes(positive, found)


SIDE, LINE = 136, 12_000
"""From these lengths on OpenBLAS uses several threads: for matrices, of LAPACK too, and for vectors."""


def large(case: Case) -> Iterator[Case]:
    """The row with matrices of SIDE x SIDE, or vectors of LINE if the result is not longer."""
    shapes = shapes_of(case)
    if _is_fixed(case) or case.params.get("axes") == 0:
        return
    vectors = max(map(len, shapes)) == 1
    if vectors and np.size(case.call(*case.draw(Draws(np.random.default_rng(0))))) > max(map(math.prod, shapes)):
        return
    long = LINE if vectors else SIDE
    for count in (4, 2):  # of the last axes
        found = tuple(
            tuple(long if n > 1 and len(shape) - i <= count else n for i, n in enumerate(shape)) for shape in shapes
        )
        if found != shapes and max(map(math.prod, found)) <= 4 * SIDE**2:
            yield with_shapes(case, found)


def _is_fixed(case: Case) -> bool:
    return case.fixed or bool(FIXED & case.params.keys()) or case.function in COSTLY


def _total(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes)


def runs(case: Case) -> bool:
    """Whether the function accepts arrays of these shapes and gives finite numbers, not too many."""
    with np.errstate(all="ignore"):
        try:
            y = np.asarray(case.call(*case.draw(Draws(np.random.default_rng(0)))))
        except (ValueError, IndexError, TypeError, ZeroDivisionError, np.linalg.LinAlgError):
            return False
        return bool(0 < y.size < 1 << 17 and (y.dtype.kind != "f" or np.isfinite(y).all()))
