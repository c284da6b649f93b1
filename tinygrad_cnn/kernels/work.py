"""Work as a list of calls on certain memory: arranged and done at once, or arranged once and done again and again.

Arranging is Python: views, sizes, addresses. What is left to do are calls of NumPy and BLAS, which run beside those of other
threads. With much Python between them, threads mostly wait for the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import get_ident
from typing import Any, TypeAlias

from .threads import each

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
        _run(self.before)
        each(lambda part: _run(self.arrange(part)), self.parts)
        _run(self.after)

    def prepared(self) -> Callable[[], None]:
        """A function that does it, and arranges only what it has not done before."""
        ready: dict[tuple[int, int], list[Call]] = {}
        numbers = range(len(self.parts))

        def part(i: int) -> None:
            key = get_ident(), i
            calls = ready.get(key)
            if calls is None:
                if len(ready) >= max(KEPT, 4 * len(numbers)):
                    ready.clear()
                calls = ready[key] = self.arrange(self.parts[i])
            _run(calls)

        def do() -> None:
            _run(self.before)
            each(part, numbers)
            _run(self.after)

        return do


def _run(calls: Iterable[Call]) -> None:
    for call in calls:
        call()
