"""Images of uint8 cut and mirrored, and converted to floating point: one loop over the batch, as fast as memory."""

from __future__ import annotations

import math

import numpy as np

from ..compiled import Number, exact
from ..images import at_line

Array = np.ndarray


def mirrored(x: Array, chosen: Array, axis: int) -> Array | None:
    """``geometry.mirrored`` of uint8 images."""
    if x.dtype != np.uint8 or not x.size or not x.flags.c_contiguous:
        return None
    y = np.empty(x.shape, np.uint8)
    size = len(x), math.prod(x.shape[1:-2]), *x.shape[-2:]
    (_left_right if axis == -1 else _upside_down)(x.reshape(size), chosen, y.reshape(size))
    return y


@exact
def _left_right(x: Array, chosen: Array, y: Array) -> None:
    """y = x (n, c, H, W), with the lines of the chosen images reversed."""
    for n in range(len(x)):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                line, out, last = x[n, c, i], y[n, c, i], np.uint64(x.shape[3] - 1)
                if chosen[n]:
                    for j in range(out.size):  # a number with a sign might count from the end
                        out[j] = line[last - np.uint64(j)]
                else:
                    for j in range(out.size):
                        out[j] = line[j]


@exact
def _upside_down(x: Array, chosen: Array, y: Array) -> None:
    """y = x (n, c, H, W), with the order of the lines of the chosen images reversed."""
    for n in range(len(x)):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                line, out = x[n, c, x.shape[2] - 1 - i if chosen[n] else i], y[n, c, i]
                for j in range(out.size):
                    out[j] = line[j]


def window(x: Array, places: Array, size: tuple[int, int], fill: Array) -> Array | None:
    """``geometry.window`` of uint8 images with one fill."""
    if x.dtype != np.uint8 or not x.size or not x.flags.c_contiguous or fill.ndim or fill != fill.astype(np.uint8):
        return None
    y = np.empty((*x.shape[:-2], *size), np.uint8)
    channels = math.prod(x.shape[1:-2])
    _window(
        x.reshape(len(x), channels, *x.shape[-2:]),
        places,
        fill.astype(np.uint8)[()],
        y.reshape(len(x), channels, *size),
    )
    return y


@exact
def _window(x: Array, places: Array, fill: Number, y: Array) -> None:
    """y (n, c, h, w) = the windows of x (n, c, H, W) with the corners places (n, 2), and `fill` outside of x."""
    height, width = x.shape[2:]
    for n in range(len(x)):
        top, left = places[n]
        before = min(max(-left, 0), y.shape[3])
        end = max(min(width - left, y.shape[3]), before)
        for c in range(x.shape[1]):
            for i in range(y.shape[2]):
                out = y[n, c, i]
                if not 0 <= top + i < height or before == end:
                    out[:] = fill
                    continue
                part, line = out[before:end], x[n, c, top + i, left + before : left + end]
                for j in range(part.size):
                    part[j] = line[j]
                for j in range(before):
                    out[j] = fill
                for j in range(end, out.size):
                    out[j] = fill


def scaled(x: Array) -> Array | None:
    """``functional.scaled``."""
    if x.dtype != np.uint8 or not x.size or not x.flags.c_contiguous:
        return None
    y = at_line(x.shape, np.float32)
    _scaled(x.reshape(-1), y.reshape(-1))
    return y


@exact
def _scaled(x: Array, y: Array) -> None:
    for i in range(x.size):
        y[i] = np.float32(x[i]) * np.float32(1 / 255)


def normalized(x: Array, mean: Array, std: Array) -> Array | None:
    """``functional.normalized`` of float32."""
    if x.dtype != np.float32 or not x.size or not x.flags.c_contiguous:
        return None
    y = at_line(x.shape, np.float32)
    flat = len(x), x.shape[1], -1
    means, divisors = (np.broadcast_to(a.reshape(-1), x.shape[1]).copy() for a in (mean, std))
    _normalized(x.reshape(flat), means, divisors, y.reshape(flat))
    return y


@exact
def _normalized(x: Array, mean: Array, std: Array, y: Array) -> None:
    for n in range(len(x)):
        for c in range(x.shape[1]):
            values, out, middle, divisor = x[n, c], y[n, c], mean[c], std[c]
            for i in range(out.size):
                out[i] = (values[i] - middle) / divisor
