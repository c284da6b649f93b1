"""Losses of detection and segmentation. g is the incoming gradient, a' the gradient in a."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.graph import Array
from ...ops.composite import accept_lists
from ...ops.elementwise import pow, where
from ...ops.gather import one_hot
from ...ops.losses.base import check_reduction, pair, reduced
from ...ops.losses.binary import binary_cross_entropy_with_logits
from ...ops.reduce import sum
from ...ops.shape import moveaxis, reshape
from ...ops.transcendental import sigmoid
from ...tensor import Tensor
from .boxes import around, boxes_of, complete_iou, distance_iou, intersection_and_union

__all__ = [
    "complete_box_iou_loss", "dice_loss", "distance_box_iou_loss", "generalized_box_iou_loss", "sigmoid_focal_loss",
    "tversky_loss",
]  # fmt: skip


def sigmoid_focal_loss(
    inputs: Array, targets: Array, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """y = -a (1 - p)^gamma log p: p is the probability sigmoid(inputs) of the right answer, a is alpha or 1 - alpha.

    Easy examples, where p is near 1, count less than in :func:`~tinygrad_cnn.binary_cross_entropy_with_logits`.
    Reference: Lin et al., "Focal loss for dense object detection", arXiv:1708.02002.

    Args:
        inputs: logits of any shape.
        targets: 1 or 0 for each.
        alpha: the weight of the class 1; -1 for no weights.
        gamma: how much less easy examples count; 0 for as much.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: for an alpha that is neither from 0 to 1 nor -1, or shapes that do not match.

    >>> import tinygrad_cnn as tg
    >>> loss = tg.vision.ops.sigmoid_focal_loss(tg.Tensor([0.0]), tg.Tensor([1.0]), reduction="mean")
    >>> round(loss.item(), 4)
    0.0433
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(f"sigmoid_focal_loss: `alpha` is {alpha!r}; it must be from 0 to 1, or -1 for no weights")
    logits, target = pair("sigmoid_focal_loss", inputs, targets, "targets")
    check_reduction("sigmoid_focal_loss", reduction)
    p = sigmoid(logits)
    wrong = p * (1 - target) + (1 - p) * target
    loss: Any = binary_cross_entropy_with_logits(logits, target, reduction="none") * pow(wrong, gamma)
    if alpha >= 0:
        loss = (alpha * target + (1 - alpha) * (1 - target)) * loss
    return reduced("sigmoid_focal_loss", loss, reduction)


