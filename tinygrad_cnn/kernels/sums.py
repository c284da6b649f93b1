"""Sums over any axes, in any memory order, accurate to a few units in the last place of float32.

NumPy sums pairwise only along the innermost axis in memory. Along other axes it adds sequentially, and a million terms cost
four digits. So a long sum is cut into blocks of up to BLOCK terms. BLAS sums each block as a product with a vector of ones,
and the sums of the blocks are added in float64. float16 is added in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy import ndarray

from ..ops.reduce import reduced_axes
from ..ops.shape import Axis, Shape, as_shape, repeated_axes
from ..scope import errors
from .channelwise import has_no_gaps, joined, most_joined
from .parallel.threads import blas_alone
from .parallel.workspace import buffer

_overflow = errors(over="ignore", invalid="ignore")

SMALL = 1 << 12
"""Smaller arrays are summed in one call, in float64 if necessary."""

PAIRWISE = 1 << 15
"""NumPy sums fewer float64 without gaps soonest, and pairwise."""

FEW = 8
"""Up to this many parts of a matrix are summed with one call each."""

PARTS = 1 << 16
"""Block sums computed before they are added in float64, few enough to stay in the cache."""

BLOCK, SHORT = 64, 16
"""The most terms BLAS sums with enough precision, and the most terms that may be added sequentially."""


def prepare(
    out: np.ndarray | None, a: Any, axes: tuple[int, ...], keepdims: bool = False, share: float = 1
) -> Callable[[], Any]:
    """A task for np.sum over `axes`, divided by the number `share`, and rounded once."""
    add = None
    if a.__class__ is ndarray:
        if axes == (0,) and not keepdims and a.ndim == 2:
            add = _by_ones(out, a)
        if add is None and (exact := _exactly(a.shape, a.strides, a.dtype.char, axes)) is not None:
            return exact(out, a, axes, keepdims, share)
    if add is None:
        add = partial(np.add.reduce, a, axes, None, out, keepdims)
    if share == 1:
        return add
    return lambda: add() / share if out is None else np.divide(add(), share, out)


def prepare_sum(out: np.ndarray | None, a: Any, *, axis: Axis, keepdims: bool) -> Callable[[], Any]:
    """A task for ``sum``."""
    if axis == (0,) and not keepdims and a.__class__ is ndarray and (add := _by_ones(out, a)) is not None:
        return add  # the gradient of a bias
    return prepare(out, a, reduced_axes(axis, a.ndim if a.__class__ is ndarray else np.ndim(a)), keepdims)


def prepare_mean(out: np.ndarray | None, a: Any, *, axis: Axis, keepdims: bool) -> Callable[[], Any] | None:
    """A task for ``mean`` of floats; None for empty arrays, numbers and integers."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or not a.size or not a.ndim:
        return None
    axes = reduced_axes(axis, a.ndim)
    return prepare(out, a, axes, keepdims, math.prod([a.shape[i] for i in axes]))


def prepare_sum_to(out: np.ndarray | None, a: Any, *, shape: Shape) -> Callable[[], Any] | None:
    """A task for ``sum_to`` of real numbers; None if there is nothing to sum."""
    if a.__class__ is not ndarray or a.dtype.kind == "c":
        return None
    before = a.shape
    if before[1:] == shape and (add := _by_ones(out, a)) is not None:  # the gradient of a bias
        return add
    if before == (after := as_shape(shape)):
        return None
    axes = repeated_axes(before, after)
    if len(before) == len(after) + len(axes):
        return prepare(out, a, axes)
    kept = [n for i, n in enumerate(before) if i not in axes]
    add = prepare(None if out is None else out.reshape(kept), a, axes)
    return lambda: add().reshape(after)


def total(
    a: Any, axes: tuple[int, ...], keepdims: bool = False, out: np.ndarray | None = None, share: float = 1
) -> Any:
    """The result of :func:`prepare`'s task."""
    few = a.__class__ is ndarray and a.ndim == 1 == len(axes) and out is None and share == 1 and not keepdims
    if few and _exactly(a.shape, a.strides, a.dtype.char, axes) is None:
        return np.add.reduce(a)
    return prepare(out, a, axes, keepdims, share)()


