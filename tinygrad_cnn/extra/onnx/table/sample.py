"""Images sampled at computed positions, and non-maximum suppression of boxes."""

from __future__ import annotations

import math

import numpy as np

from ....core.graph import Array
from ....ops import grid_sample as g
from ....ops import shape as s
from .base import Structural, as_dtype, bounded, dtype_of, integers, number, reads, refuse, values

PADDINGS = ("zeros", "border", "reflection")
MODES = {"linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic", "bicubic": "bicubic", "nearest": "nearest"}


@reads("GridSample")
def _grid_sample(
    x: Array, grid: Array, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Array:
    """As :func:`~tinygrad_cnn.grid_sample`, for any number of axes. The cubic mode reflects its positions first."""
    shape, out = np.shape(x), np.shape(grid)[1:-1]
    sizes = shape[2:]
    refuse(np.shape(grid)[-1] != len(sizes) or len(out) != len(sizes), f"`grid` has shape {np.shape(grid)} for {shape}")
    refuse(padding_mode not in PADDINGS, f"`padding_mode` is {padding_mode!r}")
    refuse(mode not in MODES, f"`mode` is {mode!r}; it must be linear, nearest or cubic")
    bounded([*shape[:2], *out], "GridSample")
    places = g.places_of(grid, sizes, bool(align_corners))
    if MODES[mode] == "bicubic" and padding_mode == "reflection":
        places = [g.reflected(place, n, bool(align_corners)) for place, n in zip(places, sizes, strict=True)]
    y = g.sampled(x, places, MODES[mode], padding_mode, bool(align_corners))
    return s.reshape(as_dtype(y, dtype_of(x)), shape=(*shape[:2], *out))


@reads("AffineGrid")
def _affine_grid(theta: Array, size: Structural, *, align_corners: int = 0) -> Array:
    return g.affine_places(theta, bounded(integers(size), "AffineGrid")[2:], bool(align_corners))


@reads("NonMaxSuppression")
def _non_max_suppression(
    boxes: Array, scores: Array, max_output_boxes_per_class: Structural = None, iou_threshold: Structural = None,
    score_threshold: Structural = None, *, center_point_box: int = 0,
) -> Array:  # fmt: skip
    """For each image and class, the boxes in the order of their scores, without boxes that overlap an earlier one."""
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
