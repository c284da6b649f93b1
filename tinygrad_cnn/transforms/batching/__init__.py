"""Batching rules, by family of ops."""

from . import axes, networks  # noqa: F401 - they register their rules
from .call import RULES, TOGETHER, Call, answer
from .pulls import PULLS, Pull

__all__ = ["PULLS", "RULES", "TOGETHER", "Call", "Pull", "answer"]
