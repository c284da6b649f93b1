"""Shapes, and operators that only move elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import rearrange, resize
from ....ops import shape as s
from ....ops.gather import take_along_axis
from ....ops.index import getitem
from .base import Structural, bounded, dtype_of, integers, number, reads, refuse, values, writes
from .logic import numpy_dtype

FAR = (np.iinfo(np.int32).max, np.iinfo(np.int64).max)
"""Ends of a slice that stand for the end of the axis, forwards and backwards."""

PAD_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


@reads("Shape")
def _shape(data: Structural, *, start: int = 0, end: int | None = None) -> Array:
    return np.array(np.shape(data)[slice(start, end)], np.int64)


@reads("Size")
def _size(data: Structural) -> Array:
    return np.array(math.prod(np.shape(data)), np.int64)


@reads("Reshape")
def _reshape(data: Array, shape: Structural, *, allowzero: int = 0) -> Array:
    wanted = list(integers(shape))
    if not allowzero:
        refuse(
            any(n == 0 and i >= np.ndim(data) for i, n in enumerate(wanted)),
            f"`shape` {wanted} has a 0, for an axis of the input, beyond the axes of {np.shape(data)}",
        )
        wanted = [np.shape(data)[i] if n == 0 else n for i, n in enumerate(wanted)]
    refuse(any(n < -1 for n in wanted), f"`shape` {wanted} has a negative size")
    if -1 in wanted and 0 in wanted:  # for which NumPy does not infer a size
        rest = math.prod(n for n in wanted if n != -1) or 1
        wanted[wanted.index(-1)] = math.prod(np.shape(data)) // rest
    return s.reshape(data, shape=tuple(wanted))


@writes(s.reshape, varies=True)
def _write_reshape(w: Any, a: Any, *, shape: Any, out: Any) -> Any:
    return w.reshape(a, out)


@reads("Flatten")
def _flatten(input: Array, *, axis: int = 1) -> Array:
    sizes = np.shape(input)
    axis = axis + len(sizes) if axis < 0 else axis
    return s.reshape(input, shape=(math.prod(sizes[:axis]), math.prod(sizes[axis:])))


@reads("Transpose")
def _transpose(data: Array, *, perm: Sequence[int] | None = None) -> Array:
    refuse(
        perm is not None and sorted(perm) != list(range(np.ndim(data))), f"`perm` is {perm} for {np.ndim(data)} axes"
    )
    return s.transpose(data, axes=perm)


@writes(s.transpose)
def _write_transpose(w: Any, a: Any, *, axes: Any, out: Any) -> Any:
    n = len(out.shape)
    if n < 2:
        return a
    order = range(n - 1, -1, -1) if axes is None else [int(i) % n for i in np.atleast_1d(axes)]
    return w.node("Transpose", a, perm=list(order))


@reads("Squeeze")
def _squeeze(data: Array, axes: Structural = None) -> Array:
    refuse(axes is not None and not integers(axes), "`axes` is empty; leave it out for all axes of size 1")
    return s.squeeze(data, None if axes is None else integers(axes))


@reads("Unsqueeze")
def _unsqueeze(data: Array, axes: Structural) -> Array:
    return s.expand_dims(data, integers(axes))


@reads("Concat")
def _concat(*inputs: Array, axis: int = 1) -> Array:
    if any(x.__class__ is not np.ndarray for x in inputs):
        return s.concatenate(inputs, axis=axis)
    return np.concatenate(inputs, axis)


@writes(s.concatenate)
def _write_concat(w: Any, *arrays: Any, axis: Any, out: Any) -> Any:
    parts = w.same(out.dtype, *arrays)
    if axis is None:
        parts, axis = [w.node("Reshape", p, w.ints([-1])) for p in parts], 0
    return w.node("Concat", *parts, axis=int(axis))


@reads("Split")
def _split(
    input: Array, split: Structural = None, *, axis: int = 0, num_outputs: int | None = None, outputs: int
) -> Any:
    n = np.shape(input)[axis]
    if split is None:
        count = num_outputs or outputs
        refuse(
            not num_outputs and n % count, f"axis {axis} of {np.shape(input)} cannot be split into {count} equal parts"
        )
        each = -(-n // count)
        sizes = [min(each, max(n - i * each, 0)) for i in range(min(count, max(n, outputs)))]
    else:
        sizes = list(integers(split))
    refuse(
        sum(sizes) != n or len(sizes) < outputs or min(sizes) < 0,
        f"`split` is {sizes} for {outputs} outputs; it must add up to {n}, the size of axis {axis} of {np.shape(input)}",
    )
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(s.slice_axis(input, start, stop, axis % np.ndim(input)) for start, stop in pairwise(ends))


@reads("Slice")
def _slice(
    data: Array, starts: Structural, ends: Structural, axes: Structural = None, steps: Structural = None
) -> Array:
    begin, end = integers(starts), integers(ends)
    where_ = range(len(begin)) if axes is None else integers(axes)
    jumps = (1,) * len(begin) if steps is None else integers(steps)
    index: list[Any] = [slice(None)] * np.ndim(data)
    for first, last, axis, step in zip(begin, end, where_, jumps, strict=True):
        refuse(step == 0, "`steps` has a 0")
        n = np.shape(data)[axis]
        if step > 0:
            index[axis] = slice(first, last, step)
        else:  # unlike NumPy's, a start before the first element is the first one
            index[axis] = slice(max(first, -n), None if last in FAR or last < -n else last, step)
    return getitem(data, index=tuple(index))


@reads("Expand")
def _expand(input: Array, shape: Structural) -> Array:
    wanted = integers(shape)
    whole = bounded(np.broadcast_shapes(np.shape(input), wanted), "Expand")
    return s.broadcast_to(input, shape=whole)


@writes(s.broadcast_to, varies=True)
def _write_broadcast(w: Any, a: Any, *, shape: Any, out: Any) -> Any:
    return w.node("Expand", a, w.shape(out))


@writes(s.sum_to, varies=True)
def _write_sum_to(w: Any, a: Any, *, shape: Any, out: Any) -> Any:
    axes = s.repeated_axes(a.shape, out.shape)
    if not axes:
        return a
    return w.reshape(w.reduce("ReduceSum", a, axes, True), out)


@reads("Tile")
def _tile(input: Array, repeats: Structural) -> Array:
    times = integers(repeats)
    refuse(
        len(times) != np.ndim(input), f"`repeats` is {times}; it must have a number for each axis of {np.shape(input)}"
    )
    bounded([n * m for n, m in zip(np.shape(input), times, strict=True)], "Tile")
    return rearrange.tile(input, times)


@reads("Pad")
def _pad(
    data: Array, pads: Structural, constant_value: Structural = None, axes: Structural = None, *, mode: str = "constant",
    value: float = 0.0,
) -> Array:  # fmt: skip
    widths, ndim = integers(pads), np.ndim(data)
    chosen = range(ndim) if axes is None else [i % ndim for i in integers(axes)]
    half = len(widths) // 2
    refuse(
        len(widths) != 2 * len(chosen), f"`pads` is {widths}; it must have two numbers for each of {len(chosen)} axes"
    )
    pairs = [(0, 0)] * ndim
    for i, axis in enumerate(chosen):
        pairs[axis] = (widths[i], widths[half + i])
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, np.shape(data), strict=True))
    grown = [(max(a, 0), max(b, 0)) for a, b in pairs]
    bounded([n + a + b for n, (a, b) in zip(np.shape(data), pairs, strict=True)], "Pad")
    x = (
        data
        if all(part == slice(0, n) for part, n in zip(cut, np.shape(data), strict=True))
        else getitem(data, index=cut)
    )
    if mode == "constant":
        fill = value if constant_value is None else number(constant_value)
        if dtype_of(data).kind == "b":
            fill = bool(fill)
        return s.pad_constant(x, pad_width=tuple(grown), value=fill)
    refuse(mode not in PAD_MODES, f"`mode` is {mode!r}; it must be constant or one of {', '.join(PAD_MODES)}")
    return s.pad(x, grown, PAD_MODES[mode])


@writes(s.pad_constant)
def _write_pad(w: Any, a: Any, *, pad_width: Any, value: Any, out: Any) -> Any:
    return w.node("Pad", a, w.ints([b for b, _ in pad_width] + [e for _, e in pad_width]), w.number(value, out.dtype))


@reads("Constant")
def _constant(
    *,
    value: Any = None,
    value_float: Any = None,
    value_floats: Any = None,
    value_int: Any = None,
    value_ints: Any = None,
) -> Array:
    if value is not None:
        return np.asarray(value)
    if value_float is not None or value_floats is not None:
        return np.array(value_float if value_floats is None else value_floats, np.float32)
    refuse(value_int is None and value_ints is None, "it has no value that NumPy has")
    return np.array(value_int if value_ints is None else value_ints, np.int64)


@reads("ConstantOfShape")
def _constant_of_shape(input: Structural, *, value: Any = None) -> Array:
    fill = np.zeros((), np.float32) if value is None else np.asarray(value).reshape(())
    return np.full(bounded(integers(input), "ConstantOfShape"), fill, fill.dtype)


@reads("Range")
def _range(start: Structural, limit: Structural, delta: Structural) -> Array:
    dtype = dtype_of(start)
    first, last, step = (number(x) for x in (start, limit, delta))
    refuse(step == 0, "`delta` is 0")
    count = max(math.ceil((last - first) / step), 0)
    bounded([count], "Range")
    return np.arange(count).astype(dtype) * dtype.type(step) + dtype.type(first)


@reads("EyeLike")
def _eye_like(input: Structural, *, dtype: int | None = None, k: int = 0) -> Array:
    rows, columns = np.shape(input)
    return np.eye(rows, columns, k, dtype_of(input) if dtype is None else numpy_dtype(dtype))


@reads("DepthToSpace")
def _depth_to_space(input: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    if mode == "CRD":
        return resize.pixel_shuffle(input, blocksize)
    n, c, h, w = np.shape(input)
    parts = s.reshape(input, shape=(n, blocksize, blocksize, c // blocksize**2, h, w))
    moved = s.transpose(parts, axes=(0, 3, 4, 1, 5, 2))
    return s.reshape(moved, shape=(n, c // blocksize**2, h * blocksize, w * blocksize))


@reads("SpaceToDepth")
def _space_to_depth(input: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    n, c, h, w = np.shape(input)
    parts = s.reshape(input, shape=(n, c, h // blocksize, blocksize, w // blocksize, blocksize))
    moved = s.transpose(parts, axes=(0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return s.reshape(moved, shape=(n, c * blocksize**2, h // blocksize, w // blocksize))


@reads("Trilu")
def _trilu(input: Array, k: Structural = None, *, upper: int = 1) -> Array:
    return (rearrange.triu if upper else rearrange.tril)(input, 0 if k is None else number(k))


@reads("ReverseSequence")
def _reverse_sequence(input: Array, sequence_lens: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    shape, lengths = np.shape(input), values(sequence_lens)
    time = np.arange(shape[time_axis])
    order = np.where(time[:, None] < lengths, lengths - 1 - time[:, None], time[:, None])
    order = order if (time_axis, batch_axis) == (0, 1) else order.T
    order = order.reshape(*order.shape, *(1,) * (len(shape) - 2))
    return take_along_axis(input, order, axis=time_axis)


@reads("CenterCropPad")
def _center_crop_pad(input_data: Array, shape: Structural, *, axes: Sequence[int] | None = None) -> Array:
    sizes, wanted = np.shape(input_data), integers(shape)
    chosen = range(len(sizes)) if axes is None else [i % len(sizes) for i in axes]
    bounded(wanted, "CenterCropPad")
    index: list[Any] = [slice(None)] * len(sizes)
    pairs = [(0, 0)] * len(sizes)
    for axis, n in zip(chosen, wanted, strict=True):
        gap = n - sizes[axis]
        if gap < 0:
            index[axis] = slice(-gap // 2, -gap // 2 + n)
        else:
            pairs[axis] = (gap // 2, gap - gap // 2)
    return s.pad_constant(getitem(input_data, index=tuple(index)), pad_width=tuple(pairs))


@writes(rearrange.flip)
def _flip(w: Any, m: Any, *, axis: Any) -> Any:
    axes = range(len(m.shape)) if axis is None else [int(i) % len(m.shape) for i in np.atleast_1d(axis)]
    count = len(list(axes))
    if not count:
        return m
    least = np.iinfo(np.int64).min + 1
    return w.node("Slice", m, w.ints([-1] * count), w.ints([least] * count), w.ints(list(axes)), w.ints([-1] * count))


@writes(rearrange.roll)
def _roll(w: Any, a: Any, *, shift: Any, axis: Any, out: Any) -> Any:
    y = w.node("Reshape", a, w.ints([-1])) if axis is None else a
    turns: dict[int, int] = {}
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(0 if axis is None else axis))
    for step, given in zip(shifts.tolist(), axes.tolist(), strict=True):
        i = given % (len(out.shape) if axis is not None else 1)
        turns[i] = turns.get(i, 0) + step
    for i, step in turns.items():
        n = math.prod(a.shape) if axis is None else a.shape[i]
        w.refuse_size(step and (a.varies if axis is None else a.is_dynamic(i)), "turns an axis whose size is dynamic")
        if n and step % n:
            cut = n - step % n
            y = w.node("Concat", w.cut(y, i, cut, n), w.cut(y, i, 0, cut), axis=i)
    return w.reshape(y, out) if axis is None else y
