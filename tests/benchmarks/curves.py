"""Cost against work: the same step for ever more images, nodes or pixels, on one thread and on two."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import problems
from .measure import Effort, Turn, alternate
from .problems import Problem
from .rows import SIDES

Points = list[tuple[int, float]]
"""(work, seconds)"""

SLOW = 0.2
"""Seconds for a size, after which the next, larger ones have one turn: they would take minutes, and vary little."""


@dataclass(frozen=True)
class Curve:
    """One panel of the picture. `per_second` shows work per second instead of seconds."""

    name: str
    title: str
    axis: str
    work: str
    problem: Callable[[int], Problem]
    sizes: tuple[int, ...]
    sides: tuple[str, ...]
    threads: tuple[int, ...] = (1, 2)
    per_second: bool = False


CURVES = [
    Curve(
        "batch",
        "MNIST CNN, training",
        "images in a batch",
        "mnist",
        problems.mnist,
        (1, 4, 16, 64, 256),
        ("eager", "compiled", "pytorch"),
        per_second=True,
    ),
    Curve(
        "depth",
        "Multiplications of 8 x 8, forward and backward",
        "multiplications in the chain",
        "chain",
        problems.chain,
        (100, 1_000, 10_000, 100_000, 1_000_000),
        ("eager", "pytorch"),
        threads=(1,),
    ),
    Curve(
        "size",
        "Residual network, training on 8 images",
        "height and width of an image",
        "residual",
        partial(problems.residual, 8),
        (8, 16, 32, 64, 128),
        ("eager", "compiled", "pytorch"),
    ),
]


def trace(name: str, threads: int, quick: bool) -> dict[str, Points]:
    """The points of every side. BLAS reads how many threads it may take when it is loaded, so the caller has told it."""
    curve = next(c for c in CURVES if c.name == name)
    points: dict[str, Points] = {side: [] for side in curve.sides if SIDES[side].installed}
    for size in curve.sizes[: 3 if quick else None]:
        problem = curve.problem(size)
        slow = any(found and found[-1][1] > SLOW for found in points.values())
        effort = Effort(turns=1 if slow else 2 if quick else 3, seconds=0.1, warm_up=1)
        turns = {}
        for side in points:
            library = SIDES[side].load()
            if hasattr(library, "set_threads"):
                library.set_threads(threads)
            turns[side, 0] = Turn((side, 0), SIDES[side].build(curve.work, problem), effort)
        times, _ = alternate(turns, effort)
        for (side, _), values in times.items():
            points[side].append((size, statistics.median(values)))
    return points
