"""Kernels of ops whose definitions still have a keyword `out`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..core.graph import accelerate


def bind(function: Any, along: Sequence[str] = (), in_place: bool = False) -> Callable[[Any], Any]:
    """Register, as a decorator, a binder: a function of the inputs, `out` and the parameters that returns a task or None."""

    def register(binder: Any) -> Any:
        raw = function.op.raw

        def prepare(out: Any, *inputs: Any, **params: Any) -> Any:
            if out is None:
                return None
            return binder(*inputs, out=out, **params) or partial(raw, *inputs, **params, out=out)

        def sharing(out: Any, *inputs: Any, shared: Any = None, **params: Any) -> Any:
            if out is None:
                return None
            shared = {} if shared is None else shared
            return binder(*inputs, out=out, shared=shared, **params) or partial(raw, *inputs, **params, out=out)

        shares = "shared" in inspect.signature(binder).parameters
        accelerate(function, sharing if shares else prepare, along=along, in_place=in_place)
        return binder

    return register
