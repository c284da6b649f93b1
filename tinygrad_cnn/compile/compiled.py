"""A compiled function: it runs as written, and its backward walks are repeated as programs."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from ..core.backward import repeating
from ..ops import replaced
from ..ops.data import plain
from ..tensor import Tensor
from .walks import Walks

P = ParamSpec("P")
R = TypeVar("R")

SUSPENDS = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


class Compiled(Generic[P, R]):
    """The result of :func:`compile`: call it like the function."""

    def __init__(self, function: Callable[P, R], cache_size: int) -> None:
        self._function, self._cache_size = function, cache_size
        self._ends_later = any(kind(function) for kind in SUSPENDS)
        self.clear()
        functools.update_wrapper(self, function, updated=("__dict__",) if isinstance(function, FunctionType) else ())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        return Compiled, (self._function, self._cache_size)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"a compiled function has no attribute `{name}`")
        return getattr(self._function, name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        given: _Given | None = None
        try:
            with self._repeating:
                for x in (*args, *kwargs.values()) if kwargs else args:
                    if x.__class__ is not Tensor:
                        given = _Given(not self._ends_later)
                        tensors, named = given.tensors(args), given.keywords(kwargs)
                        given.stand()
                        return self._function(*tensors, **named)
                return self._function(*args, **kwargs)
        finally:
            if given is not None:
                try:
                    given.restore()
                except BaseException:  # interrupted
                    given.restore()
                    raise

    @property
    def summary(self) -> str:
        """The number of operations in the backward passes that are prepared, in words; empty before the third call."""
        return f"{self.walks.count} operations" if self.walks.count else ""

    def describe(self) -> str:
        """The operations of each backward pass that is prepared, in order, with their outputs; and the memory that is kept."""
        return self.walks.describe()

    def clear(self) -> None:
        """Discard everything recorded."""
        self.walks = Walks(self._cache_size)
        self._repeating = repeating(self.walks.walk)


class _Given:
    """Arguments in which arrays are Tensors. Lists and dicts stay the same objects: they hold the Tensors during the call."""

    def __init__(self, fills: bool) -> None:
        self._fills = fills  # whether lists and dicts are changed
        self._seen: dict[int, Any] = {}  # lists and dicts by their id
        self._known: dict[int, tuple[Any, Any]] = {}  # by the id of a Tensor or of a tuple of them, what it stands for
        self._before = replaced.standing.get()

    def tensors(self, tree: Any) -> Any:
        """Nested lists, tuples and dicts with Tensors in place of arrays."""
        if isinstance(tree, np.ndarray) and tree.dtype.kind in "biufc":
            t = Tensor._of(replaced.apart(plain(tree, "compile")))
            self._known[id(t)] = t, tree
            return t
        if isinstance(tree, tuple):
            parts = [self.tensors(part) for part in tree]
            if all(map(operator.is_, tree, parts)):
                return tree
            made = tree._make(parts) if hasattr(tree, "_make") else tuple(parts)
            self._known[id(made)] = made, tree
            return made
        if isinstance(tree, list | dict) and self._fills and id(tree) not in self._seen:
            self._seen[id(tree)] = tree
            for key, part in _items(tree):
                if (t := self.tensors(part)) is not part:
                    tree[key] = t
        return tree

    def keywords(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Keyword arguments with Tensors in place of arrays."""
        return {name: self.tensors(value) for name, value in kwargs.items()}

    def stand(self) -> None:
        """Let it be an error, until :meth:`restore`, to assign to the Tensors."""
        tensors = [t for t, _ in self._known.values() if t.__class__ is Tensor]
        replaced.standing.set((*self._before, *tensors))

    def restore(self) -> None:
        """Put the arrays back into lists and dicts, wherever the function left their Tensors."""
        replaced.standing.set(self._before)
        for tree in self._seen.values():
            for key, part in _items(tree):
                if (known := self._known.get(id(part))) is not None:
                    tree[key] = known[1]


def _items(tree: Any) -> list[tuple[Any, Any]]:
    return list(tree.items() if isinstance(tree, dict) else enumerate(tree))
