"""Steps of optimizers in one pass over memory, where NumPy makes a pass for each operation: SGD with momentum, and Adam.

They compute the operations of the optimizers' ``update`` in its order, so the bits are the same. Rare options are left to
``update``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...kernels.parallel import chunks
from ...optim.adam import Adam
from ...optim.sgd import SGD
from ...optim.state import STEP
from .compiled import Number, exact
from .images import each_part

LEAST = 1 << 12
"""NumPy's passes over fewer numbers take as long as the call."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


def sgd(p: Array, g: Array, state: dict[str, Any], group: dict[str, Any], new: bool) -> bool:
    """The step of SGD with momentum."""
    if p.size < LEAST or new or group["dampening"] or group["nesterov"] or group["maximize"] or not group["momentum"]:
        return False
    decay = group["weight_decay"]
    return _run(_momentum, [p, g, state["momentum_buffer"]], bool(decay), decay, group["momentum"], group["lr"])


def adam(p: Array, g: Array, state: dict[str, Any], group: dict[str, Any], new: bool) -> bool:
    """The step of Adam and of AdamW."""
    if p.size < LEAST or group["amsgrad"] or group["maximize"]:
        return False
    (beta1, beta2), n, decay = group["betas"], state[STEP], group["weight_decay"]
    root = math.sqrt(1 - beta2**n)
    numbers = beta1, 1 - beta1, beta2, 1 - beta2, group["eps"] * root, group["lr"] * root / (1 - beta1**n)
    decoupled = group["decoupled_weight_decay"]
    kind = (2 if decoupled else 1) if decay else 0
    decay = 1 - group["lr"] * decay if decoupled else decay
    return _run(_adam, [p, g, state["exp_avg"], state["exp_avg_sq"]], kind, decay, *numbers)


STEPS: dict[Any, Callable[..., bool]] = {SGD.update: sgd, Adam.update: adam}
"""The compiled form of each optimizer's ``update``."""


def _run(function: Any, arrays: list[Array], kind: int, *numbers: float) -> bool:
    """Call `function` with parts of the arrays, of which the second is only read; False if it does not take them."""
    if any(a.__class__ is not np.ndarray or a.dtype != FLOAT32 or not a.flags.c_contiguous for a in arrays):
        return False
    if np.may_share_memory(arrays[0], arrays[1]):
        return False
    flat, given = [a.reshape(-1) for a in arrays], [np.float32(number) for number in numbers]
    size = flat[0].size
    step = size if size < chunks.LARGE else -(-size // chunks.PARTS)
    each_part(lambda start: function(*(a[start : start + step] for a in flat), kind, *given), range(0, size, step))
    return True


@exact
def _momentum(p: Array, g: Array, b: Array, decays: bool, decay: Number, momentum: Number, rate: Number) -> None:
    """b = momentum b + g + decay p,  p = p - rate b."""
    for i in range(p.size):
        d = p[i] * decay + g[i] if decays else g[i]
        b[i] = b[i] * momentum + d
        p[i] = p[i] - b[i] * rate


@exact
def _adam(
    p: Array, g: Array, m: Array, v: Array, kind: int, decay: Number, beta1: Number, rest1: Number, beta2: Number,
    rest2: Number, eps: Number, rate: Number,
) -> None:  # fmt: skip
    """m = beta1 m + rest1 d,  v = beta2 v + rest2 d^2,  p = p - m / (sqrt(v) + eps) rate, with d = g, or g + decay p if `kind`
    is 1; if it is 2, p is multiplied by `decay` before."""
    for i in range(p.size):
        d = p[i] * decay + g[i] if kind == 1 else g[i]
        m[i] = m[i] * beta1 + d * rest1
        v[i] = v[i] * beta2 + d * rest2 * d
        before = p[i] * decay if kind == 2 else p[i]
        p[i] = before - m[i] / (np.sqrt(v[i]) + eps) * rate
