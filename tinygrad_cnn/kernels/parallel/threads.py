"""The library's own thread pool, for kernels that cut their work into parts.

The parts depend on shapes alone, and one thread computes each part with single-threaded BLAS, so a result has the same bits
for any number of threads. NumPy releases the interpreter lock while it copies, multiplies and adds, so parts that are a few
long calls run in parallel. Parts of many short calls do not: threads then wait for the lock and are woken all the time, which
is slower than one thread.
"""

from __future__ import annotations

import _thread
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from operator import index
from queue import SimpleQueue
from threading import get_ident
from time import sleep
from typing import Any, Generic, TypeVar

import numpy as np

from ...system import after_fork
from ..blas import THREADS
from .workspace import with_workspace

R = TypeVar("R")
T = TypeVar("T")

BUFFER, RUN = 8192, 256
"""NumPy's ufuncs first copy runs shorter than half their buffer (BUFFER elements) into it. A buffer of RUN elements avoids that
copy: rows of 1000 are added twice as fast. (Ufuncs that convert between dtypes need the buffer and become slower.)"""

LANES = 16
"""The number of lanes of a sum over parts: one thread sums each lane, and the sums of the lanes are added afterwards."""


def set_num_threads(n: int) -> None:
    """Let kernels, and NumPy's BLAS, use n threads. Results do not depend on n.

    The default is the initial setting of BLAS: the number of CPUs, or OPENBLAS_NUM_THREADS. If NumPy is not built on OpenBLAS,
    the setting of BLAS cannot be changed: kernels then use one thread, and BLAS its own setting.

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
    """Call work(part) for every part, on as many threads as allowed, or on one if `alone`. An exception is raised here.

    The parts must be independent.
    """
    blas_alone(with_workspace, shared_out, work, parts, alone)


def shared_out(work: Callable[[T], object], parts: Sequence[T], alone: bool) -> None:
    """:func:`each`, inside of a call that has a workspace and single-threaded BLAS."""
    helpers = 0 if alone else _helpers_for(len(parts) - 1)
    if not helpers:
        for part in parts:
            work(part)
        return
    job = Job(work, parts)
    _ask(partial(job.run, copy_context()), helpers)
    job.finish()


class Job(Generic[T]):
    """Calls work(part) for every part, each on one of the participating threads."""

    def __init__(self, work: Callable[[T], object], parts: Sequence[T]) -> None:
        self._work, self._todo, self._left = work, deque(parts), len(parts)
        self._lock, self._ended = threading.Lock(), threading.Lock()
        if parts:
            self._ended.acquire()
        self._helping: dict[int, bool] = {}  # the threads that help now
        self._error: BaseException | None = None

    def step(self) -> bool:
        """Run one part that no thread has started; False if there is none."""
        try:
            part = self._todo.popleft()
        except IndexError:
            return False
        try:
            self._work(part)
        except BaseException as error:  # the waiting thread raises it
            self._error = error
            while self._todo:
                with suppress(IndexError):
                    self._todo.popleft()
                    self._done()
        del part
        self._done()
        return True

    def run(self, context: Context) -> None:
        """Help: run the remaining parts with NumPy's settings from `context`, its buffer size and error handling."""
        helper = get_ident()
        self._helping[helper] = True
        try:
            context.copy().run(with_workspace, self._drain)
        finally:
            del self._helping[helper]

    def finish(self) -> None:
        """Run the remaining parts, wait for the running ones, and raise the error of a part, if any."""
        try:
            self._drain()
            self._ended.acquire()
        except BaseException:  # an interrupt
            self._todo.clear()
            while self._helping:  # who helps still writes to the caller's arrays
                sleep(1e-4)
            raise
        del self._work  # a late thread then keeps no arrays alive
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
    """The parts of a sum, grouped into lanes."""
    length = max(1, -(-len(parts) // LANES))
    return [parts[i : i + length] for i in range(0, len(parts), length)]


def unbuffered(call: Callable[..., R], *args: Any) -> R:
    """call(*args) with a workspace, and with ufuncs that work in place on runs of RUN elements or more, without copying them to
    a buffer.

    NumPy stores its buffer size in the context, so running in a copy of the context restores it at the end.
    """
    result: R = with_workspace(_unbuffered, call, *args)
    return result


def _unbuffered(call: Callable[..., R], *args: Any) -> R:
    np.setbufsize(RUN)
    return call(*args)


# The pool: threads that wait for calls. They start when first needed and end with the process.

_here = threading.local()
_lock = threading.RLock()  # re-entrant: a signal handler may come in while it is held
_calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
_helpers = 0


def _helpers_for(parts: int) -> int:
    """How many threads may help with this many parts."""
    return 0 if _blas is None or getattr(_here, "helps", False) else max(0, min(_threads - 1, parts))


def _ask(call: Callable[[], object], helpers: int) -> None:
    """Let `helpers` threads make this call."""
    global _helpers
    with _lock:
        while _helpers < helpers:
            _thread.start_new_thread(_help, (_calls,))  # unlike Thread.start, an interrupt cannot stop it halfway
            _helpers += 1
    for _ in range(helpers):
        _calls.put(call)


def _help(calls: SimpleQueue[Callable[[], object]]) -> None:
    _here.helps = True
    while True:
        call = calls.get()
        call()
        del call  # a waiting thread keeps no arrays alive


def _forget_threads() -> None:
    """Reset the pool in the child of a fork, where its threads do not exist."""
    global _calls, _helpers, _lock, _inside, _in_blas
    _calls, _helpers, _lock = SimpleQueue(), 0, threading.RLock()
    _inside = {token: thread for token, thread in _inside.items() if thread == get_ident()}
    if _blas is not None and not _inside and _in_blas != _threads:
        _in_blas = _threads
        _blas.set(_threads)


after_fork(_forget_threads)


_blas = THREADS
_threads = _blas.get() if _blas else 1
_in_blas = _threads  # the current setting of BLAS
_inside: dict[object, int] = {}  # the thread of each active call of blas_alone


def blas_alone(call: Callable[..., R], *args: Any) -> R:
    """call(*args), with single-threaded BLAS until the last active call has ended. In a thread that helps, BLAS is
    single-threaded already, for as long as the call that it helps.

    A signal handler, a finalizer or a profiler may make such a call at any point of another one, also while that has the lock.
    So a call is listed before it sets BLAS, and what it sets is right whatever was set in between.

    CPython raises an interrupt only where a function begins or has ended, not between other steps. So the cleanup must be a
    single call of a C function in a ``finally``; a context manager written in Python could be interrupted.
    """
    global _in_blas
    if _blas is None or getattr(_here, "helps", False):
        return call(*args)
    token = object()
    try:
        _inside[token] = get_ident()
        with _lock:
            if _in_blas != 1:
                _in_blas = 0  # not known, if an interrupt comes next
                _blas.set(1)
                _in_blas = 1
        return call(*args)
    finally:
        try:
            _inside.pop(token, None)
        finally:
            with _lock:
                if not _inside and _in_blas != _threads:
                    _in_blas = _threads
                    _blas.set(_threads)
