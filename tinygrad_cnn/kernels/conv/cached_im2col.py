"""Cached im2col, for small convolutions: everything that depends on shapes alone is kept for the next call.

A plan holds the padded image, a view of its windows, and a buffer for them as columns (c k, n P), above a row of ones that
multiplies the biases. A call is then two copies and one GEMM. The gradient in the image is itself a convolution: of the
incoming gradient, spread by the stride, with flipped filters.

A call takes a plan and gives it back, so no other call finds it in between. The gradient in the filters reuses the columns that
it finds if they are those of its images: it compares their bytes with those that the columns were filled from. A plan keeps
the images from the first such gradient on, so inference does not pay for them.

With few filters, a channels-last output would have short runs, which make every later op slow; its memory order is then
(O, n, *out).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...ops.windows import Sizes, interior, last_view, volume, windows
from ..blocking import Geometry
from ..matmul import prepare as prepare_product

MOST = 1 << 18
"""Columns of at most so many elements are kept."""

MOST_FLIPPED, FEW_NUMBERS = 1 << 16, 1 << 14
"""For the gradient in the image, the most elements of columns, and of filters, which it copies."""

FEW_FILTERS = 8
"""Below this many filters, an output has memory order (O, n, *out)."""

KEPT = 16
"""Plans kept for each thread."""

Copies = list[tuple[np.ndarray, np.ndarray]]


class _Kept(threading.local):
    def __init__(self) -> None:
        self.plans: OrderedDict[Any, Plan] = OrderedDict()


_here = _Kept()


def forget() -> None:
    """Drop this thread's plans: its next calls make new ones."""
    _here.plans.clear()


@dataclass(frozen=True, eq=False)
class Columns:
    """What a plan is made for: windows g on images of a shape, whose pixels are `spread` apart, with zeros between them."""

    shape: Sizes
    g: Geometry
    spread: Sizes


def with_plan(columns: Columns, dtype: np.dtype[Any], prepare: Callable[..., Callable[[], Any]], *args: Any) -> Any:
    """The result of the task prepare(plan, *args), with a plan for the columns that no other call has until it ends."""
    plans, key = _here.plans, (columns, dtype)
    plan = plans.pop(key, None) or Plan(columns, dtype)
    try:
        return prepare(plan, *args)()
    finally:
        plans[key] = plan
        if len(plans) > KEPT:
            plans.popitem(last=False)


def shared_plan(columns: Columns, dtype: np.dtype[Any], shared: dict[Any, Any] | None) -> Plan:
    """The plan of all tasks that have `shared` in common."""
    key, plans = (columns, dtype), {} if shared is None else shared
    return plans.get(key) or plans.setdefault(key, Plan(columns, dtype))  # type: ignore[no-any-return]


class Plan:
    """Buffers and views for :class:`Columns` of images (n, c, *sizes)."""

    _images: np.ndarray | None = None
    """The images that the columns are of, if gradients in filters ask for them."""
    _bytes = bytearray()
    """The memory of these images."""
    _is_known = False
    """Whether they are those of the last call."""

    def __init__(self, columns: Columns, dtype: np.dtype[Any]) -> None:
        (n, c, *sizes), g, spread = columns.shape, columns.g, columns.spread
        d, self.out = len(sizes), g.out
        sizes = [(m - 1) * s + 1 for m, s in zip(sizes, spread, strict=True)]
        padded = np.zeros((n, c, *(m + sum(pair) for m, pair in zip(sizes, g.padding, strict=True))), dtype)
        inner = padded[interior(tuple(sizes), g.padding)]
        self._inner = inner[(..., *(slice(None, None, s) for s in spread))]
        view = windows(padded, g.kernel, g.out, g.stride, g.dilation)  # (n, c, *out, *k)
        self._windows = view.transpose(1, *range(2 + d, 2 + 2 * d), 0, *range(2, 2 + d))  # (c, *k, n, *out)
        self.with_ones = np.ones((c * volume(g.kernel) + 1, n * volume(g.out)), dtype)
        self.columns = self.with_ones[:-1]
        self._room = self.columns.reshape(self._windows.shape)
        self._filters: dict[int, tuple[np.ndarray, ...]] = {}

    def filters(self, w: np.ndarray, b: np.ndarray | None) -> tuple[np.ndarray, Copies]:
        """w (O, c, *k) as a matrix, with the biases in the last column, and the copies that fill it."""
        o, dtype = len(w), self.columns.dtype
        if b is None and w.dtype == dtype and w.flags.c_contiguous:
            return w.reshape(o, -1), []
        if o not in self._filters:
            matrix = np.empty((o, len(self.with_ones)), dtype)
            self._filters[o] = matrix, matrix[:, :-1].reshape(w.shape), matrix[:, -1]
        matrix, elements, biases = self._filters[o]
        return (matrix[:, :-1], [(elements, w)]) if b is None else (matrix, [(elements, w), (biases, b)])

    def fill(self, x: np.ndarray) -> None:
        """Fill the columns from x."""
        self._is_known, dtype = False, x.dtype  # an interrupt may come between the copies
        if self._images is not None:
            self._images[...] = x
            x = self._images
        self._inner[...] = x
        self._room[...] = self._windows
        self._is_known = x is self._images and dtype == x.dtype

    def need(self, x: np.ndarray) -> None:
        """Fill the columns from x, unless they are of images with the same bytes; keep the images from the next call on."""
        found: Any = x.data if x.flags.c_contiguous else x.tobytes()  # a bytearray is compared with either at once
        if not self._is_known or x.dtype != self._inner.dtype or self._bytes != found:
            if self._images is None:
                self._bytes = bytearray(self._inner.nbytes)
                self._images = np.frombuffer(self._bytes, self._inner.dtype).reshape(self._inner.shape)
            self.fill(x)


