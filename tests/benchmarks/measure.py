"""Time two ways of doing the same thing in one process, in turns, so that what disturbs one disturbs the other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds per call: the median, and the spread between the quartiles relative to it."""

    median: float
    spread: float


PAUSE = 0.1
"""Seconds between turns. The threads of one side's pool spin for a while after a call, and would take the other's cores."""


def alternate(sides: dict[str, Callable[[], object]], turns: int = 5, seconds: float = 0.3) -> dict[str, Timing]:
    """Give each side `turns` turns of about `seconds`, one after the other; the first call of a turn does not count."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, side in sides.items():
            time.sleep(PAUSE)
            side()
            start = time.perf_counter()
            while not times[name] or time.perf_counter() - start < seconds:
                began = time.perf_counter()
                side()
                times[name].append(time.perf_counter() - began)
    return {name: _timing(values) for name, values in times.items()}


def _timing(values: list[float]) -> Timing:
    low, median, high = statistics.quantiles(values, n=4)
    return Timing(median, (high - low) / median)
