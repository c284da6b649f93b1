"""Elements chosen by conditions and positions, and values found in sorted arrays, by NumPy's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.graph import Array, Tensor, implements, op
from ..core.registry import numpy_ops
from ..core.remedies import publish
from ..ops.compare import equal
from ..ops.composite import accept_lists
from ..ops.elementwise import clip, where
from ..ops.gather import checked, take, take_along_axis
from ..ops.lists import members
from ..ops.real import is_integer
from ..ops.reduce import reduced_axes
from ..ops.shape import Axis, broadcast_to, ravel, reshape

__all__ = [
    "argpartition", "choose", "compress", "extract", "meshgrid", "partition", "searchsorted", "select",
    "trim_zeros",
]  # fmt: skip


@implements(np.select)
def select(condlist: Sequence[Array], choicelist: Sequence[Array], default: Array = 0) -> Tensor:
    """y = the first of the choices whose condition holds, and `default` where none does.   Each gets g where it was taken.

    Raises:
        ValueError: if there are not as many conditions as choices, or none.
        TypeError: if a condition is not Boolean, or the arguments are those of PyTorch's select: an axis and an index.
    """
    if is_integer(choicelist):
        at = default if is_integer(default) else "i"
        raise TypeError(
            f"select: `choicelist` is {choicelist!r}; this is NumPy's select, of several conditions: for one index along an "
            f"axis use x[:, {at}], or take(x, {at}, axis={choicelist})"
        )
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            f"select: there are {len(condlist)} conditions for {len(choicelist)} choices; each choice needs one"
        )
    *choices, y = members([*choicelist, default])
    for condition, choice in zip(reversed(condlist), reversed(choices), strict=True):
        if getattr(condition, "dtype", None) != np.dtype(bool):
            raise TypeError(f"select: a condition is {condition!r:.60}; conditions must be Boolean, such as x > 0")
        y = where(condition, choice, y)
    return y  # type: ignore[no-any-return]


@implements(np.choose)
def choose(a: Array, choices: Sequence[Array], mode: str = "raise") -> Tensor:
    """y_i = choices[a_i]_i, all broadcast to one shape.   Each choice gets g where it was taken.

    Args:
        a: integers.
        choices: arrays, or one whose first axis counts them.
        mode: what becomes of an integer that is no choice: "raise", "wrap" around, or "clip".

    Raises:
        ValueError: for another mode.
        IndexError: in mode "raise".
        TypeError: if `a` does not hold integers.
    """
    options = members(choices)
    a = a if hasattr(a, "dtype") else np.asarray(a)
    n = len(options)
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"choose: `mode` is {mode!r}; it must be 'raise', 'wrap' or 'clip'")
    if not n:
        raise ValueError("choose: `choices` is empty; give one array at least")
    if mode == "raise":
        a = checked(where(a < 0, n, a), function="choose", argument="a", size=n)
    else:
        a = a % n if mode == "wrap" else clip(a, 0, n - 1)
    y = options[-1]
    for i in reversed(range(n - 1)):
        y = where(equal(a, i), options[i], y)
    return broadcast_to(y, shape=np.broadcast_shapes(np.shape(a), *map(np.shape, options)))


def _plain(values: Any) -> Any:
    return values.numpy() if hasattr(values, "numpy") else np.asarray(values)


@implements(np.compress)
def compress(condition: Array, a: Array, axis: int | None = None) -> Tensor:
    """y = the slices of a along `axis`, or elements of the flattened a, where `condition` holds.   a' = g there, else 0.

    Raises:
        ValueError: if `condition` is not 1-D.
        IndexError: if it is longer than the axis, and holds there.
    """
    chosen = _plain(condition)
    if chosen.ndim != 1:
        raise ValueError(f"compress: `condition` has shape {chosen.shape}; it must be 1-D")
    return take(a, np.flatnonzero(chosen), axis=axis)


@implements(np.extract)
def extract(condition: Array, arr: Array) -> Tensor:
    """y = the elements of `arr` where `condition` holds, in C order.   arr' = g there, else 0."""
    return take(ravel(arr), np.flatnonzero(_plain(condition)), axis=0)


