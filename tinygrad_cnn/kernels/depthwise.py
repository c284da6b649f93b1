"""Depthwise convolution: each channel has filters of its own, so there is no product of matrices, only sums of scaled
shifts. With G channels and o filters for each, a kernel element k contributes x[shifted by k] w[:, k] to every place.

Works on a few images at a time, channels last: (N, *out, G, o).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .window import Pairs, Sizes, overlaps, volume

BLOCK_ELEMENTS = 1 << 16
"""Output elements that are worked on at a time; they and what they are made of stay in the cache."""


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, out: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> np.ndarray:
    """y[n, g o, p] = b + sum over k of x[n, g, p stride + k dilation - padding] w[g o, k]."""
    n, g, o = x.shape[0], x.shape[1], w.shape[0] // x.shape[1]
    y = np.zeros((n, *out, g, o), np.result_type(x, w))
    if b is not None:
        y += b.reshape(g, o).astype(y.dtype)
    elements = _elements(x.shape[2:], w.shape[2:], out, stride, padding, dilation)
    filters = np.moveaxis(w.reshape(g, o, *w.shape[2:]), (0, 1), (-2, -1))  # (*k, G, o)
    last = np.moveaxis(x, 1, -1)[..., None]  # (N, *sizes, G, 1)
    for block in _blocks(n, volume(out) * g * o):
        for k, spans, places in elements:
            y[(block, *spans)] += last[(block, *places)] * filters[k]
    return np.moveaxis(y.reshape(n, *out, g * o), -1, 1)


def input_gradient(
    u: np.ndarray, w: np.ndarray, sizes: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> np.ndarray:
    """The adjoint of :func:`forward` in x: u (N, G o, *out) to an array (N, G, *sizes)."""
    n, o, out = u.shape[0], u.shape[1] // groups, u.shape[2:]
    x = np.zeros((n, *sizes, groups), np.result_type(u, w))
    elements = _elements(sizes, w.shape[2:], out, stride, padding, dilation)
    filters = np.moveaxis(w.reshape(groups, o, *w.shape[2:]), (0, 1), (-2, -1))  # (*k, G, o)
    last = np.moveaxis(u, 1, -1).reshape(n, *out, groups, o)
    for block in _blocks(n, volume(out) * groups * o):
        for k, spans, places in elements:
            scaled = last[(block, *spans)] * filters[k]
            x[(block, *places)] += scaled[..., 0] if o == 1 else scaled.sum(-1)
    return np.moveaxis(x, -1, 1)


def weight_gradient(
    x: np.ndarray, u: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> np.ndarray:
    """The adjoint of :func:`forward` in w: x (N, G, *sizes) and u (N, G o, *out) to an array (G o, 1, *kernel)."""
    n, g, out = x.shape[0], x.shape[1], u.shape[2:]
    o = u.shape[1] // g
    w = np.zeros((*kernel, g, o), np.result_type(x, u))
    elements = _elements(x.shape[2:], kernel, out, stride, padding, dilation)
    images, last = np.moveaxis(x, 1, -1)[..., None], np.moveaxis(u, 1, -1).reshape(n, *out, g, o)
    for block in _blocks(n, volume(out) * g * o):
        for k, spans, places in elements:
            product = images[(block, *places)] * last[(block, *spans)]  # (N, *out, G, o)
            w[k] += product.reshape(-1, g * o).sum(0).reshape(g, o)
    return np.moveaxis(w, (-2, -1), (0, 1)).reshape(g * o, 1, *kernel)


def _elements(
    sizes: Sizes, kernel: Sizes, out: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> list[tuple[Sizes, Any, Any]]:
    before = tuple(pair[0] for pair in padding)
    found = overlaps(sizes, kernel, out, stride, before, dilation)
    return [(k, spans[1:], places[1:]) for k, spans, places in found]


def _blocks(n: int, image_elements: int) -> Iterator[slice]:
    size = max(1, BLOCK_ELEMENTS // max(1, image_elements))
    return (slice(start, start + size) for start in range(0, n, size))