Sum: TypeAlias = Callable[[np.ndarray | None, np.ndarray, tuple[int, ...], bool, float], Callable[[], Any]]
"""How :func:`prepare` makes its task."""


@lru_cache(maxsize=4096)
def _exactly(shape: tuple[int, ...], strides: tuple[int, ...], char: str, axes: tuple[int, ...]) -> Sum | None:
    """How arrays of a layout are summed in float64; None where NumPy's sum is exact enough, and no slower."""
    size = math.prod(shape)
    if char not in "efd" or not size or not axes:
        return None
    if char != "e":
        if char == "d" and len(axes) == len(shape) and size < PAIRWISE and has_no_gaps(shape, strides, 8):
            return None
        if size < SMALL and not _loses(shape, strides, axes):
            return None
    if size >= SMALL:
        return _long
    rows = _rows(shape, strides, axes) if char == "f" else None
    return partial(partial, _add) if rows is None else partial(_few_rows, *rows)  # the task is then a call of _add


def _long(
    out: np.ndarray | None, a: np.ndarray, axes: tuple[int, ...], keepdims: bool, share: float
) -> Callable[[], Any]:
    """A task for a sum of many terms."""
    add = wide(a, axes)

    def task() -> Any:
        y = add()
        if share != 1:
            y = y / share
        if keepdims:
            y = y.reshape([1 if i in axes else n for i, n in enumerate(a.shape)])
        if out is None:
            return y.astype(a.dtype)[()]
        np.copyto(out, y, casting="same_kind")
        return out

    return task


def _few_rows(
    order: tuple[int, ...], length: int, each: np.ndarray,
    out: np.ndarray | None, a: np.ndarray, axes: tuple[int, ...], keepdims: bool, share: float,
) -> Callable[[], Any]:  # fmt: skip
    if keepdims or share != 1:
        return partial(_add, out, a, axes, keepdims, share)
    rows = a.transpose(order).reshape(-1, length)
    return partial(_sum_rows, out, rows, each, None if out is None else buffer(rows.shape, each.dtype))


def _add(out: np.ndarray | None, a: np.ndarray, axes: tuple[int, ...], keepdims: bool, share: float) -> Any:
    add: Any = np.add.reduce
    y = add(a, axes, np.float64, None, keepdims)  # not in `out`, where NumPy would round between its loops
    if share != 1:
        y = y / share
    if out is None:
        return y.astype(a.dtype)
    np.copyto(out, y, casting="same_kind")
    return out


