"""``compile``: capture what a function does, once for every form of its arguments, and replay it as a flat program."""

from __future__ import annotations

import functools
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

import numpy as np

from . import watch
from .graph import Leaf
from .kernels.threads import BLAS_ALONE
from .program.capture import Capture, CaptureError, Place
from .program.write import Program
from .recording import is_grad_enabled
from .run import check_callable
from .tensor import Tensor, get_default_dtype
from .trees import leaves, rebuild

__all__ = ["CaptureError", "compile"]

P = ParamSpec("P")
R = TypeVar("R")

MANY = 16
"""Captures after which one begins to wonder."""


class _Ready:
    """A program for one signature, with the structure of its results and the leaves among its arguments."""

    __slots__ = ("places", "program", "results")

    def __init__(self, program: Program, results: _Results, places: list[tuple[int, Place]]) -> None:
        self.program, self.results, self.places = program, results, places

    def fits(self, given: list[Any]) -> bool:
        """Whether it is good for these arguments now."""
        for i, place in self.places:
            place.tensor = given[i]
        return self.program.holds()


class _Turns:
    """A context for one call at a time: programs write to memory of their own."""

    def __init__(self, name: str) -> None:
        self._name, self._lock = name, threading.Lock()
        self._busy: int | None = None  # the thread that is inside

    def __enter__(self) -> None:
        me = threading.get_ident()
        if self._busy == me:
            raise RuntimeError(f"compile: `{self._name}` calls itself while it runs; compile the inner part alone")
        self._lock.acquire()
        self._busy = me

    def __exit__(self, *_: object) -> None:
        self._busy = None
        self._lock.release()


class Compiled(Generic[P, R]):
    """What :func:`compile` returns: call it as the function."""

    def __init__(self, function: Callable[P, R], cache_size: int) -> None:
        self._function = function
        self._cache_size = cache_size
        self._programs: OrderedDict[Any, list[_Ready]] = OrderedDict()
        self._name = getattr(function, "__name__", type(function).__name__)
        self._alone = _Turns(self._name)
        self.captures = 0
        functools.update_wrapper(self, function)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if watch.watchers and self._watched():
            return self._function(*_wrapped(args), **_wrapped(kwargs))
        key, given = _signature(self._name, args, kwargs)
        with self._alone:
            ready = self._find(key, given, args, kwargs)
            arrays = [x._array if isinstance(x, Tensor) else x for x in given]
            if ready.program.is_small:
                values = ready.program.run(*arrays)
            else:
                with BLAS_ALONE:  # whose threads would spin beside those of the kernels
                    values = ready.program.run(*arrays)
        result: R = ready.results(values, given)
        return result

    @property
    def programs(self) -> list[Program]:
        """The programs that are kept, the one that was used last at the end."""
        return [ready.program for several in self._programs.values() for ready in several]

    def program(self, *args: P.args, **kwargs: P.kwargs) -> Program:
        """The program for these arguments, captured if need be but not run.

        Raises:
            CaptureError: as the call.
        """
        key, given = _signature(self._name, args, kwargs)
        with self._alone:
            return self._find(key, given, args, kwargs).program

    def clear(self) -> None:
        """Forget all programs, after something was exchanged that a program refers to."""
        with self._alone:
            self._programs.clear()

    def _watched(self) -> bool:
        """Whether someone in this context wants to see the ops: an outer capture, an observer, anomaly detection."""
        return watch.tracer() is not None or watch._observer.get() is not None

    def _find(self, key: Any, given: list[Any], args: Any, kwargs: Any) -> _Ready:
        several = self._programs.get(key)
        if several is not None:
            for ready in several:
                if ready.fits(given):
                    if len(self._programs) > 1:
                        self._programs.move_to_end(key)
                    return ready
        ready = self._capture(given, args, kwargs)
        ready.fits(given)
        several = self._programs.setdefault(key, [])
        several.append(ready)
        self._programs.move_to_end(key)
        if len(several) > self._cache_size:
            del several[0]
        if len(self._programs) > self._cache_size:
            self._programs.popitem(last=False)
        self.captures += 1
        if self.captures == MANY:
            warnings.warn(
                f"compile: `{self._name}` was captured {MANY} times, for ever new shapes, dtypes or Python values; pass what "
                "changes as an array, give batches one size (drop_last=True), or raise cache_size",
                RuntimeWarning,
                stacklevel=4,
            )
        return ready

    def _capture(self, given: list[Any], args: Any, kwargs: Any) -> _Ready:
        stand_ins = [_stand_in(x) for x in given]
        capture = Capture(stand_ins)
        each = iter(stand_ins)
        tree = (args, kwargs)
        filled = rebuild(tree, [next(each) if _is_array(leaf) else leaf for _, leaf in leaves(tree)])
        with capture.running():
            result = self._function(*filled[0], **filled[1])
            results = _Results(self._name, result, stand_ins, capture)
            program = Program(capture, results.values)
        referred = {id(leaf) for leaf, _ in capture.leaves.values()} | {id(guard.holder) for guard in capture.guards}
        if any(x.requires_grad and id(x) in referred for x in given if isinstance(x, Tensor)):
            raise CaptureError(
                f"compile: `{self._name}` is given a Tensor that requires a gradient and also refers to it in another way, as "
                "through an optimizer; do not pass parameters, refer to them"
            )
        places = [(i, capture.places[id(t)]) for i, t in enumerate(stand_ins) if id(t) in capture.leaves]
        del result, filled
        if capture.escaped():
            raise CaptureError(
                f"compile: `{self._name}` keeps a Tensor that it computed outside of itself (in a list, an attribute, a global "
                "variable), where later calls would not renew it; return it instead"
            )
        return _Ready(program, results, places)


