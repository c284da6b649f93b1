"""Steps of optimizers in one pass over memory, where NumPy makes a pass for each operation: SGD and Adam.

They compute the operations of the optimizers' ``update`` in its order, so the bits are the same. Rare options are left to
``update``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...core.versions import owner
from ...kernels.parallel import chunks
from ...kernels.parallel.threads import each
from ...optim.adam import Adam
from ...optim.sgd import SGD
from ...optim.state import STEP
from .compiled import Number, exact

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray

Step: TypeAlias = Callable[[Array], bool]
"""A step along a gradient; False, and nothing is written, if the loops do not take the arrays."""


def prepare_sgd(p: Array, state: dict[str, Any], group: dict[str, Any], new: bool) -> Step | None:
    """The step of SGD, with momentum and without."""
    if new or group["dampening"] or group["nesterov"] or group["maximize"]:
        return None
    decay, momentum = group["weight_decay"], group["momentum"]
    decays, slope, rate = bool(decay), np.float32(decay), np.float32(group["lr"])
    if not momentum:
        return _prepared(_descent, p, state, [], lambda: (decays, slope, rate))
    numbers = decays, slope, np.float32(momentum), rate
    return _prepared(_momentum, p, state, ["momentum_buffer"], lambda: numbers)


def prepare_adam(p: Array, state: dict[str, Any], group: dict[str, Any], new: bool) -> Step | None:
    """The step of Adam and of AdamW."""
    if group["amsgrad"] or group["maximize"]:
        return None
    (beta1, beta2), eps, rate, decay = group["betas"], group["eps"], group["lr"], group["weight_decay"]
    decoupled = group["decoupled_weight_decay"]
    kind = (2 if decoupled else 1) if decay else 0
    decay = 1 - rate * decay if decoupled else decay
    fixed = kind, *map(np.float32, (decay, beta1, 1 - beta1, beta2, 1 - beta2))

    def numbers() -> tuple[Any, ...]:
        n = state[STEP]
        root = math.sqrt(1 - beta2**n)
        return *fixed, np.float32(eps * root), np.float32(rate * root / (1 - beta1**n))

    return _prepared(_adam, p, state, ["exp_avg", "exp_avg_sq"], numbers)


STEPS: dict[Any, Callable[..., Step | None]] = {SGD.update: prepare_sgd, Adam.update: prepare_adam}
"""The compiled form of each optimizer's ``update``."""


def _prepared(
    function: Any, p: Array, state: dict[str, Any], names: Sequence[str], numbers: Callable[[], tuple[Any, ...]]
) -> Step | None:
    """A step that calls ``function(p, g, *slots, *numbers)`` with parts of arrays of one form."""
    slots, size = [(name, state[name]) for name in names], p.size
    if not size or any(
        a.__class__ is not np.ndarray or a.dtype != FLOAT32 or a.size != size or not a.flags.c_contiguous
        for a in (p, *[slot for _, slot in slots])
    ):
        return None
    flat, *kept = [a.ravel() for a in (p, *[slot for _, slot in slots])]
    cuts = [slice(i, i + -(-size // chunks.PARTS)) for i in range(0, size, -(-size // chunks.PARTS))]
    root = owner(p)
    owned = root.flags.owndata  # then another array that owns its memory shares none with p

    def step(g: Array) -> bool:
        if g.__class__ is not Array or g.dtype != FLOAT32 or g.size != size or not p.flags.writeable:
            return False
        flags = g.flags
        if not flags.c_contiguous:
            return False
        if (not owned or not flags.owndata or g is root) and np.may_share_memory(flat, g):
            return False
        for name, slot in slots:
            if state[name] is not slot:
                return False
        if size < chunks.LARGE:
            function(flat, g.ravel(), *kept, *numbers())
        else:
            arrays, given = (flat, g.ravel(), *kept), numbers()
            each(lambda cut: function(*[a[cut] for a in arrays], *given), cuts)
        return True

    return step


@exact
def _descent(p: Array, g: Array, decays: bool, decay: Number, rate: Number) -> None:
    """p = p - rate (g + decay p)."""
    for i in range(p.size):
        d = p[i] * decay + g[i] if decays else g[i]
        p[i] = p[i] - d * rate


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
