"""Measures of a model's predictions: accuracy, errors, F1 and the confusion matrix."""

from typing import TYPE_CHECKING

from ..names import explaining_getattr
from .classes import F1, Accuracy, BinaryAccuracy, TopK, correct
from .confusion import confusion_matrix, plot_confusion_matrix
from .errors import MAE, MAPE, MSLE, R2, RMSE, Cosine
from .metric import Average, Metric
from .names import resolved

__all__ = [
    "F1", "MAE", "MAPE", "MSLE", "R2", "RMSE", "Accuracy", "Average", "BinaryAccuracy", "Cosine", "Metric", "TopK",
    "confusion_matrix", "correct", "plot_confusion_matrix", "resolved",
]  # fmt: skip

if not TYPE_CHECKING:  # a checker would take every name for an attribute
    __getattr__ = explaining_getattr("tinygrad_cnn.metrics", "keras.metrics")


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)