def tversky_loss(
    probabilities: Array, target: Array, alpha: float = 0.5, beta: float = 0.5, smooth: float = 0.0,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """y = 1 - (TP + s) / (TP + alpha FP + beta FN + s) for each image and class; with alpha = beta = 1/2, 1 - Dice.

    TP is the sum of p t over the positions, FP that of p (1 - t), FN that of (1 - p) t. Where all three are 0, nothing is to be
    found and nothing was, y is 0. Reference: Salehi et al., arXiv:1706.05721.

    Args:
        probabilities: (N, C, ...), from 0 to 1: a softmax, or sigmoids.
        target: in the same shape; or classes (N, ...), integers.
        alpha, beta: the weights of what is found wrongly, and of what is missed.
        smooth: added above and below, so that small regions count less.
        reduction: "mean", "sum", or "none" for (N, C).

    Raises:
        ValueError: for shapes that do not match.
        IndexError: for a class that does not exist.

    >>> import tinygrad_cnn as tg
    >>> found = tg.Tensor([[[1.0, 1.0, 0.0, 0.0]]])
    >>> tg.vision.ops.tversky_loss(found, tg.Tensor([[[1.0, 0.0, 0.0, 0.0]]]), alpha=1.0, beta=1.0).item()  # 1 - IoU
    0.5
    """
    check_reduction("tversky_loss", reduction)
    for label, value in (("alpha", alpha), ("beta", beta), ("smooth", smooth)):
        if not value >= 0:
            raise ValueError(f"tversky_loss: `{label}` is {value!r}; it must be at least 0")
    given: Any = probabilities if hasattr(probabilities, "dtype") else np.asarray(probabilities)
    classes: Any = target if hasattr(target, "dtype") else np.asarray(target)
    if given.ndim < 2:
        raise ValueError(f"tversky_loss: `probabilities` has shape {tuple(given.shape)}; it must be (N, C, ...)")
    if classes.dtype.kind in "iu" and classes.ndim == given.ndim - 1:
        target = moveaxis(one_hot(classes, num_classes=given.shape[1]), -1, 1)
    p, t = pair("tversky_loss", given, target)
    p, t = (reshape(x, shape=(*x.shape[:2], -1)) for x in (p, t))
    both, wrong, missed = sum(p * t, axis=2), sum(p * (1 - t), axis=2), sum((1 - p) * t, axis=2)
    below = both + alpha * wrong + beta * missed + smooth
    nothing = below == 0
    return reduced("tversky_loss", 1 - where(nothing, 1, both + smooth) / where(nothing, 1, below), reduction)


def dice_loss(probabilities: Array, target: Array, smooth: float = 0.0, reduction: str = "mean") -> Tensor:
    """y = 1 - (2 TP + s) / (2 TP + FP + FN + s) for each image and class. Arguments as for :func:`tversky_loss`.

    Reference: Milletari et al., "V-Net", arXiv:1606.04797.

    >>> import tinygrad_cnn as tg
    >>> tg.vision.ops.dice_loss(tg.Tensor([[[0.5, 0.5]]]), tg.Tensor([[[1.0, 0.0]]])).item()
    0.5
    """
    return tversky_loss(probabilities, target, 0.5, 0.5, smooth / 2, reduction)


def generalized_box_iou_loss(
    boxes1: Array, boxes2: Array, reduction: str = "none", eps: float = 1e-7
) -> Tensor:  # fmt: skip
    """y = 1 - the generalized IoU of each box with the other of its row: see :func:`generalized_box_iou`.

    Args:
        boxes1, boxes2: (..., 4), two corners.
        reduction: "none", "mean" or "sum".
        eps: added to what is divided by.

    >>> import tinygrad_cnn as tg
    >>> box = tg.Tensor([[0.0, 0.0, 1.0, 1.0]], requires_grad=True)
    >>> loss = tg.vision.ops.generalized_box_iou_loss(box, tg.Tensor([[3.0, 0.0, 4.0, 1.0]]), reduction="mean")
    >>> loss.backward()
    >>> loss.round(3).item(), box.grad.numpy()[0, 2] < 0  # a step against the gradient moves the right edge to the right
    (1.5, np.True_)
    """
    a, b = _pairs("generalized_box_iou_loss", boxes1, boxes2)
    inter, union = intersection_and_union(a, b)
    width, height = around(a, b)
    loss = 1 - (inter / (union + eps) - (width * height - union) / (width * height + eps))
    return reduced("generalized_box_iou_loss", loss, reduction)


def distance_box_iou_loss(boxes1: Array, boxes2: Array, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """y = 1 - :func:`distance_box_iou` of each box with the other of its row, as :func:`generalized_box_iou_loss`."""
    a, b = _pairs("distance_box_iou_loss", boxes1, boxes2)
    return reduced("distance_box_iou_loss", 1 - distance_iou(a, b, eps, eps)[0], reduction)


def complete_box_iou_loss(boxes1: Array, boxes2: Array, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """y = 1 - :func:`complete_box_iou` of each box with the other of its row, as :func:`generalized_box_iou_loss`."""
    a, b = _pairs("complete_box_iou_loss", boxes1, boxes2)
    return reduced("complete_box_iou_loss", 1 - complete_iou(a, b, eps, eps), reduction)


def _pairs(name: str, boxes1: Array, boxes2: Array) -> tuple[Any, Any]:
    a, b = boxes_of(name, "boxes1", boxes1, None), boxes_of(name, "boxes2", boxes2, None)
    if a.shape != b.shape:
        raise ValueError(
            f"{name}: `boxes1` has shape {tuple(a.shape)} and `boxes2` {tuple(b.shape)}; they must be equal: row by row"
        )
    return a, b


accept_lists(globals(), {})
