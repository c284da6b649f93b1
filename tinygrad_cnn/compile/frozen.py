"""A frozen model: runs of layers in its Sequentials are prepared, with batch norms folded, while their weights keep their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from ..core import grad_mode, tracing
from ..core.acceleration import accelerations
from ..core.tracing import NO_TRACER
from ..kernels.parallel.workspace import LARGE, Pool
from ..nn import containers
from ..nn.joined import joined, sequence
from ..nn.module import Module
from ..nn.normalization import batch_norm_function
from ..ops import replaced
from ..ops.normalization import batch_norm
from ..scope import both
from ..tensor import Tensor
from .compiled import Compiled
from .folding import folded
from .layers import State, is_known
from .program import Program, in_bytes
from .rules import Rules, Walk

P = ParamSpec("P")
R = TypeVar("R")

OUTPUT = ("output",)
"""The place of the one result of a program."""


class Frozen(Compiled[P, R]):
    """The result of ``compile(model, freeze=True)``: call it like the model."""

    def clear(self) -> None:
        super().clear()
        self._prepared = Preparations(self._cache_size)
        self._block = both(grad_mode._switch(False), sequence(self._prepared.calls))

    def __reduce__(self) -> Any:
        return Frozen, (self._function, self._cache_size)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._function.training:  # type: ignore[attr-defined]
            raise RuntimeError(f"{self._name}: the model is in training mode; call its eval() first, or the model itself")
        if grad_mode.is_grad_enabled() and any(x.requires_grad for x in _tensors((args, kwargs))):
            raise RuntimeError(
                f"{self._name}: an input requires a gradient, and a frozen model records none; call the model itself, or "
                "detach() the input"
            )
        with self._block:
            return super().__call__(*args, **kwargs)

    @property
    def _name(self) -> str:
        return f"frozen {type(self._function).__name__}"

    @property
    def summary(self) -> str:
        """The number of operations that are prepared, in words; empty before the second call."""
        return f"{self._prepared.count} operations" if self._prepared.count else ""

    def describe(self) -> str:
        """The operations of each run of layers that is prepared, in order, with their outputs; and the memory that is kept."""
        return self._prepared.describe()


def frozen(model: Any, cache_size: int) -> Frozen[..., Any]:
    """See :func:`compile`."""
    if not isinstance(model, Module):
        raise TypeError(
            f"compile: `function` is a {type(model).__name__}; with freeze=True it must be an nn.Module, since what is prepared "
            "are its layers"
        )
    if model.training:
        raise ValueError(
            f"compile: the {type(model).__name__} is in training mode, and freeze=True is for evaluation; call its eval() first"
        )
    return Frozen(model, cache_size)


def _tensors(tree: Any) -> Iterator[Tensor]:
    """The Tensors in nested tuples, lists and dicts."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple | list | dict):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(part)


