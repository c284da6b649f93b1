"""Rows that call a function twice: memory that a rule uses in each call shows only there, where both gradients wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tinygrad_cnn.ops import eigen, least_squares, linalg, qr, singular
from tinygrad_cnn.ops.elementwise import copy
from tinygrad_cnn.testing.cases import Case

from .decomposition import CASES as DECOMPOSITION
from .matrix import CASES as MATRIX

TWICE = [
    linalg.inv, linalg.solve_columns, linalg.log_abs_det, linalg.cholesky, eigen.symmetric_values,
    eigen.symmetric_vectors, eigen.symmetric_weighted, eigen.symmetric_diagonal,
    eigen.general_values, eigen.general_vectors, singular.singular_values,
    singular.singular_vectors, singular.singular_weighted, singular.singular_diagonal,
    qr.qr_packed, least_squares.pseudoinverse,
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
