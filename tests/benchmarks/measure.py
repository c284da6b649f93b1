"""Sides of a row measured beside each other, in turns, so that what disturbs one disturbs the other.

Everything here runs in a process of its own (:func:`isolated`), which holds two libraries and no third: the threads that a
library keeps spin for a while after a call, and would take the other's cores. So there is a pause between turns too. At
every turn a fixed piece of work, which needs both cores, is timed: where it takes longer than usual, the machine is busy.

What a library does about freed memory holds for its whole process. So the two share a process where both shall keep it, and
have a process each where each shall do what it does by default.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain
from multiprocessing import get_context
from typing import Any

import numpy as np

from .problems import Array
from .rows import BY_NAME, SIDES, Row

Key = tuple[str, int]
"""A side, and how many threads to tell it to take, or 0 to leave it alone."""

Turns = dict[Key, Callable[[], list[float]]]

PAUSE = 0.1
"""Seconds between turns."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: turns for each side, of about so many seconds, after some calls that do not count.

    `apart` measures each side in a process of its own, with its library's defaults. Else both are in one process, which keeps
    freed memory: our first large backward pass turns that on, and it spares both sides page faults.
    """

    turns: int = 5
    seconds: float = 0.3
    warm_up: int = 3
    apart: bool = False
    threads: int | None = None
    """How many for each side; None for our default, and for the peer those that the row names (the faster count)."""


@dataclass(frozen=True)
class Figure:
    """A median, in seconds or bytes, and the spread between the quartiles relative to it."""

    median: float
    spread: float


@dataclass(frozen=True)
class Outcome:
    """A row beside one peer: a figure for each side, and how long the fixed work took at every turn.

    `disturbed` says that it was measured on a machine that had other work to do.
    """

    row: str
    peer: str
    figures: dict[str, Figure]
    calibration: list[float] = field(default_factory=list)
    disturbed: bool = False

    def ratio(self, ours: str) -> float:
        """Our time or memory over the peer's."""
        return self.figures[ours].median / self.figures[self.best].median

    @property
    def best(self) -> str:
        """The fastest form of the peer."""
        forms = [side for side in (self.peer, *BY_NAME[self.row].also) if side in self.figures]
        return min(forms, key=lambda side: self.figures[side].median)


def isolated(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def compare(name: str, peer: str, effort: Effort) -> Outcome:
    """Time our ways and the peer's, having seen that they compute the same."""
    row = BY_NAME[name]
    sides = [*row.ours(peer), peer, *(row.also if peer == row.peers[0] else ())]
    with ExitStack() as stack:
        if effort.apart:
            isolated(agree, row, sides)
            turns: Turns = {key: _process(stack, row, key, effort) for key in _keys(row, sides, effort)}
        else:
            SIDES["eager"].load().keep_freed_memory()
            agree(row, sides)
            built = {side: SIDES[side].build(row.work, row.problem()) for side in sides}
            turns = {key: Turn(key, built[key[0]], effort) for key in _keys(row, sides, effort)}
        times, calibration = alternate(turns, effort)
    figures: dict[str, Figure] = {}
    for (side, _), values in times.items():
        found = _figure(values)
        if side not in figures or found.median < figures[side].median:
            figures[side] = found
    return Outcome(name, peer, figures, calibration)


def _keys(row: Row, sides: list[str], effort: Effort) -> list[Key]:
    counts = row.threads if effort.threads is None else (effort.threads,)
    return [(side, n) for side in sides for n in (counts if hasattr(SIDES[side].load(), "set_threads") else (0,))]


class Turn:
    """Calls of one side, after those of its warm-up; called, it returns the seconds of each call of a turn.

    The first call of a turn finds cold caches and sleeping threads; it counts only if it alone fills the turn.
    """

    def __init__(self, key: Key, call: Callable[[], Any], effort: Effort) -> None:
        self.side, self.threads, self.call, self.seconds = SIDES[key[0]], key[1], call, effort.seconds
        self.side.begin()
        for _ in range(effort.warm_up):
            call()

    def __call__(self) -> list[float]:
        self.side.begin()
        if self.threads:
            self.side.load().set_threads(self.threads)
        time.sleep(PAUSE)
        spent = [_seconds(self.call)]
        total = spent[0]
        while total < self.seconds:  # nothing that takes longer: it would empty the caches between two calls
            spent.append(_seconds(self.call))
            total += spent[-1]
        return spent[1:] or spent


_turns: list[Turn] = []
"""That of this process, where each side has its own."""


def _start(row: Row, key: Key, effort: Effort) -> None:
    _turns.append(Turn(key, SIDES[key[0]].build(row.work, row.problem()), effort))


def _next() -> list[float]:
    return _turns[0]()


def _process(stack: ExitStack, row: Row, key: Key, effort: Effort) -> Callable[[], list[float]]:
    """A turn that runs in a process of its own, which ends with the stack."""
    pool = stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
    pool.submit(_start, row, key, effort).result()
    return lambda: pool.submit(_next).result()


def alternate(turns: Turns, effort: Effort) -> tuple[dict[Key, list[float]], list[float]]:
    """Seconds of every call, and of the fixed work at every turn."""
    times: dict[Key, list[float]] = {key: [] for key in turns}
    calibration = []
    for _ in range(effort.turns):
        calibration.append(calibrate())
        for key, turn in turns.items():
            times[key] += turn()
    return times, [*calibration, calibrate()]


def agree(row: Row, sides: list[str]) -> None:
    """Raise unless all sides compute the same in each of three calls; dropout, which draws at random, is off."""
    problem = replace(row.problem(), dropout=False)
    found = []
    for side in sides:
        SIDES[side].begin()
        call = SIDES[side].build(row.work, problem)
        found.append([_arrays(call()) for _ in range(3)])
    for side, values in zip(sides[1:], found[1:], strict=True):
        for expected, actual in zip(chain(*found[0]), chain(*values), strict=True):
            error = np.abs(expected - actual).max() / np.abs(expected).max()
            if not error < 1e-3:
                raise AssertionError(f"{row.name}: {sides[0]} and {side} differ by {error:.1e}: not the same work")


def peak_memory(name: str, side: str) -> Figure:
    """Bytes that a training step takes at its peak, over the interpreter with the library loaded."""
    row = BY_NAME[name]
    SIDES[side].load()
    before = peak_bytes()
    call = SIDES[side].build(row.work, row.problem())
    for _ in range(5):
        call()
    return Figure(peak_bytes() - before, 0.0)


@cache
def _matrices() -> tuple[Array, Array]:
    return np.ones((1024, 1024), np.float32), np.empty((1024, 1024), np.float32)


def calibrate() -> float:
    """Seconds of a fixed product of matrices, which BLAS splits between the cores."""
    a, out = _matrices()
    return statistics.median(_seconds(partial(np.matmul, a, a, out=out)) for _ in range(5))


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _figure(values: list[float]) -> Figure:
    low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return Figure(median, (high - low) / median)


def _arrays(value: Any) -> list[Array]:
    return [
        np.array(v.detach() if hasattr(v, "detach") else v)
        for v in (value if isinstance(value, list | tuple) else [value])
    ]


def peak_bytes() -> float:
    """The largest resident set of this process so far."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
