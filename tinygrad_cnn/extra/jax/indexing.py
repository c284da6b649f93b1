"""Reading and writing arrays of JAX by NumPy's indices. An index out of range is an error, or makes results NaN."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import checks
from .array import Array, held, is_traced
from .errors import JaxError
from .trees import plain


def getitem(a: Array, index: Any) -> Any:
    """``a[index]``."""
    at = checked(index, a.shape)
    if any(hasattr(part, "dtype") and part.ndim for part in at):
        return Array(jnp.asarray(a.value)[at] if any(map(is_traced, at)) else a.value[at], a.dtype)
    return a.seen(lambda value: value[at], lambda value, part: jnp.asarray(value).at[at].set(part))


def setitem(a: Array, index: Any, value: Any) -> Any:
    """The array that `a` becomes by ``a[index] = value``. Where an index repeats, the last value is kept."""
    at = checked(index, a.shape)
    if not isinstance(a.value, jax.Array) and not isinstance(plain(value), jax.Array) and not any(map(is_traced, at)):
        written = np.array(a.value)
        written[at] = plain(value)
        return written
    have = jnp.asarray(a.value, held(a.dtype))
    chosen = have[at].shape
    values = jnp.asarray(plain(value)).astype(have.dtype)
    values = jnp.broadcast_to(values.reshape(values.shape[max(values.ndim - len(chosen), 0) :]), chosen)
    if not any(getattr(part, "dtype", np.dtype(bool)).kind in "iu" and part.ndim for part in at):
        return have.at[at].set(values)
    places = jnp.arange(have.size).reshape(have.shape)[at].reshape(-1)  # of equal ones, JAX would write any
    last = jnp.zeros(have.size, places.dtype).at[places].max(1 + jnp.arange(places.size))
    written = values.reshape(-1)[jnp.maximum(last, 1) - 1] if places.size else have.reshape(-1)
    return jnp.where(last > 0, written, have.reshape(-1)).reshape(have.shape)


def add_at(a: Array, index: Any, value: Any, how: str = "add") -> None:
    """Combine the elements of `a` at an index with values, each time that the index has them: ``np.add.at``."""
    at = checked(index, a.shape)
    have = jnp.asarray(a.value, held(a.dtype))
    a.write(getattr(have.at[at], how)(jnp.asarray(plain(value)).astype(have.dtype)))


def checked(index: Any, shape: tuple[int, ...]) -> Any:
    """An index that JAX takes.

    IndexError if a known part of it is out of range. A part that is traced is noted if it is, see :mod:`~.checks`.
    """
    parts = index if isinstance(index, tuple) else (index,)
    at = tuple([_part(plain(part)) for part in parts])
    known = tuple([np.zeros(part.shape, np.intp) if is_traced(part) else part for part in at])
    like = np.broadcast_to(np.False_, shape)
    like[known]  # NumPy's errors
    if any(map(is_traced, at)):
        counted = [part for part in at if part is not None and part is not Ellipsis]
        for part, axis in zip(counted, _axes(at, len(shape)), strict=True):
            if is_traced(part):
                n = shape[axis]
                checks.note((part < -n) | (part >= n))
    return at


def _axes(at: tuple[Any, ...], ndim: int) -> list[int]:
    """The axis that each part of an index counts along; an Ellipsis and None count along none."""
    used = [part for part in at if part is not None and part is not Ellipsis]
    counts = [part.ndim if getattr(part, "dtype", np.dtype(int)).kind == "b" else 1 for part in used]
    axes, axis = [], 0
    left = ndim - sum(counts)
    waiting = iter(counts)
    for part in at:
        if part is Ellipsis:
            axis += left
        elif part is not None:
            axes.append(axis)
            axis += next(waiting)
    return axes


def _part(part: Any) -> Any:
    """A part of an index: known ones as NumPy's arrays, so that JAX need not ask."""
    if not hasattr(part, "dtype") or isinstance(part, np.ndarray | np.generic):
        return part
    if not is_traced(part):
        return np.asarray(part)
    if part.dtype == bool:
        raise JaxError(
            "a Boolean index selects as many elements as are True, and under JAX sizes do not depend on values; use tg.where, "
            "or multiply by the mask"
        )
    return part


Array.read, Array.written = staticmethod(getitem), staticmethod(setitem)