class _Results:
    """How to make what the function returns out of what the program returns."""

    def __init__(self, name: str, result: Any, stand_ins: list[Tensor], capture: Capture) -> None:
        positions = {id(t._array): i for i, t in enumerate(stand_ins)}
        self.values: list[Any] = []
        found: list[Callable[[tuple[Any, ...], list[Any]], Any]] = []
        for path, leaf in leaves(result):
            data = leaf._array if isinstance(leaf, Tensor) else leaf
            if id(data) in positions:
                found.append(functools.partial(_argument, positions[id(data)]))
            elif isinstance(leaf, Tensor) and leaf.is_leaf and leaf.requires_grad:
                found.append(functools.partial(_constant, leaf))
            elif isinstance(leaf, Tensor):
                found.append(functools.partial(_value, len(self.values)))
                self.values.append(capture.of(leaf))
            elif leaf is None or isinstance(leaf, bool | int | float | str | bytes | np.generic):
                found.append(functools.partial(_constant, leaf))
            else:
                raise TypeError(
                    f"compile: `{name}` returns a {type(leaf).__name__}{f' at {path}' if path else ''}; it must return "
                    "Tensors, plain Python values, and lists, tuples and dicts of them"
                )
        self.single = found[0] if isinstance(result, Tensor) else None
        self.found, self.tree = found, rebuild(result, found)

    def __call__(self, values: tuple[Any, ...], given: list[Any]) -> Any:
        if self.single is not None:
            return self.single(values, given)
        return rebuild(self.tree, [make(values, given) for make in self.found])


def _value(i: int, values: tuple[Any, ...], given: list[Any]) -> Tensor:
    return Tensor._of(values[i])


def _argument(i: int, values: tuple[Any, ...], given: list[Any]) -> Tensor:
    return given[i] if isinstance(given[i], Tensor) else Tensor._of(given[i])


def _constant(constant: Any, values: tuple[Any, ...], given: list[Any]) -> Any:
    return constant


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, Tensor | np.ndarray)


def _wrapped(tree: Any) -> Any:
    """The arguments as the function sees them: Tensors for arrays."""
    return rebuild(tree, [Tensor._of(leaf) if isinstance(leaf, np.ndarray) else leaf for _, leaf in leaves(tree)])


