"""Losses, by the kind of target: numbers, classes, sequences of them, or other vectors at a distance."""

from . import binary, classification, ctc, distance, labels, margin, regression

__all__ = ["binary", "classification", "ctc", "distance", "labels", "margin", "regression"]
