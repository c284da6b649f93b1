"""Update rules of optimizers, which write in place: how one is applied to the memory of a parameter."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

PIECE = 49152
"""The most elements that a rule is given at once on one thread: few enough to stay in the cache through its dozen passes, and
enough to keep the calls of NumPy few."""


def whole(rule: Callable[..., object], p: np.ndarray, g: np.ndarray, *kept: np.ndarray) -> None:
    """Call ``rule(p, g, *kept, t, u)``. It writes all but `g`, and may use t and u for scratch."""
    with np.errstate(all="ignore"):
        rule(p, g.copy() if np.may_share_memory(p, g) else g, *kept, np.empty_like(p), np.empty_like(p))


apply: Callable[..., None] = whole
"""How a rule is applied to a large parameter: :func:`whole`, until a kernel takes its place."""

Repeat: TypeAlias = Callable[..., Callable[[np.ndarray], object] | None]

repeats: dict[str, Repeat] = {}
"""By the path of an optimizer's `update`, what prepares steps that repeat. ``repeat(p, state, group, t, u)`` returns a function
of the gradient that does the same as ``update(p, g, state, group, False, t, u)``, or None. Kernels add theirs."""
