"""A function of an evaluation: what is read from its input, what is timed, and how the result is written."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def listed(y: Any) -> Any:
    """A Tensor as numbers in nested lists."""
    return y.tolist()


@dataclass(frozen=True)
class Function:
    """``write(call(*read(input)))``; only the call is timed."""

    read: Callable[[Any], tuple[Any, ...]]
    call: Callable[..., Any]
    write: Callable[[Any], Any] = listed

    def __call__(self, given: Any) -> Any:
        return self.write(self.call(*self.read(given)))

    def repeat(self, given: Any) -> dict[str, Any]:
        """The output, and the time of each call: as many calls as the input asks for, one if it does not say."""
        runs, seconds = (given.get(name, 0) if isinstance(given, dict) else 0 for name in ("min_runs", "min_seconds"))
        arguments, timings, spent = self.read(given), [], 0
        while not timings or len(timings) < runs or spent < seconds * 1e9:
            start = time.perf_counter_ns()
            y = self.call(*arguments)
            timings.append(time.perf_counter_ns() - start)
            spent += timings[-1]
        return {"output": self.write(y), "timings": [{"name": "evaluate", "nanoseconds": n} for n in timings]}


NAMES = ("ba", "det", "gmm", "hello", "ht", "kmeans", "llsq", "lse", "lstm", "ode", "particle", "saddle")


def load(name: str) -> dict[str, Function]:
    """The functions of an evaluation, by name."""
    if name not in NAMES:
        raise ValueError(f"no evaluation is called {name!r}; there are {', '.join(NAMES)}")
    functions: dict[str, Function] = importlib.import_module(f".evals.{name}", __package__).FUNCTIONS
    return functions
