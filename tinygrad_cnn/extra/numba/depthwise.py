"""Depthwise convolution of images by one filter of 3 x 3 or 7 x 7 for each channel, and its adjoints, in both memory orders.

The loops are in ``depthwise_first.py`` and ``depthwise_last.py``, for channels that are first or last in memory. They read and
write few arrays: before each loop the compiled code checks that no two overlap, and from nine pairs on the compiler gives up.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...kernels.blocking import Geometry
from ...kernels.conv import nonfinite
from ...kernels.parallel.task import Call, Work
from ...ops.windows import output_sizes
from .depthwise_first import convolve_first, correlate_first, spread_first
from .depthwise_last import convolve_last, correlate_last, spread_last
from .images import LARGE, by_images, cuts, like, order, view
from .vectors import LANES

SMALL = 1 << 10
"""Smaller images are not worth the preparation."""

SIZES = {((3, 3), 1), ((3, 3), 2), ((7, 7), 1)}
"""Kernels and strides."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


def prepare(
    out: Array | None, x: Any, w: Any, b: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve``; None if it is not depthwise, or of other sizes, or not of float32."""
    if not _fits(w.shape, x.shape, stride, padding, dilation, groups) or not _plain(w):
        return None
    how = _order(x)
    if how is None or not (b is None or _plain(b)):
        return None
    (top, _), (left, _) = padding
    grid = output_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = like(how, (*x.shape[:2], *grid), FLOAT32) if out is None else out
    if order(y, FLOAT32) != how:
        return None
    views = [_rows(how, view(how, a)) for a in (x, y)]
    shift = np.zeros(len(w), FLOAT32) if b is None else b
    return by_images(_convolve(how), y, views, w[:, 0], shift, stride[0], top, left, False)


def prepare_dx(
    out: Array | None, u: Any, w: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dx``."""
    if not _fits(w.shape, shape, stride, padding, dilation, groups) or not _plain(w):
        return None
    how = _order(u)
    x = like(how or "first", shape, FLOAT32) if out is None else out
    if how is None or order(x, FLOAT32) != how:
        return None
    (top, _), (left, _) = padding
    views = [_rows(how, view(how, a)) for a in (u, x)]
    if stride[0] == 1:
        before = w.shape[2] - 1 - top, w.shape[3] - 1 - left
        if min(before) < 0:
            return None
        others: Any = np.zeros(len(w), FLOAT32), 1, *before, True
        function = _convolve(how)
    else:
        others = stride[0], top, left
        function = spread_last if how == "last" else spread_first
    geometry = Geometry(w.shape[2:], u.shape[2:], stride, padding, dilation)
    return by_images(partial(_pull, function, geometry), x, views, w[:, 0], *others)


def prepare_dw(
    out: Array | None, x: Any, u: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dw``."""
    if not _fits(shape, x.shape, stride, padding, dilation, groups):
        return None
    how = _order(x)
    if how is None or order(u, FLOAT32) is None:
        return None
    w = np.empty(shape, FLOAT32) if out is None else out
    (top, _), (left, _) = padding
    images = cuts(x)
    totals = np.empty((len(images), *shape[:1], *shape[2:]))
    function: Any = correlate_last if how == "last" else correlate_first
    xs, us = view(how, x), view(how, u)
    geometry = Geometry(shape[2:], u.shape[2:], stride, padding, dilation)

    def arrange(i: int) -> list[Call]:
        def call() -> None:
            pulled = np.ascontiguousarray(us[images[i]])
            function(_rows(how, xs[images[i]]), _rows(how, pulled), totals[i], stride[0], top, left)
            nonfinite.mend_filters(totals[i].reshape(-1), geometry, x[images[i]], u[images[i]], totals[i][:, None])

        return [call]

    def add() -> None:
        np.copyto(w[:, 0], np.add.reduce(totals, 0), casting="same_kind")

    return Work(range(len(images)), arrange, (), [add], images, x.size < LARGE, w)


def _fits(w: Any, x: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Whether the loops can take a convolution with filters and images of these shapes."""
    return (
        len(x) == 4 and w[1] == 1 and groups == x[1] == w[0] and stride[0] == stride[1] and tuple(dilation) == (1, 1)
        and (tuple(w[2:]), stride[0]) in SIZES and min(x) > 0 and x[0] * x[1] * x[2] * x[3] >= SMALL
        and all(n + sum(p) >= k for n, p, k in zip(x[2:], padding, w[2:], strict=True))
    )  # fmt: skip


def _order(a: Any) -> Any:
    """The memory order of images; None for few channels that are last, which fill no vector."""
    how = order(a, FLOAT32)
    return None if how == "last" and a.shape[1] < LANES else how


def _plain(a: Any) -> bool:
    return a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.flags.c_contiguous


def _convolve(how: str) -> Any:
    return convolve_first if how == "first" else convolve_last


def _pull(function: Any, g: Geometry, u: Array, x: Array, w: Array, *others: Any) -> None:
    """Fill x from u, both as in memory, by a loop, which multiplies by zeros around u; or, if the filters are not finite, by
    the definition."""
    if nonfinite.is_finite(w):
        function(u, x, w, *others)
        return
    pulled, images = (_by_channels(a, len(w)) for a in (u, x))
    images[...] = nonfinite.by_definition(g, pulled, w[:, None], images.shape)


def _by_channels(a: Array, channels: int) -> Array:
    """Images (n, c, H, W), from those that :func:`_rows` made."""
    return a if a.ndim == 4 else np.moveaxis(a.reshape(*a.shape[:2], -1, channels), -1, 1)


def _rows(how: str, a: Array) -> Array:
    """Images as in memory; channels last, with the pixels of a row as one row of numbers."""
    return a if how == "first" else a.reshape(len(a), a.shape[1], -1)