def _stand_in(x: Any) -> Tensor:
    """A Tensor in the place of an argument, in its memory but with an identity of its own."""
    tensor = Tensor._of((x._array if isinstance(x, Tensor) else x).view(np.ndarray))
    if isinstance(x, Tensor) and x.requires_grad:
        tensor._grad = x._grad if x.grad is not None else None
        tensor._node = Leaf(tensor)
    return tensor


def _signature(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any]]:
    """What a program is good for, and the arrays and Tensors among the arguments, in order."""
    given: list[Any] = []
    key: list[Any] = [is_grad_enabled(), get_default_dtype()]
    for i, x in enumerate(args):
        if x.__class__ is Tensor and x._node is None:  # as _scan has it, in fewer steps
            data = x._array
            given.append(x)
            key.append((data.shape, data.dtype, data.strides, False))
        else:
            _scan(name, i, x, given, key)
    for word, x in kwargs.items():
        key.append(word)
        _scan(name, word, x, given, key)
    return tuple(key), given


def _scan(name: str, where: int | str, x: Any, given: list[Any], key: list[Any]) -> None:
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "biufc":
            raise TypeError(f"{name}: argument {where!r} holds an array of {x.dtype}; it must hold numbers or Booleans")
        given.append(x)
        key.append((x.shape, x.dtype, x.strides))
    elif isinstance(x, Tensor):
        if not x.is_leaf and is_grad_enabled():
            raise TypeError(
                f"{name}: argument {where!r} is the result of `{x._op_name}` and requires a gradient, which cannot flow out of "
                "a compiled call; detach() it, or compute it inside"
            )
        given.append(x)
        key.append((x.shape, x.dtype, x._array.strides, x.requires_grad))
    elif isinstance(x, list | tuple):
        key.append((x.__class__, len(x)))
        for part in x:
            _scan(name, where, part, given, key)
    elif isinstance(x, dict):
        key.append((x.__class__, tuple(x)))
        for part in x.values():
            _scan(name, where, part, given, key)
    else:
        try:
            hash(x)
        except TypeError:
            raise TypeError(
                f"{name}: argument {where!r} holds a {type(x).__name__}, which cannot be hashed; arguments are arrays, "
                "Tensors, lists, tuples and dicts of them, and Python values that a program may be kept for"
            ) from None
        key.append((x.__class__, x))


@overload
def compile(function: Callable[P, R], /, *, cache_size: int = 8) -> Compiled[P, R]: ...
@overload
def compile(*, cache_size: int = 8) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def compile(function: Any = None, /, *, cache_size: int = 8) -> Any:
    """A function that does what `function` does, bit for bit, but faster: without the Python, the graph and the allocation.

    The first call runs `function` once to capture it: forward and backward passes, the optimizer's step, schedules, random
    draws, running statistics. From then on the flat list of these steps is replayed, most of them into memory that was
    planned beforehand. Inside, arrays among the arguments are Tensors.

    A program is captured again for new shapes, dtypes and memory orders of the arguments, for new Python values among them,
    and when something it depended on has changed: a module's ``training``, a Tensor's ``requires_grad``, whether
    ``no_grad`` is on. Parameters, optimizer state, options such as ``lr``, and arrays from outside are referred to and not
    copied, so what is written into them is seen. Python itself is not repeated: what else `function` does besides ops (prints,
    counters, lists) happens in captures alone.

    What a call returns stays as it is and has no graph. The ``grad`` of leaves is set as `function` would set it, to memory
    that the next call writes over.

    Args:
        function: of arrays, Tensors, lists, tuples and dicts of them, and hashable Python values.
        cache_size: how many programs are kept, those used last.

    Returns:
        A callable with ``program(*args)``, whose ``describe()`` prints the steps and the plan of the memory, and ``clear()``.

    Raises:
        CaptureError: in the call, if `function` reads the value of a Tensor in Python, keeps one, or does something else that
            cannot be repeated. Parameters, gradients, optimizers and generators are then as they were before the call.
        TypeError: in the call, for an argument that cannot be hashed or a result that is not a Tensor or plain.

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
        return lambda function: compile(function, cache_size=cache_size)
    check_callable("compile", function)
    return Compiled(function, cache_size)
