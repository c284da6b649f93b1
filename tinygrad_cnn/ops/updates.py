"""How an update rule is applied to the memory of a parameter; and the seams for another way, and for a fused form of a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..scope import silent

Rule: TypeAlias = Callable[..., object]
"""``rule(p, g, *kept, t, u)`` writes all but `g`, elementwise, and may use t and u for scratch."""

PIECE = 49152
"""The most elements that a rule is given at once on one thread: few enough to stay in the cache through its dozen passes, and
enough to keep the calls of NumPy few."""


def whole(rule: Rule, p: np.ndarray, g: np.ndarray, *kept: np.ndarray) -> None:
    """Apply a rule to whole arrays."""
    with silent:
        rule(p, g.copy() if np.may_share_memory(p, g) else g, *kept, np.empty_like(p), np.empty_like(p))


_way: list[Callable[..., None]] = [whole]


def attach(way: Callable[..., None]) -> None:
    """Apply rules to large parameters in another way, such as in pieces on several threads."""
    _way[:] = [way]


def apply(rule: Rule, p: np.ndarray, g: np.ndarray, *kept: np.ndarray) -> None:
    """Apply a rule to a large parameter, its gradient and what is kept for it."""
    _way[0](rule, p, g, *kept)


Form: TypeAlias = Callable[..., Callable[[np.ndarray], bool] | None]
"""``form(p, state, group, new)`` returns None, or a function of the gradient that does what an optimizer's ``update`` does, to
the same bits, or returns False."""

fused: dict[Any, Form] = {}
"""By the function ``update`` of an optimizer, a form of it that is asked first."""


def fuse(update: Callable[..., object], form: Form | None) -> None:
    """Attach a form in one pass over memory to an optimizer's ``update``, or with None take it away."""
    if form is None:
        fused.pop(update, None)
    else:
        fused[update] = form
