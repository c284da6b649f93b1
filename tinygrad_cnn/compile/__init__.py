"""``compile``: a function is captured once as a flat program, which later calls replay in preallocated memory.

`compiled` decides how to handle a call. The signature of its `arguments` is the key of one or several programs; the first one
whose guard holds is replayed. If there is none, the function runs once as written while `trace` captures it: ops, effects and
draws become `steps` on values. `state` watches the Python code that runs; `notes` finds the state that it can read, through the
`names` in it. `memory` decides which steps are needed, and places their results in one arena. `codegen` writes the plan as a
Python function (`source`) that also builds the `results`. `program` keeps this function with its guard: a `guard` is one
condition that all reads are unchanged (`same`). Some later calls are captured again, and an `audit` compares their steps with
those of the program. If a captured run fails, `undo` restores what it changed.

All of it is imported when something is compiled for the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from ..names.keywords import explain_keywords
from ..transforms.recorded_call import check_callable

if TYPE_CHECKING:
    from .compiled import Compiled
    from .program import Program
    from .steps import CaptureError

__all__ = ["CaptureError", "Compiled", "Program", "compile"]

P = ParamSpec("P")
R = TypeVar("R")

_LATER = {"CaptureError": "steps", "Compiled": "compiled", "Program": "program"}


@overload
def compile(function: Callable[P, R], /, *, cache_size: int = 8, strict: bool = False) -> Compiled[P, R]: ...
@overload
def compile(*, cache_size: int = 8, strict: bool = False) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
@explain_keywords
def compile(function: Any = None, /, *, cache_size: int = 8, strict: bool = False) -> Any:
    """A function with the same results as `function`, bit for bit, but faster: without Python, graph and allocation overhead.

    The first call runs `function` once to capture it: forward and backward passes, the optimizer's step, schedules, random
    draws, running statistics. Later calls replay the flat list of these steps, mostly in preallocated memory. Inside, arrays
    among the arguments are Tensors.

    A call does what the plain call would do at that moment, or raises, or runs as written after a warning:

    - The function is captured again for new shapes, dtypes and memory orders of arguments, for new Python values in them,
      and when Python state that it read has changed: attributes and hooks of modules, closures and globals, elements of lists
      and dicts, the parameters of an optimizer, a Tensor's ``requires_grad``, the value of an outside Tensor that Python reads.
      Parameters, optimizer state, options such as ``lr`` and outside arrays are used by reference: replays see new values.
    - If `function` draws from ``random`` or ``np.random``, prints, reads a clock, or changes Python state, a RuntimeWarning
      says so and later calls run as written; `plain` says why.
    - Calls 2, 3, 5, 9, 17 and so on are audits: the function is captured again and compared with the program. If it differs,
      because of state that the guard does not compare, later calls run as written too. Between audits this goes unnoticed.

    Later calls do not change returned Tensors, which have no graph. The ``grad`` of leaves is set as `function` would set it.

    Args:
        function: takes arrays, Tensors, lists, tuples and dicts of them, and hashable Python values.
        cache_size: how many programs are kept; the least recently used are dropped.
        strict: raise an error where calls would run as written.

    Returns:
        A callable with ``program(*args)``, whose ``describe()`` returns the steps and the memory plan, and ``clear()``.

    Raises:
        CaptureError: in the call, if `function` reads the value of a Tensor that it computes, keeps one, or does anything else
            that cannot be replayed. Parameters, gradients, optimizers, generators and Python state are then restored.
        TypeError: in the call, for an argument that cannot be hashed, or a result that is neither a Tensor nor plain Python.

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
    >>> [round(step(np.ones(2, np.float32)).item(), 2) for _ in range(3)]
    [3.0, 2.8, 2.6]
    """
    if not isinstance(cache_size, int) or cache_size < 1:
        raise ValueError(f"compile: `cache_size` is {cache_size!r}; it must be a whole number of at least 1")
    if function is None:
        return lambda function: compile(function, cache_size=cache_size, strict=strict)
    check_callable("compile", function)
    from .compiled import Compiled

    return Compiled(function, cache_size, strict)


if not TYPE_CHECKING:  # a checker would take every name for an attribute

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return value
