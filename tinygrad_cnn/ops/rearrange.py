"""Ops that repeat, reorder, split and select elements, with NumPy's names: linear, and mostly composed from views.

In docstrings, g is the incoming gradient and a' the gradient with respect to a.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.graph import Array, Tensor, implements, op
from ..frames import warn_user
from .elementwise import where
from .gather import take
from .index import add_at_zeros
from .real import is_integer
from .shape import Axis, Shape, broadcast_to, different_axes, moveaxis, ravel, reshape, slice_axis, swapaxes

__all__ = [
    "array_split", "diag", "diagflat", "diagonal", "flip", "fliplr", "flipud", "repeat", "roll", "rot90", "split", "tile",
    "tril", "triu",
]  # fmt: skip

Integers: TypeAlias = int | Sequence[int]


@op(numpy=np.flip, linear=["m"])
def flip(m: Array, *, axis: Axis = None) -> Array:
    """y = m with the order along `axis` reversed, along every axis for None; a view.   m' = g reversed along the same axes."""
    axes = None if axis is None else different_axes("flip", axis, np.ndim(m))
    return np.flip(m, axes)


flip.vjp(m=lambda g, axis: flip(g, axis=axis))


@op(numpy=np.roll, linear=["a"])
def roll(a: Array, *, shift: Integers, axis: Axis = None) -> Array:
    """y_((j + shift) mod n) = a_j along `axis`, or in the flattened a for None.   a' = g rolled by -shift."""
    steps = np.asarray(shift)
    if steps.size and steps.dtype.kind not in "iu":
        raise TypeError(f"roll: `shift` is {shift!r}; it must be an integer or one per axis")
    return np.roll(a, np.array(np.asarray(shift).tolist(), np.int64), axis)


def _roll_rule(g: Array, shift: Integers, axis: Axis) -> Array:
    steps = np.asarray(shift).tolist()  # Python integers, because unsigned ones cannot be negated
    return roll(g, shift=[-step for step in steps] if isinstance(steps, list) else -steps, axis=axis)


roll.vjp(a=_roll_rule)


@implements(np.rot90)
def rot90(m: Array, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """y = m rotated by k quarter turns in the plane of `axes`, from the first to the second; a view.   m' = g rotated back.

    Raises:
        ValueError: if `axes` are not two different axes.
    """
    first, second = _plane("rot90", m, *axes)
    if k % 2 == 0:
        return flip(m, axis=(first, second) if k % 4 else ())
    return (
        swapaxes(flip(m, axis=second), first, second) if k % 4 == 1 else flip(swapaxes(m, first, second), axis=second)
    )


@implements(np.fliplr)
def fliplr(m: Array) -> Tensor:
    """y = m with the order along its second axis reversed; a view.   m' = g reversed in the same way."""
    return flip(m, axis=1)


@implements(np.flipud)
def flipud(m: Array) -> Tensor:
    """y = m with the order along its first axis reversed; a view.   m' = g reversed in the same way."""
    return flip(m, axis=0)


@implements(np.tile)
def tile(a: Array, reps: Integers) -> Tensor:
    """y = a repeated as a whole, `reps` times along each axis; the shorter of shape and `reps` is padded with ones in front.

    a' = g summed over the repeats.

    Raises:
        ValueError: if a number of repeats is negative.
    """
    times = (reps,) if is_integer(reps) else tuple(reps)
    if any(n < 0 for n in times):
        raise ValueError(f"tile: `reps` is {reps!r}; numbers of repeats must be >= 0")
    shape, ndim = np.shape(a), max(np.ndim(a), len(times))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - len(shape)) + shape
    parted = reshape(a, shape=[k for n in shape for k in (1, n)])
    whole = broadcast_to(parted, shape=tuple(k for r, n in zip(times, shape, strict=True) for k in (r, n)))
    return reshape(whole, shape=tuple(r * n for r, n in zip(times, shape, strict=True)))


@implements(np.repeat)
def repeat(a: Array, repeats: Shape, axis: int | None = None) -> Tensor:
    """y = a with each slice along `axis` repeated in place, or each element of the flattened a for None.

    a' = g summed over the repeats.

    Args:
        a: an array or Tensor.
        repeats: how often: one number, or one for each slice.
        axis: the axis along which to repeat.

    Raises:
        ValueError: if `repeats` are negative, or neither one number nor one for each slice.
        TypeError: if `repeats` are not integers.
    """
    if axis is None or not np.ndim(a):  # even with an axis, a 0-d array counts as one element
        a, axis = ravel(a), 0 if axis is None else axis
    shape, counts = np.shape(a), np.asarray(repeats)
    at = normalize_axis_index(axis, len(shape), "repeat")
    if counts.size and counts.dtype.kind not in "iu":
        raise TypeError(f"repeat: `repeats` is {counts.dtype}; numbers of repeats must be integers")
    if counts.ndim > 1 or counts.size not in (1, shape[at]) or (counts < 0).any():
        raise ValueError(
            f"repeat: `repeats` is {repeats!r}; it must be one integer >= 0, or one for each of the {shape[at]} slices of "
            f"axis {axis}"
        )
    if counts.size != 1:
        return take(a, np.repeat(np.arange(shape[at]), counts.astype(np.intp)), axis=at)
    before, n, after, times = shape[:at], shape[at], shape[at + 1 :], int(counts.item())
    whole = broadcast_to(reshape(a, shape=(*before, n, 1, *after)), shape=(*before, n, times, *after))
    return reshape(whole, shape=(*before, n * times, *after))


