"""A frozen model: layers, and runs of them in a Sequential, are prepared while their weights keep their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from ..core import grad_mode, tracing
from ..core.acceleration import accelerations
from ..core.tracing import NO_TRACER
from ..kernels.parallel.workspace import LARGE, Pool
from ..nn import containers
from ..nn.joined import joined, sequence
from ..nn.module import Module, answering
from ..nn.normalization import batch_norm_function
from ..ops import replaced
from ..ops.normalization import batch_norm
from ..scope import both
from ..tensor import Tensor
from .compiled import Compiled
from .folding import folded, transposed
from .layers import LAYERS, LEAVES, State, is_known
from .program import Program, in_bytes
from .rules import Rules, Walk

P = ParamSpec("P")
R = TypeVar("R")

OUTPUT = ("output",)
"""The place of the one result of a program."""


COPIED_BYTES = 1 << 19
"""Up to this size, copying an input to where the first layer reads it is cheaper than to prepare that layer anew."""


class Frozen(Compiled[P, R]):
    """The result of ``compile(model, freeze=True)``: call it like the model."""

    def clear(self) -> None:
        super().clear()
        self._prepared = Preparations(self._cache_size)
        seams = both(sequence(self._prepared.calls), answering(self._prepared.answer))
        self._block = both(grad_mode._switch(False), seams)

    def __reduce__(self) -> Any:
        return Frozen, (self._function, self._cache_size)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._function.training:  # type: ignore[attr-defined]
            raise RuntimeError(
                f"{self._name}: the model is in training mode; call its eval() first, or the model itself"
            )
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
        raise TypeError(f"compile: `function` is a {type(model).__name__}; with freeze=True it must be an nn.Module")
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


class Known:
    """What is known of inputs of one form: what the layers did, and the program of that."""

    def __init__(self) -> None:
        self.walk: Walk | None = None
        self.program: Program | None = None


class Memory:
    """What all programs of a frozen model share. One runs at a time: a call in between, or in another thread at the same time,
    calls the layers."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kernels = accelerations()
        self.pool = Pool()
        self.turn: dict[str, object] = {}  # the run that uses the pool
        self.known: WeakSet[Known] = WeakSet()

    def program(self, known: Known, array: np.ndarray) -> Program:
        """The program for inputs like `array`. If it needs more memory than there was, others are prepared anew with that."""
        assert known.walk is not None
        known.program = program = Program(known.walk, self.pool, [array], copied=COPIED_BYTES, packs=True)
        if self.pool.outgrown >= LARGE:
            self.pool.outgrown = 0
            for other in self.known:
                if other is not known:
                    other.program = None
        return program


