"""Losses, by the kind of target: numbers, classes, or other vectors at a distance."""

from . import classification, distance, regression

__all__ = ["classification", "distance", "regression"]
