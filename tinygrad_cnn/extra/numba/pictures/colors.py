"""Changes of the colours of uint8 images, in one pass over memory: NumPy makes one for each operation.

The loops compute the operations of the definitions in their order, in float32, so the bits are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled import Number, exact, exact_helper
from .bytes import BYTES, FINDS, look_up

BLOCK = 1 << 11
"""Pixels whose intermediate results are kept. A loop that wrote several channels would not be of vectors: the compiler asks
before the loop over images whether what is written may overlap, and channels of different images do, in its eyes."""

Array = np.ndarray


def _taken(x: Any, channels: int | None = None) -> Array | None:
    """Images of uint8 as (n, C, pixels) in C order; None for others."""
    if x.dtype != np.uint8 or not x.size or (channels and x.shape[1] != channels):
        return None
    pixels: Array = np.ascontiguousarray(x).reshape(*x.shape[:2], -1)
    return pixels


def _changed(loop: Any, x: Array, numbers: Array) -> Array | None:
    """What `loop` makes of colours (n, 3, pixels), with a number for each image; None for other images."""
    pixels = _taken(x, 3)
    if pixels is None:
        return None
    y = np.empty(x.shape, np.uint8)
    loop(pixels, numbers.reshape(-1), y.reshape(pixels.shape))
    return y


def translated(x: Array, tables: Array) -> Array | None:
    """``functional.translated``."""
    pixels = _taken(x)
    if pixels is None or tables.dtype != np.uint8:
        return None
    y = np.empty(x.shape, np.uint8)
    (_looked_up if FINDS else _translated)(
        pixels.reshape(len(x), -1), np.ascontiguousarray(tables), y.reshape(len(x), -1)
    )
    return y


@exact
def _translated(x: Array, tables: Array, y: Array) -> None:
    """y[n, i] = tables[n, x[n, i]]."""
    for n in range(len(x)):
        table, values, out = tables[n], x[n], y[n]
        for i in range(values.size):
            out[i] = table[values[i]]


@exact
def _looked_up(x: Array, tables: Array, y: Array) -> None:
    """The same, from registers."""
    whole = np.uint64(0xFFFFFFFFFFFFFFFF)
    for n in range(len(x)):
        table, values, out = tables[n], x[n], y[n]
        end = values.size - values.size % BYTES
        for i in range(0, end, BYTES):
            look_up(table, values, i, out, i, whole)
        if end < values.size:
            look_up(table, values, end, out, end, (np.uint64(1) << np.uint64(values.size - end)) - np.uint64(1))


@exact_helper
def _gray(red: int, green: int, blue: int) -> Number:
    gray = np.float32(red) * np.float32(0.2989)
    gray = gray + np.float32(green) * np.float32(0.587)
    return np.float32(np.int32(gray + np.float32(blue) * np.float32(0.114)))


def grayed(x: Array, channels: int) -> Array | None:
    """``functional.grayed``."""
    pixels = _taken(x, 3)
    if pixels is None:
        return None
    y = np.empty((len(x), channels, *x.shape[2:]), np.uint8)
    _grayed(pixels, y.reshape(*y.shape[:2], -1))
    return y


@exact
def _grayed(x: Array, y: Array) -> None:
    """Each channel of y (n, channels, pixels) is the gray image."""
    for n in range(len(x)):
        red, green, blue, out = x[n, 0], x[n, 1], x[n, 2], y[n, 0]
        for i in range(out.size):
            out[i] = np.uint8(np.int32(_gray(red[i], green[i], blue[i])))
        for c in range(1, y.shape[1]):
            other = y[n, c]
            for i in range(out.size):
                other[i] = out[i]


def gray_sums(x: Array) -> Array | None:
    """``functional.gray_sums``."""
    pixels = _taken(x, 3)
    return None if pixels is None or pixels.shape[2] >= 1 << 23 else _gray_sums(pixels).astype(np.float64)


@exact
def _gray_sums(x: Array) -> Array:
    """Sums of whole numbers, below 2^31."""
    sums = np.zeros(len(x), np.int64)
    for n in range(len(x)):
        red, green, blue, total = x[n, 0], x[n, 1], x[n, 2], np.int32(0)
        for i in range(red.size):
            total += np.int32(_gray(red[i], green[i], blue[i]))
        sums[n] = total
    return sums


def saturated(x: Array, f: Array) -> Array | None:
    """``functional.saturated``."""
    return _changed(_saturated, x, f)


@exact
def _saturated(x: Array, f: Array, y: Array) -> None:
    """y = f x + (1 - f) gray."""
    none, most, grays = np.float32(0.0), np.float32(255.0), np.empty(BLOCK, np.float32)
    for n in range(len(x)):
        factor, rest = f[n], np.float32(1.0) - f[n]
        for start in range(0, x.shape[2], BLOCK):
            part = x[n, :, start : start + BLOCK]
            red, green, blue = part[0], part[1], part[2]
            for i in range(red.size):
                grays[i] = _gray(red[i], green[i], blue[i]) * rest
            for c in range(3):
                values, out = part[c], y[n, c, start : start + BLOCK]
                for i in range(out.size):
                    out[i] = np.uint8(np.int32(min(max(np.float32(values[i]) * factor + grays[i], none), most)))


def turned(x: Array, turns: Array) -> Array | None:
    """``functional.turned``."""
    return _changed(_turned, x, turns)


@exact_helper
def _channel(hue: Number, start: Number, chroma: Number, most: Number) -> Number:
    """A channel of the color with this hue, which begins at `start` sixths of the circle."""
    place = hue + start
    place = place - np.float32(6.0) * np.floor(place * np.float32(1 / 6))
    place = min(place, np.float32(4.0) - place)
    place = min(max(place, np.float32(0.0)), np.float32(1.0))
    return np.uint8(np.int32(most - place * chroma))


@exact
def _turned(x: Array, turns: Array, y: Array) -> None:
    """y = x with the hue turned by so many sixths of the circle, by the formulas of the definition."""
    none, one, step = np.float32(0.0), np.float32(1.0), np.float32(255.999 / 255)
    hues, chromas, mosts = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for n in range(len(x)):
        for start in range(0, x.shape[2], BLOCK):
            part = x[n, :, start : start + BLOCK]
            reds, greens, blues, turn = part[0], part[1], part[2], turns[n]
            for i in range(reds.size):
                red, green, blue = np.float32(reds[i]), np.float32(greens[i]), np.float32(blues[i])
                most = max(max(red, green), blue)
                chroma = most - min(min(red, green), blue)
                safe = one if chroma == none else chroma
                is_red, is_green = most == red, most == green
                side = green - blue if is_red else (blue - red if is_green else red - green)
                base = none if is_red else (np.float32(2.0) if is_green else np.float32(4.0))
                hues[i], chromas[i], mosts[i] = side / safe + base + turn, chroma * step, most * step
            for c in range(3):
                out, first = y[n, c, start : start + BLOCK], np.float32(5 - 2 * c)
                for i in range(out.size):
                    out[i] = _channel(hues[i], first, chromas[i], mosts[i])


def histograms(x: Array) -> Array | None:
    """``functional.histograms``."""
    if x.dtype != np.uint8:
        return None
    counts = np.empty((len(x), 256), np.int64)
    _histograms(np.ascontiguousarray(x), counts)
    return counts


@exact
def _histograms(x: Array, counts: Array) -> None:
    """Neighbours are often equal: they are counted in different tables, so that no count waits for the one before."""
    tables = np.empty((4, 256), np.int64)
    for n in range(len(x)):
        values, end = x[n], x.shape[1] - x.shape[1] % 4
        tables[:] = 0
        for i in range(0, end, 4):
            for k in range(4):
                tables[k, values[i + k]] += 1
        for i in range(end, values.size):
            tables[0, values[i]] += 1
        for value in range(256):
            counts[n, value] = tables[0, value] + tables[1, value] + tables[2, value] + tables[3, value]
