"""Images of uint8 resized in whole numbers, as the definition's products of matrices do it in floating point.

Along lines, sixteen new pixels take their neighbours from up to 64 bytes in a register, and four lines share the places and
weights. A batch with different windows is resized image by image, in scratch that fits the cache.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ....vision.transforms.warp import equal, in_steps, nearest, shares_of
from ..compiled import exact, helper
from .bytes import BYTES, FINDS, LANES, ROWS, across, across_one, down

Array = np.ndarray


class Axis(NamedTuple):
    """How lines become others along an axis: from where on each new pixel takes its neighbours, and with which weights.

    For lines, the same of blocks of LANES pixels: where a block begins, which bytes from there on it reads, as bits, and the
    places among them. A weight is in steps of 2^-shift.
    """

    first: Array
    shares: Array
    shift: int
    begins: Array
    seen: Array
    picks: Array
    lanes: Array


@lru_cache(maxsize=1024)
def _axis(old: int, new: int, interpolation: str, antialias: bool) -> Axis | None:
    """None if a block needs too many bytes, or a pixel more neighbours than there are."""
    first, real = shares_of(old, new, interpolation, antialias)
    steps, shift = in_steps(real)
    taps = steps.shape[1] + steps.shape[1] % 2
    if taps > old or np.abs(steps).max() >= 1 << 15 or np.abs(steps).sum(axis=1).max() * 255 + (1 << shift) >= 1 << 31:
        return None
    moved = np.minimum(first, old - taps)
    shares = np.zeros((-(-new // LANES) * LANES, taps), np.int16)
    rows = np.arange(new)
    shares[rows[:, None], (first - moved)[:, None] + np.arange(steps.shape[1])] = steps
    moved = np.concatenate([moved, np.repeat(moved[-1:], len(shares) - new)])
    blocks = moved.reshape(-1, LANES)
    begins = blocks[:, 0]
    widths = blocks[:, -1] + taps - begins
    if widths.max() > BYTES:
        return None
    seen = np.array([(1 << int(width)) - 1 for width in widths], np.uint64)
    picks = np.zeros((len(blocks), taps // 2, LANES, 2, 2), np.uint8)
    places = (blocks - begins[:, None])[..., None] + np.arange(taps)  # (blocks, LANES, taps)
    picks[..., 0] = places.reshape(len(blocks), LANES, taps // 2, 2).swapaxes(1, 2)
    lanes = shares.reshape(len(blocks), LANES, taps // 2, 2).swapaxes(1, 2)
    given = moved[:new].astype(np.int64), np.ascontiguousarray(shares[:new]).reshape(-1), shift
    return Axis(*given, begins.astype(np.int64), seen, picks.reshape(-1), np.ascontiguousarray(lanes).reshape(-1))


_SAME = Axis(
    np.zeros(0, np.int64), np.zeros(0, np.int16), 0, np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.uint8),
    np.zeros(0, np.int16),
)  # fmt: skip
"""An axis that stays as it is."""


def resized(x: Array, boxes: Array, size: tuple[int, int], interpolation: str, antialias: bool) -> Array | None:
    """``warp.resized`` of uint8 images in C order."""
    if x.dtype != np.uint8 or not x.flags.c_contiguous or not x.size or not math.prod(size):
        return None
    y = np.empty((*x.shape[:2], *size), np.uint8)
    runs = equal(boxes, len(x))
    if interpolation.startswith("nearest"):
        for some, (top, left, height, width) in runs:
            how = interpolation == "nearest-exact"
            rows, columns = nearest(height, size[0], how), nearest(width, size[1], how)
            _taken(x[some].reshape(-1, *x.shape[2:]), rows + top, columns + left, y[some].reshape(-1, *size))
        return y
    if not FINDS:
        return None
    for some, (top, left, height, width) in runs:
        vertical, horizontal = (
            _SAME if old == new else _axis(old, new, interpolation, antialias)
            for old, new in ((height, size[0]), (width, size[1]))
        )
        if vertical is None or horizontal is None:
            return None
        v, h = vertical, horizontal
        _resized(
            x[some], y[some], top, left, height, width, v.first, v.shares, v.shift, h.shift, h.begins, h.seen, h.picks, h.lanes
        )  # fmt: skip
    return y


@exact
def _taken(x: Array, rows: Array, columns: Array, y: Array) -> None:
    """y[n, i, j] = x[n, rows[i], columns[j]]."""
    for n in range(len(x)):
        for i in range(rows.size):
            line, out = x[n, rows[i]], y[n, i]
            for j in range(columns.size):
                out[j] = line[columns[j]]


@helper
def _bits(count: int) -> Any:
    """The mask of so many of the first lanes."""
    return np.uint64(0xFFFFFFFFFFFFFFFF) if count >= 64 else (np.uint64(1) << np.uint64(count)) - np.uint64(1)


@exact
def _resized(
    x: Array, y: Array, top: int, left: int, height: int, width: int, first: Array, shares: Array, shift: int,
    wide_shift: int, begins: Array, seen: Array, picks: Array, lanes: Array,
) -> None:  # fmt: skip
    """The box of images x (n, C, H, W) at the size of y (n, C, h, w): along lines unless `begins` is empty, and then down."""
    flat, out = x.reshape(-1), y.reshape(-1)
    new_height, new_width, pitch = y.shape[2], y.shape[3], x.shape[3]
    scratch = np.empty(height * new_width if begins.size and first.size else 0, np.uint8)
    pairs = picks.size // (max(begins.size, 1) * 4 * LANES)
    down_pairs = shares.size // (2 * max(first.size, 1))
    for n in range(x.shape[0] * x.shape[1]):
        place, target = (n * x.shape[2] + top) * pitch + left, n * new_height * new_width
        source, at, step = flat, place, pitch
        if begins.size:
            goal, to = (scratch, 0) if first.size else (out, target)
            for i in range(0, height, ROWS):
                for b in range(begins.size):
                    j = b * LANES
                    mask = _bits(min(new_width - j, LANES))
                    if i + ROWS <= height:
                        across(
                            flat, place + i * pitch + begins[b], pitch, seen[b], picks, lanes, b * pairs, pairs,
                            np.int32(wide_shift), goal, to + i * new_width + j, new_width, mask,
                        )  # fmt: skip
                    else:
                        for r in range(i, height):
                            across_one(
                                flat, place + r * pitch + begins[b], pitch, seen[b], picks, lanes, b * pairs, pairs,
                                np.int32(wide_shift), goal, to + r * new_width + j, new_width, mask,
                            )  # fmt: skip
            source, at, step = goal, to, new_width
        if first.size:
            for i in range(new_height):
                for j in range(0, new_width, BYTES):
                    down(
                        source, at + first[i] * step + j, step, shares, i * 2 * down_pairs, down_pairs, np.int32(shift), out,
                        target + i * new_width + j, _bits(new_width - j),
                    )  # fmt: skip
        elif not begins.size:
            for i in range(height):
                for j in range(width):
                    out[target + i * width + j] = flat[place + i * pitch + j]