def _rows(
    shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[tuple[int, ...], int, np.ndarray] | None:
    """How the sums of float32 are those of the rows of a matrix in memory, such as the gradient of the biases of a convolution:
    the order of the axes there, the length of a row, and ones for it; None if they are not, or have several axes."""
    if len(axes) != len(shape) - 1:
        return None
    plan = _plan(shape, strides, axes)
    gaps = not has_no_gaps([shape[i] for i in plan.order], [strides[i] for i in plan.order], 4)
    if gaps or [reduced for reduced, _ in plan.groups] != [False, True]:
        return None
    length = plan.groups[1][1]
    return plan.order, length, ones(length, np.dtype(np.float64))


def _sum_rows(out: np.ndarray | None, rows: np.ndarray, each: np.ndarray, exact: np.ndarray | None) -> np.ndarray:
    """The sums of the rows, in float64. NumPy's sum converts numbers in pieces as it adds, which takes twice as long."""
    if out is None or exact is None:
        y: np.ndarray = rows.astype(each.dtype).dot(each)
        return y.astype(rows.dtype)
    exact[...] = rows
    out[...] = exact.dot(each)
    return out


def _by_ones(out: np.ndarray | None, a: np.ndarray) -> Callable[[], Any] | None:
    """A task for the sum of the rows of a, as a product with ones by BLAS; None for other arrays than a few short rows."""
    each = _ones_for(a.shape, a.dtype)
    if each is None or not a.flags.c_contiguous:
        return None
    if out is not None and not (out.dtype == a.dtype and out.flags.c_contiguous and out.shape == a.shape[1:]):
        return None
    if len(each) < len(a):
        return partial(
            _by_halves, each, a[: len(each)], a[len(each) :], out, out if out is None else np.empty_like(out)
        )
    if each.dtype is a.dtype:
        return partial(each.dot, a, out)
    if out is None:
        return lambda: each.dot(a.astype(each.dtype)).astype(a.dtype)
    rows = np.empty(a.shape)

    def task() -> np.ndarray:
        np.copyto(rows, a)
        np.copyto(out, each.dot(rows), casting="same_kind")
        return out

    return task


def _by_halves(each: np.ndarray, a: np.ndarray, b: np.ndarray, out: Any, more: Any) -> np.ndarray:
    """The sum of the rows of a and of b, which may have one less."""
    y: np.ndarray = np.add(each.dot(a, out), each[: len(b)].dot(b, more), out)
    return y


@lru_cache(maxsize=1024)
def _ones_for(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray | None:
    """The ones that sum the rows of an array, or each half of them; in float64 if float32 would lose precision. None if BLAS
    should not."""
    if len(shape) != 2 or not 0 < shape[0] <= BLOCK or dtype.char not in "fd" or math.prod(shape) >= 2 * SMALL:
        return None  # BLAS would use several threads from there on
    if SHORT < shape[0] <= 2 * SHORT:
        return ones(-(-shape[0] // 2), dtype)
    return ones(shape[0], dtype if shape[0] <= SHORT else np.dtype(np.float64))


def _loses(shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether NumPy adds many terms sequentially, or within a contiguous run in its eight partial sums."""
    terms, stride, run = math.prod(shape[i] for i in axes), 0, 1
    for i in sorted((i for i, n in enumerate(shape) if n > 1), key=lambda i: abs(strides[i])):
        if i not in axes or not strides[i] or (stride and strides[i] != stride):
            break
        run, stride = run * shape[i], strides[i] * shape[i]
    return terms // run > SHORT or run > 2 * SHORT


@lru_cache(maxsize=256)
def ones(n: int, dtype: np.dtype[Any]) -> np.ndarray:
    """A read-only row of ones, cached."""
    row = np.ones(n, dtype)
    row.flags.writeable = False
    return row


class _Plan(NamedTuple):
    """How to sum arrays of one layout: the array without broadcast axes, its axes in memory order, grouped into runs of axes
    that are all kept or all reduced, and the permutation back."""

    once: tuple[slice, ...]
    repeats: int
    order: tuple[int, ...]
    groups: tuple[tuple[bool, int], ...]
    kept: tuple[int, ...]
    back: tuple[int, ...]


@lru_cache(maxsize=1024)
def _plan(shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...]) -> _Plan:
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
    return _Plan(once, math.prod(shape[i] for i in repeated), order, tuple(groups), tuple(shape[i] for i in kept), back)


def wide(a: np.ndarray, axes: tuple[int, ...]) -> Callable[[], np.ndarray]:
    """A task for the sum of floating-point numbers over `axes`, in float64; the task owns the result's memory."""
    if a.size < SMALL:
        return lambda: np.asarray(np.add.reduce(a, axes, np.float64))
    calls: list[Callable[[], object]] = []
    plan = _plan(a.shape, a.strides, axes)
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


def product_sums(a: np.ndarray, b: np.ndarray, axes: tuple[int, ...], share: float = 1) -> Any:
    """The sum of a b, for equal shapes, over `axes` with keepdims, divided by `share`."""
    if a.shape != b.shape:
        raise ValueError(f"product_sums: operands of shapes {a.shape} and {b.shape} do not agree; they must be equal")
    dtype = np.result_type(a, b)
    plan = _plan(a.shape, a.strides, axes)
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