class Preparations:
    """What a frozen model has prepared, for each Sequential and each layer that its forward calls."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._clear()

    def _clear(self) -> None:
        self._memory = Memory(self._most)
        self._courses: WeakKeyDictionary[Module, Course] = WeakKeyDictionary()
        self._leaves: WeakKeyDictionary[Module, Leaf] = WeakKeyDictionary()

    def calls(self, modules: containers.Sequential) -> Iterable[Callable[[Any], Any]]:
        """The calls that a Sequential makes."""
        if grad_mode.is_grad_enabled():  # in a model that asks for gradients itself
            return joined(modules)
        self._check_kernels()
        course = self._courses.get(modules)
        if course is None or not course.holds(modules):
            course = self._courses[modules] = Course(modules, self._memory)
        return course.calls

    def answer(self, module: Module, x: Any) -> Any:
        """The output of a layer that is called alone, in a ``forward``; NotImplemented if it is called as it is."""
        if (
            type(module) not in LEAVES
            or x.__class__ is not Tensor
            or x._array.nbytes > COPIED_BYTES
            or self._memory.turn  # the call is one of a run of layers, or in between
            or grad_mode.is_grad_enabled()
            or not _is_undisturbed()
        ):
            return NotImplemented
        self._check_kernels()
        leaf = self._leaves.get(module)
        if leaf is None or not leaf.holds([module]):
            leaf = self._leaves[module] = Leaf(module, self._memory)
        return leaf.answer(module, x)

    def _check_kernels(self) -> None:
        """Forget the tasks of other kernels."""
        if self._memory.kernels != accelerations():
            self._clear()

    @property
    def programs(self) -> list[Program]:
        """Those that are prepared."""
        folds: list[Present] = [run.now for course in [*self._courses.values()] for run in course.runs]
        return [
            known.program
            for each in [*folds, *self._leaves.values()]
            for known in [*each.known.values()]
            if known.program is not None
        ]

    def describe(self) -> str:
        """See `Frozen.describe`."""
        lines = []
        for program in self.programs:
            lines += [f"layers: {len(program.lines)} calls", *program.lines]
        nbytes = self._memory.pool.nbytes + sum([program.nbytes for program in self.programs])
        return "\n".join([*lines, f"{self.count} operations; memory kept: {in_bytes(nbytes)}"])

    @property
    def count(self) -> int:
        """The number of operations that are prepared."""
        return sum([len(program.lines) for program in self.programs])


class Course:
    """The calls of a Sequential: runs of two or more layers that are prepared, and the other modules."""

    def __init__(self, modules: containers.Sequential, memory: Memory) -> None:
        self._inner: list[Module] = []  # the Sequentials whose modules are called one by one
        self._others: list[tuple[Module, bool]] = []  # modules that are not prepared
        self.runs: list[Run] = []
        self.calls: list[Callable[[Any], Any]] = []
        alike = groupby(_flat(modules, self._inner), lambda module: type(module) in LAYERS and is_known(module))
        for is_layer, group in alike:
            layers = [*group]
            if is_layer and len(layers) > 1:
                self.runs.append(Run(layers, memory))
                self.calls.append(self.runs[-1])
            else:
                self.calls += layers
                self._others += [(module, is_layer) for module in layers]
        self._structure = State([modules, *self._inner])

    def holds(self, modules: containers.Sequential) -> bool:
        """Whether the Sequential has the modules that it had, and the same of them are known."""
        return (
            self._structure.holds([modules, *self._inner])
            and not any(run.now.is_broken for run in self.runs)
            and all((type(module) in LAYERS and is_known(module)) is known for module, known in self._others)
        )


def _flat(modules: containers.Sequential, inner: list[Module]) -> Iterator[Module]:
    """The modules, with those of a plain Sequential in its place; the latter are listed in `inner`."""
    for module in modules:
        if type(module) is containers.Sequential and is_known(module) and module not in inner:
            inner.append(module)
            yield from _flat(module, inner)
        else:
            yield module


class Present:
    """What is prepared for the present values of some layers. It is replaced as a whole: a call in between, as in a signal
    handler, finds what was before, which does not hold."""

    def __init__(self, layers: Sequence[Module], memory: Memory) -> None:
        self._memory = memory
        self.known: dict[Any, Known] = {}  # by shape, dtype and strides
        self.holds = State(layers).holds  # made before the values are read
        self.is_broken = not all(map(is_known, layers))

    def output(self, each: Callable[[Any], Any], x: Any) -> Any:
        """The output for x, which `each` computes plainly."""
        turn = self._memory.turn
        if x.__class__ is not Tensor or x.dtype.kind != "f" or turn or not _is_undisturbed():
            return each(x)
        mine = object()
        try:
            if turn.setdefault("run", mine) is not mine:
                return each(x)
            return self._output(each, x)
        finally:
            if turn.get("run") is mine:
                del turn["run"]

    def _output(self, each: Callable[[Any], Any], x: Tensor) -> Any:
        array = x._array
        key = array.shape, array.dtype, array.strides
        known = self.known.get(key)
        if known is None:
            while len(self.known) >= self._memory.most:
                del self.known[next(iter(self.known))]
            known = self.known[key] = Known()
            self._memory.known.add(known)
            return _recorded(known, each, x)
        if known.walk is None:
            return each(x)
        program = known.program or self._memory.program(known, array)
        return Tensor._of(program.run(OUTPUT, [array], (), None)[OUTPUT[0]])


class Fold(Present):
    """Layers that are called one after the other."""

    def __init__(self, layers: Sequence[Module], memory: Memory) -> None:
        super().__init__(layers, memory)
        self._calls = [*layers] if self.is_broken else folded(layers)

    def __call__(self, x: Any) -> Any:
        return self._each(x) if self.is_broken else self.output(self._each, x)

    def _each(self, x: Any) -> Any:
        """Call the folded layers."""
        for call in self._calls:
            x = call(x)
        return x


class Run:
    """A call of layers, one after the other, by what is prepared for their present values."""

    def __init__(self, layers: Sequence[Module], memory: Memory) -> None:
        self._layers, self._memory = layers, memory
        self.now = Fold(layers, memory)

    def __call__(self, x: Any) -> Any:
        tracer = tracing.tracer()
        # Who looks at the ops, or answers them, as vmap does, sees those of the model. A record of other ops does neither: this
        # is a call in between, as in a signal handler.
        if tracer is not NO_TRACER and tracer.__class__ is not Rules:
            for call in joined(self._layers):
                x = call(x)
            return x
        now = self.now
        if not now.holds(self._layers):
            now = self.now = Fold(self._layers, self._memory)
        return now(x)


class Leaf(Present):
    """A layer that a ``forward`` calls. It does not keep the layer alive."""

    def __init__(self, layer: Module, memory: Memory) -> None:
        super().__init__([layer], memory)
        self._transposed = None if self.is_broken else transposed(layer)

    def answer(self, layer: Module, x: Any) -> Any:
        """The output; NotImplemented unless the layer is as the library defines it."""
        if self.is_broken:
            return NotImplemented
        fits = self._transposed is not None and self._transposed.takes(x)
        return self.output(self._transposed if fits else layer.forward, x)  # type: ignore[arg-type]


def _is_undisturbed() -> bool:
    """Whether nobody looks at the ops or computes in their place."""
    return tracing.tracer() is NO_TRACER and not replaced.left and batch_norm_function.get() is batch_norm


def _recorded(known: Known, each: Callable[[Any], Any], x: Tensor) -> Any:
    """The output that layers compute plainly. What they do is recorded, if it depends on no value."""
    rules = Rules(None, OUTPUT, [x._array])
    given = rules.argument(x._array)
    with tracing.trace(rules):
        y = each(given)
    if y.__class__ is Tensor and not rules.suspects:
        known.walk = rules.recorded({OUTPUT[0]: y})
    return x if y is given else y
