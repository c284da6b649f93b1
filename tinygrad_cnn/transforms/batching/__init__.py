"""Batching rules, by family of ops."""

from . import axes, networks  # noqa: F401 - they register their rules
from .call import RULES, Call, Rule, looped, rule_of

__all__ = ["RULES", "Call", "Rule", "looped", "rule_of"]
