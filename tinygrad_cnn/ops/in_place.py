"""What is written in place: leaves, never recorded values; and how an optimizer's rule is applied to a parameter's memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, TypeAlias

import numpy as np

from ..core import tracing
from ..core.grad_mode import is_grad_enabled
from ..core.graph import Tensor
from ..core.node import Argument
from ..core.registry import namespace
from ..core.versions import mark_written
from . import replaced
from .data import TensorLike
from .lists import gather


def copy_(self: Tensor, source: TensorLike) -> Tensor:
    """Write `source` into this leaf in place, as optimizers do. Graphs that saved the old values then refuse backward.

    The write is never recorded, in any grad mode: the leaf stays a leaf, and no gradient passes to `source`.

    Raises:
        RuntimeError: if this Tensor is the result of a recorded op, or the argument of a function under a transform; if
            `source` is one of these, unless under :class:`no_grad`.
        ValueError: if `source` does not broadcast to this Tensor's shape.
    """
    if self._is_recorded:
        raise RuntimeError(f"copy_: this Tensor is {self._origin}; nothing recorded is ever written")
    given: Any = gather(source, "copy_")
    is_tensor = isinstance(given, namespace["Tensor"])
    if replaced.left:
        for t in (self, given) if is_tensor else (self,):
            replaced.check(t)
    values = given._array if is_tensor else np.asarray(given)
    try:
        np.broadcast_to(values, self.shape)
    except ValueError:
        raise ValueError(
            f"copy_: `source` has shape {values.shape}, which does not broadcast to {self.shape}"
        ) from None
    if not np.can_cast(values.dtype, self.dtype, "same_kind"):
        raise TypeError(
            f"copy_: `source` is {values.dtype}, which does not become {self.dtype}; convert it with astype"
        )
    loses = is_tensor and given._is_recorded and is_grad_enabled()
    # Refused where it is done, since vmap has its own error.
    write = partial(_refuse_to_lose, given) if loses else _write
    tracing.tracer().effect(write, self._array, values)
    return self


def _refuse_to_lose(source: Any, *_: Any) -> NoReturn:
    raise RuntimeError(
        f"copy_: `source` is {source._origin}, and a write passes no gradient to it; copy source.detach() if that is meant, "
        "or write under no_grad()"
    )


def _write(target: np.ndarray, values: np.ndarray) -> None:
    np.copyto(target, values, casting="same_kind")
    mark_written(target)


def operator(sign: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The operator, such as `+=`, that writes a leaf which requires a gradient, and makes a new Tensor of any other.

    A RuntimeError outside of no_grad; a TypeError or ValueError for a result that does not fit into the leaf.
    """

    def write(self: Any, other: Any) -> Any:
        if not self.is_leaf or not self.requires_grad or isinstance(self._node, Argument):
            return NotImplemented  # Python then computes x = x + y
        if is_grad_enabled():
            raise RuntimeError(
                f"Tensor: `{sign}=` would overwrite a leaf that requires a gradient, or rebind its name to another Tensor; "
                "write it under no_grad(), or let an optimizer of tinygrad_cnn.optim update it; for a new Tensor, write "
                f"x = x {sign} y"
            )
        result = function(self, other)
        if result.shape != self.shape:
            raise ValueError(
                f"Tensor: `{sign}=` has a result of shape {result.shape}, which does not fit into a leaf of shape "
                f"{self.shape}"
            )
        if result.dtype.kind != "f":
            raise TypeError(
                f"Tensor: `{sign}=` has a result of {result.dtype}, which cannot be written into {self.dtype}"
            )
        return self.copy_(result)

    return write


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
