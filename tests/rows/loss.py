"""Rows for the ops in ops/losses/."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops.losses import binary, classification, distance, regression
from tinygrad_cnn.testing.cases import Arg, Case

SCORES, LABELS, KEPT = Arg((2, 3, 2)), Arg((2, 2), kind="int", low=0, high=2), Arg((2, 2), kind="bool")
PROBABILITY, CERTAIN = Arg((2, 3), low=0.25, high=0.75), Arg((2, 3), low=0.0, high=1.0)


def share(x: NDArray[Any]) -> NDArray[Any]:
    """Softmax over axis 1."""
    return np.asarray(np.exp(x) / np.exp(x).sum(1, keepdims=True))


def one_hot(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels along a new axis 1 of three classes."""
    return np.moveaxis(np.eye(3)[labels], -1, 1)


def averaged(a: NDArray[Any], w: NDArray[Any]) -> Any:
    """The sum divided by the sum of weights."""
    return a.sum() / w.sum() if w.any() else np.nan


CASES = [
    Case(regression.mse, (Arg((2, 3)), Arg((2, 3))), lambda p, t: np.mean((p - t) ** 2)),
    Case(regression.mse, (Arg((2, 3)), Arg((3,))), lambda p, t, reduction: np.sum((p - t) ** 2), {"reduction": "sum"}),
    Case(regression.mse, (Arg((2, 3)), Arg((2, 1))), lambda p, t, reduction: (p - t) ** 2, {"reduction": "none"}),
    Case(regression.mse, (Arg(()), Arg(())), lambda p, t: (p - t) ** 2),
    Case(
        classification.softmax_nll, (SCORES, LABELS, KEPT), lambda x, t, w: w * -(np.log(share(x)) * one_hot(t)).sum(1)
    ),
    Case(
        classification.softmax_nll,
        (Arg((4, 3)), replace(LABELS, shape=(4,)), replace(KEPT, shape=(4,))),
        lambda x, t, w: w * -(np.log(share(x)) * one_hot(t)).sum(1),
    ),
    Case(
        classification.softmax_nll_pull,
        (Arg((4,)), Arg((4, 3)), replace(LABELS, shape=(4,))),
        lambda u, x, t: np.expand_dims(u, 1) * (share(x) - one_hot(t)),
    ),
    Case(
        classification.softmax_nll_pull,
        (Arg((2, 2)), SCORES, LABELS),
        lambda u, x, t: np.expand_dims(u, 1) * (share(x) - one_hot(t)),
    ),
    *(
        Case(
            classification.mean_nll,
            (Arg((*shape[:1], 3, *shape[1:])), replace(LABELS, shape=shape), Arg(shape, kind="int", low=1, high=2)),
            lambda x, t, w: -(w * (np.log(share(x)) * one_hot(t)).sum(1)).sum() if w.any() else np.nan,
        )
        for shape in ((4,), (2, 2))
    ),
    Case(classification.mean_by, (Arg((2, 2)), Arg((2, 2), kind="int", low=1, high=1)), averaged),
    Case(
        binary.bernoulli_nll,
        (PROBABILITY, PROBABILITY),
        lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)),
        order=2,
    ),
    Case(  # the target broadcasts
        binary.bernoulli_nll,
        (PROBABILITY, replace(PROBABILITY, shape=(3,))),
        lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)),
        order=2,
    ),
    *(
        Case(
            binary.bernoulli_nll_logits,
            (Arg((2, 3)), CERTAIN, Arg(shape)),
            lambda x, t, u: t * np.log(1 + np.exp(-x)) + u * np.log(1 + np.exp(x)),
        )
        for shape in ((2, 3), (2, 1))
    ),
    *(
        Case(
            binary.bernoulli_nll_logits_pull,
            (Arg((2, 3)), Arg((2, 3)), CERTAIN, Arg(shape)),
            lambda v, x, t, u: v * (u / (1 + np.exp(-x)) - t / (1 + np.exp(x))),
        )
        for shape in ((2, 3), (2, 1))
    ),
    Case(regression.checked_variance, (Arg(low=0.5),), lambda a, eps: np.maximum(a, eps), {"eps": 0.25}),
    Case(
        distance.is_positive,
        (Arg(kind="int", low=1, high=1),),
        lambda a, function: a > 0,
        {"function": "f"},
        order=0,
    ),
]
