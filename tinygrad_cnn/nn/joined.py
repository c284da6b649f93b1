"""A batch norm and the ReLU behind it as one op, which a kernel computes in fewer passes over memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..core.tracing import watchers
from ..ops.clipped import clipped, clipped_batch_norm, clipped_by
from ..ops.normalization import batch_norm
from ..ops.standardize import Limits
from ..scope import Scoped
from ..tensor import Tensor
from .activation import ReLU, ReLU6
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d, batch_norm_function

LIMITS: dict[type[Module], Limits] = {ReLU: (0.0, math.inf), ReLU6: (0.0, 6.0)}

NORMS: set[type[Module]] = {BatchNorm1d, BatchNorm2d, BatchNorm3d}

FORWARD = {kind: kind.forward for kind in (*LIMITS, *NORMS)}
CALL = Module.__call__
"""What a call of these modules does, unless somebody has replaced it to look at it."""


def joined(modules: Iterable[Module]) -> Iterator[Callable[[Any], Any]]:
    """Calls that compute the modules, one after the other: each module, but one call for a norm and an activation if nobody
    can see the output of the norm. Values and gradients are the same."""
    waiting: Module | None = None
    for module in modules:
        if waiting is not None and type(module) in LIMITS and _is_plain(module):
            yield partial(_clipped, waiting, module)
            waiting = None
            continue
        if waiting is not None:
            yield waiting
        waiting = module if type(module) in NORMS and _is_plain(module) else None
        if waiting is None:
            yield module
    if waiting is not None:
        yield waiting


sequence: Scoped[Callable[[Any], Iterable[Callable[[Any], Any]]]] = Scoped("sequence", joined)
"""What gives the calls that a Sequential makes: a frozen model sets a function that knows faster ones."""


def _is_plain(module: Module) -> bool:
    """Whether a call of the module is its `forward`, as the library defines it, and nothing else."""
    hooks = module._hooks or module._pre_hooks or module._backward_hooks or module._backward_pre_hooks
    kind = type(module)
    return not hooks and "forward" not in vars(module) and kind.forward is FORWARD[kind] and kind.__call__ is CALL


def _clipped(norm: Any, activation: Module, x: Any) -> Any:
    """:func:`clipped_norm`, unless a tracer looks at each op."""
    return activation(norm(x)) if watchers else clipped_norm(norm, activation, x)


def clipped_norm(norm: Any, activation: Module, x: Any) -> Any:
    """activation(norm(x)), in one op if there is a kernel for it."""
    op = clipped if norm._uses_batch else clipped_by
    if (
        op.op.prepare is None
        or not isinstance(x, Tensor)
        or x.dtype != np.float32
        or batch_norm_function.get() is not batch_norm
    ):
        return activation(norm(x))
    return norm._normalized(x, partial(clipped_batch_norm, limits=LIMITS[type(activation)]))
