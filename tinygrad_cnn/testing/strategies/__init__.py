"""Hypothesis strategies for arrays, shapes, indices and graphs. They need the extra `test`; the rest of testing does not."""

from .cases import case_inputs

__all__ = ["case_inputs"]
