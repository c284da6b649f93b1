"""A compiled function: it runs as written, while its course answers the ops that it calls."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from copy import copy
from threading import Lock
from time import perf_counter
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from ..core import tracing
from ..ops import replaced
from ..ops.replaced import COUNTS as COUNTS
from ..tensor import Tensor
from .blocks import settled
from .course import Course
from .trial import Trial

P = ParamSpec("P")
R = TypeVar("R")


class Compiled(Generic[P, R]):
    """The result of :func:`compile`: call it like the function."""

    def __init__(self, function: Callable[P, R], cache_size: int) -> None:
        self._function, self._cache_size = function, cache_size
        self._alone = Lock()
        self._begin()
        functools.update_wrapper(self, function, updated=("__dict__",) if isinstance(function, FunctionType) else ())

    def _begin(self) -> None:
        """Know nothing of the function."""
        self.course = Course(self._cache_size)
        self._trial: Trial | None = Trial()  # until its verdict
        self._is_plain = not COUNTS  # whether all calls are plain

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        return Compiled, (self._function, self._cache_size)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"a compiled function has no attribute `{name}`")
        return getattr(self._function, name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        wrapping: _Wrapping | None = None
        given: Any = args, kwargs
        for x in (*args, *kwargs.values()) if kwargs else args:
            if x.__class__ is not Tensor:
                wrapping = _Wrapping()
                given = wrapping.of(args), wrapping.of(kwargs)
                break
        course = self.course
        # One call at a time uses the course: a nested call, one of another thread, or one under another tracer is plain. So is
        # one while Tensors are out of date: the code of steps does not look at its operands.
        follows = not (
            self._is_plain
            or course.assigns
            or tracing.tracer() is not tracing.NO_TRACER
            or (replaced.left and not settled())
            or not self._alone.acquire(False)
        )
        try:
            if follows and self._trial is not None:
                return self._tried(self._trial, *given)
            if follows:
                course.begin()
            return self._function(*given[0], **given[1])
        finally:
            if follows:
                course.end()
                self._alone.release()
            if wrapping is not None:
                wrapping.write_back()

    def _tried(self, trial: Trial, args: Any, kwargs: Any) -> R:
        course, began = self.course, perf_counter()
        if trial.follows():
            course.begin()
        result = self._function(*args, **kwargs)
        course.end()
        trial.took(perf_counter() - began, course)
        if trial.pays is not None:
            self._trial, self._is_plain = None, not trial.pays
            if self._is_plain:
                self.course = Course(self._cache_size)
        return result

    @property
    def summary(self) -> str:
        """The number of recorded ops, in words; empty before the first call."""
        return self.course.summary

    def describe(self) -> str:
        """The recorded ops in order, branches indented, each with its output and how it runs; and the memory that is kept. Or
        that calls are plain, because they were no slower."""
        if self._trial is None and self._is_plain:
            return "calls are plain: they took no longer than those with recorded operations"
        return self.course.describe()

    def clear(self) -> None:
        """Discard everything recorded."""
        with self._alone:
            self._begin()


class _Wrapping:
    """Arguments with arrays wrapped as Tensors. What holds no array stays the same object."""

    def __init__(self) -> None:
        self._copies: list[tuple[Any, Any, list[Any], list[Any]]] = []  # of lists and dicts, with the values of both

    def of(self, tree: Any) -> Any:
        """An argument, or nested lists, tuples and dicts of them."""
        if isinstance(tree, np.ndarray) and tree.dtype.kind in "biufc":
            return Tensor._of(replaced.apart(tree if tree.__class__ is np.ndarray else np.asarray(tree)))
        if not isinstance(tree, list | tuple | dict) or not tree:
            return tree
        before = list(tree.values() if isinstance(tree, dict) else tree)
        after = [self.of(branch) for branch in before]
        if all(map(operator.is_, before, after)):
            return tree
        if isinstance(tree, tuple):
            return tree._make(after) if hasattr(tree, "_make") else tuple(after)
        new: Any = copy(tree)  # of the same class
        if isinstance(new, dict):
            new.update(zip(tree, after, strict=True))
        else:
            new[:] = after
        self._copies.append((tree, new, before, after))
        return new

    def write_back(self) -> None:
        """Make the changes that the function made to lists and dicts."""
        for old, new, before, after in self._copies:
            now = list(new.values() if isinstance(new, dict) else new)
            same_keys = not isinstance(new, dict) or list(new) == list(old)
            if same_keys and len(now) == len(after) and all(map(operator.is_, now, after)):
                continue
            known = {id(value): original for original, value in zip(before, after, strict=True)}
            now = [known.get(id(value), value) for value in now]
            if isinstance(old, dict):
                keys = list(new)
                old.clear()
                old.update(zip(keys, now, strict=True))
            else:
                old[:] = now
