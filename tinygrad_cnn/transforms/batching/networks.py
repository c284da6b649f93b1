"""Batching rules of images, normalizations, matrices, losses and random draws."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np

from ...core.graph import Array
from ...numpy_api import matrix_functions
from ...ops import (
    activation,
    adaptive_pool,
    affine,
    compare,
    conv,
    dropout,
    eigen,
    einsum,
    elementwise,
    index,
    least_squares,
    linalg,
    matmul,
    pool,
    qr,
    recurrent,
    reduce,
    shape,
    singular,
    standardize,
)
from ...ops.losses import classification, labels, regression
from . import units
from .call import Call, Shape, flat, looped, moved, rule

MANY = 1 << 22
"""The most elements of windows that are copied for all samples at once."""


@rule(
    pool.max_pool, pool.max_pool_which, pool.put_elements, pool.take_elements, pool.sum_windows, pool.spread_windows,
    pool.flat_indices, adaptive_pool.max_region_indices, conv.columns, conv.add_columns, labels.label_mask,
    classification.softmax_nll, classification.softmax_nll_pull,
)  # fmt: skip
def _more_images(call: Call) -> Any:
    values = [_merged(call.full(i)) for i in range(len(call.values))]
    sizes = {"shape": (call.n * call.out[0], *call.out[1:])} if "shape" in call.params else {}
    return shape.reshape(call.run(*values, **sizes), shape=(call.n, *call.out))


def _merged(x: Array) -> Any:
    """(n, N, ...) as (n N, ...)."""
    return shape.reshape(x, shape=(x.shape[0] * x.shape[1], *x.shape[2:]))


def _grouped(x: Array) -> Any:
    """(n, N, C, ...) as (N, n C, ...): the channels of each sample are a group."""
    x = shape.moveaxis(x, 0, 1)
    return shape.reshape(x, shape=(x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


@rule(conv.convolve)
def _convolve(call: Call) -> Any:
    x, w, *bias = call.values
    b = bias[0] if bias else None
    if call.batched[1]:
        n, filters = call.n, _merged(w)
        y = call.run(_grouped(call.full(0)), filters, groups=n * call.params["groups"])
        y = shape.moveaxis(shape.reshape(y, shape=(call.out[0], n, *call.out[1:])), 1, 0)
    elif call.batched[0]:
        y = shape.reshape(call.run(_merged(x), w), shape=(call.n, *call.out))
    else:
        y = call.run(x, w)  # only the bias is batched
    if b is None:
        return y
    ones = (1,) * (len(call.out) - 2)
    return y + shape.reshape(b, shape=(call.n, 1, *call.shapes[2], *ones) if call.batched[2] else (-1, *ones))


@rule(conv.convolve_dx)
def _convolve_dx(call: Call) -> Any:
    u, w = call.values
    images, channels, *sizes = call.out
    if not call.batched[1]:
        y = call.run(_merged(u), w, shape=(call.n * images, channels, *sizes))
        return shape.reshape(y, shape=(call.n, *call.out))
    whole = (images, call.n * channels, *sizes)
    y = call.run(_grouped(call.full(0)), _merged(w), shape=whole, groups=call.n * call.params["groups"])
    return shape.moveaxis(shape.reshape(y, shape=(images, call.n, channels, *sizes)), 1, 0)


@rule(conv.convolve_dw)
def _convolve_dw(call: Call) -> Any:
    """A matrix product for each sample, if a sample is one image with few windows; else a group for each sample."""
    x, u = call.shapes
    filters, channels, *kernel = call.out
    size, places = channels * math.prod(kernel), math.prod(u[2:])
    if x[0] == 1 == call.params["groups"] and call.n * size * places <= MANY:
        window = {name: call.params[name] for name in ("stride", "padding", "dilation")}
        windows = conv.columns(_merged(call.full(0)), kernel=tuple(kernel), **window)
        rows = shape.swapaxes(shape.reshape(windows, shape=(call.n, size, places)), 1, 2)
        w = matmul.matmul(shape.reshape(call.full(1), shape=(call.n, filters, places)), rows)
        return shape.reshape(w, shape=(call.n, *call.out))
    whole = (call.n * call.out[0], *call.out[1:])
    values = (_grouped(call.full(i)) for i in range(2))
    w = call.run(*values, shape=whole, groups=call.n * call.params["groups"])
    return shape.reshape(w, shape=(call.n, *call.out))


@rule(standardize.moments, standardize.normalized, standardize.correlations, standardize.normalized_dx)
def _normalized(call: Call) -> Any:
    names = call.op.signature.inputs
    at = names.index("x")
    ndim, values = len(call.shapes[at]), []
    for i, (name, value) in enumerate(zip(names, call.values, strict=False)):
        if value is None or name == "w" or name == "b":
            values.append(None if value is None else call.aligned(i, ndim))
        elif name in ("stats", "sums"):  # (2, *kept)
            stacked = shape.moveaxis(value, 0, 1) if call.batched[i] else shape.expand_dims(value, 1)
            values.append(stacked)
        else:
            values.append(call.full(i))
    over = call.params["over"]
    over = over._replace(axis=moved(over.axis, ndim))
    if call.params.get("shape") is not None:
        ones = (1,) * (ndim + 1 - len(call.out))
        y = call.run(*values, over=over, shape=(call.n, *ones, *call.out[1:]))
        return shape.reshape(shape.moveaxis(y, 1, 0), shape=(call.n, *call.out))
    y = call.run(*values, over=over)
    return shape.moveaxis(y, 1, 0) if call.op in (standardize.moments.op, standardize.correlations.op) else y


@rule(standardize.normalized_by)
def _normalized_by(call: Call) -> Any:
    if call.only(0):
        return shape.reshape(call.run(_merged(call.values[0]), *call.values[1:]), shape=(call.n, *call.out))
    small = [None if v is None else _channels(call, i) for i, v in enumerate(call.values) if i]
    y = call.run(_grouped(call.full(0)), *small)
    return shape.moveaxis(shape.reshape(y, shape=(call.out[0], call.n, *call.out[1:])), 1, 0)


def _channels(call: Call, i: int) -> Any:
    """Numbers of channels as those of the groups of all samples."""
    return shape.reshape(call.full(i), shape=(call.n * call.out[1],))


@rule(affine.affine)
def _affine(call: Call) -> Any:
    ndim = len(call.out)
    return call.run(call.full(0), *(call.aligned(i, ndim) for i in range(1, len(call.values))))


@rule(affine.product_to)
def _product_to(call: Call) -> Any:
    ones = (1,) * (len(call.shapes[0]) - len(call.out))
    y = call.run(call.full(0), call.full(1), shape=(call.n, *ones, *call.out))
    return shape.reshape(y, shape=(call.n, *call.out))


@rule(recurrent.recurrence)
def _recurrence(call: Call) -> Any:
    """All samples as one batch, unless the weights differ from sample to sample."""
    values, states = list(call.values), [i for i in (0, 2, 3) if i < len(call.values) and call.values[i] is not None]
    if any(batched for i, batched in enumerate(call.batched) if i not in states):
        return looped(call)
    for i in states:
        full = call.full(i)
        values[i] = _merged(full) if i else shape.moveaxis(full, 0, 1)
    steps, n, size = call.shapes[0]
    values[0] = shape.reshape(values[0], shape=(steps, call.n * n, size))
    y = shape.reshape(call.run(*values), shape=(steps, call.n, n, call.out[2]))
    return shape.moveaxis(y, 1, 0)


# Matrices


@rule(matmul.matmul)
def _matmul(call: Call) -> Any:
    a, b = call.values
    left, right = call.shapes
    if call.only(0) and len(left) == 1 and len(right) == 2 and (start := units.first(a)) is not None:
        return index.getitem(b, index=slice(start, start + call.n))
    if call.only(0) and len(right) == 2 and len(left) in (1, 2):  # one product of two matrices
        rows = shape.reshape(a, shape=(call.n * math.prod(left[:-1]), left[-1]))
        return shape.reshape(call.run(rows, b), shape=(call.n, *call.out))
    if call.only(1) and len(left) == 2 and len(right) == 1:
        return call.run(b, shape.swapaxes(a, 0, 1))
    ndim = max(len(left), len(right), 2)
    a = _as_matrix(call, 0, (1, left[0]), ndim) if len(left) == 1 else call.aligned(0, ndim)
    b = _as_matrix(call, 1, (right[0], 1), ndim) if len(right) == 1 else call.aligned(1, ndim)
    return shape.reshape(call.run(a, b), shape=(call.n, *call.out))


def _as_matrix(call: Call, i: int, sizes: Shape, ndim: int) -> Any:
    lead = (call.n, *(1,) * (ndim - 2)) if call.batched[i] else ()
    return shape.reshape(call.values[i], shape=(*lead, *sizes))


@rule(matmul.linear)
def _linear(call: Call) -> Any:
    x, w, *bias = call.values
    b = bias[0] if bias else None
    if call.only(0):
        return call.run(x, w, b)
    rows = call.full(0)
    if call.batched[1]:
        *lead, last = call.shapes[0]
        rows = shape.reshape(rows, shape=(call.n, math.prod(lead), last))
        y = shape.reshape(matmul.matmul(rows, shape.swapaxes(w, -1, -2)), shape=(call.n, *call.out))
    else:
        y = call.run(rows, w)
    return y if b is None else y + call.aligned(2, len(call.out))


@rule(einsum.contract)
def _contract(call: Call) -> Any:
    left, _, out = call.params["subscripts"].partition("->")
    free = next(c for c in string.ascii_letters if c not in left)
    terms = [free + t if is_batched else t for t, is_batched in zip(left.split(","), call.batched, strict=True)]
    return call.run(*call.values, subscripts=f"{','.join(terms)}->{free}{out}")


@rule(
    linalg.inv, linalg.det, linalg.det_sign, linalg.det_phase, linalg.log_abs_det, linalg.cholesky, eigen.symmetric_values,
    eigen.symmetric_vectors, eigen.general_values, eigen.general_vectors, singular.singular_values, singular.singular_vectors,
    qr.qr_packed, qr.complete_basis, least_squares.pseudoinverse, matrix_functions.matrix_rank,
)  # fmt: skip
def _matrices(call: Call) -> Any:
    return call.run(call.values[0])


@rule(
    linalg.cofactors, eigen.symmetric_diagonal, eigen.symmetric_weighted, singular.singular_diagonal,
    singular.singular_weighted,
)  # fmt: skip
def _all_full(call: Call) -> Any:
    return call.run(*(call.full(i) for i in range(len(call.values))))


@rule(linalg.solve_columns)
def _solve(call: Call) -> Any:
    ndim = max(map(len, call.shapes))
    return call.run(*(call.aligned(i, ndim) for i in range(2)))


# Losses and draws


@rule(regression.mse)
def _mse(call: Call) -> Any:
    sizes = call.shapes[0]
    squares = call.run(call.full(0), call.aligned(1, len(sizes)), reduction="none")
    reduction = call.params["reduction"]
    if reduction == "none":
        return squares
    return (reduce.mean if reduction == "mean" else reduce.sum)(squares, axis=tuple(range(1, len(sizes) + 1)))


@rule(classification.mean_by)
def _mean_by(call: Call) -> Any:
    a, w = call.full(0), call.full(1)
    wide = np.result_type(a.dtype, np.float32)  # in float16 the sums would overflow
    total, weight = (reduce.sum(flat(x.astype(wide)), axis=1) for x in (a, w))
    empty = compare.equal(weight, 0)
    return elementwise.where(empty, math.nan, total / elementwise.where(empty, 1, weight)).astype(a.dtype)


@rule(classification.mean_nll)
def _mean_nll(call: Call) -> Any:
    logits, target, share = (call.full(i) for i in range(3))
    each = flat(shape.reshape(classification.softmax_nll(*map(_merged, (logits, target, share))), shape=share.shape))
    y = reduce.sum(each, axis=1).astype(logits.dtype)
    return elementwise.where(reduce.any(flat(share) != 0, axis=1), y, math.nan)


@rule(dropout.keep_mask, activation.drawn_slopes)
def _keep_mask(call: Call) -> Any:
    if call.params["rng"] is None or isinstance(call.params["rng"], np.random.Generator):
        return call.run(call.values[0])
    one = call.run(np.empty(call.shapes[0], call.values[0].dtype))  # a seed gives every sample the same draw
    return shape.broadcast_to(one, shape=(call.n, *np.shape(one)))
