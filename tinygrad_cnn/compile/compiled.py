"""``compile``: capture a function once for every signature of its arguments, and replay it as a flat program."""

from __future__ import annotations

import functools
import os
import threading
import warnings
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

from ..core import tracing
from ..core.frames import caller
from ..tensor import Tensor
from .arguments import Differentiated, StandIns, Written, array_of, signature, wrapped
from .audit import Record
from .program import Program, Ready
from .results import Results
from .steps import CaptureError
from .trace import Capture

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

MANY = 16
"""After this many captures, a warning says how to reduce them."""

OFTEN = 8
"""After this many captures for one signature, with hardly any program reused, calls run as written."""

_ALIASED = object()  # instead of a result: the call must run as written


class _Turns:
    """A lock for one call at a time, because programs own their memory. A nested call raises."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.forget()
        _TURNS.add(self)

    def forget(self) -> None:
        """Replace the lock by a free one."""
        self._lock = threading.RLock()
        self.busy: int | None = None  # the thread that holds it

    def __call__(self, call: Callable[..., T], *args: Any) -> T:
        with self._lock:  # implemented in C: an interrupt cannot split taking it
            if self.busy is not None:
                raise RuntimeError(f"compile: `{self._name}` calls itself while it runs; compile the inner part alone")
            try:
                self.busy = threading.get_ident()
                return call(*args)
            finally:
                self.busy = None


_TURNS: weakref.WeakSet[_Turns] = weakref.WeakSet()


def _forget_threads() -> None:
    """In the child of a fork, other threads no longer exist and cannot release their locks: free them."""
    for turns in list(_TURNS):
        if turns.busy != threading.get_ident():
            turns.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


class Compiled(Generic[P, R]):
    """The result of :func:`compile`: call it like the function."""

    def __init__(self, function: Callable[P, R], cache_size: int, strict: bool) -> None:
        self._function = function
        self._cache_size, self._strict = cache_size, strict
        self._programs: OrderedDict[Any, list[Ready]] = OrderedDict()
        self._times: Counter[Any] = Counter()  # captures for each signature
        self._unsettled: set[Any] = set()  # signatures whose last captured run changed Python state
        self._name = getattr(function, "__name__", type(function).__name__)
        self._alone = _Turns(self._name)
        self._told = False
        self.captures = 0
        self.plain: str | None = None
        """Why calls run as written, without a program; None if they do not."""
        functools.update_wrapper(self, function, updated=("__dict__",) if isinstance(function, FunctionType) else ())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        return Compiled, (self._function, self._cache_size, self._strict)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(self._function, name):
            raise AttributeError(f"a compiled function has no attribute `{name}`")
        raise AttributeError(
            f"`{name}` belongs to the {type(self._function).__name__} that was compiled: access it there. To train it, compile "
            "the whole step, with backward() and the optimizer in it: no gradient flows out of a compiled call"
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.plain is not None or (tracing.watchers and tracing.tracer() is not tracing.NO_TRACER):
            return self._as_written(args, kwargs)
        try:
            key, given = signature(self._name, args, kwargs)
        except Differentiated:
            return self._as_written(args, kwargs)
        result = self._alone(self._run, key, given, args, kwargs)
        if result is _ALIASED:
            self._warn_of_aliases()
            return self._as_written(args, kwargs)
        return result  # type: ignore[no-any-return]

    def _as_written(self, args: Any, kwargs: Any) -> R:
        return self._function(*wrapped(args), **wrapped(kwargs))

    @property
    def programs(self) -> list[Program]:
        """The cached programs, the most recently used last."""
        return [program for several in self._programs.values() for program in several]

    def program(self, *args: P.args, **kwargs: P.kwargs) -> Program:
        """The program for these arguments, captured if necessary, but not run.

        Raises:
            CaptureError: as the call does; and if calls run as written, without a program.
        """
        key, given = signature(self._name, args, kwargs)
        program = self._alone(self._program, key, given, args, kwargs) if self.plain is None else None
        if program is None:
            raise CaptureError(
                f"compile: there is no program, since `{self._name}` {self.plain or 'cannot be repeated'}"
            )
        return program

    def clear(self) -> None:
        """Discard all programs and everything learned about the function."""
        self._alone(self._forget)

    def _forget(self) -> None:
        for known in (self._programs, self._unsettled, self._times):
            known.clear()
        self.plain = None

    # One call at a time

    def _run(self, key: Any, given: list[Any], args: Any, kwargs: Any) -> Any:
        program = self._find(key, given)
        if program is None or program.is_audited():
            return self._captured(program, key, given, args, kwargs)
        arrays = [x._array if x.__class__ is Tensor else array_of(x) for x in given]
        return _ALIASED if program.written.is_among(arrays) else program.replay(given, arrays)

    def _program(self, key: Any, given: list[Any], args: Any, kwargs: Any) -> Program | None:
        program = self._find(key, given)
        if program is None or program.is_audited():
            self._captured(program, key, given, args, kwargs, keep=False)
            program = self._programs.get(key, [None])[-1]
        return program

    def _find(self, key: Any, given: list[Any]) -> Ready | None:
        """The program for a call, if there is one."""
        for program in self._programs.get(key, ()):
            if program.unchanged():
                if program.takes_leaves:
                    self._check_alone(program.referred, given)
                if len(self._programs) > 1:
                    self._programs.move_to_end(key)
                return program
        return None

    def _captured(
        self, audited: Ready | None, key: Any, given: list[Any], args: Any, kwargs: Any, keep: bool = True
    ) -> Any:
        """A call that runs as written and is captured: for a new program, or to audit the program `audited`.

        Without `keep`, its changes are undone.
        """
        several = self._programs.get(key, [])
        if audited is None and self._times[key] >= OFTEN and all(program.audit < 5 for program in several):
            change = several[-1].state.change() if several else "it is never the same"
            self._give_up(f"was captured {self._times[key]} times because state that it reads keeps changing: {change}")
            return self._as_written(args, kwargs) if keep else None
        stand_ins = StandIns(given, args, kwargs)
        capture = Capture(stand_ins.tensors)
        with capture.running(self._function, stand_ins.others, undo=audited is None):
            result = self._function(*stand_ins.args, **stand_ins.kwargs)
            results = Results(self._name, result, stand_ins.tensors, capture)
            self._check_alone(capture.referred(), given)
        try:
            del result
            if stand_ins.are_edited():
                raise CaptureError(
                    f"compile: `{self._name}` changes its arguments: a list or dict among them, or whether one requires a "
                    "gradient; return the new values, or change them outside"
                )
            if (place := capture.escaped()) is not None:
                raise CaptureError(
                    f"compile: `{self._name}` keeps a Tensor that it computed in a place outside, which later calls would "
                    f"not update; return it instead. It is in {place}"
                )
            returned = results.now(given)
            if capture.is_aliased or Written(*capture.written).is_among([array_of(x) for x in given]):
                self._warn_of_aliases()
            elif capture.state.watched:
                self._decide(key, capture, results, audited)
        except BaseException:
            capture.state.restore()
            raise
        if not keep:
            capture.state.restore()
            return None
        capture.release()
        for x, t in zip(given, stand_ins.tensors, strict=True):
            if id(t) in capture.leaves:
                x._grad = t._grad
        return returned

    def _decide(self, key: Any, capture: Capture, results: Results, audited: Ready | None) -> None:
        """Decide after a captured call: a new program, a passed audit, or calls that run as written from here on."""
        impure, changed = capture.state.impure, capture.state.changed
        if impure or (changed and (audited is not None or key in self._unsettled)):
            self._give_up(impure or f"changes what it reads: {changed}")
        elif audited is not None:
            difference = audited.record.difference(Record(capture, results.compared))
            if difference is None:
                audited.passed()
            else:
                self._give_up(f"depends on Python state that is not compared: {difference}")
        elif changed:  # possibly only in the first run
            self._unsettled.add(key)
        else:
            self._unsettled.discard(key)
            self._keep(key, Ready(capture, results))

    def _keep(self, key: Any, program: Ready) -> None:
        self._times[key] += 1
        several = self._programs.setdefault(key, [])
        several.append(program)
        self._programs.move_to_end(key)
        if len(several) > self._cache_size:
            del several[0]
        if len(self._programs) > self._cache_size:
            self._programs.popitem(last=False)
        self.captures += 1
        if self.captures == MANY:
            _warn(
                f"compile: `{self._name}` was captured {MANY} times, each time for new shapes, dtypes or Python values; pass "
                "changing values as arrays, give all batches one size (drop_last=True), or raise cache_size"
            )

    def _give_up(self, reason: str) -> None:
        """Let calls run as written from here on, and warn why."""
        text = f"compile: `{self._name}` {reason}"
        remedy = "return the changing value, pass it as an argument or draw it with tinygrad_cnn's functions"
        self._programs.clear()
        if self._strict:
            self._unsettled.clear()
            raise CaptureError(f"{text}. A replay would not do the same; {remedy}, or compile a part of the function")
        self.plain = reason
        _warn(f"{text}. A replay would not do the same, so calls run as written, uncompiled, from here on; {remedy}")

    def _warn_of_aliases(self) -> None:
        """Warn once that calls whose arguments share memory run as written."""
        text = f"compile: an argument of `{self._name}` shares memory with an array that it uses or writes"
        if self._strict:
            raise CaptureError(f"{text}; pass a copy")
        if not self._told:
            self._told = True
            _warn(f"{text}. Such calls run as written, uncompiled; pass a copy")

    def _check_alone(self, referred: dict[int, Tensor], given: list[Any]) -> None:
        if any(id(x) in referred and x._node is not None for x in given if isinstance(x, Tensor)):
            raise CaptureError(
                f"compile: `{self._name}` is given a Tensor that requires a gradient and also refers to it in another way, as "
                "through an optimizer; do not pass parameters, refer to them"
            )


def _warn(text: str) -> None:
    """Warn at the line of user code that made the call."""
    frame = caller()
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__")
    warnings.warn_explicit(text, RuntimeWarning, frame.f_code.co_filename, frame.f_lineno, module, registry)
