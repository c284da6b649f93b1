"""Rows that call a function twice: memory that a rule uses in each call shows only there, where both gradients wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tinygrad_cnn.ops import decomposition, linalg
from tinygrad_cnn.ops.elementwise import copy
from tinygrad_cnn.testing.cases import Case

from .decomposition import CASES as DECOMPOSITION
from .matrix import CASES as MATRIX

TWICE = [
    linalg.inv, linalg.solve_columns, linalg.log_abs_det, linalg.cholesky, decomposition.symmetric_values,
    decomposition.symmetric_vectors, decomposition.symmetric_weighted, decomposition.symmetric_diagonal,
    decomposition.general_values, decomposition.general_vectors, decomposition.singular_values,
    decomposition.singular_vectors, decomposition.singular_weighted, decomposition.singular_diagonal,
    decomposition.qr_packed, decomposition.pseudoinverse,
]  # fmt: skip


def twice(case: Case) -> Case:
    """The sum of two results. Gradients wait at the copies."""

    def both(f: Callable[..., Any]) -> Callable[..., Any]:
        def call(*xs: Any, **params: Any) -> Any:
            half = len(xs) // 2
            first, second = ([copy(x) for x in part] for part in (xs[:half], xs[half:]))
            return case.via(f)(*first, **params) + case.via(f)(*second, **params)

        return call

    return replace(case, args=case.args * 2, via=both)


CASES = [
    twice(
        next(
            case
            for case in reversed((*MATRIX, *DECOMPOSITION))
            if case.function is f and (case.args[0].shape or ())[-1] > 1
        )
    )
    for f in TWICE
]
