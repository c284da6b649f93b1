"""Losses, by the kind of target: numbers, classes, sequences of them, or other vectors at a distance."""

from . import classification, ctc, distance, regression

__all__ = ["classification", "ctc", "distance", "regression"]
