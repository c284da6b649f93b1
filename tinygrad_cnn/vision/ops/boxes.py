"""Boxes (N, 4) of two corners, (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2: their forms, areas and overlaps.

What is composed of ops has gradients of any order in the boxes; integers become floating point.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.graph import Array
from ...ops.composite import accept_lists
from ...ops.elementwise import clip, in_floats, maximum, minimum, where
from ...ops.shape import stack
from ...ops.transcendental import arctan
from ...tensor import Tensor

__all__ = [
    "box_area", "box_convert", "box_iou", "clip_boxes_to_image", "complete_box_iou", "distance_box_iou",
    "generalized_box_iou", "masks_to_boxes", "remove_small_boxes",
]  # fmt: skip

FORMATS = ("xyxy", "xywh", "cxcywh")


def boxes_of(name: str, label: str, boxes: Any, ndim: int | None = 2) -> Any:
    """`boxes` in floating point, or a ValueError unless they are (..., 4), with `ndim` axes if it is not None."""
    given = boxes if hasattr(boxes, "dtype") else np.asarray(boxes)
    if not given.size and given.ndim < 2:  # an empty list has no second axis
        given = np.zeros((0, 4), given.dtype)
    if given.ndim < 1 or given.shape[-1] != 4 or ndim not in (None, given.ndim):
        wanted = "(..., 4)" if ndim is None else "(N, 4)"
        raise ValueError(f"{name}: `{label}` has shape {tuple(given.shape)}; it must be {wanted}")
    if given.dtype.kind not in "iuf":
        raise TypeError(f"{name}: `{label}` is {given.dtype}; it must be numbers")
    return in_floats(given)


def box_area(boxes: Array) -> Tensor:
    """y = (x2 - x1) (y2 - y1) of boxes (..., 4)."""
    boxes = boxes_of("box_area", "boxes", boxes, None)
    area: Tensor = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return area


def box_convert(boxes: Array, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes (..., 4) in another form.

    Args:
        boxes: the boxes.
        in_fmt, out_fmt: "xyxy", two corners; "xywh", a corner and the size; or "cxcywh", the centre and the size.

    Raises:
        ValueError: for another form or shape.

    >>> import tinygrad_cnn as tg
    >>> tg.vision.ops.box_convert([[1.0, 2.0, 4.0, 8.0]], "xyxy", "cxcywh").tolist()
    [[2.5, 5.0, 3.0, 6.0]]
    """
    for label, form in (("in_fmt", in_fmt), ("out_fmt", out_fmt)):
        if form not in FORMATS:
            raise ValueError(f"box_convert: `{label}` is {form!r}; it must be one of {', '.join(map(repr, FORMATS))}")
    boxes = boxes_of("box_convert", "boxes", boxes, None)
    a, b, c, d = (boxes[..., i] for i in range(4))
    if in_fmt == out_fmt:
        return stack([a, b, c, d], axis=-1)
    if in_fmt == "xywh":
        c, d = a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    if out_fmt == "xywh":
        c, d = c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return stack([a, b, c, d], axis=-1)


def box_iou(boxes1: Array, boxes2: Array) -> Tensor:
    """y[i, j] = the area of the intersection of boxes1[i] and boxes2[j], divided by that of their union; NaN if that is 0.

    Args:
        boxes1, boxes2: (N, 4) and (M, 4).

    Returns:
        (N, M), from 0 to 1. Its gradient is 0 for boxes that do not touch: see :func:`generalized_box_iou`.

    Raises:
        ValueError: for other shapes.

    >>> import tinygrad_cnn as tg
    >>> tg.vision.ops.box_iou([[0.0, 0.0, 2.0, 2.0]], [[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]]).round(2).tolist()
    [[0.33, 0.0]]
    """
    a, b = _all_pairs("box_iou", boxes1, boxes2)
    inter, union = intersection_and_union(a, b)
    iou: Tensor = inter / union
    return iou


def generalized_box_iou(boxes1: Array, boxes2: Array) -> Tensor:
    """y[i, j] = IoU - (C - union) / C for boxes1[i] and boxes2[j], where C is the area of the smallest box around both.

    From -1 to 1; below 0 it tells how far boxes are from each other, so that its gradient moves them together.
    Reference: Rezatofighi et al., "Generalized intersection over union", arXiv:1902.09630. Arguments as for :func:`box_iou`.

    >>> import tinygrad_cnn as tg
    >>> tg.vision.ops.generalized_box_iou([[0.0, 0.0, 1.0, 1.0]], [[0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 4.0, 1.0]]).tolist()
    [[1.0, -0.5]]
    """
    a, b = _all_pairs("generalized_box_iou", boxes1, boxes2)
    inter, union = intersection_and_union(a, b)
    width, height = around(a, b)
    generalized: Tensor = inter / union - (width * height - union) / (width * height)
    return generalized


