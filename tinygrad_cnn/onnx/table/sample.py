"""Images sampled at places that are computed, and boxes chosen among those that overlap."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ...core.graph import Array
from ...ops import elementwise as e
from ...ops import gather as g
from ...ops import matmul as m
from ...ops import shape as s
from ...ops.index import getitem
from .base import Structural, as_dtype, bounded, dtype_of, flat, integers, number, reads, refuse, values, writes

A = -0.75
"""The parameter of Keys's kernel that ONNX takes here."""


@reads("GridSample")
def _grid_sample(
    x: Array, grid: Array, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Array:
    """y = x at the places of `grid`, which count from -1 to 1 along each axis, the last axis first."""
    n, channels, *sizes = np.shape(x)
    out = np.shape(grid)[1:-1]
    d = len(sizes)
    refuse(
        np.shape(grid)[-1] != d or len(out) != d, f"`grid` has shape {np.shape(grid)}, which does not fit {np.shape(x)}"
    )
    refuse(padding_mode not in ("zeros", "border", "reflection"), f"`padding_mode` is {padding_mode!r}")
    bounded([n, channels, *out], "GridSample")
    axes = []
    for j, size in enumerate(sizes):
        place = e.add(s.reshape(getitem(grid, index=(..., d - 1 - j)), shape=(n, 1, math.prod(out))), 1)
        place = e.mul(place, (size - 1) / 2) if align_corners else e.div(e.sub(e.mul(place, size), 1), 2)
        if padding_mode == "border":
            place = e.clip(place, 0, size - 1)
        elif padding_mode == "reflection":
            place = _reflected(place, size, align_corners)
        axes.append(_weights(place, mode))
    rows = s.reshape(x, shape=(n, channels, math.prod(sizes)))
    total: Any = None
    for chosen in itertools.product(*axes):
        flat_place: Any = 0
        weight: Any = 1
        for (index, share), size in zip(chosen, sizes, strict=True):
            if padding_mode == "reflection":
                index = e.round(_reflected(index, size, align_corners))
            if padding_mode == "zeros":
                share = e.where((index < 0) | (index > size - 1), 0, share)
            flat_place = flat_place * size + e.clip(index, 0, size - 1)
            weight = share * weight
        part = e.mul(g.take_along_axis(rows, _whole(flat_place), axis=2), weight)
        total = part if total is None else e.add(total, part)
    return s.reshape(as_dtype(total, dtype_of(x)), shape=(n, channels, *out))


@flat
def _whole(place: Any) -> Any:
    """Places as indices."""
    return np.nan_to_num(place).astype(np.int64)


@writes(_whole)
def _write_whole(w: Any, place: Any) -> Any:
    return w.cast(place, np.int64)


def _reflected(place: Any, size: int, align_corners: int) -> Any:
    """Places thrown back at the first and the last element, or half an element beyond."""
    low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
    span = high - low or 1.0
    turns = e.div(e.sub(place, low), span)
    whole = e.floor(turns)
    rest = e.sub(turns, whole)
    odd = e.sub(whole, e.mul(e.floor(e.div(whole, 2)), 2)) == 1
    return e.add(e.mul(e.where(odd, e.sub(1, rest), rest), span), low)


def _weights(place: Any, mode: str) -> list[tuple[Any, Any]]:
    """The elements along one axis that a place takes, and their weights."""
    if mode in ("nearest",):
        return [(e.round(place), np.ones((), dtype_of(place)))]
    first = e.floor(place)
    t = e.sub(place, first)
    if mode in ("linear", "bilinear"):
        return [(first, e.sub(1, t)), (e.add(first, 1), t)]
    refuse(mode not in ("cubic", "bicubic"), f"`mode` is {mode!r}; it must be linear, nearest or cubic")
    near = [((A + 2) * u - (A + 3)) * u * u + 1 for u in (t, 1 - t)]
    far = [((A * u - 5 * A) * u + 8 * A) * u - 4 * A for u in (t + 1, 2 - t)]
    return [(first - 1, far[0]), (first, near[0]), (first + 1, near[1]), (first + 2, far[1])]


@reads("AffineGrid")
def _affine_grid(theta: Array, size: Structural, *, align_corners: int = 0) -> Array:
    n, _, *sizes = bounded(integers(size), "AffineGrid")
    lines = []
    for k in reversed(sizes):
        step = np.arange(k, dtype=dtype_of(theta))
        lines.append(step * (2 / max(k - 1, 1)) - 1 if align_corners else (step * 2 + 1) / k - 1)
    grid = np.meshgrid(*reversed(lines), indexing="ij")[::-1]
    points = np.stack([*grid, np.ones(sizes, dtype_of(theta))], -1).reshape(-1, len(sizes) + 1)
    places = m.matmul(points.astype(dtype_of(theta)), s.swapaxes(theta, 1, 2))
    return s.reshape(places, shape=(n, *sizes, len(sizes)))


@reads("NonMaxSuppression")
def _non_max_suppression(
    boxes: Array, scores: Array, max_output_boxes_per_class: Structural = None, iou_threshold: Structural = None,
    score_threshold: Structural = None, *, center_point_box: int = 0,
) -> Array:  # fmt: skip
    """For each image and class the boxes in the order of their scores, without those that overlap a box before them."""
    most = 0 if max_output_boxes_per_class is None else int(number(max_output_boxes_per_class))
    overlap = 0.0 if iou_threshold is None else float(number(iou_threshold))
    least = -math.inf if score_threshold is None else float(number(score_threshold))
    corners, each = values(boxes), values(scores)
    if center_point_box:
        middle, extent = corners[..., :2], corners[..., 2:]
        corners = np.concatenate([middle - extent / 2, middle + extent / 2], -1)
    low = np.minimum(corners[..., :2], corners[..., 2:])
    high = np.maximum(corners[..., :2], corners[..., 2:])
    areas = np.prod(high - low, -1)
    found = []
    for image, kind in np.ndindex(each.shape[:2]):
        kept: list[int] = []
        order = np.argsort(-each[image, kind], kind="stable")
        for box in order[each[image, kind][order] > least].tolist():
            if len(kept) == most:
                break
            start = np.maximum(low[image, box], low[image, kept])
            common = np.prod(np.maximum(np.minimum(high[image, box], high[image, kept]) - start, 0), -1)
            union = areas[image, box] + areas[image, kept] - common
            if not (common > overlap * union).any():
                kept.append(box)
        found += [(image, kind, box) for box in kept]
    return np.array(found, np.int64).reshape(-1, 3)
