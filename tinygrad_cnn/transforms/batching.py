"""Batching rules: how an op is computed for a batch of samples at once.

A rule is given a :class:`Call`, the call of an op on one sample and the values that its inputs have for the whole batch. A
batched value has the samples along a new first axis. The rule returns the output of the batch, with the samples first.
One rule serves a family of ops: those that work element by element, along an axis, on images, on matrices.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..core.graph import Array, Op
from ..ops import (
    activation,
    adaptive_pool,
    affine,
    compare,
    conv,
    decomposition,
    dropout,
    einsum,
    elementwise,
    gather,
    index,
    linalg,
    matmul,
    matrix_functions,
    normalization,
    pool,
    rearrange,
    reduce,
    resize,
    running,
    scan,
    scatter,
    select,
    shape,
    softmax,
    sort,
)
from ..ops.losses import classification, distance, regression

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """The call of an op on one sample, with the values of its inputs for n samples.

    Attributes:
        op: the op.
        values: its inputs; those that are batched have the samples first.
        batched: which of them are batched.
        shapes: the shapes that they have for one sample.
        params: the parameters of the call.
        out: the shape of the output for one sample.
        n: how many samples there are.
    """

    op: Op
    values: list[Any]
    batched: list[bool]
    shapes: list[Shape]
    params: dict[str, Any]
    out: Shape
    n: int

    def run(self, *values: Any, **params: Any) -> Any:
        """The op on these values, with the parameters of the call but for those that are given."""
        given = [list(values)] if self.op.signature.variadic else values
        return self.op.function(*given, **{**self.params, **params})

    def aligned(self, i: int, ndim: int) -> Any:
        """Input i with axes of size 1 behind the samples, so that it broadcasts as one of `ndim` axes did for one sample."""
        value, own = self.values[i], self.shapes[i]
        if not self.batched[i] or len(own) == ndim:
            return value
        return shape.reshape(value, shape=(self.n, *(1,) * (ndim - len(own)), *own))

    def full(self, i: int, sizes: Shape | None = None) -> Any:
        """Input i with all samples, of its own shape or broadcast to `sizes`."""
        sizes = self.shapes[i] if sizes is None else sizes
        if self.batched[i] and self.shapes[i] == sizes:
            return self.values[i]
        return shape.broadcast_to(self.aligned(i, len(sizes)), shape=(self.n, *sizes))

    def only(self, *inputs: int) -> bool:
        """Whether these inputs are batched and no others."""
        return all(is_batched == (i in inputs) for i, is_batched in enumerate(self.batched))


Rule: TypeAlias = Callable[[Call], Any]

RULES: dict[Op, Rule] = {}


def _rule(*functions: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update({function.op: rule for function in functions})
        return rule

    return register


def elementwise_rule(call: Call) -> Any:
    """The op on inputs that broadcast behind the samples."""
    ndim = max(len(own) for own in call.shapes)
    return call.run(*(call.aligned(i, ndim) for i in range(len(call.values))))


@_rule(elementwise.laid_out)
def _same(call: Call) -> Any:
    return call.values[0]


@_rule(gather.checked, gather.one_hot, distance.is_positive, classification.label_weights)
def _as_it_is(call: Call) -> Any:
    """Of the first input, whatever its shape."""
    if not call.only(0):
        return looped(call)
    params = {"num_classes": call.out[-1]} if call.op is gather.one_hot.op else {}
    return call.run(*call.values, **params)


def _flat(x: Array) -> Any:
    """(n, ...) as (n, size of a sample); not with -1, which nothing tells if there are no elements."""
    return shape.reshape(x, shape=(x.shape[0], math.prod(x.shape[1:])))


# Along axes


def _moved(axis: Any, ndim: int) -> Any:
    """Axes of one sample as axes of the batch."""
    if isinstance(axis, Sequence):
        return tuple(a % max(ndim, 1) + 1 for a in axis) if ndim else ()
    return int(axis) % ndim + 1 if ndim else ()


@_rule(
    reduce.sum, reduce.mean, reduce.max, reduce.min, reduce.prod, reduce.any, reduce.all, reduce.centre, reduce.variance,
    reduce.deviation, reduce.logsumexp, reduce.power_norm, softmax.softmax, softmax.softmin, softmax.log_softmax,
    rearrange.flip, resize.resample,
)  # fmt: skip
def _along_axes(call: Call) -> Any:
    ndim, axis = len(call.shapes[0]), call.params["axis"]
    return call.run(call.values[0], axis=tuple(range(1, ndim + 1)) if axis is None else _moved(axis, ndim))


@_rule(reduce.argmax, reduce.argmin, scan.cumsum, scan.cumprod, rearrange.roll, sort.argsort, select.argpartition)
def _along_axis_or_flattened(call: Call) -> Any:
    axis, value = call.params["axis"], call.values[0]
    if axis is None or not call.shapes[0]:
        value, axis = _flat(value), 1
    else:
        axis = _moved(axis, len(call.shapes[0]))
    return shape.reshape(call.run(value, axis=axis), shape=(call.n, *call.out))


@_rule(running.running_argmax, running.logcumsumexp)
def _running(call: Call) -> Any:
    return call.run(call.values[0], axis=_moved(call.params["axis"], len(call.out)))


@_rule(select.searchsorted)
def _searchsorted(call: Call) -> Any:
    return call.run(*call.values) if call.only(1) else looped(call)


@_rule(scan.recurrence)
def _recurrence(call: Call) -> Any:
    axis = _moved(call.params["axis"], len(call.out))
    return call.run(*(call.full(i, call.out) for i in range(2)), axis=axis)


# Shapes


@_rule(shape.reshape)
def _reshape(call: Call) -> Any:
    return call.run(call.values[0], shape=(call.n, *call.out))


@_rule(shape.transpose)
def _transpose(call: Call) -> Any:
    ndim, axes = len(call.out), call.params["axes"]
    axes = range(ndim)[::-1] if axes is None else [axes] if not np.ndim(axes) else axes
    return call.run(call.values[0], axes=(0, *(int(a) % ndim + 1 for a in axes)))


@_rule(shape.broadcast_to)
def _broadcast_to(call: Call) -> Any:
    return call.full(0, call.out)


@_rule(shape.sum_to)
def _sum_to(call: Call) -> Any:
    ones = (1,) * (len(call.shapes[0]) - len(call.out))
    return shape.reshape(call.run(call.values[0], shape=(call.n, *ones, *call.out)), shape=(call.n, *call.out))


@_rule(shape.concatenate)
def _concatenate(call: Call) -> Any:
    parts, axis = [call.full(i) for i in range(len(call.values))], call.params["axis"]
    if axis is None:
        return call.run(*map(_flat, parts), axis=1)
    return call.run(*parts, axis=_moved(axis, len(call.out)))


@_rule(shape.pad_constant)
def _pad(call: Call) -> Any:
    return call.run(call.values[0], pad_width=((0, 0), *call.params["pad_width"]))


# Indices


def _behind_samples(indices: Any) -> Any:
    """An index of one sample as one of the batch; None if NumPy would put the axes of the result in another order."""
    parts = indices if isinstance(indices, tuple) else (indices,)
    advanced = [i for i, part in enumerate(parts) if not isinstance(part, slice | type(None) | type(Ellipsis))]
    arrays = any(not isinstance(parts[i], int | np.integer) for i in advanced)
    if arrays and advanced[-1] - advanced[0] + 1 != len(advanced):
        return None
    return (slice(None), *parts)


@_rule(index.getitem)
def _getitem(call: Call) -> Any:
    where = _behind_samples(call.params["index"])
    return looped(call) if where is None else call.run(call.values[0], index=where)


@_rule(index.add_at_zeros)
def _add_at_zeros(call: Call) -> Any:
    where = _behind_samples(call.params["index"])
    return looped(call) if where is None else call.run(call.values[0], index=where, shape=(call.n, *call.out))


@_rule(index.assign)
def _assign(call: Call) -> Any:
    where = _behind_samples(call.params["index"])
    if where is None:
        return looped(call)
    selected = np.broadcast_to(np.zeros(()), call.shapes[0])[call.params["index"]].ndim
    return call.run(call.full(0), call.aligned(1, selected), index=where)


@_rule(gather.take)
def _take(call: Call) -> Any:
    (a, indices), axis = call.values, call.params["axis"]
    if call.only(0):
        if axis is None:
            return call.run(_flat(a), indices, axis=1)
        return call.run(a, indices, axis=_moved(axis, len(call.shapes[0])))
    if call.only(1):
        return call.run(a, indices) if axis is None else shape.moveaxis(call.run(a, indices), axis % np.ndim(a), 0)
    return looped(call)


@_rule(gather.add_taken)
def _add_taken(call: Call) -> Any:
    if not call.only(0):
        return looped(call)
    if call.params["axis"] is None:
        flat = call.run(*call.values, axis=1, shape=(call.n, math.prod(call.out)))
        return shape.reshape(flat, shape=(call.n, *call.out))
    return call.run(*call.values, axis=_moved(call.params["axis"], len(call.out)), shape=(call.n, *call.out))


@_rule(gather.embedding)
def _embedding(call: Call) -> Any:
    return call.run(*call.values) if call.only(0) else looped(call)


@_rule(gather.take_along_axis, gather.add_along_axis, scatter.scatter_extreme)
def _along_lines(call: Call) -> Any:
    values, axis = [call.full(i) for i in range(len(call.values))], call.params["axis"]
    sizes = {"shape": (call.n, *call.out)} if "shape" in call.params else {}
    if axis is None:
        values = [*map(_flat, values)]
        sizes = {"shape": (call.n, math.prod(call.out))} if sizes else {}
        return shape.reshape(call.run(*values, axis=1, **sizes), shape=(call.n, *call.out))
    return call.run(*values, axis=_moved(axis, len(call.shapes[1])), **sizes)


# Images: the samples are more images


@_rule(
    pool.max_pool, pool.max_pool_which, pool.put_elements, pool.take_elements, pool.sum_windows, pool.spread_windows,
    pool.flat_indices, adaptive_pool.max_region_indices, conv.columns, conv.add_columns, classification.label_mask,
    classification.softmax_nll,
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


@_rule(conv.convolve)
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


@_rule(conv.convolve_dx)
def _convolve_dx(call: Call) -> Any:
    u, w = call.values
    images, channels, *sizes = call.out
    if not call.batched[1]:
        y = call.run(_merged(u), w, shape=(call.n * images, channels, *sizes))
        return shape.reshape(y, shape=(call.n, *call.out))
    whole = (images, call.n * channels, *sizes)
    y = call.run(_grouped(call.full(0)), _merged(w), shape=whole, groups=call.n * call.params["groups"])
    return shape.moveaxis(shape.reshape(y, shape=(images, call.n, channels, *sizes)), 1, 0)


@_rule(conv.convolve_dw)
def _convolve_dw(call: Call) -> Any:
    whole = (call.n * call.out[0], *call.out[1:])
    values = (_grouped(call.full(i)) for i in range(2))
    w = call.run(*values, shape=whole, groups=call.n * call.params["groups"])
    return shape.reshape(w, shape=(call.n, *call.out))


@_rule(normalization.moments, normalization.normalized, normalization.correlations, normalization.normalized_dx)
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
    y = call.run(*values, over=over._replace(axis=_moved(over.axis, ndim)))
    return shape.moveaxis(y, 1, 0) if call.op in (normalization.moments.op, normalization.correlations.op) else y


@_rule(affine.affine)
def _affine(call: Call) -> Any:
    ndim = len(call.out)
    return call.run(call.full(0), *(call.aligned(i, ndim) for i in range(1, len(call.values))))


@_rule(affine.product_to)
def _product_to(call: Call) -> Any:
    ones = (1,) * (len(call.shapes[0]) - len(call.out))
    y = call.run(call.full(0), call.full(1), shape=(call.n, *ones, *call.out))
    return shape.reshape(y, shape=(call.n, *call.out))


# Matrices


@_rule(matmul.matmul)
def _matmul(call: Call) -> Any:
    a, b = call.values
    left, right = call.shapes
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


@_rule(matmul.linear)
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


@_rule(einsum.contract)
def _contract(call: Call) -> Any:
    left, _, out = call.params["subscripts"].partition("->")
    free = next(c for c in string.ascii_letters if c not in left)
    terms = [free + t if is_batched else t for t, is_batched in zip(left.split(","), call.batched, strict=True)]
    return call.run(*call.values, subscripts=f"{','.join(terms)}->{free}{out}")


@_rule(
    linalg.inv, linalg.det, linalg.det_sign, linalg.log_abs_det, linalg.cholesky, decomposition.symmetric_values,
    decomposition.symmetric_vectors, decomposition.general_values, decomposition.general_vectors,
    decomposition.singular_values, decomposition.singular_vectors, decomposition.qr_packed, decomposition.pseudoinverse,
    matrix_functions.matrix_rank,
)  # fmt: skip
def _matrices(call: Call) -> Any:
    return call.run(call.values[0])


@_rule(linalg.solve_columns)
def _solve(call: Call) -> Any:
    ndim = max(map(len, call.shapes))
    return call.run(*(call.aligned(i, ndim) for i in range(2)))


# Losses and draws


@_rule(regression.mse)
def _mse(call: Call) -> Any:
    sizes = call.shapes[0]
    squares = call.run(call.full(0), call.aligned(1, len(sizes)), reduction="none")
    reduction = call.params["reduction"]
    if reduction == "none":
        return squares
    return (reduce.mean if reduction == "mean" else reduce.sum)(squares, axis=tuple(range(1, len(sizes) + 1)))


@_rule(classification.mean_by)
def _mean_by(call: Call) -> Any:
    a, w = call.full(0), call.full(1)
    wide = np.result_type(a.dtype, np.float32)  # in float16 the sums would overflow
    total, weight = (reduce.sum(_flat(x.astype(wide)), axis=1) for x in (a, w))
    empty = compare.equal(weight, 0)
    return elementwise.where(empty, math.nan, total / elementwise.where(empty, 1, weight)).astype(a.dtype)


@_rule(dropout.keep_mask, activation.drawn_slopes)
def _keep_mask(call: Call) -> Any:
    if call.params["rng"] is None or isinstance(call.params["rng"], np.random.Generator):
        return call.run(call.values[0])
    one = call.run(np.empty(call.shapes[0], call.values[0].dtype))  # a seed gives every sample the same draw
    return shape.broadcast_to(one, shape=(call.n, *np.shape(one)))


def looped(call: Call) -> Any:
    """The op on one sample after the other, stacked."""
    samples = []
    for i in range(call.n):
        own = (value[i] if is_batched else value for value, is_batched in zip(call.values, call.batched, strict=True))
        samples.append(call.run(*own))
    return shape.stack(samples)


def rule_of(op: Op) -> Rule | None:
    """The batching rule of an op; None if it has none."""
    return RULES.get(op) or (elementwise_rule if op.elementwise else None)
