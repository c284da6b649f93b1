"""Work as a list of calls on certain memory: arranged and done at once, or arranged once and done again and again.

Arranging is Python: views, sizes, addresses. What is left to do are calls of NumPy and BLAS, which run beside those of other
threads. With much Python between them, threads mostly wait for the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from threading import get_ident
from typing import Any, TypeAlias

import numpy as np

from .threads import BUFFER, RUN, blas_alone, each, unbuffered

Call: TypeAlias = Callable[[], object]

KEPT = 64
"""Arrangements that a piece of prepared work keeps: one for each part, for each thread that has met it."""


@dataclass(frozen=True)
class Work:
    """Calls `before` all, then the parts, by as many threads as there are, then calls `after`.

    `arrange(part)` gives the calls of a part. It is asked by the thread that will do them, and may take its scratch.

    Where `images` are given, one slice for each part, a part touches just those along the first axis of the arrays that the
    op declares to be `batched`, and the calls before and after touch none of these arrays. What is `little` is not worth a
    second thread.
    """

    parts: Sequence[Any]
    arrange: Callable[[Any], list[Call]]
    before: Sequence[Call] = ()
    after: Sequence[Call] = ()
    images: Sequence[slice] | None = None
    little: bool = False
    out: Any = None

    def __call__(self) -> Any:
        """Do it, and return `out`, which it fills."""
        self.do()
        return self.out

    def do(self) -> None:
        """Arrange it and do it."""
        blas_alone(unbuffered, self._do, lambda part: _run(self.arrange(part)), self.parts)

    def _do(self, work: Callable[[Any], object], parts: Sequence[Any]) -> None:
        _run(self.before)
        each(work, parts, alone=self.little)
        _run(self.after)

    def prepared(self) -> Prepared:
        """A function that does it, and arranges only what it has not done before."""
        return Prepared(self)


def halved(n: int, step: int) -> list[slice]:
    """n images in pieces of about `step`, of nearly one size and as many in each half."""
    half = -(-n // 2)
    step = max(1, -(-half // max(1, -(-half // max(1, step)))))
    return [slice(i, min(i + step, stop)) for start, stop in ((0, half), (half, n)) for i in range(start, stop, step)]


def buffered(call: Call) -> list[Call]:
    """The call with NumPy's own buffer, for those that convert between types."""
    return [partial(np.setbufsize, BUFFER), call, partial(np.setbufsize, RUN)]


Stage: TypeAlias = "Work | Callable[[slice], Call]"
"""One of the steps of a stream: work with images, or a function that gives the call for some images."""


def borders(stages: Sequence[Stage], n: int) -> list[int]:
    """The images, of n, before which the stages may be cut, since no part lies on both sides; all of them without parts."""
    images = [own for stage in stages if isinstance(stage, Work) for own in stage.images or [slice(0, n)]]
    if not images:
        return list(range(n))
    inside = {i for own in images for i in range(own.start + 1, own.stop)}
    return sorted({0, *(own.start for own in images)} - inside)


def streams(stages: Sequence[Stage], n: int, most: int) -> list[slice]:
    """n images cut along borders of the stages in up to `most` streams of nearly one size."""
    free = borders(stages, n)
    most = min(most, n)
    cuts = sorted({min(free, key=lambda at: abs(at * most - n * i)) for i in range(most)} | {n})
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def streamed(stages: Sequence[Stage], cuts: Sequence[slice]) -> Work:
    """The stages one after the other for some images, and the same for others, by as many threads as there are, which do not
    wait for each other in between. So a stage may read of an earlier one only what parts have written, of its own images.
    """

    def arrange(images: slice) -> list[Call]:
        calls: list[Call] = []
        for stage in stages:
            if isinstance(stage, Work):
                for part, own in zip(stage.parts, stage.images or (), strict=True):
                    if images.start <= own.start < images.stop:
                        calls += stage.arrange(part)
            else:
                calls += buffered(stage(images))
        return calls

    works = [stage for stage in stages if isinstance(stage, Work)]
    before = [call for work in works for call in work.before]
    after = [call for work in works for call in work.after]
    return Work(cuts, arrange, before, after, cuts)


class Prepared:
    """Work as a function."""

    def __init__(self, work: Work) -> None:
        self._work, self._numbers = work, range(len(work.parts))
        self._ready: dict[tuple[int, int], list[Call]] = {}

    def __call__(self) -> None:
        blas_alone(unbuffered, self._work._do, self._part, self._numbers)

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
