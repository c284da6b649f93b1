"""``compile``: the function runs as written in every call, and its backward passes run as programs.

`compiled` makes a call: it sets who is asked for the gradients of a walk. `walks` knows the structures of earlier graphs
(`graphs`). `rules` records the ops of a backward walk, and `program` runs them as one flat list of tasks (`tasks`), in memory
that `memory` plans.

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
    """The same function, with faster backward passes: its Python runs in every call, and what a walk does is prepared once.

    The second backward pass through graphs of one structure (the same ops, parameters, edges, shapes, dtypes and memory orders)
    is recorded, and runs as one flat list from the third on, in memory that is kept. Results, gradients and side effects are
    those of the plain call, bit for bit. A pass through another graph is plain, and known when it comes again.

    Inside, arrays among the arguments are Tensors. What the function, its caller or the rules of their ops are given is theirs:
    its memory is not used again.

    Args:
        function: any function; it may return anything.
        cache_size: how many backward passes are kept; those through other graphs are plain.

    Returns:
        A callable with ``describe()``, which returns the prepared operations and the memory, and ``clear()``.

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
