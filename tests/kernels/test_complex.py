"""Kernels compute with real numbers alone: of complex ones, they call BLAS and LAPACK, or move elements, as for any dtype.

With TINYGRAD_CNN_NUMBA=1 that holds for compiled kernels: none of them is given complex numbers.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import tinygrad_cnn as tg

from ..complex_rows import REFUSALS, complex_inputs
from .test_accelerations import ACCELERATED, users

LAPACK = {
    "complete_basis", "general_values", "general_vectors", "pseudoinverse", "qr_packed", "singular_values", "singular_vectors",
    "symmetric_values", "symmetric_vectors", "symmetric_weighted", "symmetric_diagonal", "singular_weighted",
    "singular_diagonal", "cholesky", "cofactors", "det", "det_sign", "det_phase", "inv", "log_abs_det", "solve_columns",
    "matrix_rank",
}  # fmt: skip
"""Ops whose kernel is their definition, on one thread of BLAS."""

PRODUCTS = {"matmul", "linear", "convolve", "convolve_dx", "convolve_dw"}
"""Kernels that arrange elements for matrix products, which are NumPy's."""

MOVES = {"roll", "laid_out", "take_elements", "put_elements", "spread_windows", "keep_mask"}
"""Kernels that move elements, or only ask for a shape."""


class Watched:
    """The kernel of an op, which notes whether it made a task for complex numbers, and compares the task's result."""

    def __init__(self, op):
        self.op, self.prepare, self.made = op, op.prepare, 0

    @contextmanager
    def attached(self):
        how = self.op.along, self.op.in_place
        self.op.accelerate(self, *how)
        try:
            yield
        finally:
            self.op.accelerate(self.prepare, *how)

    def __call__(self, out, *inputs, **params):
        given = [x for xs in inputs for x in (xs if isinstance(xs, list | tuple) else [xs])]
        task = self.prepare(out, *inputs, **params)
        if task is not None and any(getattr(x, "dtype", np.dtype(bool)).kind == "c" for x in given):
            expected = np.asarray(self.op.raw(*inputs, **{k: v for k, v in params.items() if k != "shared"}))
            found = np.array(task())
            self.made += 1
            found = found if out is None else out
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
            return self.prepare(out, *inputs, **params)
        return task


def run(case, seed):
    """A row of complex numbers, with its gradients to second order, as far as it takes them."""
    xs = [tg.Tensor(a) for a in complex_inputs(case, seed, False)]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            for x in xs:
                x.requires_grad = x.dtype.kind == "c"
            y = case.call(*xs)
            leaves = [x for x in xs if x.requires_grad]
            if not isinstance(y, tg.Tensor) or not y.requires_grad:
                return
            found = tg.gradients((tg.abs(y) ** 2).sum(), leaves, create_graph=True, allow_unused=True)
            total = sum([(tg.abs(g) ** 2).sum() for g in found if g is not None and g.requires_grad], tg.Tensor(0.0))
            if total.requires_grad:
                tg.gradients(total, leaves, allow_unused=True)
        except REFUSALS:
            pass


@pytest.mark.parametrize("op", ACCELERATED, ids=lambda op: op.name)
def test_kernels_are_for_real_numbers(op, tiny):
    watched = Watched(op)
    with watched.attached():
        for case in users()[op][:12]:
            run(case, 0)
    assert not watched.made or op.name in LAPACK | PRODUCTS | MOVES
