"""A map that computes results ahead in a thread."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from sys import is_finalizing
from threading import get_ident
from typing import TypeVar

from ..system import THREADS

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def ahead(function: Callable[[Argument], Result], arguments: Iterable[Argument], count: int) -> Iterator[Result]:
    """``map(function, arguments)``, with up to `count` results computed in a thread while the caller uses the last one.

    An exception is raised in place of its result, with the thread's traceback. The thread ends with the iteration. It runs
    in the caller's context, with its ``no_grad`` and ``np.errstate``. Where there are no threads, it is ``map``.
    """
    if not THREADS:
        yield from map(function, arguments)
        return
    ending = is_finalizing  # modules may be empty when a kept iterator is closed
    worker: list[int] = []
    context = copy_context()
    executor = ThreadPoolExecutor(1, "prefetch", initializer=lambda: worker.append(get_ident()))
    pending: deque[Future[Result]] = deque()
    try:
        for argument in arguments:
            pending.append(executor.submit(context.run, function, argument))
            if len(pending) > count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # The garbage collector may close an abandoned iterator in this thread, which cannot wait for its own end.
        if not ending():  # its threads have ended by then
            executor.shutdown(wait=get_ident() not in worker, cancel_futures=True)