def convolve(
    plan: Plan, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray | None
) -> Callable[[], np.ndarray]:
    """A function that fills y (N, O, *out), and returns it; None for a new array."""
    if y is None:
        return partial(_convolved, plan, x, w, b)
    filters, copies = plan.filters(w, b)
    columns = plan.columns if b is None else plan.with_ones
    o, after = len(w), Copies()
    if (last := last_view(y)).flags.c_contiguous and not y.swapaxes(0, 1).flags.c_contiguous:
        product = _product(last.reshape(-1, o), columns.T, filters.T)
    else:
        first = y.swapaxes(0, 1)
        rows = first if first.flags.c_contiguous else np.empty(first.shape, y.dtype)
        product = _product(rows.reshape(o, -1), filters, columns)
        if rows is not first:
            after = [(first, rows)]

    def run() -> np.ndarray:
        plan.fill(x)
        for to, values in copies:
            to[...] = values
        product()
        for to, values in after:
            to[...] = values
        return y

    return run


def _convolved(plan: Plan, x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """The convolution as a view of a new product, which takes half the time that the views of a given array take."""
    plan.fill(x)
    filters, copies = plan.filters(w, b)
    columns = plan.columns if b is None else plan.with_ones
    for to, values in copies:
        to[...] = values
    o, shape = len(filters), (len(x), *plan.out)
    y: np.ndarray
    if o < FEW_FILTERS:
        y = _product(None, filters, columns)().reshape(o, *shape).swapaxes(0, 1)
    else:
        y = _product(None, columns.T, filters.T)().reshape(*shape, o).transpose(0, -1, *range(1, len(shape)))
    return y


def weight_gradient(plan: Plan, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> Callable[[], np.ndarray]:
    """A function that fills w (O, c, *k), in C order, from x and u (N, O, *out), and returns it."""
    matrix, copies = _rows(u)
    product = _product(w.reshape(len(w), -1), matrix, plan.columns.T)

    def run() -> np.ndarray:
        plan.need(x)
        for to, source in copies:
            to[...] = source
        product()
        return w

    return run


def _rows(u: np.ndarray) -> tuple[np.ndarray, Copies]:
    """u (N, O, *out) as a matrix (O, N P), and the copies that fill it if it is no view of u."""
    o = u.shape[1]
    first = u.swapaxes(0, 1)
    if first.flags.c_contiguous:
        return first.reshape(o, -1), []
    if (last := last_view(u)).flags.c_contiguous:
        return last.reshape(-1, o).T, []
    buffer = np.empty(first.shape, u.dtype)
    return buffer.reshape(o, -1), [(buffer, first)]


def _product(out: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    """A function that computes the product of two matrices, in `out` if it is given."""
    return prepare_product(out, a, b) or partial(np.matmul, a, b, out)
