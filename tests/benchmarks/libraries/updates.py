"""Updates in NumPy, in place, for libraries that have no optimizers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..problems import Array

Update = Callable[[Array, Array], None]
"""Takes a weight and its gradient, and writes the weight."""


def descent(w: Array, g: Array) -> None:
    """Gradient descent, lr = 1e-4."""
    np.subtract(w, g * np.float32(1e-4), out=w)


def adam(weight: Array) -> Update:
    """Adam for one weight, lr = 1e-3 and the usual decays."""
    m, v, scratch = (np.zeros_like(weight) for _ in range(3))
    t = 0

    def update(w: Array, g: Array) -> None:
        nonlocal t
        t += 1
        np.multiply(m, 0.9, out=m)
        np.add(m, np.multiply(g, 0.1, out=scratch), out=m)
        np.multiply(v, 0.999, out=v)
        np.multiply(g, g, out=scratch)
        np.add(v, np.multiply(scratch, 0.001, out=scratch), out=v)
        np.multiply(np.sqrt(v, out=scratch), (1 - 0.999**t) ** -0.5, out=scratch)
        np.divide(m, np.add(scratch, 1e-8, out=scratch), out=scratch)
        np.subtract(w, np.multiply(scratch, 1e-3 / (1 - 0.9**t), out=scratch), out=w)

    return update
