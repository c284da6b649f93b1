"""Keywords of another library: generated functions declare them, to raise an error that names ours.

Which keywords, and what to say, is attached from outside; see ``names/keywords.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

Foreign: TypeAlias = Callable[[str, Collection[str]], list[str]]
Unexpected: TypeAlias = Callable[[str, Collection[str], Mapping[str, Any]], Exception | None]

_attached: list[tuple[Foreign, Unexpected]] = []


def attach(foreign: Foreign, unexpected: Unexpected) -> None:
    """Set what :func:`foreign` and :func:`unexpected` return."""
    _attached[:] = [(foreign, unexpected)]


def foreign(function: str, names: Collection[str]) -> list[str]:
    """The foreign keywords that a function with the parameters `names` declares."""
    return [keyword for known, _ in _attached for keyword in known(function, names)]


def unexpected(function: str, names: Collection[str], given: Mapping[str, Any]) -> Exception | None:
    """The error for one of the keywords in `given`."""
    return next((error(function, names, given) for _, error in _attached), None)