class Preparations:
    """What a frozen model has prepared. One program runs at a time: a call in between, or in another thread at the same time,
    calls the folded layers."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.pool, self._kernels = Pool(), accelerations()
        self.turn: dict[str, object] = {}  # the run that uses the pool
        self._courses: WeakKeyDictionary[Module, Course] = WeakKeyDictionary()

    def calls(self, modules: containers.Sequential) -> Iterable[Callable[[Any], Any]]:
        """The calls of a Sequential."""
        if grad_mode.is_grad_enabled():  # in a model that asks for gradients itself
            return joined(modules)
        if self._kernels != accelerations():  # the prepared tasks are of other kernels
            self.pool, self._kernels, self._courses = Pool(), accelerations(), WeakKeyDictionary()
        course = self._courses.get(modules)
        if course is None or not course.holds():
            course = self._courses[modules] = Course(modules, self)
        return course.calls

    @property
    def _known(self) -> list[Known]:
        courses = [*self._courses.values()]
        return [known for course in courses for run in course.runs for known in [*run.known.values()]]

    @property
    def programs(self) -> list[Program]:
        """Those that are prepared."""
        return [known.program for known in self._known if known.program is not None]

    def share(self, newest: Known) -> None:
        """If much memory of the pool was replaced, prepare the other programs anew: they keep what they had."""
        if self.pool.outgrown >= LARGE:
            self.pool.outgrown = 0
            for known in self._known:
                if known is not newest:
                    known.program = None

    def describe(self) -> str:
        """See `Frozen.describe`."""
        lines = []
        for program in self.programs:
            lines += [f"layers: {len(program.lines)} calls", *program.lines]
        nbytes = self.pool.nbytes + sum([program.nbytes for program in self.programs])
        return "\n".join([*lines, f"{self.count} operations; memory kept: {in_bytes(nbytes)}"])

    @property
    def count(self) -> int:
        """The number of operations that are prepared."""
        return sum([len(program.lines) for program in self.programs])


class Course:
    """The calls of a Sequential: runs of two or more layers that are prepared, and the other modules."""

    def __init__(self, modules: containers.Sequential, owner: Preparations) -> None:
        inner: list[Module] = []  # the Sequentials whose modules are called one by one
        calls: list[Any] = []
        run: list[Module] = []
        self.runs: list[Run] = []

        def close() -> None:
            if len(run) > 1:
                self.runs.append(Run([*run], owner))
                calls.append(self.runs[-1])
            else:
                calls.extend(run)
            run.clear()

        others: list[Module] = []
        for module in _flat(modules, inner):
            if is_known(module) and not isinstance(module, containers.Sequential):
                run.append(module)
            else:
                close()
                calls.append(module)
                others.append(module)
        close()
        self.calls = calls
        self._others = [(module, is_known(module)) for module in others]
        self._structure = State([modules, *inner])

    def holds(self) -> bool:
        """Whether the Sequential has the modules that it had, of which the same are known."""
        return (
            self._structure.holds()
            and not any(run.is_broken for run in self.runs)
            and all(is_known(module) is known for module, known in self._others)
        )


def _flat(modules: containers.Sequential, inner: list[Module]) -> Iterator[Module]:
    """The modules, with those of a plain Sequential in its place; the latter are listed in `inner`."""
    for module in modules:
        if type(module) is containers.Sequential and is_known(module) and module not in inner:
            inner.append(module)
            yield from _flat(module, inner)
        else:
            yield module


class Known:
    """What is known of inputs of one form: what the layers did, and the program of that."""

    def __init__(self) -> None:
        self.walk: Walk | None = None
        self.program: Program | None = None


class Run:
    """Layers that are called one after the other, with what is prepared for their present values."""

    def __init__(self, layers: Sequence[Module], owner: Preparations) -> None:
        self._layers, self._owner = layers, owner
        self._renew()

    def _renew(self) -> None:
        self.known: dict[Any, Known] = {}
        self._state = State(self._layers)  # before the values are read
        self.is_broken = not all(map(is_known, self._layers))
        self._calls = [*self._layers] if self.is_broken else folded(self._layers)

    def _each(self, x: Any) -> Any:
        for call in self._calls:
            x = call(x)
        return x

    def __call__(self, x: Any) -> Any:
        if not self._state.holds():
            self._renew()
        if (
            self.is_broken
            or x.__class__ is not Tensor
            or x.dtype.kind != "f"
            or tracing.tracer() is not NO_TRACER
            or replaced.left
            or batch_norm_function.get() is not batch_norm
        ):
            return self._each(x)
        mine, turn = object(), self._owner.turn
        try:
            if turn.setdefault("run", mine) is not mine:
                return self._each(x)
            return self._run(x)
        finally:
            if turn.get("run") is mine:
                del turn["run"]

    def _run(self, x: Tensor) -> Any:
        array = x._array
        key = array.shape, array.dtype, array.strides
        known = self.known.get(key)
        if known is None:
            while len(self.known) >= self._owner.most:
                self.known.pop(next(iter(self.known)))
            known = self.known[key] = Known()
            return self._recorded(known, x)
        if known.walk is None:
            return self._each(x)
        if known.program is None:
            known.program = Program(known.walk, self._owner.pool, [array])
            self._owner.share(known)
        return Tensor._of(known.program.run(OUTPUT, [array], (), None)[OUTPUT[0]])

    def _recorded(self, known: Known, x: Tensor) -> Any:
        """Call the layers, and record what they do, if it depends on no value."""
        rules = Rules(None, OUTPUT, [x._array])
        given = rules.argument(x._array)
        with tracing.trace(rules):
            y = self._each(given)
        if y.__class__ is Tensor and not rules.suspects:
            known.walk = rules.recorded({OUTPUT[0]: y})
        return x if y is given else y
