"""The table of kernels: which kernel accelerates which op, one line per op.

A kernel's ``prepare(out, *inputs, **params)`` returns a task, a function without arguments that computes the same as the op's
definition, or None where the definition is fast enough.
"""

from __future__ import annotations

from ..core.acceleration import accelerate
from ..ops import (
    activation,
    affine,
    clipped,
    conv,
    decomposition,
    elementwise,
    index,
    linalg,
    normalization,
    pool,
    rearrange,
    reduce,
    resize,
    shape,
    softmax,
    transcendental,
    updates,
)
from ..ops import dropout as dropout_ops
from ..ops import matmul as matmul_ops
from ..ops.losses import classification, regression
from . import (
    copies,
    dropout,
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

accelerate(activation.exponential_linear, piecewise.prepare_exponential)
accelerate(activation.exponential_linear_pull, piecewise.prepare_exponential_pull)
accelerate(activation.gelu, gelu.prepare)
accelerate(activation.gelu_pull, gelu.prepare_pull)
accelerate(activation.gelu_slope, gelu.prepare_slope)
accelerate(activation.hardswish, piecewise.prepare_hardswish)
accelerate(activation.hardswish_pull, piecewise.prepare_hardswish_pull)
accelerate(activation.rectify, relu.prepare_leaky)
accelerate(activation.rectify_pull, piecewise.prepare_rectify_pull)
accelerate(activation.relu, relu.prepare)
accelerate(activation.silu, sigmoid.prepare_silu)
accelerate(activation.silu_pull, sigmoid.prepare_silu_pull)
accelerate(activation.silu_slope, sigmoid.prepare_silu_slope)
accelerate(activation.softplus, piecewise.prepare_softplus)
accelerate(activation.softplus_pull, piecewise.prepare_softplus_pull)
accelerate(dropout_ops.keep_mask, dropout.prepare)
accelerate(elementwise.copy, copies.prepare)
accelerate(elementwise.laid_out, copies.prepare_laid_out)
accelerate(elementwise.pow, power.prepare)
accelerate(elementwise.where, where.prepare)
accelerate(index.add_at_zeros, scatter.prepare)
accelerate(matmul_ops.linear, matmul.prepare_linear)
accelerate(matmul_ops.matmul, matmul.prepare)
accelerate(rearrange.roll, copies.prepare_roll)
accelerate(reduce.mean, sums.prepare_mean)
accelerate(reduce.power_norm, norm.prepare)
accelerate(reduce.share, extrema.prepare)
accelerate(reduce.sum, sums.prepare_sum)
accelerate(regression.mse, losses.prepare_mse)
accelerate(resize.resample, resample.prepare)
accelerate(shape.reshape, copies.prepare_reshape, along=("a", "y"))
accelerate(shape.sum_to, sums.prepare_sum_to)
accelerate(softmax.softmax, rows.prepare_softmax)
accelerate(softmax.softmax_pull, rows.prepare_softmax_pull)
accelerate(softmax.log_softmax, rows.prepare_log_softmax)
accelerate(softmax.log_softmax_pull, rows.prepare_log_softmax_pull)
accelerate(classification.bernoulli_nll_logits, piecewise.prepare_nll)
accelerate(classification.bernoulli_nll_logits_pull, piecewise.prepare_nll_pull)
accelerate(classification.mean_by, losses.prepare_mean_by)
accelerate(classification.softmax_nll, rows.prepare_nll)
accelerate(classification.softmax_nll_pull, rows.prepare_nll_pull)
accelerate(transcendental.erf, erf.prepare)
accelerate(transcendental.sigmoid, sigmoid.prepare)
accelerate(conv.convolve, convolution.convolve, along=("x", "y"))
accelerate(conv.convolve_dx, convolution.convolve_dx, along=("u", "y"))
accelerate(conv.convolve_dw, convolution.convolve_dw, along=("x", "u"))

accelerate(pool.max_pool, pooling.prepare_max, along=("x", "y"))
accelerate(pool.max_pool_which, pooling.prepare_which, along=("x", "top", "y"))
accelerate(pool.put_elements, pooling.prepare_put, along=("u", "which", "y"))
accelerate(pool.take_elements, pooling.prepare_take, along=("a", "which", "y"))
accelerate(pool.sum_windows, pooling.prepare_sum, along=("x", "y"))
accelerate(pool.spread_windows, pooling.prepare_spread, along=("u", "y"))

accelerate(affine.affine, norms.prepare_affine, along=("x", "y"))
accelerate(affine.product_to, norms.prepare_product_to)
accelerate(clipped.clipped_by, norms.prepare_clipped_by, along=("x", "y"))
accelerate(normalization.moments, norms.prepare_moments, along=("x",))
accelerate(normalization.normalized, norms.prepare_normalized, along=("x", "y"), in_place=True)
accelerate(normalization.normalized_by, norms.prepare_normalized_by, along=("x", "y"))
accelerate(normalization.correlations, norms.prepare_correlations, along=("u", "x"))
accelerate(normalization.normalized_dx, norms.prepare_normalized_dx, along=("u", "x", "y"), in_place=True)

for function in (
    decomposition.complete_basis, decomposition.general_values, decomposition.general_vectors, decomposition.pseudoinverse,
    decomposition.qr_packed, decomposition.singular_values, decomposition.singular_vectors, decomposition.symmetric_values,
    decomposition.symmetric_vectors, decomposition.symmetric_weighted, decomposition.symmetric_diagonal,
    decomposition.singular_weighted, decomposition.singular_diagonal,
    linalg.cholesky, linalg.cofactors, linalg.det, linalg.det_sign, linalg.det_phase, linalg.inv,
    linalg.log_abs_det, linalg.solve_columns, decomposition.matrix_rank,
):  # fmt: skip
    lapack.alone(function)

updates.attach(update.in_pieces)
