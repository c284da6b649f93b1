"""Convolution of little data: what a call would spend on arranging views is spent once for all calls of the same shapes.

A plan holds the padded image, all windows of it as a view, and room for them as columns (c k, n P), with a row of ones
below that meets the bias. A call is then two copies and one product. Plans are kept for each thread, a few at a time.

Few filters make an output of short channels-last runs, on which everything that follows is slow. It lies in memory as
(O, n, *out) instead.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...ops.windows import Sizes, interior, last_view, volume, windows
from ..blocking import Geometry
from ..matmul import multiply
from ..matmul import prepare as prepare_product

MOST_BYTES = 1 << 20
"""Columns larger than this are laid out in blocks instead."""

FEW_FILTERS = 8
"""Below this, an output lies filter by filter."""

KEPT = 16
"""Plans for each thread."""

Shared: TypeAlias = "dict[Any, Any]"
"""Plans whose columns are those of one x, by geometry and dtype."""

_thread = threading.local()


def _nothing() -> None:
    return None


class Filters(NamedTuple):
    """Room for filters (O, c, *kernel) and biases (O,) in one matrix (O, c k + 1)."""

    matrix: np.ndarray
    elements: np.ndarray
    biases: np.ndarray

    @classmethod
    def of(cls, w: np.ndarray, dtype: np.dtype[Any]) -> Filters:
        """For filters of the shape of w."""
        matrix = np.empty((len(w), w[0].size + 1), dtype)
        return cls(matrix, matrix[:, :-1].reshape(w.shape), matrix[:, -1])


class Plan:
    """Memory and views for windows on x (n, c, *sizes)."""

    __slots__ = ("_filters", "_inner", "_room", "_source", "_windows", "columns", "with_ones")

    def __init__(self, shape: Sizes, g: Geometry, dtype: np.dtype[Any]) -> None:
        n, c, *sizes = shape
        d = len(sizes)
        whole = [m + before + after for m, (before, after) in zip(sizes, g.padding, strict=True)]
        padded = np.zeros((n, c, *whole), dtype)
        self._inner = padded[interior(tuple(sizes), g.padding)]
        view = windows(padded, g.kernel, g.out, g.stride, g.dilation)  # (n, c, *out, *k)
        self._windows = view.transpose(1, *range(2 + d, 2 + 2 * d), 0, *range(2, 2 + d))  # (c, *k, n, *out)
        k = c * volume(g.kernel)
        self.with_ones = np.ones((k + 1, n * volume(g.out)), dtype)
        self.columns = self.with_ones[:k]  # (c k, n P)
        self._room = self.columns.reshape(self._windows.shape)
        self._source: Callable[[], np.ndarray | None] = _nothing
        self._filters: dict[int, Filters] = {}

    def filters(self, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
        """w (O, c, *kernel) as a matrix, with the biases in a last column, until the next call."""
        if b is None:
            return w.reshape(len(w), -1)
        room = self._filters.get(len(w))
        if room is None:
            room = self._filters[len(w)] = Filters.of(w, self.with_ones.dtype)
        np.copyto(room.elements, w)
        np.copyto(room.biases, b)
        return room.matrix

    def fill(self, x: np.ndarray) -> None:
        """Let the columns be those of x, until the next call."""
        self._source = _nothing
        self._inner[...] = x
        self._room[...] = self._windows

    def fill_forward(self, x: np.ndarray) -> None:
        """:meth:`fill`, for a convolution: its gradient will be asked for with the same x."""
        self.fill(x)
        self._source = weakref.ref(x)

    def fill_backward(self, x: np.ndarray) -> None:
        """:meth:`fill`, unless the columns are those that a convolution laid out of this very array."""
        if self._source() is not x:
            self.fill(x)


def own_plan(x: np.ndarray, g: Geometry, dtype: np.dtype[Any]) -> Plan | None:
    """A new plan for windows on x, or None if their columns are not small."""
    size = x.shape[0] * x.shape[1] * volume(g.kernel) * volume(g.out) * dtype.itemsize
    return Plan(x.shape, g, dtype) if 0 < size <= MOST_BYTES else None


def plan(x: np.ndarray, g: Geometry, dtype: np.dtype[Any]) -> Plan | None:
    """:func:`own_plan`, kept for the next call in this thread."""
    plans: OrderedDict[Any, Plan | None] | None = getattr(_thread, "plans", None)
    if plans is None:
        plans = _thread.plans = OrderedDict()
    key = (x.shape, g, dtype)
    if key in plans:
        plans.move_to_end(key)
        return plans[key]
    plans[key] = own_plan(x, g, dtype)
    if len(plans) > KEPT:
        plans.popitem(last=False)
    return plans[key]


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, plan: Plan, out: Sizes, y: np.ndarray | None = None
) -> np.ndarray | None:
    """y (n, O, *out), new and in the memory order that suits so many filters. Or fill y, which lies filter by filter or
    channels-last; None if it does not."""
    filters = plan.filters(w, b)
    columns = plan.columns if b is None else plan.with_ones
    if y is None:
        plan.fill_forward(x)
        new: np.ndarray
        if len(w) < FEW_FILTERS:
            new = multiply(filters, columns).reshape(len(w), len(x), *out).swapaxes(0, 1)
        else:
            new = np.moveaxis(multiply(columns.T, filters.T).reshape(len(x), *out, len(w)), -1, 1)
        return new
    factors = _factors(filters, columns, y)
    if factors is None:
        return None
    plan.fill_forward(x)
    multiply(*factors)
    return y


def weight_gradient(x: np.ndarray, u: np.ndarray, plan: Plan, w: np.ndarray, b: np.ndarray | None = None) -> None:
    """Fill w (O, c, *kernel), in C order, and b (O,) if it is given."""
    o = len(w)
    plan.fill_backward(x)
    by_filter = u.swapaxes(0, 1).reshape(o, -1)
    multiply(by_filter, plan.columns.T, w.reshape(o, -1))
    if b is not None:
        multiply(by_filter, plan.with_ones[-1], b)


def _factors(filters: np.ndarray, columns: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Two matrices of which the product is y, and y as a matrix; None if it lies in memory in another way."""
    by_filter = y.swapaxes(0, 1)
    if by_filter.flags.c_contiguous:
        return filters, columns, by_filter.reshape(len(filters), -1)
    last = last_view(y)
    return (columns.T, filters.T, last.reshape(-1, len(filters))) if last.flags.c_contiguous else None


