"""Sums of many terms, by blocks: BLAS sums each block as a product with a vector of ones, and the sums of the blocks are added
in float64.

NumPy sums pairwise only along the innermost axis in memory. Along other axes it adds sequentially, and a million terms cost
four digits. float16 is added in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from ..scope import errors
from .channelwise import most_joined
from .parallel.threads import blas_alone

_overflow = errors(over="ignore", invalid="ignore")

SMALL = 1 << 12
"""Smaller arrays are summed in one call, in float64 if necessary."""

FEW = 8
"""Up to this many parts of a matrix are summed with one call each."""

PARTS = 1 << 16
"""Block sums computed before they are added in float64, few enough to stay in the cache."""

BLOCK, SHORT = 64, 16
"""The most terms BLAS sums with enough precision, and the most terms that may be added sequentially."""


@lru_cache(maxsize=256)
def ones(n: int, dtype: np.dtype[Any]) -> np.ndarray:
    """A read-only row of ones, cached."""
    row = np.ones(n, dtype)
    row.flags.writeable = False
    return row


class Plan(NamedTuple):
    """How to sum arrays of one layout: the array without broadcast axes, its axes in memory order, grouped into runs of axes
    that are all kept or all reduced, and the permutation back."""

    once: tuple[slice, ...]
    repeats: int
    order: tuple[int, ...]
    groups: tuple[tuple[bool, int], ...]
    kept: tuple[int, ...]
    back: tuple[int, ...]


@lru_cache(maxsize=1024)
def plan_of(shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...]) -> Plan:
    """The plan for arrays of this layout, which are summed over `axes`."""
    repeated = [i for i in axes if strides[i] == 0]
    sizes = [1 if i in repeated else n for i, n in enumerate(shape)]
    order = tuple(sorted(range(len(shape)), key=lambda i: -abs(strides[i])))
    groups: list[tuple[bool, int]] = []
    for i in order:
        if groups and groups[-1][0] == (i in axes):
            groups[-1] = groups[-1][0], groups[-1][1] * sizes[i]
        elif sizes[i] > 1:
            groups.append((i in axes, sizes[i]))
    kept = [i for i in order if i not in axes]
    once = tuple(slice(0, 1) if i in repeated else slice(None) for i in range(len(shape)))
    back = tuple(np.argsort(kept).tolist())
    return Plan(once, math.prod(shape[i] for i in repeated), order, tuple(groups), tuple(shape[i] for i in kept), back)


def wide(a: np.ndarray, axes: tuple[int, ...]) -> Callable[[], np.ndarray]:
    """A task for the sum of floating-point numbers over `axes`, in float64; the task owns the result's memory."""
    if a.size < SMALL:
        return lambda: np.asarray(np.add.reduce(a, axes, np.float64))
    calls: list[Callable[[], object]] = []
    plan = plan_of(a.shape, a.strides, axes)
    y = a[plan.once].transpose(plan.order)
    if a.dtype.char == "e" or not y.flags.c_contiguous:
        source, y = y, np.empty(y.shape, np.float32 if a.dtype.char == "e" else a.dtype)
        calls.append(partial(np.copyto, y, source))
    y = _arranged(y, list(plan.groups), calls)

    def task() -> np.ndarray:
        with _overflow:
            blas_alone(_run, calls)
        if not np.isfinite(y).all():  # a block was too large for float32
            return np.asarray(np.add.reduce(a.astype(np.float64), axes))
        found = y.reshape(plan.kept).transpose(plan.back).astype(np.float64, copy=False)
        return found * plan.repeats if plan.repeats != 1 else found

    return task


def _run(calls: list[Callable[[], object]]) -> None:
    for call in calls:
        call()


def _arranged(y: np.ndarray, groups: list[tuple[bool, int]], calls: list[Callable[[], object]]) -> np.ndarray:
    """A buffer for the sums over the reduced groups of axes. The calls that compute it are appended: BLAS calls, and NumPy
    calls where the terms are already float64."""
    added = False
    while (at := max((i for i, (reduced, _) in enumerate(groups) if reduced), default=-1)) >= 0:
        if added:
            over = tuple(i for i, (reduced, _) in enumerate(groups) if reduced)
            y = y.reshape([n for _, n in groups])
            total = np.empty([n for reduced, n in groups if not reduced])
            calls.append(partial(np.add.reduce, y, over, None, total))
            return total
        lead = math.prod(n for _, n in groups[:at])
        length = groups.pop(at)[1]
        if at == len(groups):
            y = _along(y.reshape(lead, length), calls)
        else:
            y = _across(y.reshape(lead, length, -1), calls)
        added = length > SHORT
        if 0 < at < len(groups):
            groups[at - 1 : at + 1] = [(False, groups[at - 1][1] * groups[at][1])]
    return y


