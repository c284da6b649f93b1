"""Indexing, scattering, sorting and counting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import elementwise as e
from ....ops import gather as g
from ....ops import index as i
from ....ops import scan, scatter, sort
from ....ops import shape as s
from .base import Structural, bounded, dtype_of, flat, number, reads, refuse, values, writes


@flat
def whole_numbers(x: Any) -> Any:
    """Indices of a floating-point dtype, as integers."""
    return np.asarray(x).astype(np.int64)


@writes(whole_numbers)
def _write_whole(w: Any, x: Any) -> Any:
    return w.cast(x, np.int64)


def _indices(x: Array) -> Any:
    return x if dtype_of(x).kind in "iu" else whole_numbers(x)


@reads("Gather")
def _gather(data: Array, indices: Array, *, axis: int = 0) -> Array:
    return g.take(data, _indices(indices), axis=axis)


@writes(g.take)
def _write_take(w: Any, a: Any, indices: Any, *, axis: Any) -> Any:
    a = w.node("Reshape", a, w.ints([-1])) if axis is None else a
    return w.node("Gather", a, indices, axis=0 if axis is None else int(axis))


@writes(g.embedding)
def _embedding(w: Any, indices: Any, weight: Any, *, padding_idx: Any) -> Any:
    return w.node("Gather", weight, w.as_index(indices), axis=0)


@writes(g.checked)
def _checked(w: Any, indices: Any, *, function: Any, argument: Any, size: Any) -> Any:
    return w.as_index(indices)


@writes(g.one_hot)
def _write_one_hot(w: Any, labels: Any, *, num_classes: Any, out: Any) -> Any:
    column = w.node("Unsqueeze", w.as_dtype(labels, np.int64), w.ints([-1]))
    return w.cast(w.node("Equal", column, w.ints(range(out.shape[-1]))), out.dtype)


@reads("OneHot")
def _one_hot(indices: Array, depth: Structural, values: Array, *, axis: int = -1) -> Array:
    count = int(number(depth))
    bounded([*np.shape(indices), count], "OneHot")
    off, on = i.getitem(values, index=0), i.getitem(values, index=1)
    where = axis if axis >= 0 else axis + np.ndim(indices) + 1
    classes = np.arange(count).reshape(-1, *(1,) * (np.ndim(indices) - where))
    return e.where(_is_class(s.expand_dims(indices, where), classes, np.array(count)), on, off)


@flat
def _is_class(index: Any, classes: Any, count: Any) -> Any:
    """Whether an index is a class; negative indices count from the end."""
    return (index == classes) | (index + count == classes)


@writes(_is_class)
def _write_is_class(w: Any, index: Any, classes: Any, count: Any) -> Any:
    index, classes, count = w.same(None, index, classes, count)
    return w.node("Or", w.node("Equal", index, classes), w.node("Equal", w.node("Add", index, count), classes))


@reads("GatherElements")
def _gather_elements(data: Array, indices: Array, *, axis: int = 0) -> Array:
    shape, wanted = np.shape(data), np.shape(indices)
    at = axis % len(shape)
    corner = tuple(slice(None) if j == at else slice(n) for j, n in enumerate(wanted))  # indices may have fewer slices
    if any(j != at and n != m for j, (n, m) in enumerate(zip(wanted, shape, strict=True))):
        data = i.getitem(data, index=corner)
    return g.take_along_axis(data, indices, axis=at)


@writes(g.take_along_axis)
def _write_take_along(w: Any, a: Any, indices: Any, *, axis: Any, out: Any) -> Any:
    if axis is None:
        return w.node("GatherElements", w.node("Reshape", a, w.ints([-1])), indices, axis=0)
    axis = int(axis) % len(out.shape)
    if any(j != axis and n != m for j, (n, m) in enumerate(zip(a.shape, out.shape, strict=True))):
        a = w.node("Expand", a, w.shape(out, {axis: a.shape[axis]}))
    if indices.shape != out.shape:
        indices = w.node("Expand", indices, w.shape(out))
    return w.node("GatherElements", a, indices, axis=axis)


@reads("GatherND")
def _gather_nd(data: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    index, shape = values(indices), np.shape(data)
    parts: list[Any] = [
        np.arange(n).reshape(-1, *(1,) * (index.ndim - 2 - j)) for j, n in enumerate(shape[:batch_dims])
    ]
    parts += [index[..., j] for j in range(index.shape[-1])]
    return i.getitem(data, index=tuple(parts))


def _reduced(name: str, reduction: str, data: Array, index: Any, updates: Array) -> Array:
    """`data` with `updates` written at `index`, or combined with its elements."""
    if reduction == "none":
        return i.assigned(name, data, index, updates, np.shape(updates))
    if reduction == "add":
        return e.add(data, i.add_at_zeros(updates, index=index, shape=np.shape(data)))
    y, u = np.array(values(data)), values(updates)
    functions = {"mul": np.multiply, "max": np.maximum, "min": np.minimum}
    refuse(reduction not in functions, f"`reduction` is {reduction!r}; it must be none, add, mul, max or min")
    functions[reduction].at(y, index, u)
    return y


@reads("ScatterElements", "Scatter")
def _scatter_elements(data: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    index, at = values(indices), axis % np.ndim(data)
    if reduction in ("max", "min"):
        return scatter.scatter_reduce(data, at, index, updates, f"a{reduction}")
    grid: list[Any] = list(np.ogrid[tuple(map(slice, index.shape))])
    grid[at] = index
    return _reduced("ScatterElements", reduction, data, tuple(grid), updates)


@reads("ScatterND")
def _scatter_nd(data: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    index = values(indices)
    return _reduced("ScatterND", reduction, data, tuple(index[..., j] for j in range(index.shape[-1])), updates)


@reads("TopK")
def _topk(x: Array, k: Structural, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    y, order = sort.topk(x, int(number(k)), axis, bool(largest))
    return y, order


@writes(sort.argsort)
def _argsort(w: Any, a: Any, *, axis: Any, descending: Any, out: Any) -> Any:
    a = w.node("Reshape", a, w.ints([-1])) if axis is None else a
    at = 0 if axis is None else int(axis) % len(a.shape)
    w.refuse_size(a.is_dynamic(at), "sorts an axis whose size is dynamic")
    n = math.prod(a.shape) if axis is None else a.shape[at]
    _, order = w.node("TopK", a, w.ints([n]), axis=at, largest=int(descending), sorted=1, outputs=2)
    return order


@reads("CumSum")
def _cumsum(x: Array, axis: Structural, *, exclusive: int = 0, reverse: int = 0) -> Array:
    return _scanned(scan.cumsum, 0, x, axis, exclusive, reverse)


@reads("CumProd")
def _cumprod(x: Array, axis: Structural, *, exclusive: int = 0, reverse: int = 0) -> Array:
    return _scanned(scan.cumprod, 1, x, axis, exclusive, reverse)


def _scanned(function: Any, start: int, x: Array, axis: Array, exclusive: int, reverse: int) -> Array:
    at = int(number(axis)) % np.ndim(x)
    x = scan.reversed_along(x, at) if reverse else x
    y: Any = function(x, axis=at)
    y = scan.neighbour(y, at, before=True, fill=start) if exclusive else y
    y = scan.reversed_along(y, at) if reverse else y
    return y if dtype_of(y) == dtype_of(x) else y.astype(dtype_of(x))


@writes(scan.cumsum)
def _write_cumsum(w: Any, a: Any, *, axis: Any, out: Any) -> Any:
    a = w.as_dtype(w.node("Reshape", a, w.ints([-1])) if axis is None else a, out.dtype)
    return w.node("CumSum", a, w.constant(np.array(int(axis or 0), np.int64)))


# Indexing


@writes(i.getitem, varies=True)
def _getitem(w: Any, a: Any, *, index: Any) -> Any:
    """Slices first, then the axes of integers are dropped and new axes added, then elements are gathered."""
    parts = _per_axis(index, len(a.shape))
    w.refuse(any(map(_is_mask, parts)), "is indexed by a Boolean mask, whose result has a shape that depends on values")
    everywhere = list(zip(*(_per_axis(other, len(a.shape)) for other in w.param("index")), strict=True))
    y, axis, position = a, 0, 0
    dropped, added, gathered = [], [], []
    for part, others in zip(parts, everywhere, strict=True):
        if part is None:
            added.append(position)
        elif w.is_array(part):
            gathered.append((position, part, others, a.sizes(axis)))
        elif isinstance(part, slice):
            y = w.sliced(y, axis, others, a)
        else:
            y = w.sliced(y, axis, [_one(w, others, a.sizes(axis))] * len(others), a)
            dropped.append(axis)
        axis += part is not None
        position += part is None or isinstance(part, slice) or w.is_array(part)
    y = w.node("Squeeze", y, w.ints(dropped)) if dropped else y
    if gathered:
        w.refuse(len(gathered) > 1 or bool(added), "is indexed by several arrays, or by an array and None")
        chosen = [j for j, p in enumerate(parts) if not isinstance(p, slice)]
        apart = chosen != list(range(chosen[0], chosen[-1] + 1))
        w.refuse(apart, "is indexed by an array and a number with a slice between them")
        position, part, others, sizes = gathered[0]
        if id(others[0]) not in w.traces[0].depends:  # not computed from the inputs, but perhaps from their sizes
            border = _border(others, sizes, w.opset)
            if border is not None:
                mode, before, after = border
                pads = np.zeros((2, len(a.shape) - len(dropped)), int)
                pads[:, position] = before, after
                return w.node("Pad", y, w.ints(pads.ravel()), mode=mode)
            part = w.varying(others[0], others)
        return w.node("Gather", y, w.as_index(part), axis=position)
    return w.node("Unsqueeze", y, w.ints(added)) if added else y


def _border(arrays: Sequence[np.ndarray], sizes: Sequence[int], opset: int) -> tuple[str, int, int] | None:
    """The mode and widths of the padding that an index stands for along a dynamic axis; None if it is another index."""
    extra = {len(a) - n for a, n in zip(arrays, sizes, strict=True) if a.ndim == 1}
    if len(set(sizes)) < 2 or len(extra) != 1:
        return None
    total = extra.pop()
    for mode in ("reflect", "edge", "wrap")[: 2 + (opset >= 19)]:
        for before in range(total + 1):
            width = (before, total - before)
            if all(np.array_equal(a, np.pad(np.arange(n), width, mode)) for a, n in zip(arrays, sizes, strict=True)):  # type: ignore[call-overload]
                return mode, *width
    return None


def _per_axis(index: Any, ndim: int) -> list[Any]:
    """The parts of an index, one for each axis and each new axis."""
    parts = list(index) if isinstance(index, tuple) else [index]
    used = sum(p is not None and p is not Ellipsis for p in parts)
    at = next((j for j, p in enumerate(parts) if p is Ellipsis), None)
    fill = [slice(None)] * (ndim - used)
    return parts + fill if at is None else [*parts[:at], *fill, *parts[at + 1 :]]


def _one(w: Any, places: Sequence[Any], sizes: Sequence[int]) -> slice:
    """The slice of one element. Its index may be negative."""
    found = {int(p) for p in places}
    if len(found) > 1:
        found = {int(p) - n for p, n in zip(places, sizes, strict=True)}
    w.refuse_size(len(found) > 1, "is indexed by a number that changes with the size of a dynamic axis")
    place = found.pop()
    return slice(place, place + 1 or None)


def _is_mask(part: Any) -> bool:
    return hasattr(part, "dtype") and part.dtype.kind == "b"


@writes(g.add_along_axis, varies=True)
def _add_along(w: Any, u: Any, indices: Any, *, axis: Any, shape: Any, out: Any) -> Any:
    zeros = w.node("Expand", w.number(0, out.dtype), w.shape(out))
    w.refuse(w.opset < 16, "needs ScatterElements with reduction, of opset 16; raise `opset`")
    return w.node("ScatterElements", zeros, indices, u, axis=int(axis), reduction="add")


@writes(scatter.scatter_extreme)
def _scatter_extreme(w: Any, x: Any, index: Any, src: Any, *, axis: Any, largest: Any, include_self: Any) -> Any:
    w.refuse(w.opset < 18, "needs ScatterElements with the reductions max and min, of opset 18; raise `opset`")
    if not include_self:
        x = w.node("ScatterElements", x, index, src, axis=int(axis))
    return w.node("ScatterElements", x, index, src, axis=int(axis), reduction="max" if largest else "min")


@writes(g.add_taken, varies=True)
def _add_taken(w: Any, u: Any, indices: Any, *, axis: Any, shape: Any, out: Any) -> Any:
    w.refuse(axis is None or len(indices.shape) != 1, "adds at indices of a flattened array, or of several axes")
    w.refuse(w.opset < 16, "needs ScatterElements with reduction, of opset 16; raise `opset`")
    form = [-1, *(1,) * (len(out.shape) - 1 - int(axis))]
    places = w.node("Expand", w.node("Reshape", w.as_index(indices), w.ints(form)), w.shape(u))
    zeros = w.node("Expand", w.number(0, out.dtype), w.shape(out))
    return w.node("ScatterElements", zeros, places, u, axis=int(axis), reduction="add")


def _positions(w: Any, index: Any, out: Any) -> np.ndarray:
    """The positions in the flattened `out` that a constant index selects."""
    parts = index if isinstance(index, tuple) else (index,)
    w.refuse(any(w.is_array(p) and p.constant is None for p in parts), "is written at indices that were computed")
    w.refuse_size(out.varies, "is written where an axis is dynamic")
    where = tuple(p.constant if w.is_array(p) else p for p in parts)
    return np.arange(math.prod(out.shape)).reshape(out.shape)[where]  # type: ignore[no-any-return]


@writes(i.add_at_zeros)
def _add_at_zeros(w: Any, u: Any, *, index: Any, shape: Any, out: Any) -> Any:
    w.refuse(w.opset < 16, "needs ScatterElements with reduction, of opset 16; raise `opset`")
    positions = _positions(w, index, out)
    zeros = w.constant(np.zeros(math.prod(out.shape), out.dtype))
    flat_ = w.node("Reshape", u, w.ints([-1]))
    return w.reshape(
        w.node("ScatterElements", zeros, w.ints(positions.reshape(-1)), flat_, axis=0, reduction="add"), out
    )


@writes(i.assign)
def _assign(w: Any, a: Any, value: Any, *, index: Any, out: Any) -> Any:
    positions = _positions(w, index, out)
    update = w.as_dtype(value, out.dtype)
    if positions.shape:
        update = w.node("Expand", update, w.ints(positions.shape))
    rows = w.node("Reshape", update, w.ints([-1]))
    places = w.ints(positions.reshape(-1))
    return w.reshape(w.node("ScatterElements", w.node("Reshape", a, w.ints([-1])), places, rows, axis=0), out)
