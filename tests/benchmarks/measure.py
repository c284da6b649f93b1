"""Sides of a row measured beside each other, in turns, so that what disturbs one disturbs the other.

Everything here runs in a process of its own (:func:`isolated`), which holds two libraries and no third: the threads that a
library keeps spin for a while after a call, and would take the other's cores. So there is a pause between turns too. At
every turn a fixed piece of work, which needs both cores, is timed: where it takes longer than usual, the machine is busy.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
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

Calls = dict[Key, Callable[[], Any]]

PAUSE = 0.1
"""Seconds between turns."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: turns for each side, of about so many seconds, after some calls that do not count; and whether the
    process keeps freed memory, which our first large backward pass turns on, and which spares both sides page faults."""

    turns: int = 5
    seconds: float = 0.3
    warm_up: int = 3
    keeps: bool = True


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
        return self.figures[ours].median / self.figures[self.peer].median


def isolated(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def compare(name: str, peer: str, effort: Effort) -> Outcome:
    """Time our ways and the peer's, having seen that they compute the same."""
    row = BY_NAME[name]
    SIDES["eager"].load().keep_freed_memory(*([] if effort.keeps else [0]))
    agree(row, [*row.ours(peer), peer])
    calls = {}
    for side in (*row.ours(peer), peer):
        call = SIDES[side].build(row.work, row.problem())
        threads = row.threads if side == peer and hasattr(SIDES[side].load(), "set_threads") else (0,)
        calls |= {(side, n): call for n in threads}
    times, calibration = alternate(calls, effort)
    figures: dict[str, Figure] = {}
    for (side, _), values in times.items():
        found = _figure(values)
        if side not in figures or found.median < figures[side].median:
            figures[side] = found
    return Outcome(name, peer, figures, calibration)


def alternate(calls: Calls, effort: Effort) -> tuple[dict[Key, list[float]], list[float]]:
    """Seconds of every call, and of the fixed work at every turn.

    The first call of a turn finds cold caches and sleeping threads; it counts only if it alone fills the turn.
    """
    times: dict[Key, list[float]] = {key: [] for key in calls}
    calibration = []
    for (side, _), call in calls.items():
        SIDES[side].begin()
        for _ in range(effort.warm_up):
            call()
    for _ in range(effort.turns):
        calibration.append(calibrate())
        for (side, threads), call in calls.items():
            SIDES[side].begin()
            if threads:
                SIDES[side].load().set_threads(threads)
            time.sleep(PAUSE)
            spent = [_seconds(call)]
            while sum(spent) < effort.seconds:
                spent.append(_seconds(call))
            times[side, threads] += spent[1:] or spent
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