def _along(x: np.ndarray, calls: list[Callable[[], object]]) -> np.ndarray:
    """A buffer for the row sums of a matrix; the calls that compute it are appended."""
    rows, length = x.shape
    if length <= SHORT:
        y = np.empty(rows, x.dtype)
        calls.append(partial(np.matmul, x, ones(length, x.dtype), y))  # np.add.reduce takes ten times as long
        return y
    block, y = _block(length), np.empty(rows)
    blocks, rest = divmod(length, block)
    if rest and blocks * FEW < rows:
        calls.append(partial(y.fill, 0))
        part = np.empty(rows, x.dtype)
        for start in range(0, length, block):
            terms = x[:, start : start + block]
            calls.append(partial(np.matmul, terms, ones(terms.shape[1], x.dtype), part))
            calls.append(partial(np.add, y, part, y))
        return y
    whole = x[:, : length - rest].reshape(rows, blocks, block) if rest else x.reshape(-1, block)
    parts = np.empty(whole.shape[:-1], x.dtype)
    exact = np.empty((rows, blocks))
    calls += [
        partial(np.matmul, whole, ones(block, x.dtype), parts),
        partial(np.copyto, exact, parts.reshape(rows, blocks)),
    ]
    calls.append(partial(np.matmul, exact, ones(blocks, exact.dtype), y))
    if rest:
        part = np.empty(rows, x.dtype)
        calls += [partial(np.add.reduce, x[:, length - rest :], 1, None, part), partial(np.add, y, part, y)]
    return y


@lru_cache(maxsize=256)
def _block(length: int) -> int:
    """The largest block, up to BLOCK terms, that divides the length evenly; BLOCK if that block would be short."""
    return next((n for n in range(BLOCK, FEW - 1, -1) if length % n == 0), BLOCK)


def _across(x: np.ndarray, calls: list[Callable[[], object]]) -> np.ndarray:
    """A buffer for the column sums of matrices x (n, rows, columns); the calls that compute it are appended. BLAS may add the
    terms of a column sequentially."""
    n, rows, columns = x.shape
    if rows <= SHORT:
        y = np.empty((n, columns), x.dtype)
        calls.append(partial(np.add.reduce, x, 1, None, y))
        return y
    few = -(-rows // SHORT) if rows <= SHORT * SHORT else 1
    fold = max(few if few <= FEW else 1, min(most_joined(columns), 1 << (rows // SHORT).bit_length() - 1))
    length, left = divmod(rows, fold)
    width = fold * columns
    y, total = np.empty((n, width)), np.empty((n, columns))
    calls.append(partial(y.fill, 0))
    body = x[:, : rows - left].reshape(n, length, width)
    most = max(1, PARTS // (n * width))
    whole, rest = divmod(length, SHORT)
    term, size = np.empty((n, width)), (n, min(most, whole), width)
    sums_buffer, exact_buffer = np.empty(size, x.dtype), np.empty(size)
    for start in range(0, whole, most):
        parts = body[:, start * SHORT : min(whole, start + most) * SHORT].reshape(n, -1, SHORT, width)
        sums, exact = sums_buffer[:, : parts.shape[1]], exact_buffer[:, : parts.shape[1]]
        calls += [partial(np.matmul, ones(SHORT, x.dtype), parts, sums), partial(np.copyto, exact, sums)]
        if exact.shape[1] == 1:
            calls.append(partial(np.add, y, exact[:, 0], y))
        else:
            calls += [partial(np.matmul, ones(exact.shape[1], y.dtype), exact, term), partial(np.add, y, term, y)]
    if rest:
        part = np.empty((n, width), x.dtype)
        calls += [partial(np.matmul, ones(rest, x.dtype), body[:, length - rest :], part), partial(np.add, y, part, y)]
    calls.append(partial(np.add.reduce, y.reshape(n, fold, columns), 1, None, total))
    if left:
        last = np.empty((n, columns))
        calls += [partial(np.add.reduce, x[:, rows - left :], 1, np.float64, last), partial(np.add, total, last, total)]
    return total
