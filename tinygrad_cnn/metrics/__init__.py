"""Measures of a model's predictions: accuracy, precision, recall, areas under curves, overlaps, errors, confusion matrix."""

from ..core.remedies import publish
from .classes import Accuracy, BinaryAccuracy, TopK, correct
from .confusion import confusion_matrix, plot_confusion_matrix
from .counts import F1, Dice, IoU, Precision, Recall, Specificity
from .curves import AUROC, AveragePrecision
from .errors import MAE, MAPE, MSLE, R2, RMSE, Cosine
from .metric import Average, Metric
from .resolve import resolved

__all__ = [
    "AUROC", "F1", "MAE", "MAPE", "MSLE", "R2", "RMSE", "Accuracy", "Average", "AveragePrecision", "BinaryAccuracy", "Cosine",
    "Dice", "IoU", "Metric", "Precision", "Recall", "Specificity", "TopK", "confusion_matrix", "correct",
    "plot_confusion_matrix", "resolved",
]  # fmt: skip


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
