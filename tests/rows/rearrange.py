"""Rows for ops/rearrange.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.ops import rearrange as ops
from tinygrad_cnn.ops.shape import concatenate
from tinygrad_cnn.testing.cases import Arg, Case

CUBE, MATRIX, LINE = Arg((2, 3, 4)), Arg((3, 4)), Arg((3,))


def _rejoined(split: Callable[..., Any]) -> Callable[..., Any]:
    """The parts in reversed order, as one array."""
    return lambda a, axis=0, **params: concatenate(split(a, **params, axis=axis)[::-1], axis=axis)


CASES = [
    *(Case(ops.flip, (CUBE,), np.flip, axes) for axes in ({}, {"axis": 1}, {"axis": (0, -1)})),
    Case(ops.roll, (CUBE,), np.roll, {"shift": 5}),
    *(Case(ops.roll, (Arg((4,)),), np.roll, {"shift": shift}) for shift in (0, -1, 7)),
    Case(ops.roll, (CUBE,), np.roll, {"shift": -1, "axis": 1}),
    Case(ops.roll, (CUBE,), np.roll, {"shift": (1, 2), "axis": (0, 2)}),
    *(Case(ops.rot90, (CUBE,), np.rot90, {"k": k, "axes": (1, -1)}) for k in (-1, 0, 1, 2)),
    *(Case(ops.tile, (MATRIX,), np.tile, {"reps": reps}) for reps in (2, (2, 1), (2, 1, 2), (0, 1), ())),
    Case(ops.repeat, (MATRIX,), np.repeat, {"repeats": 2}),
    Case(ops.repeat, (MATRIX,), np.repeat, {"repeats": 2, "axis": 0}),
    Case(ops.repeat, (MATRIX,), np.repeat, {"repeats": (2, 0, 1, 3), "axis": -1}),
    Case(ops.split, (MATRIX,), np.split, {"indices_or_sections": 2, "axis": 1}, via=_rejoined),
    Case(ops.split, (MATRIX,), np.split, {"indices_or_sections": (1, 1, -1)}, via=_rejoined),
    Case(ops.array_split, (MATRIX,), np.array_split, {"indices_or_sections": 3, "axis": 1}, via=_rejoined),
    *(Case(ops.diagonal, (CUBE,), np.diagonal, {"offset": k}) for k in (0, 1, -1, 5)),
    Case(ops.diagonal, (CUBE,), np.diagonal, {"offset": -2, "axis1": -1, "axis2": 1}),
    *(Case(ops.diag, (v,), np.diag, {"k": k}) for v in (LINE, MATRIX) for k in (0, 1, -2)),
    *(Case(f, (Arg((3,)),), g, {"k": k}) for f, g in ((ops.tril, np.tril), (ops.triu, np.triu)) for k in (0, 1, -1)),
    *(Case(f, (CUBE,), g, {"k": k}) for f, g in ((ops.tril, np.tril), (ops.triu, np.triu)) for k in (0, 1, -1)),
    Case(ops.fliplr, (Arg((2, 3, 2)),), np.fliplr),
    Case(ops.flipud, (Arg((2, 3, 2)),), np.flipud),
    *(Case(ops.diagflat, (Arg((2, 2)),), np.diagflat, {"k": k}) for k in (0, 1, -2)),
]
