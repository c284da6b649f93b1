"""Rows for vision/ops: overlaps of boxes and losses, one pair at a time; regions and deformed filters, one sample at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Arg, Case
from tinygrad_cnn.vision import ops

Floats = NDArray[Any]

CORNERS, SIDES = Arg((2, 2), low=-1.0, high=1.0), Arg((2, 2), low=0.5, high=2.0)
# Their coordinates lie between those of drawn boxes, which are multiples of 1 / 64.
OTHERS = np.array([[-0.5, -0.75, 0.5, 1.0], [0.0, 0.25, 1.75, 0.75], [3.0, 2.0, 4.0, 5.0]]) + 1 / 128


def boxed(*others: Floats, **params: Any) -> Callable[..., Any]:
    """A function of boxes called with corners and sides; the others are in their dtype, which decides that of the result."""

    def via(f: Callable[..., Any]) -> Callable[..., Any]:
        def called(corner: Any, side: Any) -> Any:
            boxes: Any = tg.concatenate([corner, corner + side], axis=1)
            return f(boxes, *(other.astype(boxes.dtype) for other in others), **params)

        return called

    return via


def overlap(a: Floats, b: Floats, kind: str, eps: float = 0.0) -> float:
    """The overlap of two boxes, by lengths along each axis."""
    lengths = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    outer = [max(a[i + 2], b[i + 2]) - min(a[i], b[i]) for i in (0, 1)]
    inter = lengths[0] * lengths[1]
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    if kind == "generalized":
        return inter / (union + eps) - (outer[0] * outer[1] - union) / (outer[0] * outer[1] + eps)
    union += eps
    apart = [(a[i] + a[i + 2] - b[i] - b[i + 2]) / 2 for i in (0, 1)]
    return inter / union - (math.hypot(*apart) ** 2 / (math.hypot(*outer) ** 2 + 1e-7) if kind == "distance" else 0)


def pairs(kind: str) -> Callable[..., Floats]:
    """Overlaps of all pairs."""
    return lambda a, b: np.array([[overlap(x, y, kind) for y in b] for x in np.asarray(a)])


def rows(kind: str) -> Callable[..., Floats]:
    """1 - overlaps, row by row."""
    return lambda a, b, eps: 1 - np.array([overlap(x, y, kind, eps) for x, y in zip(np.asarray(a), b, strict=True)])


def other_form(boxes: Floats, in_fmt: str, out_fmt: str) -> Floats:
    """By matrices to and from two corners."""
    one, none = np.eye(2), np.zeros((2, 2))
    to = {
        "xyxy": np.eye(4), "xywh": np.block([[one, none], [one, one]]), "cxcywh": np.block([[one, -one / 2], [one, one / 2]])
    }  # fmt: skip
    return np.asarray(boxes) @ to[in_fmt].T @ np.linalg.inv(to[out_fmt]).T


def focal(x: Floats, targets: Floats, alpha: float, gamma: float, reduction: str) -> Any:
    """One logit at a time."""
    each = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        p = 1 / (1 + math.exp(-x[place]))
        right, weight = (p, alpha) if targets[place] else (1 - p, 1 - alpha)
        each[place] = -(weight if alpha >= 0 else 1) * (1 - right) ** gamma * math.log(right)
    return each if reduction == "none" else getattr(np, reduction)(each)


def tversky(
    p: Floats, t: Floats, alpha: float = 0.5, beta: float = 0.5, smooth: float = 0.0, reduction: str = "mean"
) -> Any:  # fmt: skip
    """One image and class at a time."""
    if t.ndim < p.ndim:
        t = np.moveaxis(np.eye(p.shape[1])[t], -1, 1)
    each = np.zeros(p.shape[:2])
    for i in np.ndindex(each.shape):
        both, wrong, missed = (p[i] * t[i]).sum(), (p[i] * (1 - t[i])).sum(), ((1 - p[i]) * t[i]).sum()
        each[i] = 1 - (both + smooth) / (both + alpha * wrong + beta * missed + smooth)
    return each if reduction == "none" else getattr(np, reduction)(each)


def bilinear(x: Floats, row: float, column: float) -> Floats:
    """x (C, H, W) at a place between its pixels, 0 beyond them."""
    y = np.zeros(len(x))
    for i, j in np.ndindex(x.shape[1:]):
        y += x[:, i, j] * max(0, 1 - abs(row - i)) * max(0, 1 - abs(column - j))
    return y


def naive_roi_align(
    x: Floats, boxes: Floats, output_size: Any, sampling_ratio: int, spatial_scale: float, aligned: bool
) -> Floats:
    """One sample at a time."""
    y = np.zeros((len(boxes), x.shape[1], *output_size))
    sizes = np.array(x.shape[2:])
    for k, (n, *corners) in enumerate(boxes):
        start = np.array(corners[1::-1]) * spatial_scale - (0.5 if aligned else 0)
        side = np.array(corners[:1:-1]) * spatial_scale - (0.5 if aligned else 0) - start
        side = side if aligned else np.maximum(side, 1)
        for i, j in np.ndindex(*output_size):
            for a, b in np.ndindex(sampling_ratio, sampling_ratio):
                part = (np.array([i, j]) + (np.array([a, b]) + 0.5) / sampling_ratio) / np.array(output_size)
                at = start + part * side
                if ((at >= -1) & (at <= sizes)).all():
                    y[k, :, i, j] += bilinear(x[int(n)], *np.clip(at, 0, sizes - 1)) / sampling_ratio**2
    return y


def naive_roi_pool(x: Floats, boxes: Floats, output_size: Any, spatial_scale: float = 1.0) -> Floats:
    """One bin at a time, for regions whose corners are whole numbers."""
    y = np.zeros((len(boxes), x.shape[1], *output_size))
    for k, (n, left, top, right, bottom) in enumerate(boxes.astype(int)):
        height, width = (bottom - top + 1) / output_size[0], (right - left + 1) / output_size[1]
        for i, j in np.ndindex(*output_size):
            lines = slice(max(0, top + math.floor(i * height)), max(0, top + math.ceil((i + 1) * height)))
            columns = slice(max(0, left + math.floor(j * width)), max(0, left + math.ceil((j + 1) * width)))
            window = x[n, :, lines, columns]
            y[k, :, i, j] = window.max(axis=(1, 2)) if window.size else 0
    return y


def naive_deform_conv2d(
    x: Floats, offset: Floats, weight: Floats, bias: Floats, mask: Floats, stride: int, padding: int
) -> Floats:
    """One product at a time, for filters that see half of the channels, and two groups of offsets."""
    n, _, *out = offset.shape
    kernel = weight.shape[2:]
    y = np.zeros((n, len(weight), *out)) + bias[:, None, None]
    for image, o, row, column, c, i, j in np.ndindex(n, len(weight), *out, weight.shape[1], *kernel):
        channel = o // (len(weight) // 2) * weight.shape[1] + c
        tap = channel // (x.shape[1] // 2) * kernel[0] * kernel[1] + i * kernel[1] + j
        down, right = offset[image, 2 * tap : 2 * tap + 2, row, column]
        value = bilinear(
            x[image, channel][None], row * stride - padding + i + down, column * stride - padding + j + right
        )
        y[image, o, row, column] += value[0] * weight[o, c, i, j] * mask[image, tap, row, column]
    return y


def deformed(f: Callable[..., Any]) -> Callable[..., Any]:
    """The convolution with a mask, whose place in the call is after parameters."""
    return lambda x, offset, weight, bias, mask, **params: f(x, offset, weight, bias, mask=mask, **params)


PROBABILITY = Arg((2, 3, 2), low=0.0625, high=0.9375)
ONES = Arg((2, 3), kind="int", low=0, high=1)
MAPS = Arg((2, 2, 5, 6))
REGIONS = np.array([[1, 0.3, 0.6, 4.1, 3.3], [0, -3.0, 1.1, 9.0, 2.0], [1, 2.2, 2.3, 2.4, 2.5]])
BINS = np.array([[1, 0, 1, 4, 3], [0, -2, 1, 3, 8], [1, 7, 8, 9, 9]])
HALVES = tuple((np.arange(-8, 9) / 2).tolist())

CASES = [
    Case(ops.box_area, (CORNERS, SIDES), lambda b: np.prod(np.asarray(b)[:, 2:] - np.asarray(b)[:, :2], axis=1),
         fixed=True, via=boxed()),
    *(
        Case(ops.box_convert, (Arg((3, 4)),), other_form, {"in_fmt": a, "out_fmt": b})
        for a in ("xyxy", "xywh", "cxcywh") for b in ("xyxy", "xywh", "cxcywh")
    ),
    Case(ops.box_iou, (CORNERS, SIDES), pairs("plain"), fixed=True, order=2, via=boxed(OTHERS)),
    Case(ops.generalized_box_iou, (CORNERS, SIDES), pairs("generalized"), fixed=True, order=2, via=boxed(OTHERS)),
    Case(ops.distance_box_iou, (CORNERS, SIDES), pairs("distance"), fixed=True, order=2, via=boxed(OTHERS)),
    Case(ops.generalized_box_iou_loss, (CORNERS, SIDES), rows("generalized"), fixed=True, order=2,
         via=boxed(OTHERS[1:], eps=1e-7)),
    Case(ops.distance_box_iou_loss, (CORNERS, SIDES), rows("distance"), fixed=True, order=2,
         via=boxed(OTHERS[1:], eps=1e-7)),
    *(
        Case(ops.sigmoid_focal_loss, (Arg((2, 3)), ONES), focal, {"alpha": alpha, "gamma": gamma, "reduction": reduction})
        for alpha, gamma, reduction in ((0.25, 2, "none"), (-1, 2, "mean"), (0.5, 0, "sum"), (0.25, 3.0, "mean"))
    ),
    Case(ops.tversky_loss, (PROBABILITY, PROBABILITY), tversky, {"alpha": 0.25, "beta": 0.75, "smooth": 1.0}),
    Case(ops.tversky_loss, (PROBABILITY, Arg((2, 2), kind="int", low=0, high=2)), tversky, {"reduction": "none"}),
    Case(ops.dice_loss, (PROBABILITY, PROBABILITY), lambda p, t, smooth: tversky(p, t, smooth=smooth / 2),
         {"smooth": 2.0}),
    *(
        Case(ops.roi_align, (MAPS,), naive_roi_align, {"boxes": REGIONS, "output_size": (2, 3), "sampling_ratio": ratio,
             "spatial_scale": scale, "aligned": aligned}, fixed=True)
        for ratio, scale, aligned in ((1, 1.0, False), (2, 0.75, True))
    ),
    Case(ops.roi_pool, (Arg((2, 2, 5, 6), distinct=True),), naive_roi_pool, {"boxes": BINS, "output_size": (2, 3)},
         fixed=True),
    Case(ops.deform_conv2d,
         (Arg((1, 4, 3, 4)), Arg((1, 16, 2, 3), low=-1.9, high=1.9, away=HALVES), Arg((2, 2, 2, 2)), Arg((2,)),
          Arg((1, 8, 2, 3))), naive_deform_conv2d, {"stride": 2, "padding": 1}, order=2, fixed=True, via=deformed),
]  # fmt: skip
