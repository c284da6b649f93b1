"""``compile``: the function runs as written in every call, and its backward passes run as programs.

`compiled` makes a call, in which a backward walk asks `walks` for its gradients. `walks` compares the graph with the structures
of earlier ones (`graphs`), and parameters with earlier ones (`params`). `rules` records the ops of a walk, of which `parts`
adds the gradients of parts in place. `program` runs them as one flat list of tasks (`tasks`), in memory that `memory` plans.
`frozen` prepares the layers of a model in evaluation; `layers` knows whether they are as they were, and `folding` folds norms.

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
def compile(function: Callable[P, R], /, *, cache_size: int = 8, freeze: bool = False) -> Compiled[P, R]: ...
@overload
def compile(*, cache_size: int = 8, freeze: bool = False) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def compile(function: Any = None, /, *, cache_size: int = 8, freeze: bool = False) -> Any:
    """The same function, with faster backward passes: its Python runs in every call, and what a walk does is prepared once.

    The second backward pass through graphs of one structure (the same ops, parameters, edges, shapes, dtypes and memory orders)
    is recorded, and runs as one flat list from the third on, in memory that is kept. Results, gradients and side effects are
    those of the plain call, bit for bit. A pass through another graph is plain, and known when it comes again.

    Inside, arrays among the arguments are Tensors. What the function, its caller or the rules of their ops are given is theirs:
    its memory is not used again.

    With `freeze`, the function is a model in evaluation, and its calls record no gradients. Its Python runs in every call, too,
    but layers of this library that follow each other in a Sequential are prepared at the second call with inputs of a shape,
    and run as one flat list from then on. There a batch norm is folded into the convolution or linear layer before it. So are
    convolutions, linear layers and norms that ``forward`` calls itself, each alone. The weights may change: whenever they, a
    buffer or an attribute of these layers did, they are prepared anew. Writes by NumPy into memory that a buffer shares with an
    array are not seen until ``clear()``. Outputs differ from those of the model by the roundings of folded weights, a few units
    in the last place of sum |w x| |scale| + |mean scale| + |shift|. Layers with hooks, computed weights or in training mode run
    as written.

    Args:
        function: any function; it may return anything. With `freeze`, an ``nn.Module`` after ``eval()``.
        cache_size: how many backward passes are kept; those through other graphs are plain. With `freeze`, how many forms of
            inputs of each run of layers.
        freeze: whether a model is prepared for inference.

    Returns:
        A callable with ``describe()``, which returns the prepared operations and the memory, and ``clear()``.

    Raises:
        TypeError: if `function` is not callable, or not a Module where `freeze` asks for one.
        ValueError: if `cache_size` is less than 1, or a model to freeze is in training mode.
        RuntimeError: from the call of a frozen model that is in training mode, or of which an input requires a gradient that
            would be recorded.

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
    >>> model = tg.nn.Sequential(tg.nn.Conv2d(1, 8, 3), tg.nn.BatchNorm2d(8), tg.nn.ReLU()).eval()
    >>> predict = tg.compile(model, freeze=True)
    >>> predict(tg.zeros(5, 1, 28, 28)).shape
    (5, 8, 26, 26)
    """
    if not isinstance(cache_size, int) or cache_size < 1:
        raise ValueError(f"compile: `cache_size` is {cache_size!r}; it must be a whole number of at least 1")
    if not isinstance(freeze, bool):
        raise TypeError(f"compile: `freeze` is {freeze!r:.60}; it must be True or False")
    if function is None:
        return lambda function: compile(function, cache_size=cache_size, freeze=freeze)
    check_callable("compile", function)
    if freeze:
        from .frozen import frozen

        return frozen(function, cache_size)
    from .compiled import Compiled

    return Compiled(function, cache_size)


if not TYPE_CHECKING:  # a checker would take every name for an attribute

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return value
