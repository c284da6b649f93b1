"""Batching rules, by family of ops."""

from . import axes, networks  # noqa: F401 - they register their rules
from .call import RULES, Call, answer

__all__ = ["RULES", "Call", "answer"]