@implements(np.split)
def split(a: Array, indices_or_sections: Integers, axis: int = 0) -> list[Tensor]:
    """Slices of `a` along `axis`, as views: a number of equal slices, or slices between the given positions.

    The gradient of each slice is added to a' at the slice's position.

    Raises:
        ValueError: if a number of sections does not divide the axis; :func:`array_split` allows that.
    """
    at = normalize_axis_index(axis, np.ndim(a), "split")
    n, sections = np.shape(a)[at], indices_or_sections
    if is_integer(sections) and sections > 0 and n % sections:
        raise ValueError(
            f"split: {sections} sections do not divide axis {axis} of size {n}; choose a divisor or use array_split"
        )
    if (
        not is_integer(sections)
        and min(sections, default=0) > 0
        and sum(sections) == n > max(sections)
        and any(j <= i for i, j in pairwise(sections))
    ):
        text = f"split: {sections!r:.60} are positions, as in NumPy, and leave empty parts; if they are sizes, give "
        warn_user(f"{text}np.cumsum(sizes)[:-1]")
    return _parts("split", a, sections, at)


@implements(np.array_split)
def array_split(a: Array, indices_or_sections: Integers, axis: int = 0) -> list[Tensor]:
    """As :func:`split`, but if n sections do not divide the axis, the first sections are larger by one.

    Raises:
        ValueError: if a number of sections is not positive.
    """
    return _parts("array_split", a, indices_or_sections, normalize_axis_index(axis, np.ndim(a), "array_split"))


def _parts(name: str, a: Array, sections: Integers, axis: int) -> list[Tensor]:
    a = a if hasattr(a, "shape") else np.asarray(a)
    n = a.shape[axis]
    if is_integer(sections):
        if sections < 1:
            raise ValueError(f"{name}: `indices_or_sections` is {sections}; a number of sections must be >= 1")
        bounds = [i * (n // sections) + min(i, n % sections) for i in range(int(sections) + 1)]
    else:
        bounds = [0, *map(index, sections), n]
    return [slice_axis(a, start, stop, axis) for start, stop in pairwise(bounds)]


def _plane(name: str, a: Array, axis1: int, axis2: int) -> tuple[int, int]:
    first, second = (normalize_axis_index(axis, np.ndim(a), name) for axis in (axis1, axis2))
    if first == second:
        raise ValueError(f"{name}: the axes are {axis1} and {axis2} of {np.ndim(a)}; they must be two different ones")
    return first, second


def _steps(rows: int, columns: int, k: int) -> slice:
    """The slice that selects the k-th diagonal of a matrix from its elements in C order."""
    start, count = (k, min(rows, columns - k)) if k >= 0 else (-k * columns, min(rows + k, columns))
    return slice(start, start + max(count, 0) * (columns + 1), columns + 1)


@implements(np.diagonal)
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """y_(..i) = a_(.. i, i + offset) in the plane of `axis1` and `axis2`; the diagonal is the last axis of the result.

    a' = g on that diagonal, zero elsewhere.

    Raises:
        ValueError: if the two axes are not different, or do not exist.
    """
    first, second = _plane("diagonal", a, axis1, axis2)
    *others, rows, columns = (matrices := moveaxis(a, (first, second), (-2, -1))).shape
    return reshape(matrices, shape=(*others, rows * columns))[..., _steps(rows, columns, offset)]


@implements(np.diag)
def diag(v: Array, k: int = 0) -> Tensor:
    """The k-th diagonal of a matrix, or for a 1-D v the square matrix with v on that diagonal and zeros elsewhere.

    Raises:
        ValueError: if `v` is neither 1-D nor 2-D.
    """
    v = v if hasattr(v, "shape") else np.asarray(v)
    if np.ndim(v) == 2:
        return diagonal(v, k)
    if np.ndim(v) != 1:
        raise ValueError(f"diag: `v` has shape {np.shape(v)}; it must be 1-D or 2-D, or use diagonal for more axes")
    n = np.size(v) + abs(k)
    return reshape(add_at_zeros(v, index=_steps(n, n, k), shape=(n * n,)), shape=(n, n))


@implements(np.diagflat)
def diagflat(v: Array, k: int = 0) -> Tensor:
    """The square matrix with the flattened v on its k-th diagonal, and zeros elsewhere.   v' = g on that diagonal."""
    return diag(ravel(v), k)


@implements(np.tril)
def tril(m: Array, k: int = 0) -> Tensor:
    """y_(..ij) = m_(..ij) where j <= i + k, else 0: the elements on and below the k-th diagonal.   m' = tril(g).

    A vector counts as a square matrix in which it is each row.

    Raises:
        ValueError: if `m` has no axis.
    """
    return where(_below("tril", m, k), m, False)  # unlike 0, False keeps a Boolean m Boolean


@implements(np.triu)
def triu(m: Array, k: int = 0) -> Tensor:
    """y_(..ij) = m_(..ij) where j >= i + k, else 0: the elements on and above the k-th diagonal.   m' = triu(g).

    A vector counts as a square matrix in which it is each row.

    Raises:
        ValueError: if `m` has no axis.
    """
    return where(_below("triu", m, k - 1), False, m)


def _below(name: str, m: Array, k: int) -> np.ndarray:
    if not np.ndim(m):
        raise ValueError(
            f"{name}: `m` has no axis; it must be a matrix or a stack of them, or a vector, the rows of a matrix"
        )
    rows, columns = np.shape(m)[-2:] if np.ndim(m) > 1 else np.shape(m) * 2
    return np.tri(rows, columns, k, dtype=bool)
