"""The Python state that a captured run reads and changes: watched during the run, restored if the run fails.

A profile function sees which user code runs, and `notes` finds the state that this code can read. State that Python changes,
and actions such as draws and prints, cannot be repeated by a replay.
"""

from __future__ import annotations

import gc
import random
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from ..core.frames import PACKAGE
from ..ops.random import generator as library_generator
from ..tensor import Tensor, get_default_dtype
from .guard import generator_state, guard
from .names import OURS, is_users, kinds_of, serves_users
from .notes import Notes
from .standard import impurity

SHARED = {"random": random.random.__self__, "np.random": np.random.get_state.__self__}  # type: ignore[attr-defined]
"""The global generators of Python and NumPy."""

KERNELS = PACKAGE + "kernels"


class State(Notes):
    """The state that a run read and changed, and anything else that a replay could not repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.undo: list[Callable[[], object]] = []  # functions that restore other changes, called in reverse order
        self.changed: str | None = None  # state that the run both read and changed
        self.watched = True  # whether a profile or trace function could watch the run
        self._made: set[int] = set()  # ids of objects that the run made
        self._library: set[int] = set()  # ids of generators that the library draws from
        self.drawing(library_generator())
        self._draws = False  # whether the next step is a draw of the library
        self._shared = {name: generator_state(generator) for name, generator in SHARED.items()}
        self._drew = self._paused = False
        self._imports = 0  # the depth of imports that are under way

    @contextmanager
    def watching(self, function: Any, arguments: Iterable[Any]) -> Iterator[None]:
        """Watch the run of `function`, in a ``with`` block."""
        self.note(function, *arguments)
        profiled = sys.getprofile() is not None
        self.watched = not profiled or sys.gettrace() is None
        watch = sys.settrace if profiled else sys.setprofile
        collecting, dtype = gc.isenabled(), get_default_dtype()
        gc.disable()  # its callbacks are not part of the function
        gc.collect(0)  # from here on, the youngest generation has the objects that the run makes
        if self.watched:
            watch(self._profile)
        try:
            yield
        finally:
            if self.watched:
                watch(None)
            if collecting:
                gc.enable()
        for name, read in self._shared.items():
            if (self._may_draw or not _other_threads()) and read.change(read.found):
                self.impure = f"draws from `{name}`, and a replay would not draw again; use tinygrad_cnn.rand or randn"
        if get_default_dtype() != dtype:
            self.impure = "sets the default dtype, and a replay would not"
        self.check()
        self.changed = self.changed or self.change()

    @property
    def _may_draw(self) -> bool:
        return self._drew or "random" in self.names

    def check(self) -> None:
        """Record whether Python changed state that the run read, since the run began or since the last effect."""
        self.check_draws()
        self.changed = self.changed or next(filter(None, (read.change(read.last) for read in self.reads)), None)

    @contextmanager
    def effect(self) -> Iterator[None]:
        """Pause watching during an effect, which a program calls again: its reads and changes do not count."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False
            for read in (*self.reads, *self.generators.values()):
                read.last = read.look()

    def change(self) -> str | None:
        """The first guarded read whose value has changed, in words."""
        return next((text for read in self.reads if read.guarded and (text := read.change(read.found))), None)

    def new(self) -> set[int]:
        """The ids of values of attributes that did not exist before the run."""
        return {id(own[name]) for own, before in self.namespaces for name in own.keys() - before}

    def restore(self) -> None:
        """Undo the changes of the run."""
        for undo in reversed(self.undo):
            undo()
        for own, before in self.namespaces:
            for name in own.keys() - before:
                del own[name]
        for read in (*self.reads, *self.generators.values(), *(self._shared.values() if self._may_draw else ())):
            read.restore()

    def guard(self) -> Callable[[], bool]:
        """The guard of a program: see :func:`~tinygrad_cnn.compile.guard.guard`."""
        return guard([read for read in self.reads if read.guarded])

    def drawing(self, generator: np.random.Generator) -> None:
        """The library is about to draw from a generator; a replay will draw again."""
        self.check_draws()
        self._draws = True
        self._library.add(id(generator))
        self.generators.setdefault(id(generator), generator_state(generator))

    def drew(self) -> bool:
        """Whether the step being recorded is a draw; if so, the generators' states are read again."""
        drew, self._draws = self._draws, False
        for read in self.generators.values() if drew else ():
            read.last = read.look()
        return drew

    def check_draws(self) -> None:
        """Record whether Python drew from a generator since the run began, or since the last step that drew."""
        for key, read in self.generators.items():
            if read.change(read.last) and key in self._library:
                self.impure = "draws in Python from a generator, and a replay would not draw again"
            elif read.change(read.last):
                self.changed = self.changed or "a generator that Python draws from changed"

    # The code that runs

    def _profile(self, frame: FrameType, event: str, called: Any) -> None:
        if frame.f_code.co_name == "_find_and_load":
            self._imports += {"call": 1, "return": -1}.get(event, 0)
        if self._paused or self._imports:  # an import is done once; a replay need not repeat it
            return
        if event == "call":
            if is_users(frame.f_code.co_filename):
                self._enter(frame)
            elif frame.f_code.co_filename == random.__file__:
                self._drew = True
        elif event == "c_call" and serves_users(frame.f_code.co_filename) and not _runs_op(frame.f_back):
            if (name := impurity(called, frame)) is not None:
                self.impure = f"calls `{name}`, which a replay would not repeat"
            elif getattr(called, "__self__", None) is SHARED["random"] and is_users(frame.f_code.co_filename):
                self._drew = True

    def _enter(self, frame: FrameType) -> None:
        """User code begins to run: note the state named in its globals, its closure and its arguments."""
        if _runs_op(frame.f_back):
            return  # inside an op, whose function a replay calls again
        code = frame.f_code
        names = self.code(code, frame.f_globals)
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 2]:
            thing = frame.f_locals.get(name)
            is_made = id(thing) not in self.known and type(thing) in (list, tuple, dict)  # by the call
            parts: Any = (thing.values() if isinstance(thing, dict) else thing) if is_made else (thing,)
            is_init = code.co_name == "__init__" and name == code.co_varnames[0]
            self.note(*(part for part in parts if id(part) in self.known or self._is_old(part, is_init)), names=names)

    def _is_old(self, thing: Any, is_init: bool) -> bool:
        """Whether an object of the user is from before the run, though no noted object led to it."""
        if is_init or id(thing) in self._made or not kinds_of(thing) or isinstance(thing, Tensor):
            self._made.add(id(thing))
        else:
            self._made.update(map(id, gc.get_objects(0)))
        return id(thing) not in self._made


def _other_threads() -> bool:
    """Whether other user threads may draw from the shared generators."""
    return any(t is not threading.current_thread() and t.name != OURS[0] for t in threading.enumerate())


def _runs_op(caller: FrameType | None) -> bool:
    """Whether a frame belongs to an op that calls its function on arrays, or to a kernel: a replay calls it again."""
    path = "" if caller is None else caller.f_code.co_filename
    return path.endswith(": call>") or path.startswith(KERNELS)
