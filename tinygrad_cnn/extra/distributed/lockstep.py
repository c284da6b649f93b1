"""Functions that run in lockstep: all of them reach an exchange before any continues. Synchronized batch norm needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Generic, TypeVar

import numpy as np

T = TypeVar("T")


class _Cancelled(BaseException):
    """Ends a function after another one has failed."""


class _Worker(Generic[T]):
    """A function in its own thread, which runs only between :meth:`go` and the next exchange."""

    def __init__(self, function: Callable[[], T], state: Any) -> None:
        self.state = state
        self.offer: np.ndarray | None = None
        self.answer: np.ndarray | None = None
        self.result: T | None = None
        self.error: BaseException | None = None
        self.is_done = self.is_cancelled = False
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=copy_context().run, args=(self._run, function), name="shard", daemon=True)
        self.thread.start()

    def _run(self, function: Callable[[], T]) -> None:
        self._turn.acquire()
        _current.worker = self
        try:
            if not self.is_cancelled:
                self.result = function()
        except BaseException as error:
            self.error = error
        self.offer, self.is_done = None, True
        self._back.release()

    def go(self) -> None:
        """Run the function to its next exchange, or to its end."""
        self._turn.release()
        self._back.acquire()

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """Offer an array, and wait for the sum of the arrays that all functions offer."""
        self.offer = array.copy()
        self._back.release()
        self._turn.acquire()
        if self.is_cancelled:
            raise _Cancelled
        assert self.answer is not None
        return self.answer.copy()


class _Current(threading.local):
    worker: _Worker[Any] | None = None


_current = _Current()


def exchanged(array: np.ndarray) -> np.ndarray:
    """The sum of `array` over all functions that run in lockstep with this one."""
    assert _current.worker is not None
    return _current.worker.exchange(array)


def in_lockstep(
    functions: Sequence[Callable[[], T]],
    total: Callable[[list[np.ndarray]], np.ndarray],
    keep: Callable[[], Any],
    put: Callable[[Any], None],
) -> list[T]:
    """The results of functions that run in turns.

    Args:
        functions: each may call :func:`exchanged`; all must call it equally often.
        total: computes the sum of the arrays of all functions, given in the functions' order.
        keep: returns a copy of the state that the functions share. Each function continues with the state that it left.
        put: restores such a state.

    Raises:
        RuntimeError: if one function ends while others wait in an exchange. An exception of a function ends the others,
            too, and is raised.
    """
    workers = [_Worker(function, keep()) for function in functions]
    try:
        while True:
            for worker in workers:
                put(worker.state)
                worker.go()
                worker.state = keep()
                if worker.error is not None:
                    raise worker.error
            offers = [worker.offer for worker in workers if worker.offer is not None]
            if not offers:
                return [worker.result for worker in workers]  # type: ignore[misc]
            if len(offers) < len(workers):
                raise RuntimeError("World: synchronized batch norm is reached in some shards and not in others")
            answer = total(offers)
            for worker in workers:
                worker.answer = answer
    finally:
        for worker in workers:
            if not worker.is_done:
                worker.is_cancelled = True
                worker.go()
