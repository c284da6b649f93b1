"""Similarity of vectors, and losses that pull vectors together or push them apart.

The hinges max(0, a) have gradient 1 at a = 0, as in PyTorch, and as clip has at its bounds.
"""

from __future__ import annotations

import numpy as np

from ...core.graph import Array, Tensor, op
from ..elementwise import clip, in_floats, maximum, minimum, sqrt, where
from ..half import in_float32
from ..real import not_negative, real, refuse
from ..real import positive as positive_number
from ..reduce import norm
from ..shape import broadcast_to
from .base import as_array, pair, reduced

__all__ = [
    "cosine_embedding_loss", "cosine_similarity", "hinge_embedding_loss", "margin_ranking_loss", "pairwise_distance",
    "triplet_margin_loss",
]  # fmt: skip


def cosine_similarity(x1: Array, x2: Array, axis: int = 1, eps: float = 1e-8) -> Tensor:
    """y = <x1, x2> / (max(|x1|, eps) max(|x2|, eps)) over `axis`.

    Args:
        x1, x2: shapes that broadcast with each other.
        axis: the axis of the vectors.
        eps: the smallest divisor.

    >>> import tinygrad_cnn as tg
    >>> tg.cosine_similarity(tg.Tensor([[3.0, 4.0]]), tg.Tensor([[6.0, 8.0]])).tolist()
    [1.0]
    """
    eps = not_negative("cosine_similarity", "eps", eps)
    try:
        shape = np.broadcast_shapes(np.shape(x1), np.shape(x2))
    except ValueError:
        raise ValueError(
            f"cosine_similarity: `x1` {np.shape(x1)} and `x2` {np.shape(x2)} do not broadcast; from the right, sizes must be "
            "equal or 1"
        ) from None
    wide = [in_floats(x) for x in (x1, x2)]
    wide = [x if x.shape == shape else broadcast_to(x, shape=shape) for x in wide]
    return _similarity(as_array(wide[0]), as_array(wide[1]), axis, eps)


@in_float32
def _similarity(x1: Array, x2: Array, axis: int, eps: float) -> Tensor:
    unit = [x / maximum(norm(x, axis=axis, keepdims=True), eps) for x in (x1, x2)]
    y: Tensor = (unit[0] * unit[1]).sum(axis=axis)
    return y


def pairwise_distance(x1: Array, x2: Array, p: float = 2.0, eps: float = 1e-6) -> Tensor:
    """y = the p-norm of x1 - x2 + eps over the last axis; eps keeps the gradient of equal vectors finite."""
    eps = real("pairwise_distance", "eps", eps)
    return norm(in_floats(x1) - x2 + eps, p, axis=-1)


@op(differentiable=False)
def is_positive(target: Array, *, function: str) -> Array:
    """y = (target == 1), without a gradient. ValueError, which begins with `function`, unless every element is 1 or -1."""
    message = f"{function}: `target` holds {{value}} at {{at}}; it must be 1 or -1: use 2 * target - 1 for 0, 1"
    refuse(target, np.not_equal(np.abs(target), 1), message)
    return np.equal(target, 1)


def cosine_embedding_loss(x1: Array, x2: Array, target: Array, margin: float = 0.0, reduction: str = "mean") -> Tensor:
    """y = 1 - cos where the target is 1, max(0, cos - margin) where it is -1, reduced; cos is the cosine of x1 and x2.

    Args:
        x1, x2: (N, D), or (D,).
        target: (N,), or (), each 1 or -1.
        margin: the cosine allowed for dissimilar pairs, from -1 to 1.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for shapes that do not match, a target that is neither 1 nor -1, or another `reduction`.
    """
    margin = real("cosine_embedding_loss", "margin", margin)
    x1, x2, target = as_array(x1), as_array(x2), as_array(target)
    if x1.ndim not in (1, 2) or x1.shape != x2.shape or target.shape != x1.shape[:-1]:
        raise ValueError(
            f"cosine_embedding_loss: `x1` {x1.shape}, `x2` {x2.shape} and `target` {target.shape} must be (N, D), (N, D) and "
            "(N,), or without the N"
        )
    cos = _cosine(x1, x2)
    alike = is_positive(target, function="cosine_embedding_loss")
    return reduced("cosine_embedding_loss", where(alike, 1 - cos, clip(cos - margin, 0)), reduction)


@in_float32
def _cosine(x1: Array, x2: Array) -> Array:
    tiny = 1e-12  # inside the root, as in PyTorch
    lengths = [sqrt((x * x).sum(axis=-1) + tiny) for x in (x1, x2)]  # the product of two squares would overflow
    return (x1 * x2).sum(axis=-1) / (lengths[0] * lengths[1])


def hinge_embedding_loss(prediction: Array, target: Array, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """y = x where the target is 1, max(0, margin - x) where it is -1, reduced, with x = prediction, usually a distance.

    Raises:
        ValueError: if the shape of `target` does not match, for values other than 1 and -1, or for another `reduction`.
    """
    margin = real("hinge_embedding_loss", "margin", margin)
    x, target = pair("hinge_embedding_loss", prediction, target)
    alike = is_positive(target, function="hinge_embedding_loss")
    return reduced("hinge_embedding_loss", where(alike, x, clip(margin - x, 0)), reduction)


def margin_ranking_loss(x1: Array, x2: Array, target: Array, margin: float = 0.0, reduction: str = "mean") -> Tensor:
    """y = max(0, margin - t (x1 - x2)) with t = target, reduced: t = 1 ranks x1 above x2, t = -1 ranks x2 above x1.

    Raises:
        ValueError: if x2 or `target` does not broadcast to the shape of x1, or for another `reduction`.
    """
    margin = real("margin_ranking_loss", "margin", margin)
    x1, x2 = pair("margin_ranking_loss", x1, x2, label="x2")
    x1, target = pair("margin_ranking_loss", x1, target)
    return reduced("margin_ranking_loss", clip(margin - target * (x1 - x2), 0), reduction)


def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """y = max(0, d(anchor, positive) - d(anchor, negative) + margin), reduced, with d the :func:`pairwise_distance`.

    Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural networks", 2016.

    Args:
        anchor, positive, negative: (..., D), one shape.
        margin: how much farther away the negative must be, above 0.
        p, eps: parameters of the distance.
        swap: measure the negative's distance from the anchor or the positive, whichever is nearer; ties share the gradient.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for shapes that differ, a `margin` that is not above 0, or another `reduction`.
    """
    name = "triplet_margin_loss"
    margin = positive_number(name, "margin", margin)
    anchor, positive, negative = (as_array(x) for x in (anchor, positive, negative))
    if not anchor.shape == positive.shape == negative.shape or not anchor.ndim:
        raise ValueError(
            f"{name}: `anchor` {anchor.shape}, `positive` {positive.shape} and `negative` {negative.shape} must have one "
            "shape, (..., D)"
        )
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(name, clip(near - far + margin, 0), reduction)
