"""Ops that move elements without changing them. Each is linear; its rule is the op that moves the elements back.

In docstrings, g is the incoming gradient and a' the gradient with respect to a.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements, op
from .elementwise import converted
from .lists import members
from .real import is_integer

__all__ = [
    "broadcast_to", "concatenate", "expand_dims", "flatten", "matrix_transpose", "moveaxis", "pad", "ravel", "reshape",
    "squeeze", "stack", "swapaxes", "transpose",
]  # fmt: skip

Shape: TypeAlias = int | Sequence[int]
Axis: TypeAlias = int | Sequence[int] | None


def get_shape(a: Array) -> tuple[int, ...]:
    """np.shape(a); for arrays and Tensors without NumPy's search for another implementation."""
    try:
        return a.shape  # type: ignore[no-any-return]
    except AttributeError:
        return np.shape(a)


@op(numpy=np.reshape, linear=["a"], composed=["order"])
def reshape(a: Array, *, shape: Shape, order: str | None = None) -> Array:
    """y = the elements of a, in C order, in another shape; one size may be -1.   a' = g in a's shape.

    With `order` "F" the elements are read and written with the first axis changing fastest, as in Fortran.
    """
    return np.asarray(a).reshape(shape)


reshape.vjp(a=lambda g, in_shape: reshape(g, shape=in_shape))


@reshape.op.compose
def _reshape_in_order(a: Array, *, shape: Shape, order: str) -> Array:
    if not in_fortran("reshape", order):
        return reshape(a, shape=shape)
    return transpose(reshape(transpose(a), shape=as_shape(shape)[::-1]))


def in_fortran(name: str, order: str) -> bool:
    """Whether `order` is Fortran's. ValueError for an order that depends on the memory of an array."""
    if order in ("C", "F"):
        return order == "F"
    why = ", since how memory is laid out is no part of a Tensor's value" if order in ("A", "K") else ""
    raise ValueError(f"{name}: `order` is {order!r}; it must be 'C' or 'F'{why}")


@op(numpy=np.transpose, linear=["a"])
def transpose(a: Array, *, axes: Sequence[int] | None = None) -> Array:
    """y_j = a_(axes j): axes permuted, reversed by default; a view.   a' = g with the inverse permutation."""
    return np.transpose(a, axes)


transpose.vjp(a=lambda g, axes: transpose(g, axes=None if axes is None else _inverse(axes)))


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(axes, tuple | list) and not np.ndim(axes):
        return (0,)  # a number is the only axis
    places = [int(i) % len(axes) for i in axes]
    return tuple(sorted(range(len(places)), key=places.__getitem__))


@op(numpy=np.broadcast_to, linear=["a"])
def broadcast_to(a: Array, *, shape: Shape) -> Array:
    """y = a repeated to `shape` by NumPy's broadcasting; a view.   a' = g summed over the repeats."""
    return np.broadcast_to(a, shape)


@op(linear=["a"])
def sum_to(a: Array, *, shape: Shape) -> Array:
    """y = a summed over the axes along which `shape` is broadcast: the adjoint of broadcast_to.   a' = g broadcast."""
    before, after = np.shape(a), as_shape(shape)
    return a if before == after else np.sum(a, axis=repeated_axes(before, after)).reshape(after)


def as_shape(shape: Shape) -> tuple[int, ...]:
    """A shape as a tuple."""
    return shape if isinstance(shape, tuple) else (shape,) if isinstance(shape, int) else tuple(shape)


def unpacked(sizes: tuple[Any, ...]) -> Any:
    """Sizes given either as one sequence or as separate arguments."""
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int | np.integer) else sizes


def check_pair(ndim: int, i: int, j: int) -> None:
    """Two separate axes, perhaps of a pair to exchange: a ValueError or a warning that names swapaxes."""
    if ndim == 2 and i not in (0, -2):
        return
    remedy = f"transpose takes all axes in their new order, as in NumPy; swapaxes({i}, {j}) exchanges two axes"
    if ndim != 2:
        raise ValueError(f"transpose: `axes` are {i}, {j}, and there are {ndim} axes; {remedy}")
    warnings.warn(f"transpose({i}, {j}) of two axes changes nothing: {remedy}", stacklevel=3)


