"""The table of kernels: which kernel accelerates which op, one line per op, with the row that it serves and its gain there.

A kernel's ``prepare(out, *inputs, **params)`` returns a task, a function without arguments that computes the same as the op's
definition, or None where the definition is fast enough.

A line stays for a gain of 1.3 on its row, or for the reason that it gives. Where ``extra/numba/`` has the op, too, the gain is
1.5: whoever does not install Numba would wait as much longer. ``tests/test_benchmarks.py`` checks the lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.acceleration import Prepare, accelerate
from ..core.graph import Op
from ..ops import (
    activation,
    affine,
    clipped,
    conv,
    eigen,
    elementwise,
    index,
    least_squares,
    linalg,
    pool,
    qr,
    reduce,
    resize,
    shape,
    singular,
    softmax,
    standardize,
    transcendental,
    updates,
)
from ..ops import matmul as matmul_ops
from ..ops.losses import binary, classification, regression
from . import (
    copies,
    erf,
    extrema,
    gelu,
    lapack,
    losses,
    matmul,
    norm,
    piecewise,
    power,
    relu,
    resample,
    rows,
    scatter,
    sigmoid,
    sums,
    update,
    where,
)
from . import normalization as norms
from . import pool as pooling
from .conv import convolution


@dataclass(frozen=True)
class Line:
    """A line of this table."""

    op: Op
    row: str
    """On the arrays of this row of ``tests/benchmarks`` its gain is measured, by ``python -m tests.benchmarks.ablation``."""
    gain: float
    """The time of the definition there over that of the kernel, measured on an AMD EPYC (Zen 4), with one thread."""
    why: str
    """Why it is here, where neither the gain nor a whole step shows it."""


LINES: list[Line] = []

THREADS = "a large product is cut for the library's threads, so that its bits do not depend on their number"
DIGITS = "its error is 4 units in the last place, where that of the definition is up to 24"
CLIP = "the activation behind batch normalization takes no pass of its own"
FROZEN = "a frozen MobileNet: 25 % of one image, 10 % of 32"
EXACT = "NumPy adds along outer axes one by one, which costs four digits of a million terms"


def kernel(
    function: Any,
    prepare: Prepare,
    row: str,
    gain: float,
    *,
    along: Sequence[str] = (),
    in_place: bool = False,
    why: str = "",
) -> None:
    """Attach a kernel: a line of this table."""
    accelerate(function, prepare, along=along, in_place=in_place)
    LINES.append(Line(function.op, row, gain, why))


kernel(activation.exponential_linear, piecewise.prepare_exponential, "elu", 3.4)
kernel(activation.exponential_linear_pull, piecewise.prepare_exponential_pull, "elu", 3.4)
kernel(activation.gelu, gelu.prepare, "gelu", 28)
kernel(activation.gelu_slope, gelu.prepare_slope, "gelu", 25)
kernel(activation.hardswish_pull, piecewise.prepare_hardswish_pull, "hardswish", 1.7)
kernel(activation.hardtanh, relu.prepare_hardtanh, "relu6", 1.0, why=FROZEN)
kernel(activation.rectify, relu.prepare_leaky, "leaky-relu", 7.0)
kernel(activation.rectify_pull, piecewise.prepare_rectify_pull, "leaky-relu", 1.9)
kernel(activation.relu, relu.prepare, "relu", 2.9)
kernel(activation.silu, sigmoid.prepare_silu, "silu", 1.4, why=DIGITS)
kernel(activation.silu_slope, sigmoid.prepare_silu_slope, "silu", 1.2, why=DIGITS)
kernel(activation.softplus, piecewise.prepare_softplus, "softplus", 2.1)
kernel(activation.softplus_pull, piecewise.prepare_softplus_pull, "softplus", 2.3)
kernel(elementwise.laid_out, copies.prepare_laid_out, "transposed", 3.0)
kernel(elementwise.pow, power.prepare, "cube", 120)
kernel(elementwise.where, where.prepare, "relu", 15)
kernel(index.add_at_zeros, scatter.prepare, "embedding", 3.4)
kernel(matmul_ops.linear, matmul.prepare_linear, "linear-8", 2.9, why=THREADS)
kernel(matmul_ops.matmul, matmul.prepare, "linear-8", 1.6, why=THREADS)
kernel(reduce.mean, sums.prepare_mean, "mean", 0.9, why=EXACT)
kernel(reduce.power_norm, norm.prepare, "norm", 5.9)
kernel(reduce.share, extrema.prepare, "max", 7.9)
kernel(reduce.sum, sums.prepare_sum, "perceptron", 1.2, why=EXACT)
kernel(regression.mse, losses.prepare_mse, "mse", 1.2, why="a step of notebook-2: 6 %")
kernel(resize.resample, resample.prepare, "resample", 5.3)
kernel(shape.broadcast_to, copies.prepare_spread, "mse", 1.5)
kernel(shape.sum_to, sums.prepare_sum_to, "bias-images", 1.7, why=EXACT)
kernel(softmax.softmax, rows.prepare_softmax, "softmax-10", 3.3)
kernel(binary.bernoulli_nll_logits, piecewise.prepare_nll, "bce", 1.9)
kernel(binary.bernoulli_nll_logits_pull, piecewise.prepare_nll_pull, "bce", 1.9)
kernel(classification.mean_nll, losses.prepare_mean_nll, "cross_entropy", 0.9, why="a step of perceptron: 12 %")
kernel(classification.softmax_nll, rows.prepare_nll, "cross_entropy", 2.2)
kernel(classification.softmax_nll_pull, rows.prepare_nll_pull, "cross_entropy", 1.5, why="a step of perceptron: 11 %")
kernel(transcendental.erf, erf.prepare, "erf", 11)
kernel(transcendental.sigmoid, sigmoid.prepare, "sigmoid", 2.1)
# Of 1 x 1 filters: conv/pointwise.py, row "pointwise", 0.96 there; a step of MobileNet with one image: 14 %
kernel(conv.convolve, convolution.convolve, "conv-64x32x14-64x5", 2.2, along=("x", "y"))
kernel(conv.convolve_dx, convolution.convolve_dx, "conv-64x32x14-64x5", 2.9, along=("u", "y"))
kernel(conv.convolve_dw, convolution.convolve_dw, "conv-64x32x14-64x5", 2.2, along=("x", "u"))

kernel(pool.max_pool, pooling.prepare_max, "max_pool", 30, along=("x", "y"))
kernel(pool.max_pool_which, pooling.prepare_which, "max_pool", 8.1, along=("x", "top", "y"))
kernel(pool.put_elements, pooling.prepare_put, "max_pool", 4.3, along=("u", "which", "y"))
kernel(pool.sum_windows, pooling.prepare_sum, "average-pool", 18, along=("x", "y"))
kernel(pool.spread_windows, pooling.prepare_spread, "average-pool", 2.2, along=("u", "y"))

kernel(affine.affine, norms.prepare_affine, "batch-norm-eval-conv", 1.9, along=("x", "y"))
kernel(affine.product_to, norms.prepare_product_to, "batch-norm-eval", 2.1)
kernel(clipped.clipped_by, norms.prepare_clipped_by, "batch-norm-clip", 1.2, along=("x", "y"), why=CLIP)
kernel(standardize.moments, norms.prepare_moments, "residual", 4.2, along=("x",))
kernel(standardize.normalized, norms.prepare_normalized, "residual", 6.0, along=("x", "y"), in_place=True)
kernel(standardize.normalized_by, norms.prepare_normalized_by, "batch-norm-eval", 1.9, along=("x", "y"))
kernel(standardize.correlations, norms.prepare_correlations, "residual", 6.7, along=("u", "x"))
kernel(standardize.normalized_dx, norms.prepare_normalized_dx, "residual", 7.2, along=("u", "x", "y"), in_place=True)

for function in (
    eigen.symmetric_values, eigen.symmetric_vectors, eigen.symmetric_weighted, eigen.symmetric_diagonal, eigen.general_values,
    eigen.general_vectors, singular.singular_values, singular.singular_vectors, singular.singular_weighted,
    singular.singular_diagonal, qr.qr_packed, qr.complete_basis, least_squares.pseudoinverse, least_squares.matrix_rank,
    linalg.cholesky, linalg.cofactors, linalg.det, linalg.det_sign, linalg.det_phase, linalg.inv, linalg.log_abs_det,
    linalg.solve_columns,
):  # fmt: skip
    lapack.alone(function)

updates.attach(update.in_pieces)