def distance_box_iou(boxes1: Array, boxes2: Array, eps: float = 1e-7) -> Tensor:
    """y[i, j] = IoU - d^2 / c^2: d is the distance of the centres, c the diagonal of the smallest box around both.

    Reference: Zheng et al., "Distance-IoU loss", arXiv:1911.08287. Arguments as for :func:`box_iou`; `eps` is added to c^2.
    """
    a, b = _all_pairs("distance_box_iou", boxes1, boxes2)
    distance: Tensor = distance_iou(a, b, eps)[0]
    return distance


def complete_box_iou(boxes1: Array, boxes2: Array, eps: float = 1e-7) -> Tensor:
    """:func:`distance_box_iou` less a term for different proportions.

    The term is v^2 / (1 - IoU + v), v = 4 / pi^2 (arctan(w1 / h1) - arctan(w2 / h2))^2, where the factor v / (1 - IoU + v)
    has no gradient.
    """
    a, b = _all_pairs("complete_box_iou", boxes1, boxes2)
    complete: Tensor = complete_iou(a, b, eps)
    return complete


def clip_boxes_to_image(boxes: Array, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut off at the edges of an image of `size`, (height, width)."""
    boxes = boxes_of("clip_boxes_to_image", "boxes", boxes, None)
    height, width = size
    return clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


def remove_small_boxes(boxes: Array, min_size: float) -> NDArray[np.intp]:
    """The numbers of the boxes (N, 4) whose two sides are at least `min_size`."""
    x1, y1, x2, y2 = np.asarray(plain(boxes_of("remove_small_boxes", "boxes", boxes))).T
    return np.flatnonzero((x2 - x1 >= min_size) & (y2 - y1 >= min_size))


def masks_to_boxes(masks: Array) -> NDArray[np.float32]:
    """The box (N, 4) around what is not 0 in each mask (N, H, W), from the first to the last pixel.

    Raises:
        ValueError: for another shape, or a mask without a pixel.
    """
    masks = np.asarray(plain(masks))
    if masks.ndim != 3:
        raise ValueError(f"masks_to_boxes: `masks` has shape {masks.shape}; it must be (N, H, W)")
    found = np.zeros((len(masks), 4), np.float32)
    for number, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        if not len(rows):
            raise ValueError(f"masks_to_boxes: mask {number} has no pixel, so no box is around it")
        found[number] = columns.min(), rows.min(), columns.max(), rows.max()
    return found


def plain(value: Any) -> Any:
    """The values of a Tensor as an array; anything else unchanged."""
    return value.numpy() if isinstance(value, Tensor) else value


def _all_pairs(name: str, boxes1: Array, boxes2: Array) -> tuple[Any, Any]:
    """The boxes as (N, 1, 4) and (1, M, 4)."""
    a, b = boxes_of(name, "boxes1", boxes1), boxes_of(name, "boxes2", boxes2)
    return a[:, None], b[None]


def intersection_and_union(a: Any, b: Any) -> tuple[Any, Any]:
    """The areas of the intersections and unions of boxes that broadcast."""
    size = maximum(minimum(a[..., 2:], b[..., 2:]) - maximum(a[..., :2], b[..., :2]), 0)
    inter = size[..., 0] * size[..., 1]
    return inter, box_area(a) + box_area(b) - inter


def around(a: Any, b: Any) -> tuple[Any, Any]:
    """The width and height of the smallest boxes around both."""
    size = maximum(a[..., 2:], b[..., 2:]) - minimum(a[..., :2], b[..., :2])
    return size[..., 0], size[..., 1]


def distance_iou(a: Any, b: Any, eps: float, eps_union: float = 0.0) -> tuple[Any, Any]:
    """IoU - d^2 / c^2 of boxes that broadcast, and the IoU."""
    inter, union = intersection_and_union(a, b)
    iou = inter / (union + eps_union)
    width, height = around(a, b)
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    square = apart[..., 0] ** 2 + apart[..., 1] ** 2
    return iou - square / (width**2 + height**2 + eps), iou


def complete_iou(a: Any, b: Any, eps: float, eps_union: float = 0.0) -> Any:
    """The complete IoU of boxes that broadcast."""
    distance, iou = distance_iou(a, b, eps, eps_union)
    angles = [arctan((x[..., 2] - x[..., 0]) / (x[..., 3] - x[..., 1])) for x in (a, b)]
    v = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    share = v / (1 - iou + v + eps)
    return distance - plain(where(share == share, share, 0)) * v


accept_lists(globals(), {})
