"""Work as a list of calls on certain memory: arranged and done at once, or arranged once and done again and again.

Arranging is Python: views, sizes, addresses. What is left to do are calls of NumPy and BLAS, which run beside those of other
threads. With much Python between them, threads mostly wait for the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import get_ident
from typing import Any, TypeAlias

from .threads import each, unbuffered

Call: TypeAlias = Callable[[], object]

KEPT = 64
"""Arrangements that a piece of prepared work keeps: one for each part, for each thread that has met it."""


@dataclass(frozen=True)
class Work:
    """Calls `before` all, then the parts, by as many threads as there are, then calls `after`.

    `arrange(part)` gives the calls of a part. It is asked by the thread that will do them, and may take its scratch.
    """

    parts: Sequence[Any]
    arrange: Callable[[Any], list[Call]]
    before: Sequence[Call] = ()
    after: Sequence[Call] = ()

    def do(self) -> None:
        """Arrange it and do it."""
        with unbuffered():
            _run(self.before)
            each(lambda part: _run(self.arrange(part)), self.parts)
            _run(self.after)

    def prepared(self) -> Prepared:
        """A function that does it, and arranges only what it has not done before."""
        return Prepared(self)


def together(works: Sequence[Work]) -> Work:
    """All of them at the same time. None may write what another reads."""
    if len(works) == 1:
        return works[0]

    def arrange(part: tuple[Work, Any]) -> list[Call]:
        work, own = part
        return work.arrange(own)

    before = [call for work in works for call in work.before]
    after = [call for work in works for call in work.after]
    return Work([(work, part) for work in works for part in work.parts], arrange, before, after)


class Prepared:
    """Work as a function."""

    def __init__(self, work: Work) -> None:
        self._work, self._numbers = work, range(len(work.parts))
        self._ready: dict[tuple[int, int], list[Call]] = {}

    def __call__(self) -> None:
        with unbuffered():
            _run(self._work.before)
            each(self._part, self._numbers)
            _run(self._work.after)

    def _part(self, i: int) -> None:
        key = get_ident(), i
        calls = self._ready.get(key)
        if calls is None:
            if len(self._ready) >= max(KEPT, 4 * len(self._numbers)):
                self._ready.clear()
            calls = self._ready[key] = self._work.arrange(self._work.parts[i])
        _run(calls)


def _run(calls: Iterable[Call]) -> None:
    for call in calls:
        call()