def forwarding(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, g: Geometry, y: np.ndarray, shared: Shared
) -> Callable[[], None] | None:
    """:func:`forward` on the same memory every time, if it is small. Columns of x are shared: the first call fills them."""
    plan, fill = _shared_plan(x, g, y.dtype, shared)
    if plan is None or not w.flags.c_contiguous or w.dtype != y.dtype:
        return None
    room = None if b is None else Filters.of(w, y.dtype)
    filters = w.reshape(len(w), -1) if room is None else room.matrix
    factors = _factors(filters, plan.columns if b is None else plan.with_ones, y)
    if factors is None:
        return None
    shared[g, y.dtype] = plan
    product: Any = prepare_product(factors[2], *factors[:2])
    parts = [] if b is None or room is None else [(room.elements, w), (room.biases, b)]

    def run() -> None:
        if fill is not None:
            fill(x)
        for to, source in parts:
            np.copyto(to, source)
        product()

    return run


def weighing(
    x: np.ndarray, u: np.ndarray, g: Geometry, w: np.ndarray, b: np.ndarray | None, shared: Shared
) -> Callable[[], None] | None:
    """:func:`weight_gradient` on the same memory every time, if it is small, with columns shared as :func:`forwarding` does."""
    plan, fill = _shared_plan(x, g, w.dtype, shared)
    if plan is None or not w.flags.c_contiguous:
        return None
    shared[g, w.dtype] = plan
    o = len(w)
    whole = u.swapaxes(0, 1)
    by_filter = whole.reshape(o, -1)
    moved = None if np.shares_memory(by_filter, u) else by_filter.reshape(whole.shape)
    product: Any = prepare_product(w.reshape(o, -1), by_filter, plan.columns.T)
    sums: Any = None if b is None else prepare_product(b, by_filter, plan.with_ones[-1])

    def run() -> None:
        if fill is not None:
            fill(x)
        if moved is not None:
            np.copyto(moved, whole)
        product()
        if sums is not None:
            sums()

    return run


def _shared_plan(
    x: np.ndarray, g: Geometry, dtype: np.dtype[Any], shared: Shared
) -> tuple[Plan | None, Callable[[np.ndarray], None] | None]:
    """A plan for windows on x, and what fills it, or None where a call before has done so."""
    if (g, dtype) in shared:
        return shared[g, dtype], None
    plan = own_plan(x, g, dtype)
    return plan, None if plan is None else plan.fill
