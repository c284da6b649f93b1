"""``compile``: the function runs as written in every call, and the work below its Python is done with what earlier calls
prepared.

`compiled` makes a call: it activates the `course` of the function, a tracer that the ops ask for their results. A course
knows the ops that earlier calls called, in order. An op call that is the expected one runs a prepared task (`tasks`) in
memory of its own (`blocks`); any other call is made plainly, and recorded as a branch. `rules` records the ops of a
backward walk, and `program` runs them as one flat list, in memory that `memory` plans. `trial` tells whether that saves time.

All of it is imported when something is compiled for the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from ..ops.real import check_callable

if TYPE_CHECKING:
    from .compiled import Compiled

__all__ = ["Compiled", "compile"]

P = ParamSpec("P")
R = TypeVar("R")

_LATER = {"Compiled": "compiled"}


@overload
def compile(function: Callable[P, R], /, *, cache_size: int = 8) -> Compiled[P, R]: ...
@overload
def compile(*, cache_size: int = 8) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def compile(function: Any = None, /, *, cache_size: int = 8) -> Any:
    """The same function, faster: its Python runs in every call, and what the ops do below it is prepared once.

    The third call records the ops that `function` calls. In later calls, an op whose inputs come from the same places with
    the same shapes, dtypes and memory orders runs a task that is prepared, in memory that is kept. A backward pass through
    such ops runs as one flat list. Results, gradients and side effects are those of the plain call, bit for bit. An op call
    that differs from the record runs plainly, with all that follow, and is recorded as a branch. If a few timed calls show
    that this saves nothing, later calls are plain.

    Inside, arrays among the arguments are Tensors. Memory that the caller still holds, through a Tensor, a view, an array
    or a graph, is never overwritten.

    Args:
        function: any function; it may return anything.
        cache_size: how many branches are recorded; calls that take another one run plainly from where they differ.

    Returns:
        A callable with ``describe()``, which returns the recorded ops and the memory, and ``clear()``.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> w = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = tg.optim.SGD([w], lr=0.1)
    >>> @tg.compile
    ... def step(x):
    ...     optimizer.zero_grad()
    ...     loss = (w * x).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [f"{step(np.ones(2, np.float32)).item():.1f}" for _ in range(3)]
    ['3.0', '2.8', '2.6']
    """
    if not isinstance(cache_size, int) or cache_size < 1:
        raise ValueError(f"compile: `cache_size` is {cache_size!r}; it must be a whole number of at least 1")
    if function is None:
        return lambda function: compile(function, cache_size=cache_size)
    check_callable("compile", function)
    from .compiled import Compiled

    return Compiled(function, cache_size)


if not TYPE_CHECKING:  # a checker would take every name for an attribute

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return value
