"""Images sampled at computed positions, deformable convolution, and non-maximum suppression of boxes."""

from __future__ import annotations

import math

import numpy as np

from ....core.graph import Array
from ....ops import grid_sample as g
from ....ops import shape as s
from ....vision.ops.deform_conv import deformed
from .base import Structural, Weight, as_dtype, bounded, dtype_of, integers, number, reads, refuse, values
from .conv import Ints, window

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


@reads("DeformConv")
def _deform_conv(
    x: Array, w: Weight, offset: Array, b: Weight = None, mask: Array = None, *, dilations: Ints = None, group: int = 1,
    kernel_shape: Ints = None, offset_group: int = 1, pads: Ints = None, strides: Ints = None,
) -> Array:  # fmt: skip
    """As :func:`~tinygrad_cnn.vision.ops.deform_conv2d`, with other padding before than after."""
    shape, ws, moved = np.shape(x), np.shape(w), np.shape(offset)
    refuse(len(shape) != 4 or len(ws) != 4, f"an input {shape} and filters {ws}; only images (N, C, H, W) are read")
    refuse(
        kernel_shape is not None and tuple(kernel_shape) != ws[2:],
        f"`kernel_shape` is {kernel_shape}, but the filters are {ws}",
    )
    steps, pairs, spread = window(shape[2:], ws[2:], strides, dilations, pads, "NOTSET")
    out = tuple(
        (n + sum(pair) - d * (k - 1) - 1) // step + 1
        for n, pair, d, k, step in zip(shape[2:], pairs, spread, ws[2:], steps, strict=True)
    )
    refuse(min(out) < 1, f"a window {ws[2:]} is larger than the input {shape[2:]} padded {pairs}")
    fits = group >= 1 and shape[1] == ws[1] * group and not ws[0] % group
    refuse(not fits, f"an input {shape} and filters {ws} do not fit `group` {group}")
    taps = ws[2] * ws[3]
    wanted = (shape[0], 2 * offset_group * taps, *out)
    refuse(
        offset_group < 1 or bool(shape[1] % offset_group) or moved != wanted,
        f"`offset` has shape {moved}, not {wanted}",
    )
    refuse(mask is not None and np.shape(mask) != (shape[0], offset_group * taps, *out), "`mask` has another shape")
    bounded([shape[0], shape[1] * taps, *out], "DeformConv")
    y = deformed(
        x, offset, w, mask, steps=steps, pads=[before for before, _ in pairs], gaps=spread, out=out, groups=offset_group,
        parts=group,
    )  # fmt: skip
    return y if b is None else y + s.reshape(b, shape=(-1, 1, 1))


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
