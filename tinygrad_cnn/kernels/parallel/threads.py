"""Threads of the library's own, for kernels that cut their work into parts.

The parts depend on shapes alone, never on the number of threads, and each is computed by one thread with a
single-threaded BLAS: so a result has the same bits for any number of threads. NumPy lets go of the interpreter while it
copies, multiplies and adds, so parts that are a few long calls really run at once. Parts of many short calls do not: the
threads then wait for the interpreter and are woken all the time, which is slower than one thread.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from operator import index
from queue import SimpleQueue
from threading import get_ident
from typing import Any, Generic, TypeVar

import numpy as np

from ..blas import THREADS

R = TypeVar("R")
T = TypeVar("T")

BUFFER, RUN = 8192, 256
"""NumPy's ufuncs copy runs shorter than half their buffer (BUFFER elements) into it first. A buffer as short as this spares
that copy: rows of 1000 are added twice as fast. (It makes ufuncs that convert between types slower, for which it is.)"""

LANES = 16
"""A sum over parts is cut into so many: each is summed by one thread, and then they are."""


def set_num_threads(n: int) -> None:
    """Let kernels, and NumPy's BLAS, use n threads. Results do not depend on it.

    The default is what BLAS starts with: the number of CPUs, or OPENBLAS_NUM_THREADS. Where NumPy is not built on
    OpenBLAS, whose threads can be counted and set, kernels stay on one thread and BLAS does as it likes.

    Raises:
        TypeError: if n is not an integer.
        ValueError: if n is less than 1.

    >>> import tinygrad_cnn as tg
    >>> before = tg.get_num_threads()
    >>> tg.set_num_threads(1)
    >>> tg.get_num_threads()
    1
    >>> tg.set_num_threads(before)
    """
    global _threads, _in_blas
    try:
        n = index(n)
    except TypeError:
        raise TypeError(f"set_num_threads: `n` is {n!r}; it must be an integer") from None
    if n < 1:
        raise ValueError(f"set_num_threads: `n` is {n}; it must be at least 1")
    with _lock:
        _threads = n
        if _blas is not None and not _inside:
            _in_blas = n
            _blas.set(n)


def get_num_threads() -> int:
    """The number of threads that kernels may use: see :func:`set_num_threads`."""
    return _threads


def each(work: Callable[[T], object], parts: Sequence[T], alone: bool = False) -> None:
    """Call work(part) for every part, on as many threads as there may be, or `alone`. What a call raises is raised here.

    The parts must be independent.
    """
    blas_alone(_each, work, parts, alone)


def _each(work: Callable[[T], object], parts: Sequence[T], alone: bool) -> None:
    helpers = 0 if alone else _helpers_for(len(parts) - 1)
    if not helpers:
        for part in parts:
            work(part)
        return
    job = Job(work, parts)
    _ask(partial(job.run, copy_context()), helpers)
    job.finish()


class Job(Generic[T]):
    """Calls work(part) for every part, each by one of the threads that take part in it."""

    def __init__(self, work: Callable[[T], object], parts: Sequence[T]) -> None:
        self._work, self._todo, self._left = work, deque(parts), len(parts)
        self._lock, self._ended = threading.Lock(), threading.Lock()
        if parts:
            self._ended.acquire()
        self._error: BaseException | None = None

    def step(self) -> bool:
        """Do one of the parts that no one has begun; False if there is none."""
        try:
            part = self._todo.popleft()
        except IndexError:
            return False
        try:
            self._work(part)
        except BaseException as error:  # it is raised by the thread that waits
            self._error = error
            while self._todo:
                with suppress(IndexError):
                    self._todo.popleft()
                    self._done()
        del part
        self._done()
        return True

    def run(self, context: Context) -> None:
        """Do what no one has begun, under what `context` has set for NumPy: its buffers and its treatment of errors."""
        context.copy().run(self._drain)

    def finish(self) -> None:
        """Do what no one has begun, wait for what someone has, and raise what a part raised."""
        try:
            self._drain()
            self._ended.acquire()
        except BaseException:  # an interrupt
            self._todo.clear()
            raise
        del self._work  # a thread that comes too late holds no arrays
        if self._error is not None:
            raise self._error

    def _drain(self) -> None:
        while self.step():
            pass

    def _done(self) -> None:
        with self._lock:
            self._left -= 1
            if not self._left:
                self._ended.release()


def in_lanes(parts: Sequence[T]) -> list[Sequence[T]]:
    """Parts of a sum, cut into lanes."""
    length = max(1, -(-len(parts) // LANES))
    return [parts[i : i + length] for i in range(0, len(parts), length)]


def unbuffered(call: Callable[..., R], *args: Any) -> R:
    """call(*args), in which ufuncs work on runs of RUN elements or more where they lie.

    NumPy keeps the size of its buffer in the context, so leaving a copy of the context is what sets it back.
    """
    return copy_context().run(_unbuffered, call, *args)


def _unbuffered(call: Callable[..., R], *args: Any) -> R:
    np.setbufsize(RUN)
    return call(*args)


# Threads that wait for calls. They start when they are first wanted, and end with the process.

_here = threading.local()
_lock = threading.Lock()
_calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
_helpers = 0


def _helpers_for(parts: int) -> int:
    """How many threads may help with so many parts."""
    return 0 if _blas is None or getattr(_here, "helps", False) else max(0, min(_threads - 1, parts))


def _ask(call: Callable[[], object], helpers: int) -> None:
    """Let so many threads make this call."""
    global _helpers
    with _lock:
        while _helpers < helpers:
            _thread.start_new_thread(
                _help, (_calls,)
            )  # which an interrupt cannot stop halfway, as it can a Thread's start
            _helpers += 1
    for _ in range(helpers):
        _calls.put(call)


def _help(calls: SimpleQueue[Callable[[], object]]) -> None:
    _here.helps = True
    while True:
        call = calls.get()
        call()
        del call  # while it waits, a thread holds no arrays


def _forget_threads() -> None:
    """In the child of a fork there are none."""
    global _calls, _helpers, _lock, _inside, _in_blas
    _calls, _helpers, _lock = SimpleQueue(), 0, threading.Lock()
    _inside = {token: thread for token, thread in _inside.items() if thread == get_ident()}
    if _blas is not None and not _inside and _in_blas != _threads:
        _in_blas = _threads
        _blas.set(_threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


_blas = THREADS
_threads = _blas.get() if _blas else 1
_in_blas = _threads  # of them, BLAS has now
_inside: dict[object, int] = {}  # for each call of blas_alone that is not over, its thread


def blas_alone(call: Callable[..., R], *args: Any) -> R:
    """call(*args), with one thread in BLAS until the last that asked for it has ended.

    An interrupt is raised where CPython looks for signals: where a function begins or has ended, not between other steps. So
    what must not be left out is one call of a C function in a ``finally``, and a context manager written in Python will not do.
    """
    global _in_blas
    if _blas is None:
        return call(*args)
    token, thread = object(), get_ident()
    if thread in _inside.values():  # within another call, which ends later
        return call(*args)
    try:
        _inside[token] = thread
        with _lock:
            if _in_blas != 1:
                _in_blas = 1
                _blas.set(1)
        return call(*args)
    finally:
        try:
            _inside.pop(token, None)
        finally:
            with _lock:
                if not _inside and _in_blas != _threads:
                    _in_blas = _threads
                    _blas.set(_threads)
