"""Drawn scores, and scikit-learn's measures of them: for record_sklearn.py, which writes sklearn.json, and for the tests."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tinygrad_cnn import metrics as m

AVERAGES = ("macro", "micro", "weighted", None)
COUNTS = {
    "precision_score": m.Precision,
    "recall_score": m.Recall,
    "f1_score": m.F1,
    "jaccard_score": m.IoU,
}
CURVES = {"roc_auc_score": m.AUROC, "average_precision_score": m.AveragePrecision}

ZEROS = {
    "precision_score": (0.0, 1.0, np.nan),
    "recall_score": (0.0, 1.0, np.nan),
    "f1_score": (0.0, 1.0, np.nan),
    "jaccard_score": (0.0, 1.0),
}


def drawn(kind: str, seed: int, n: int = 40) -> tuple[Any, Any, Any]:
    """Scores with ties, targets, and weights of which some are 0."""
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=n) * (rng.random(n) < 0.8)
    if kind == "binary":
        target = rng.integers(2, size=n)
        return np.round(rng.normal(size=n) + target, 1), target, weight
    if kind == "multilabel":
        target = (rng.random((n, 3)) < [0.2, 0.5, 0.8]).astype(int)
        return np.round(rng.normal(size=(n, 3)) + target, 1), target, weight
    target = rng.choice(4, size=n, p=[0.1, 0.2, 0.3, 0.4])
    return np.round(2 * rng.normal(size=(n, 4)) + 2 * np.eye(4)[target], 0), target, weight


def rare(kind: str) -> tuple[Any, Any]:
    """Scores and targets with ratios that are 0 / 0."""
    output, target, _ = drawn(kind, 1, 12)
    if kind == "binary":
        return output - 100, target
    if kind == "multiclass":
        output[:, 3] -= 100
        return output, target
    output[:, :2] -= 100
    target[:, 0] = 0
    return output, target


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def theirs(function: Callable[..., Any], curve: bool, kind: str, average: Any, options: dict[str, Any]) -> Any:
    """A function of (output, target, weight): scikit-learn's measure."""

    def measure(output: Any, target: Any, weight: Any = None) -> Any:
        given = {"sample_weight": weight, **options}
        if kind != "binary":
            given["average"] = average
        if kind == "multiclass" and curve:
            output = softmax(output)
            if function.__name__ == "roc_auc_score":
                given["multi_class"] = "ovr"
        elif kind == "multiclass":
            output = output.argmax(axis=1)
            if weight is not None and average is not None:  # it counts classes of weight 0, too
                given["labels"] = sorted({*target[weight > 0].tolist(), *output[weight > 0].tolist()})
            elif average is None:
                given["labels"] = range(4)
        elif not curve:
            output = output > 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(target, output, **given)
        return found.tolist() if isinstance(found, np.ndarray) else float(found)

    return measure


def cases() -> Iterator[tuple[str, str, m.Metric, Callable[..., Any]]]:
    """(name, kind, our metric, a function of scikit-learn's module that gives a function of (output, target, weight))."""
    for name, metric in {**COUNTS, **CURVES}.items():
        for kind in ("binary", "multiclass", "multilabel"):
            for average in ("macro",) if kind == "binary" else AVERAGES:
                for zero in ZEROS.get(name, (None,)):
                    options = {} if zero is None else {"zero_division": zero}
                    ours = metric(average=average, task=kind, **options)
                    yield (
                        f"{name} {kind} {average} {zero}",
                        kind,
                        ours,
                        partial(of_module, name, kind, average, options),
                    )


def of_module(name: str, kind: str, average: Any, options: dict[str, Any], module: Any) -> Callable[..., Any]:
    return theirs(getattr(module, name), name in CURVES, kind, average, options)
