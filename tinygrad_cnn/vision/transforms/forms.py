"""The seam for other forms of functions of images, such as compiled ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

attached: dict[Any, Callable[..., Any]] = {}
"""By a function, the form of it that is asked first."""


def formed(function: Callable[P, T]) -> Callable[P, T]:
    """Ask the form that is attached to the function first. It computes the same bits, or returns None for other arguments."""

    @functools.wraps(function)
    def asked(*args: P.args, **options: P.kwargs) -> T:
        form = attached.get(asked)
        result: T | None = None if form is None else form(*args, **options)
        return function(*args, **options) if result is None else result

    return asked


def attach(function: Callable[..., Any], form: Callable[..., Any] | None) -> None:
    """Attach a form to a function, or with None take it away."""
    if form is None:
        attached.pop(function, None)
    else:
        attached[function] = form
