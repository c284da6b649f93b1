"""Batching rules, by family of ops."""

from . import axes, networks  # noqa: F401 - they register their rules
from .call import RULES, TOGETHER, Call, answer

__all__ = ["RULES", "TOGETHER", "Call", "answer"]
