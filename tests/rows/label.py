"""Rows for ops/label.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import label as ops
from tinygrad_cnn.testing.cases import Arg, Case

LABELS = Arg((2, 3), kind="int", low=0, high=3)
SCORES = Arg((2, 4, 3))


def picked(a: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """One element for each label."""
    return np.array([[a[n, c, i] for i, c in enumerate(row)] for n, row in enumerate(labels)])


def added(u: NDArray[Any], indices: NDArray[Any], rows: int) -> NDArray[Any]:
    """Each row of u at its place."""
    y = np.zeros((rows, u.shape[-1]))
    for place in np.ndindex(indices.shape):
        y[indices[place]] += u[place]
    return y


def weighed(target: NDArray[Any], **params: Any) -> NDArray[Any]:
    """Zero for the ignored label 1, and one for others."""
    return np.where(target == 1, 0.0, 1.0)


LABELLED = {"classes": 4, "ignore_index": 1, "function": "f", "dtype": np.dtype(np.float64)}

CASES = [
    Case(ops.one_hot, (LABELS,), lambda a, num_classes: np.eye(num_classes)[a], {"num_classes": 5}, order=0),
    Case(ops.one_hot, (Arg((2,), kind="int", low=3, high=3),), lambda a: np.eye(4)[a], order=0),
    Case(ops.pick, (SCORES, LABELS), picked),
    Case(
        ops.put,
        (Arg((2, 3)), LABELS),
        lambda u, labels, classes: np.moveaxis(u[..., None] * np.eye(classes)[labels], -1, 1),
        {"classes": 4},
    ),
    Case(ops.label_weights, (LABELS,), weighed, LABELLED, order=0),
    Case(ops.embedding, (LABELS, Arg((4, 2))), lambda i, w: w[i]),
    Case(ops.add_rows, (Arg((2, 3, 2)), LABELS), added, {"rows": 5}),
]