@lru_cache(maxsize=1024)
def repeated_axes(large: tuple[int, ...], small: tuple[int, ...]) -> tuple[int, ...]:
    """The axes that broadcasting from one shape to the other adds or repeats."""
    extra = len(large) - len(small)
    if extra > 0 and large[extra:] == small:
        return tuple(range(extra))
    if extra < 0 or any(n not in (1, m) for n, m in zip(small, large[extra:], strict=True)):
        raise ValueError(
            f"sum_to: `shape` {small} does not broadcast to {large}; from the right, sizes must be equal or 1"
        )
    return (*range(extra), *(extra + i for i, n in enumerate(small) if n == 1 and large[extra + i] != 1))


broadcast_to.vjp(a=lambda g, in_shape: sum_to(g, shape=in_shape))
sum_to.vjp(a=lambda g, in_shape: broadcast_to(g, shape=in_shape))


@op(numpy=np.concatenate, complex=True, residuals=["ends"], composed=["dtype", "casting"])
def concatenate(
    *arrays: Array, axis: int | None = 0, dtype: DTypeLike | None = None, casting: str | None = None
) -> Array:
    """y = arrays, given as one sequence, joined along `axis`, or flattened for None.   Each gets its own slice of g.

    With `dtype`, y has that dtype. TypeError if `casting`, "same_kind" by default, does not allow it.
    """
    y = np.concatenate(arrays, axis)
    return y, tuple(accumulate([np.size(a) if axis is None else np.shape(a)[axis] for a in arrays], initial=0))


def _own_slice(g: Array, i: int, ends: Sequence[int], in_shape: Shape, axis: int | None) -> Array:
    start, stop = ends[i], ends[i + 1]
    if not axis:
        return g[start:stop].reshape(in_shape) if axis is None else g[start:stop]
    return slice_axis(g, start, stop, axis)


def _concatenated(t: Sequence[Array | None], ends: Sequence[int], axis: int | None, out_shape: Shape) -> Array:
    dtype = next(each.dtype for each in t if each is not None)
    parts = []
    for each, start, stop in zip(t, ends, ends[1:], strict=False):
        sizes = list(as_shape(out_shape))
        sizes[axis or 0] = stop - start
        parts.append(np.zeros(sizes, dtype) if each is None else each)
    return concatenate(parts, axis=axis)


concatenate.vjp(arrays=_own_slice)
concatenate.jvp(arrays=_concatenated)


def slice_axis(a: Array, start: int, stop: int, axis: int) -> Array:
    """The elements of `a` from `start` to `stop` along `axis`."""
    a = a if hasattr(a, "ndim") else np.asarray(a)
    index = [slice(None)] * a.ndim
    index[axis] = slice(start, stop)
    return a[tuple(index)]


@concatenate.op.compose
def _concatenated_as(
    arrays: Sequence[Array], *, axis: int | None, dtype: DTypeLike | None, casting: str | None
) -> Array:
    return converted("concatenate", concatenate(arrays, axis=axis), dtype, casting)


@implements(np.stack)
def stack(
    arrays: Sequence[Array], axis: int = 0, *, dtype: DTypeLike | None = None, casting: str = "same_kind"
) -> Tensor:
    """y = arrays of one shape joined along a new `axis`.   The gradient of each is its slice of g.

    With `dtype`, y has that dtype. TypeError if `casting` does not allow it.
    """
    parts = members(arrays)
    shapes = {getattr(a, "shape", ()) for a in parts} if axis.__class__ is int and not axis else set()
    if len(shapes) == 1 and len(shape := shapes.pop()) == 1:
        y = reshape(concatenate(parts), shape=(len(parts), *shape))
    else:
        y = concatenate([expand_dims(a, axis) for a in parts], axis=axis)
    return y if dtype is None else converted("stack", y, dtype, casting)