@implements(np.trim_zeros)
def trim_zeros(filt: Array, trim: str = "fb", axis: Axis = None) -> Tensor:
    """y = the array without the zeros at its front ("f" in `trim`) and its back ("b").   filt' = g, 0 where trimmed.

    Along every axis in `axis`, all of them by default, the slices at the ends that are zero are left out.

    Raises:
        ValueError: if `trim` has other letters, or an axis is out of bounds.
    """
    if not np.ndim(filt):
        raise ValueError(f"trim_zeros: `filt` has shape {np.shape(filt)}; it must have one axis at least")
    if not isinstance(trim, str) or not trim or set(trim.lower()) - set("fb"):
        raise ValueError(f"trim_zeros: `trim` is {trim!r}; it must be 'f', 'b' or 'fb'")
    y = filt
    for at, places in enumerate(np.nonzero(_plain(filt))):
        if at in reduced_axes(axis, np.ndim(filt)):
            start = places.min(initial=np.shape(filt)[at]) if "f" in trim.lower() or not places.size else 0
            stop = places.max(initial=-1) + 1 if "b" in trim.lower() or not places.size else np.shape(filt)[at]
            y = take(y, np.arange(start, stop), axis=at)
    return y  # type: ignore[no-any-return]


@implements(np.meshgrid)
def meshgrid(*xi: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Each vector repeated along the axes of all the others: the coordinates of a grid.   xi' = g summed over the repeats.

    Args:
        xi: vectors, or numbers.
        copy: as in NumPy, False allows views; results are never written to, so it makes no difference.
        sparse: leave the other axes of size 1.
        indexing: "xy", where the second vector runs along the first axis, or "ij".

    Raises:
        ValueError: for another `indexing`, or vectors with several axes.
    """
    arrays = members(xi)
    if indexing not in ("xy", "ij") or any(np.ndim(a) > 1 for a in arrays):
        shapes = [np.shape(a) for a in arrays]
        raise ValueError(f"meshgrid: `indexing` {indexing!r} must be 'xy' or 'ij', and the arrays {shapes} be 1-D")
    places = list(range(len(arrays)))
    if indexing == "xy":
        places[:2] = places[:2][::-1]
    lines = [
        reshape(a, shape=[np.size(a) if place == axis else 1 for axis in range(len(arrays))])
        for a, place in zip(arrays, places, strict=True)
    ]
    if sparse:
        return tuple(lines)
    whole = np.broadcast_shapes(*(np.shape(line) for line in lines))
    return tuple(broadcast_to(line, shape=whole) for line in lines)


@op(numpy=np.searchsorted, differentiable=False)
def searchsorted(a: Array, v: Array, *, side: str = "left", sorter: Any = None) -> Array:
    """How many elements of the sorted vector a are below v (with `side` "right": not above v), without a gradient."""
    sorter = None if sorter is None else np.asarray(sorter)  # of a Tensor, NumPy would call this op again
    return np.searchsorted(a, v, side, sorter)  # type: ignore[call-overload]


@op(numpy=np.argpartition, differentiable=False)
def argpartition(a: Array, *, kth: int | Sequence[int], axis: int | None = -1) -> Array:
    """Indices that put the k-th smallest in its place, smaller ones before it and larger ones after it; no gradient."""
    return np.argpartition(a, kth, axis)


@implements(np.partition)
def partition(a: Array, kth: int | Sequence[int], axis: int | None = -1) -> Tensor:
    """y = a with its k-th smallest along `axis` in its place, smaller ones before it, larger ones after it, in any order.

    a' = g, each element where it came from.
    """
    return take_along_axis(a, argpartition(a, kth=kth, axis=axis), axis=axis)


accept_lists(globals(), numpy_ops)
publish(globals())
