"""Rows for labels: ops/gather.py and ops/losses/labels.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import gather
from tinygrad_cnn.ops.losses import labels
from tinygrad_cnn.testing.cases import Arg, Case

LABELS = Arg((2, 3), kind="int", low=0, high=3)


def weighed(target: NDArray[Any], **params: Any) -> NDArray[Any]:
    """Zero for the ignored label 1, and one for others."""
    return np.where(target == 1, 0.0, 1.0)


LABELLED = {"classes": 4, "ignore_index": 1, "function": "f", "dtype": np.dtype(np.float64)}

CASES = [
    Case(gather.one_hot, (LABELS,), lambda a, num_classes: np.eye(num_classes)[a], {"num_classes": 5}, order=0),
    Case(gather.one_hot, (Arg((2,), kind="int", low=3, high=3),), lambda a: np.eye(4)[a], order=0),
    Case(
        labels.label_mask,
        (LABELS,),
        lambda a, classes: np.moveaxis(np.eye(classes)[a], -1, 1) == 1,
        {"classes": 5},
        order=0,
    ),
    Case(labels.label_weights, (LABELS,), weighed, LABELLED, order=0),
    Case(
        labels.label_weights,
        (LABELS,),
        lambda a, **p: np.ones(a.shape),
        LABELLED | {"ignore_index": None},
        order=0,
    ),
    Case(
        labels.label_weights,
        (LABELS,),
        lambda a, **p: weighed(a) / max(1, np.sum(a != 1)),
        LABELLED | {"mean": True},
        order=0,
    ),
    Case(
        labels.label_weights,
        (Arg((2, 3), kind="int", low=1, high=1),),
        lambda a, **p: np.zeros(a.shape),
        LABELLED | {"mean": True},
        order=0,
    ),
    Case(gather.embedding, (LABELS, Arg((4, 2))), lambda i, w: w[i]),
]