@implements(np.expand_dims)
def expand_dims(a: Array, axis: int | Sequence[int]) -> Tensor:
    """y = a with axes of size 1 inserted at `axis`, positions in the result.   a' = g without them."""
    shape = list(np.shape(a))
    axes = (axis,) if is_integer(axis) else tuple(axis)
    for i in sorted(normalize_axis_tuple(axes, len(shape) + len(axes), "expand_dims")):
        shape.insert(i, 1)
    return reshape(a, shape=tuple(shape))


@implements(np.squeeze)
def squeeze(a: Array, axis: Axis = None) -> Tensor:
    """y = a without its axes of size 1, or without those in `axis`, which must have size 1.   a' = g with them restored."""
    shape = np.shape(a)
    axes = (
        [i for i, n in enumerate(shape) if n == 1]
        if axis is None or (not shape and axis in (0, -1))
        else normalize_axis_tuple(axis, len(shape), "squeeze")
    )
    wrong = [i for i in axes if shape[i] != 1]
    if wrong:
        raise ValueError(
            f"squeeze: axis {wrong[0]} has size {shape[wrong[0]]} in shape {shape}; only size 1 can be dropped"
        )
    return reshape(a, shape=tuple(n for i, n in enumerate(shape) if i not in axes))


@implements(np.swapaxes)
def swapaxes(a: Array, axis1: int, axis2: int) -> Tensor:
    """y = a with two axes exchanged; a view.   a' = g with them exchanged."""
    order = list(range(np.ndim(a)))
    i, j = (normalize_axis_index(axis, len(order), "swapaxes") for axis in (axis1, axis2))
    order[i], order[j] = order[j], order[i]
    return transpose(a, axes=order)


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Array) -> Tensor:
    """y = matrices in the last two axes transposed; a view.   x' = g transposed.

    Raises:
        ValueError: if `x` has fewer than two axes.
    """
    if np.ndim(x) < 2:
        raise ValueError(f"matrix_transpose: `x` has shape {np.shape(x)}; it must be a matrix, or a stack of them")
    return swapaxes(x, -1, -2)


def different_axes(name: str, axes: Shape, ndim: int) -> tuple[int, ...]:
    """`axes` as non-negative numbers. ValueError, which begins with `name`, if one is out of bounds or repeated."""
    given = (axes,) if is_integer(axes) else tuple(axes)
    found = tuple(normalize_axis_index(i, ndim, name) for i in given)
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: the axes {given} of {ndim} hold the same one twice; each may be named once")
    return found


