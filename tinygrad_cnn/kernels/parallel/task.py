"""A kernel as a list of calls on fixed buffers: an eager op builds them and runs them once, a compiled program many times.

To build is Python: views, sizes, addresses. The calls are those of NumPy and BLAS, which release the interpreter lock and so
run in parallel. With much Python between them, threads mostly wait for the lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from .threads import BUFFER, RUN, blas_alone, shared_out, unbuffered
from .workspace import Workspace, current

Call: TypeAlias = Callable[[], object]

KEPT = 64
"""The most lists of calls that a prepared kernel caches: one for each part and workspace."""


@dataclass(eq=False)
class Work:
    """Calls `before`, then those of all parts on as many threads as allowed, then calls `after`. A call of the object runs it.

    Attributes:
        arrange: builds the calls of a part. They may use scratch, so they run with the workspace with which they are built.
        images: if given, a slice for each part. Of the arrays that the op lists in `along`, the part accesses only these
            images; the calls before and after access none of them.
        little: whether the work is not worth a second thread.
        out: the result, which the call returns.
    """

    parts: Sequence[Any]
    arrange: Callable[[Any], list[Call]]
    before: Sequence[Call] = ()
    after: Sequence[Call] = ()
    images: Sequence[slice] | None = None
    little: bool = False
    out: Any = None

    def __call__(self) -> Any:
        """Run it, and return `out`, which it fills."""
        self.do()
        return self.out

    def do(self) -> None:
        """Build the calls and run them."""
        blas_alone(unbuffered, self._do, lambda part: _run(self.arrange(part)), self.parts)

    def _do(self, work: Callable[[Any], object], parts: Sequence[Any]) -> None:
        _run(self.before)
        shared_out(work, parts, self.little)
        _run(self.after)

    def prepared(self) -> Prepared:
        """A function that runs the work and caches the calls it builds."""
        return Prepared(self)


Task: TypeAlias = "Work | Callable[[], Any]"
"""Computes a result in fixed buffers: calling it runs the kernel and returns the result."""


def together(works: Sequence[Work]) -> Work:
    """Several kernels as one."""
    parts = [(work, part) for work in works for part in work.parts]
    before, after = [call for work in works for call in work.before], [call for work in works for call in work.after]
    images = None
    if all(work.images is not None for work in works):
        images = [own for work in works for own in work.images or ()]
    return Work(parts, lambda part: part[0].arrange(part[1]), before, after, images, all(work.little for work in works))


def halved(n: int, step: int) -> list[slice]:
    """n images in slices of about `step`, of nearly equal size, with the same number of slices in each half of the batch."""
    half = -(-n // 2)
    step = max(1, -(-half // max(1, -(-half // max(1, step)))))
    return [slice(i, min(i + step, stop)) for start, stop in ((0, half), (half, n)) for i in range(start, stop, step)]


def buffered(call: Call) -> list[Call]:
    """The call with NumPy's default buffer size, for ufuncs that convert between dtypes."""
    return [partial(np.setbufsize, BUFFER), call, partial(np.setbufsize, RUN)]


Stage: TypeAlias = "Work | Callable[[slice], Call]"
"""One step of a stream: work with `images`, or a function that returns the call for a slice of images."""


def borders(stages: Sequence[Stage], n: int) -> Sequence[int]:
    """Image indices at which all stages can be cut, because no part crosses them; every index if no stage has parts."""
    images = [own for stage in stages if isinstance(stage, Work) for own in stage.images or [slice(0, n)]]
    if not images:
        return range(n)
    found, stop = [0], 0  # where the parts so far end
    for own in sorted(images, key=lambda own: own.start):
        if own.start >= stop and own.start > found[-1]:
            found.append(own.start)
        stop = max(stop, own.stop)
    return found


def streams(stages: Sequence[Stage], n: int, most: int) -> list[slice]:
    """n images cut at borders of the stages into up to `most` streams of nearly equal size."""
    free = borders(stages, n)
    most = min(most, n)
    cuts = {n}
    for i in range(most):
        after = min(bisect_left(free, n * i / most), len(free) - 1)
        near = free[max(0, after - 1)], free[after]
        cuts.add(min(near, key=lambda at: abs(at * most - n * i)))
    return [slice(start, stop) for start, stop in pairwise(sorted(cuts))]


def streamed(stages: Sequence[Stage], cuts: Sequence[slice]) -> Work:
    """Run all stages on one slice of images, and on the other slices in parallel, without waiting between stages. So a stage
    may only read what an earlier stage wrote for the same images.
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
    """Work as a function that caches the calls of each part."""

    def __init__(self, work: Work) -> None:
        self._work, self._numbers = work, range(len(work.parts))
        self._ready: dict[tuple[Workspace, int], list[Call]] = {}

    def __call__(self) -> None:
        blas_alone(unbuffered, self._work._do, self._part, self._numbers)

    def _part(self, i: int) -> None:
        key = current(), i
        calls = self._ready.get(key)
        if calls is None:
            if len(self._ready) >= max(KEPT, 4 * len(self._numbers)):
                self._ready.clear()
            calls = self._ready[key] = self._work.arrange(self._work.parts[i])
        _run(calls)


def _run(calls: Iterable[Call]) -> None:
    for call in calls:
        call()
