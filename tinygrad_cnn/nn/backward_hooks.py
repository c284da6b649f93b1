"""Backward hooks of modules: identity ops around a call, whose rules call the hooks with the gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..core.grad_mode import is_grad_enabled, no_grad
from ..core.graph import Array, Op
from ..ops.shape import concatenate
from ..tensor import Tensor
from ..transforms.hooks import replaced

Gradients: TypeAlias = tuple[Tensor | None, ...]
HOOK, PRE_HOOK = "register_full_backward_hook", "register_full_backward_pre_hook"


class Watch:
    """One call of a module with backward hooks.

    Args:
        module: the module.
        hooks: functions of (module, grad_input, grad_output), called when the gradients of the arguments are complete.
        pre_hooks: functions of (module, grad_output), called when those of the outputs are.
    """

    def __init__(
        self, module: Any, hooks: Sequence[Callable[..., Any]], pre_hooks: Sequence[Callable[..., Any]]
    ) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.recorded: list[bool] = []
        self.grad_output: Gradients = ()

    def around_arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, behind an identity that notices their gradients."""
        self.recorded = [_is_recorded(argument) for argument in args]
        return _noticed(args, self._at_arguments) if self.hooks else args

    def around_output(self, output: Any) -> Any:
        """The output, behind an identity that notices its gradient."""
        if isinstance(output, Tensor):
            return _noticed((output,), self._at_output)[0]
        if not isinstance(output, tuple):
            raise TypeError(
                f"{HOOK}: {type(self.module).__name__} returned a {type(output).__name__}; with a backward hook, it must "
                "return a Tensor or a tuple"
            )
        return _noticed(output, self._at_output)

    def _at_output(self, gradients: Gradients) -> Gradients:
        for hook in self.pre_hooks:
            gradients = _gradients_after(PRE_HOOK, hook(self.module, gradients), gradients)
        self.grad_output = gradients
        if self.hooks and not any(self.recorded):
            self._at_arguments((None,) * len(self.recorded))
        return gradients

    def _at_arguments(self, gradients: Gradients) -> Gradients:
        grad_output, self.grad_output = self.grad_output, ()
        for hook in self.hooks:
            gradients = _gradients_after(HOOK, hook(self.module, gradients, grad_output), gradients)
        return gradients


def _noticed(values: tuple[Any, ...], notice: Callable[[Gradients], Gradients]) -> tuple[Any, ...]:
    """The values, and `notice` called with a gradient for each; None for one that is not recorded.

    Several recorded values go through the identity as one row, so that their gradients are complete at the same time.
    """
    given = [value for value in values if _is_recorded(value)]
    if not given or not is_grad_enabled():
        return values
    recorded, forms = [_is_recorded(value) for value in values], [(t.shape, t.dtype) for t in given]

    def passed(g: Tensor) -> Tensor:
        parts = iter(_split(g, forms))
        new = notice(tuple(next(parts) if is_recorded else None for is_recorded in recorded))
        return _joined([t for t in new if t is not None])

    parts = iter(_split(_identity.function(_joined(given), notice=passed), forms))
    return tuple(next(parts) if is_recorded else value for is_recorded, value in zip(recorded, values, strict=True))


def _joined(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else concatenate(tensors, axis=None)


def _split(row: Tensor, forms: list[tuple[tuple[int, ...], np.dtype[Any]]]) -> list[Tensor]:
    """The Tensors of these shapes and dtypes of which a row was joined."""
    if len(forms) == 1:
        return [row]
    ends = np.cumsum([math.prod(shape) for shape, _ in forms]).tolist()
    starts = [0, *ends]
    return [
        row[start:end].reshape(shape).astype(dtype)
        for start, end, (shape, dtype) in zip(starts, ends, forms, strict=False)
    ]


def _same(a: Array, *, notice: Callable[[Tensor], Tensor]) -> Array:
    """y = a.   a' = notice(g)."""
    return a.view()


def _pulled(g: Array, notice: Callable[[Tensor], Tensor]) -> Array:
    if isinstance(g, Tensor):
        return notice(g)
    with no_grad():
        return notice(Tensor._of(np.asarray(g)))._array


_identity = Op(_same)
_identity.vjp(a=_pulled)
_identity.jvp(a=lambda t: t)


def _is_recorded(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _gradients_after(name: str, result: Any, gradients: Gradients) -> Gradients:
    """The gradients after a hook that returned `result`."""
    if result is None:
        return gradients
    new = result if isinstance(result, tuple | list) else (result,)
    if len(new) != len(gradients):
        raise ValueError(f"{name}: the hook returned {len(new)} gradients; it must return {len(gradients)}, or None")
    return tuple(_replacement(name, n, g) for n, g in zip(new, gradients, strict=True))


def _replacement(name: str, new: Any, given: Tensor | None) -> Tensor | None:
    if given is None:
        if new is not None:
            raise ValueError(f"{name}: the hook returned a gradient for a value that has none; it must be None there")
        return None
    tensor: Tensor = replaced(name, new, given)
    return tensor