@implements(np.moveaxis)
def moveaxis(a: Array, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """y = a with the axes `source` moved to `destination`, the others in their order; a view.   a' = g with them moved back.

    Raises:
        ValueError: if an axis is out of bounds or repeated, or the numbers of axes differ.
    """
    n = np.ndim(a)
    start, end = different_axes("moveaxis", source, n), different_axes("moveaxis", destination, n)
    if len(start) != len(end):
        raise ValueError(
            f"moveaxis: `source` has {len(start)} axes but `destination` {len(end)}; every source axis needs one destination"
        )
    order = [i for i in range(n) if i not in start]
    for place, axis in sorted(zip(end, start, strict=True)):
        order.insert(place, axis)
    return transpose(a, axes=order)


@implements(np.rollaxis)
def _rollaxis(a: Array, axis: int, start: int = 0) -> Tensor:
    """np.rollaxis of a Tensor: `axis` before the one at `start`."""
    n = np.ndim(a)
    at = normalize_axis_index(axis, n, "rollaxis")
    before = start + n if start < 0 else start
    if not 0 <= before <= n:
        raise ValueError(f"rollaxis: `start` is {start}; it must lie from {-n} to {n}")
    return moveaxis(a, at, before - (at < before))


@implements(np.ravel)
def ravel(a: Array, order: str = "C") -> Tensor:
    """y = the elements of a along one axis, in C order or, for `order` "F", the first axis changing fastest.   a' = g."""
    return reshape(transpose(a) if in_fortran("ravel", order) else a, shape=(-1,))


def flatten(a: Array, start_axis: int | str = 0, end_axis: int = -1, *, order: str = "C") -> Tensor:
    """y = a with the axes from `start_axis` to `end_axis`, inclusive, merged into one; all axes by default.

    a' = g in a's shape. A 0-d array becomes a 1-d array of one element. With `order` "F", which may be the first argument too,
    as in NumPy, the first of the axes changes fastest.

    Raises:
        ValueError: if an axis is out of bounds, or `start_axis` comes after `end_axis`; for an order but "C" and "F".
    """
    first, order = (0, start_axis) if isinstance(start_axis, str) else (start_axis, order)
    shape = get_shape(a) or (1,)
    start, end = (normalize_axis_index(axis, len(shape), "flatten") for axis in (first, end_axis))
    if start > end:
        raise ValueError(f"flatten: `start_axis` {start_axis} comes after `end_axis` {end_axis} in shape {shape}")
    if in_fortran("flatten", order) and np.ndim(a):
        axes = range(len(shape))
        a = transpose(a, axes=(*axes[:start], *axes[start : end + 1][::-1], *axes[end + 1 :]))
    return reshape(a, shape=(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


PadWidth: TypeAlias = int | Sequence[int] | Sequence[Sequence[int]] | dict[int, int | tuple[int, int]]


@op(complex=True)
def pad_constant(a: Array, *, pad_width: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    """y = a inside a border of `value`, `pad_width` giving (before, after) per axis.   a' = g without the border."""
    return np.pad(a, pad_width or ((0, 0),), constant_values=value)


pad_constant.vjp(a=lambda g, pad_width: g[tuple(slice(b, n - e) for (b, e), n in zip(pad_width, g.shape, strict=True))])
pad_constant.jvp(a=lambda t, pad_width: pad_constant(t, pad_width=pad_width))


PAD_MODES = {
    "reflect": "reflect", "symmetric": "symmetric", "edge": "edge", "replicate": "edge", "wrap": "wrap", "circular": "wrap",
}  # fmt: skip
STATISTICS: dict[str, Callable[..., Any]] = {}
"""The reductions whose results can be a border. The modules that define them put them here."""


@implements(np.pad)
def pad(
    a: Array, pad_width: PadWidth, mode: str = "constant", constant_values: Any = 0.0, *, stat_length: PadWidth | None = None,
    end_values: Any = None,
) -> Tensor:  # fmt: skip
    """y = a inside a border, as np.pad.   a' = g, with the border's gradients added to the elements they were made from.

    As in PyTorch, a negative width crops a, before the border is made; in mode "reflect" after it is.

    Args:
        a: an array or Tensor.
        pad_width: n, (before, after), one such pair per axis, or a dict of them by axis; negative to crop.
        mode: "constant"; "reflect", mirrored without the outermost element, or with it ("symmetric"); "edge" (or
            "replicate"), the outermost element repeated; "wrap" (or "circular"), the array continued periodically;
            "maximum", "mean", "median" or "minimum" of the axis; "linear_ramp" to `end_values`.
        constant_values: the border's value in mode "constant", in the forms of `pad_width`.
        stat_length: the number of elements beside the border of which a statistic is taken, in the forms of `pad_width`.
        end_values: the outermost values in mode "linear_ramp", 0 by default, in the forms of `pad_width`.

    Raises:
        ValueError: for a width that does not match the axes or crops more than there is, an unknown mode, an argument of
            another mode, or a border made from an axis of size 0.
        TypeError: for a mean, median or ramp of integers.
    """
    pairs, sizes = pad_pairs(pad_width, np.ndim(a)), np.shape(a)
    modes = ("constant", *PAD_MODES, *STATISTICS, "linear_ramp")
    if mode not in modes:
        raise ValueError(f"pad: `mode` is {mode!r}; it must be one of {', '.join(map(repr, modes))}")
    for name, value, own in (("stat_length", stat_length, STATISTICS), ("end_values", end_values, ("linear_ramp",))):
        if value is not None and mode not in own:
            raise ValueError(f"pad: `{name}` is for mode {' or '.join(map(repr, own))}, not {mode!r}; leave it out")
    y: Array = a if hasattr(a, "shape") else np.asarray(a)
    if any(n < 0 for pair in pairs for n in pair):
        cut = [(max(-before, 0), n - max(-after, 0)) for (before, after), n in zip(pairs, sizes, strict=True)]
        if any(start > stop for start, stop in cut):
            raise ValueError(
                f"pad: `pad_width` {pad_width!r} crops more than `a` {sizes} has; its negative widths are too large"
            )
        if mode != "reflect":
            y = y[tuple(slice(start, stop) for start, stop in cut)]
            pairs = tuple((max(before, 0), max(after, 0)) for before, after in pairs)
    if mode == "constant":
        return pad_constant(y, pad_width=pairs, value=constant_values)
    made = mode not in PAD_MODES
    for axis, (pair, n) in enumerate(zip(pairs, np.shape(y), strict=True)):
        if n == 0 and any(pair):
            raise ValueError(
                f"pad: axis {axis} of `a` {np.shape(a)} has no element to make a border from; only mode 'constant' pads it"
            )
        if any(pair) and made:
            parts = [_border(y, axis, last, pair[last], mode, stat_length, end_values) for last in (0, 1)]
            y = concatenate([parts[0], y, parts[1]], axis=axis)
        elif any(pair):
            before, after = pair
            sources = np.pad(np.arange(n), (max(before, 0), max(after, 0)), mode=PAD_MODES[mode])  # type: ignore[call-overload]
            y = y[(*(slice(None),) * axis, sources[max(-before, 0) : len(sources) - max(-after, 0)])]
    return y  # type: ignore[no-any-return]


def _border(y: Any, axis: int, last: int, width: int, mode: str, stat_length: Any, end_values: Any) -> Any:
    """The border of y before (`last` 0) or after an axis, as a statistic of the elements beside it or as a ramp."""
    if y.dtype.kind != "f" and mode not in ("maximum", "minimum"):
        raise TypeError(f"pad: `a` is {y.dtype}, and mode {mode!r} makes fractions; convert it with astype(float)")
    n = y.shape[axis]
    if mode == "linear_ramp":
        edge = slice_axis(y, (n - 1) * last, (n - 1) * last + 1, axis)
        end = np.broadcast_to(0.0 if end_values is None else end_values, (y.ndim, 2))[axis, last].astype(y.dtype)
        steps = np.arange(width, dtype=y.dtype)[:: 1 - 2 * last] / max(width, 1)
        return (edge - end) * steps.reshape(-1, *[1] * (y.ndim - axis - 1)) + end
    length = n if stat_length is None else min(pad_pairs(stat_length, y.ndim, "stat_length")[axis][last], n)
    if length < 1:
        raise ValueError(f"pad: `stat_length` is {stat_length!r}; it must be positive")
    found = STATISTICS[mode](slice_axis(y, (n - length) * last, n if last else length, axis), axis=axis, keepdims=True)
    return broadcast_to(found, shape=(*y.shape[:axis], width, *y.shape[axis + 1 :]))


def pad_pairs(pad_width: PadWidth, ndim: int, name: str = "pad_width") -> tuple[tuple[int, int], ...]:
    """(before, after) for each of `ndim` axes, from any of np.pad's forms."""
    if isinstance(pad_width, dict):
        axes = different_axes("pad", list(pad_width), ndim)
        given = dict(zip(axes, pad_width.values(), strict=True))
        pad_width = [np.broadcast_to(given.get(axis, 0), 2).tolist() for axis in range(ndim)]
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (ndim, 2))
    except ValueError:
        widths = np.zeros((ndim, 2))
    if widths.dtype.kind not in "iu":
        raise ValueError(
            f"pad: `{name}` is {pad_width!r}; it must be one integer, a pair, or a pair for each of {ndim} axes"
        )
    return tuple((int(before), int(after)) for before, after in widths)
