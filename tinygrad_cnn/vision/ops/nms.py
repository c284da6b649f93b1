"""Non-maximum suppression: of boxes that overlap, the one with the highest score is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, finite
from ...core.graph import Array
from ...ops.composite import accept_lists
from ...scope import errors
from .boxes import boxes_of, intersection_and_union, plain

_zeros = errors(invalid="ignore", divide="ignore")

__all__ = ["batched_nms", "nms"]


def nms(boxes: Array, scores: Array, iou_threshold: float) -> NDArray[np.intp]:
    """The numbers of the boxes that are kept, by falling score.

    A box is not kept if its IoU with a kept box of a higher score is above the threshold. Of equal scores the first is
    the higher.

    Args:
        boxes: (N, 4), two corners.
        scores: (N,).
        iou_threshold: the largest overlap of two boxes that are both kept.

    Raises:
        ValueError: for shapes that do not match, or a score that is NaN.

    >>> import tinygrad_cnn as tg
    >>> boxes = [[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0]]
    >>> tg.vision.ops.nms(boxes, [0.7, 0.9, 0.8], iou_threshold=0.5).tolist()
    [1, 2]
    """
    return _kept("nms", boxes, scores, None, iou_threshold)


def batched_nms(boxes: Array, scores: Array, idxs: Array, iou_threshold: float) -> NDArray[np.intp]:
    """:func:`nms` within each class: boxes of different classes do not suppress each other.

    Args:
        boxes, scores, iou_threshold: as for :func:`nms`.
        idxs: (N,), the class of each box, or the number of its image.
    """
    idxs = np.asarray(plain(idxs))
    if idxs.ndim != 1 or (idxs.dtype.kind not in "iub" and idxs.size):
        raise ValueError(f"batched_nms: `idxs` is {idxs.dtype} {idxs.shape}; it must be (N,) integers")
    return _kept("batched_nms", boxes, scores, idxs, iou_threshold)


def _kept(
    name: str, boxes: Any, scores: Any, classes: NDArray[Any] | None, iou_threshold: float
) -> NDArray[np.intp]:  # fmt: skip
    boxes, scores = np.asarray(plain(boxes_of(name, "boxes", boxes))), np.asarray(plain(scores))
    if scores.shape != boxes.shape[:1] or (classes is not None and classes.shape != scores.shape):
        more = "" if classes is None else f", `idxs` {classes.shape}"
        raise ValueError(f"{name}: `boxes` has shape {boxes.shape} and `scores` {scores.shape}{more}; each has N rows")
    if scores.dtype.kind == "f" and np.isnan(scores).any():
        raise ValueError(f"{name}: `scores` has a NaN, which has no place in their order")
    threshold = checked(name, {"iou_threshold": finite}, {"iou_threshold": iou_threshold})["iou_threshold"]
    left = _falling(scores)
    kept = []
    with _zeros:  # boxes without an area have no IoU with each other
        while len(left):
            first, left = left[0], left[1:]
            kept.append(first)
            inter, union = intersection_and_union(boxes[first], boxes[left])
            stays = ~(inter / union > threshold)
            left = left[stays if classes is None else stays | (classes[left] != classes[first])]
    return np.array(kept, np.intp)


def _falling(scores: NDArray[Any]) -> NDArray[np.intp]:
    """The order of falling scores, those that are equal in the order in which they stand."""
    return len(scores) - 1 - np.argsort(scores[::-1], kind="stable")[::-1]


accept_lists(globals(), {})
