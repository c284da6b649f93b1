"""Sums of the products of two arrays, over any axes, in blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .block_sums import BLOCK, SHORT, plan_of, wide
from .channelwise import joined, most_joined
from .sums import total


def product_sums(a: np.ndarray, b: np.ndarray, axes: tuple[int, ...], share: float = 1) -> Any:
    """The sum of a b, for equal shapes, over `axes` with keepdims, divided by `share`."""
    if a.shape != b.shape:
        raise ValueError(f"product_sums: operands of shapes {a.shape} and {b.shape} do not agree; they must be equal")
    dtype = np.result_type(a, b)
    plan = plan_of(a.shape, a.strides, axes)
    first, second = (m.transpose(plan.order) for m in (a, b))
    at = max((i for i, (reduced, _) in enumerate(plan.groups) if reduced), default=-1)
    dense = a.dtype == b.dtype and dtype.char in "fd" and first.flags.c_contiguous and second.flags.c_contiguous
    if not dense or at < 0 or not a.size:
        products = np.multiply(a, b, dtype=np.result_type(dtype, np.float32) if dtype.kind == "f" else dtype)
        return np.asarray(total(products, axes, True, None, share), dtype if dtype.kind == "f" else None)
    sizes = [n for _, n in plan.groups]
    lead, length, columns = sizes[:at], sizes[at], math.prod(sizes[at + 1 :])
    few = BLOCK if columns == 1 else 2 * SHORT
    fold = joined(length, 1, min(most_joined(columns), max(1, length // few))) if columns > 1 else 1
    terms = length // fold
    step = min(terms, few)
    whole = terms - terms % step
    parts = [
        _products(*(m.reshape(-1, terms, fold * columns)[:, start:stop].reshape(math.prod(lead), -1, most, fold * columns)
                    for m in (first, second)))
        for start, stop, most in ((0, whole, step), (whole, terms, terms - whole))
        if start < stop
    ]  # fmt: skip
    sums = (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)).reshape(*lead, -1, columns)
    over = (*(i for i, (reduced, _) in enumerate(plan.groups[:at]) if reduced), at)
    y = (wide(sums, over)() / share).reshape(plan.kept).transpose(plan.back)
    return y.reshape([1 if i in axes else n for i, n in enumerate(a.shape)]).astype(dtype)


def _products(a: np.ndarray, b: np.ndarray) -> Any:
    """The sum of a b over the second-last axis."""
    return np.vecdot(a[..., 0], b[..., 0])[..., None] if a.shape[-1] == 1 else np.einsum("nbij,nbij->nbj", a, b)
