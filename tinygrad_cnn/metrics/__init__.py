"""Measures of a model's predictions: accuracy, errors, F1 and the confusion matrix."""

from ..core.remedies import publish
from .classes import F1, Accuracy, BinaryAccuracy, TopK, correct
from .confusion import confusion_matrix, plot_confusion_matrix
from .errors import MAE, MAPE, MSLE, R2, RMSE, Cosine
from .metric import Average, Metric
from .names import resolved

__all__ = [
    "F1", "MAE", "MAPE", "MSLE", "R2", "RMSE", "Accuracy", "Average", "BinaryAccuracy", "Cosine", "Metric", "TopK",
    "confusion_matrix", "correct", "plot_confusion_matrix", "resolved",
]  # fmt: skip


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
