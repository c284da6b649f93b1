"""Measures of a model's predictions: accuracy, errors, F1 and the confusion matrix."""

from .classes import F1, Accuracy, BinaryAccuracy, TopK, correct
from .confusion import confusion_matrix, plot_confusion_matrix
from .errors import MAE, RMSE
from .metric import Average, Metric
from .names import resolved

__all__ = [
    "F1", "MAE", "RMSE", "Accuracy", "Average", "BinaryAccuracy", "Metric", "TopK", "confusion_matrix", "correct",
    "plot_confusion_matrix", "resolved",
]  # fmt: skip
