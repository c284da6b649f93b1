"""The confusion matrix of a model's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import checked, whole
from ..notebooks import subplots
from ..tensor import Tensor
from .metric import checked_weights

if TYPE_CHECKING:
    from ..core.graph import Array

LABELLED = 20
"""Classes up to which the picture has a number in each cell."""


def confusion_matrix(
    target: Array, prediction: Array, num_classes: int | None = None, sample_weight: Array | None = None
) -> NDArray[Any]:
    """How often class j was predicted where class i is right: row i, column j. The order of arguments is scikit-learn's.

    Args:
        target: classes (N, ...), integers from 0.
        prediction: classes of the same shape, or scores (N, C, ...), of which the highest counts.
        num_classes: the size of the matrix; None for C, or the largest class + 1.
        sample_weight: how much each example counts, (N,); the matrix then has sums of weights, float64.

    Raises:
        TypeError: if the classes are not integers.
        ValueError: if the shapes do not match, or a class is negative or too large.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.confusion_matrix(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    array([[1, 0, 0],
           [0, 1, 1],
           [0, 0, 1]])
    """
    y, p = _array(target), _array(prediction)
    if p.ndim >= 2 and (p.shape[0], *p.shape[2:]) == y.shape:
        num_classes = p.shape[1] if num_classes is None else num_classes
        p = p.argmax(axis=1)
    if p.shape != y.shape:
        raise ValueError(
            f"confusion_matrix: `target` has shape {y.shape} and `prediction` {p.shape}; a prediction is classes of the "
            "target's shape, or scores (N, C, ...)"
        )
    for name, classes in (("target", y), ("prediction", p)):
        if classes.dtype.kind not in "iu":
            raise TypeError(f"confusion_matrix: `{name}` is {classes.dtype}; it must be classes, integers")
    largest = int(max(y.max(initial=-1), p.max(initial=-1)))
    n = largest + 1
    if num_classes is not None:
        n = checked("confusion_matrix", _SIZE, {"num_classes": num_classes})["num_classes"]
    if min(y.min(initial=0), p.min(initial=0)) < 0 or largest >= n:
        wrong = largest if largest >= n else int(min(y.min(), p.min()))
        raise ValueError(f"confusion_matrix: there is a class {wrong}; classes are from 0 to {n - 1}")
    pairs = y.astype(np.int64).ravel() * n + p.astype(np.int64).ravel()
    weights = None
    if sample_weight is not None:
        weights = checked_weights("confusion_matrix", sample_weight, y.shape).reshape(-1, *(1,) * (y.ndim - 1))
        weights = np.broadcast_to(weights, y.shape).ravel()
    return np.bincount(pairs, weights, minlength=n * n).reshape(n, n)


def plot_confusion_matrix(matrix: Array, classes: Sequence[Any] | None = None) -> Any:
    """Draw a confusion matrix with matplotlib: the share of each row as a colour and, for few classes, the counts.

    Args:
        matrix: what :func:`confusion_matrix` returned.
        classes: names of the classes; None for their numbers.

    Returns:
        The figure of matplotlib, for ``savefig``; ``matplotlib.pyplot.show()`` shows it.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the matrix is not square, or the number of names differs.
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"plot_confusion_matrix: `matrix` has shape {counts.shape}; it must be square")
    n = len(counts)
    if classes is not None and len(classes) != n:
        raise ValueError(f"plot_confusion_matrix: `classes` has {len(classes)} names for {n} classes")
    size = min(max(4.0, 0.45 * n + 2), 12.0)
    figure, axes = subplots("plot_confusion_matrix", figsize=(size, size), layout="constrained")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="target")
    if classes is not None or n <= LABELLED:
        names = [str(name) for name in (range(n) if classes is None else classes)]
        turn = max(map(len, names)) > 3
        axes.set_xticks(range(n), names, rotation=90 if turn else 0)
        axes.set_yticks(range(n), names)
    if n <= LABELLED:
        for i, j in np.argwhere(counts):
            color = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=color)
    return figure


_SIZE = {"num_classes": whole(1)}


def _array(value: Any) -> NDArray[Any]:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
