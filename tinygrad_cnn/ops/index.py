"""Indexing: reading a selection, and its adjoint, adding values back into a field of zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Array, op

__all__: list[str] = []


@op
def getitem(a: Array, *, index: Any) -> Array:
    """y = a[index], any NumPy index; basic indices give views.   a' = g added into zeros at `index`."""
    return a[index]


@op
def add_at_zeros(u: Array, *, index: Any, shape: tuple[int, ...]) -> Array:
    """y = zeros of `shape`, with u added at `index`, repeats adding up: the adjoint of getitem.   u' = g[index]."""
    out = np.zeros(shape, u.dtype)
    if _selects_once(index):
        out[index] = u
    else:
        np.add.at(out, index, u)
    return out


getitem.vjp(a=lambda g, in_shape, index: add_at_zeros(g, index=index, shape=in_shape))
add_at_zeros.vjp(u=lambda g, index: getitem(g, index=index))


def _selects_once(index: Any) -> bool:
    """Whether no element can be selected twice: no part of `index` is an integer array."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, slice | int | np.integer | bool)
        or (isinstance(part, np.ndarray) and part.dtype == bool)
        for part in parts
    )  # fmt: skip
