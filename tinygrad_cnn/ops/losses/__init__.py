"""Losses, by what they compare: numbers, classes, or vectors by their distance."""

from . import classification, distance, regression

__all__ = ["classification", "distance", "regression"]
