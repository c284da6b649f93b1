"""The data of a live page: series of numbers, and items that are replaced. The training writes them. The threads of the server
read them, and send each browser what is new to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from threading import Condition
from typing import Any

POINTS = 1024
"""The most points of a series. Beyond it, pairs of points are replaced by their mean, so a series of any length stays small."""


class Series:
    """Numbers over steps or epochs; their means over several steps if there are many."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []
        self.version = 0  # how often pairs of points were merged
        self._stride = 1
        self._waiting: list[tuple[float, float]] = []

    def add(self, x: float, y: float) -> None:
        """Add a point."""
        if self._stride == 1:
            self.points.append((x, y))
        else:
            self._waiting.append((x, y))
            if len(self._waiting) < self._stride:
                return
            self.points.append(_mean(self._waiting))
            self._waiting = []
        if len(self.points) >= POINTS:
            self.points = [_mean(self.points[i : i + 2]) for i in range(0, len(self.points), 2)]
            self._stride *= 2
            self.version += 1

    def all(self) -> list[tuple[float, float]]:
        """The points, and the mean of those that are not merged yet."""
        return [*self.points, _mean(self._waiting)] if self._waiting else list(self.points)


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return points[-1][0], math.fsum(y for _, y in points) / len(points) if _finite(points) else math.nan


def _finite(points: Sequence[tuple[float, float]]) -> bool:
    return all(math.isfinite(y) for _, y in points)


class Board:
    """Series and items by name."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.clear()

    def clear(self) -> None:
        """Delete all data when a new run begins. Readers send browsers the new data only."""
        with self.changed:
            self.series: dict[str, Series] = {}
            self._items: dict[str, tuple[int, Any]] = {}
            self._count = 0
            self.run = getattr(self, "run", 0) + 1
            self.changed.notify_all()

    def add(self, points: Mapping[str, Sequence[tuple[float, float]]], **items: Any) -> None:
        """Add points to series, and replace items, which must not be changed afterwards."""
        with self.changed:
            for name, some in points.items():
                series = self.series.setdefault(name, Series())
                for x, y in some:
                    series.add(x, y)
            for name, value in items.items():
                self._count += 1
                self._items[name] = self._count, value
            self.changed.notify_all()

    def everything(self) -> dict[str, Any]:
        """All data, as a message."""
        with self.changed:
            series = {name: {"reset": True, "points": each.all()} for name, each in self.series.items()}
            return {"run": self.run, "series": series, "items": {name: item for name, (_, item) in self._items.items()}}


class Reader:
    """Sends one browser what is new on a board."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._run = 0
        self._seen: dict[str, tuple[int, int]] = {}
        self._items = 0

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for something new. Returns whether there is."""
        with self._board.changed:
            return self._is_behind() or (self._board.changed.wait(seconds) and self._is_behind())

    def _is_behind(self) -> bool:
        board = self._board
        if self._run != board.run or self._items < board._count:
            return True
        return any(self._seen.get(name) != (s.version, len(s.points)) for name, s in board.series.items())

    def message(self) -> dict[str, Any]:
        """What is new since the last call."""
        board = self._board
        with board.changed:
            if self._run != board.run:
                self._run, self._seen, self._items = board.run, {}, 0
            series: dict[str, Any] = {}
            for name, each in board.series.items():
                version, count = self._seen.get(name, (-1, 0))
                if (version, count) == (each.version, len(each.points)):
                    continue
                reset = version != each.version
                series[name] = {"reset": reset, "points": each.points[0 if reset else count :]}
                self._seen[name] = each.version, len(each.points)
            items = {name: item for name, (number, item) in board._items.items() if number > self._items}
            self._items = board._count
            return {"run": self._run, "series": series, "items": items}
