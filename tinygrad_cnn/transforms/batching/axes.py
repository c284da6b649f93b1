"""Batching rules of ops that work along axes, on shapes and with indices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...numpy_api import select, statistics
from ...ops import (
    elementwise,
    fourier,
    gather,
    index,
    rearrange,
    reduce,
    resize,
    running,
    scan,
    scatter,
    shape,
    softmax,
    sort,
)
from ...ops.losses import distance, labels
from .call import TOGETHER, Call, Shape, flat, looped, moved, rule


@rule(elementwise.laid_out)
def _same(call: Call) -> Any:
    return call.values[0]


@rule(gather.checked, gather.one_hot, distance.is_positive)
def _as_it_is(call: Call) -> Any:
    """The op on the first input, whatever its shape."""
    if not call.only(0):
        return looped(call)
    params = {"num_classes": call.out[-1]} if call.op is gather.one_hot.op else {}
    return call.run(*call.values, **params)


@rule(labels.label_weights)
def _label_weights(call: Call) -> Any:
    if not call.only(0):
        return looped(call)
    w = call.run(*call.values, mean=False)
    if not call.params["mean"]:
        return w
    w = w.astype(np.result_type(w.dtype, np.float32))
    total = shape.reshape(reduce.sum(flat(w), axis=1), shape=(call.n, *(1,) * len(call.out)))
    return w / (total + (total == 0))


# Along axes


@rule(
    reduce.sum, reduce.mean, reduce.max, reduce.min, reduce.prod, reduce.any, reduce.all, reduce.centre, reduce.variance,
    reduce.deviation, reduce.logsumexp, reduce.power_norm, softmax.softmax, softmax.softmin, softmax.log_softmax,
    rearrange.flip, resize.resample,
)  # fmt: skip
def _along_axes(call: Call) -> Any:
    ndim, axis = len(call.shapes[0]), call.params["axis"]
    return call.run(call.values[0], axis=tuple(range(1, ndim + 1)) if axis is None else moved(axis, ndim))


@rule(fourier.dft)
def _dft(call: Call) -> Any:
    return call.run(call.values[0], axes=moved(call.params["axes"], len(call.shapes[0])))


@rule(fourier.half_dft, fourier.real_inverse)
def _along_one_axis(call: Call) -> Any:
    return call.run(call.values[0], axis=moved(call.params["axis"], len(call.shapes[0])))


@rule(reduce.share)
def _share(call: Call) -> Any:
    ndim, axis = len(call.out), call.params["axis"]
    axes = tuple(range(1, ndim + 1)) if axis is None else moved(axis, ndim)
    return call.run(call.aligned(0, ndim), call.full(1), axis=axes)


@rule(reduce.argmax, reduce.argmin, scan.cumsum, scan.cumprod, rearrange.roll, sort.argsort, select.argpartition)
def _along_axis_or_flattened(call: Call) -> Any:
    axis, value = call.params["axis"], call.values[0]
    if axis is None or not call.shapes[0]:
        value, axis = flat(value), 1
    else:
        axis = moved(axis, len(call.shapes[0]))
    return shape.reshape(call.run(value, axis=axis), shape=(call.n, *call.out))


@rule(running.running_argmax, running.logcumsumexp)
def _running(call: Call) -> Any:
    return call.run(call.values[0], axis=moved(call.params["axis"], len(call.out)))


@rule(statistics.weighed_places)
def _last_axis(call: Call) -> Any:
    return call.run(call.values[0])


@rule(select.searchsorted)
def _searchsorted(call: Call) -> Any:
    return call.run(*call.values) if call.only(1) else looped(call)


@rule(scan.recurrence, softmax.softmax_pull, softmax.log_softmax_pull)
def _along_axis_of_two(call: Call) -> Any:
    axis = moved(call.params["axis"], len(call.out))
    return call.run(*(call.full(i, call.out) for i in range(2)), axis=axis)


# Shapes


@rule(shape.reshape)
def _reshape(call: Call) -> Any:
    return call.run(call.values[0], shape=(call.n, *call.out))


@rule(shape.transpose)
def _transpose(call: Call) -> Any:
    ndim, axes = len(call.out), call.params["axes"]
    axes = range(ndim)[::-1] if axes is None else [axes] if not np.ndim(axes) else axes
    return call.run(call.values[0], axes=(0, *(int(a) % ndim + 1 for a in axes)))


@rule(shape.broadcast_to)
def _broadcast_to(call: Call) -> Any:
    return call.full(0, call.out)


@rule(shape.sum_to)
def _sum_to(call: Call) -> Any:
    ones = (1,) * (len(call.shapes[0]) - len(call.out))
    return shape.reshape(call.run(call.values[0], shape=(call.n, *ones, *call.out)), shape=(call.n, *call.out))


@rule(shape.concatenate)
def _concatenate(call: Call) -> Any:
    parts, axis = [call.full(i) for i in range(len(call.values))], call.params["axis"]
    if axis is None:
        return call.run(*map(flat, parts), axis=1)
    return call.run(*parts, axis=moved(axis, len(call.out)))


def _concatenated(t: Sequence[Any], values: Mapping[str, Any], out: Shape, n: int) -> Any:
    dtype, axis, ends = next(each.dtype for each in t if each is not None), values["axis"], values["ends"]
    at, parts = 1 if axis is None else moved(axis, len(out)), []
    for each, start, stop in zip(t, ends, ends[1:], strict=False):
        sizes = [n, *out]
        sizes[at] = stop - start
        parts.append(np.zeros(sizes, dtype) if each is None else flat(each) if axis is None else each)
    return shape.concatenate(parts, axis=at)


TOGETHER[shape.concatenate.op] = _concatenated
TOGETHER[shape.reshape.op] = lambda t, values, out, n: shape.reshape(t, shape=(n, *out))


@rule(shape.pad_constant)
def _pad(call: Call) -> Any:
    width = call.params["pad_width"]
    value = np.broadcast_to(call.params["value"], (len(width), 2)).tolist()
    return call.run(call.values[0], pad_width=((0, 0), *width), value=((0, 0), *value))


# Indices


def _behind_samples(indices: Any) -> Any:
    """An index of one sample as an index of the batch; None if NumPy would order the axes of the result differently."""
    if indices.__class__ is slice or indices.__class__ is int:
        return (slice(None), indices)
    parts = indices if isinstance(indices, tuple) else (indices,)
    advanced = [i for i, part in enumerate(parts) if not isinstance(part, slice | type(None) | type(Ellipsis))]
    arrays = any(not isinstance(parts[i], int | np.integer) for i in advanced)
    if arrays and advanced[-1] - advanced[0] + 1 != len(advanced):
        return None
    return (slice(None), *parts)


@rule(index.getitem)
def _getitem(call: Call) -> Any:
    where = _behind_samples(call.params["index"])
    return looped(call) if where is None else call.run(call.values[0], index=where)


def _selected(t: Any, values: Mapping[str, Any], out: Shape, n: int) -> Any:
    where = _behind_samples(values["index"])
    if where is None:
        return shape.stack([index.getitem(each, index=values["index"]) for each in t])
    return index.getitem(t, index=where)


TOGETHER[index.getitem.op] = _selected


@rule(index.add_at_zeros)
def _add_at_zeros(call: Call) -> Any:
    where = _behind_samples(call.params["index"])
    return looped(call) if where is None else call.run(call.values[0], index=where, shape=(call.n, *call.out))


@rule(index.assign)
def _assign(call: Call) -> Any:
    where = _behind_samples(call.params["index"])
    if where is None:
        return looped(call)
    selected = np.broadcast_to(np.zeros(()), call.shapes[0])[call.params["index"]].ndim
    return call.run(call.full(0), call.aligned(1, selected), index=where)


@rule(gather.take)
def _take(call: Call) -> Any:
    (a, indices), axis = call.values, call.params["axis"]
    if call.only(0):
        if axis is None:
            return call.run(flat(a), indices, axis=1)
        return call.run(a, indices, axis=moved(axis, len(call.shapes[0])))
    if call.only(1):
        return call.run(a, indices) if axis is None else shape.moveaxis(call.run(a, indices), axis % np.ndim(a), 0)
    return looped(call)


@rule(gather.add_taken)
def _add_taken(call: Call) -> Any:
    if not call.only(0):
        return looped(call)
    if call.params["axis"] is None:
        flat = call.run(*call.values, axis=1, shape=(call.n, math.prod(call.out)))
        return shape.reshape(flat, shape=(call.n, *call.out))
    return call.run(*call.values, axis=moved(call.params["axis"], len(call.out)), shape=(call.n, *call.out))


@rule(gather.embedding)
def _embedding(call: Call) -> Any:
    return call.run(*call.values) if call.only(0) else looped(call)


@rule(gather.take_along_axis, gather.add_along_axis, scatter.scatter_extreme)
def _along_lines(call: Call) -> Any:
    values, axis = [call.full(i) for i in range(len(call.values))], call.params["axis"]
    sizes = {"shape": (call.n, *call.out)} if "shape" in call.params else {}
    if axis is None:
        values = [*map(flat, values)]
        sizes = {"shape": (call.n, math.prod(call.out))} if sizes else {}
        return shape.reshape(call.run(*values, axis=1, **sizes), shape=(call.n, *call.out))
    return call.run(*values, axis=moved(axis, len(call.shapes[1])), **sizes)


# Images: the samples are more images
