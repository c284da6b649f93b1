"""A line search for the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..scope import silent
from .hyperparameters import Array

DECREASE, CURVATURE = 1e-4, 0.9
"""The factors c1 and c2 of the conditions."""


class Point(NamedTuple):
    """A step t along the line with the function's value, gradient and slope there."""

    t: float
    value: float
    gradient: Array
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, direction: Array, tolerance: float, most: int
) -> tuple[Point, int]:
    """A step with f(t) <= f(0) + c1 t f'(0) and |f'(t)| <= -c2 f'(0), and how often the function was evaluated.

    The steps are PyTorch's: brackets by cubic extrapolation, then cubic interpolation in the bracket. If `most` steps find
    none, or the bracket is smaller than `tolerance`, it is the lowest point of the bracket. A NaN counts as too high.

    Reference: Nocedal and Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6.
    """

    def too_high(point: Point) -> bool:
        return not point.value <= start.value + DECREASE * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -CURVATURE * start.slope

    previous, point, count = start, evaluate(t), 0
    bracket = None
    while count < most:
        if too_high(point) or (count > 1 and point.value >= previous.value):
            bracket = [previous, point]
            break
        if flat(point):
            return point, count + 1
        if point.slope >= 0:
            bracket = [previous, point]
            break
        least = point.t + 0.01 * (point.t - previous.t)
        t = cubic_minimum(previous, point, least, 10 * point.t)
        previous, point, count = point, evaluate(t), count + 1
    if bracket is None:
        bracket = [start, point]
    low, high = _order(bracket)
    size, hesitated = float(np.abs(direction).max()), False
    while count < most and abs(bracket[1].t - bracket[0].t) * size >= tolerance:
        first, last = sorted(p.t for p in bracket)
        t = cubic_minimum(bracket[0], bracket[1], first, last)
        margin = 0.1 * (last - first)
        if min(last - t, t - first) < margin:  # no progress: accepted once, unless the step is at an end
            if hesitated or t >= last or t <= first:
                t = last - margin if abs(t - last) < abs(t - first) else first + margin
                hesitated = False
            else:
                hesitated = True
        else:
            hesitated = False
        point, count = evaluate(t), count + 1
        if too_high(point) or point.value >= bracket[low].value:
            bracket[high] = point
            low, high = _order(bracket)
            continue
        done = flat(point)
        if not done and point.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = point
        if done:
            break
    return bracket[low], count + 1


def _order(bracket: list[Point]) -> tuple[int, int]:
    """The places of the lower and of the higher point."""
    return (1, 0) if bracket[1].value < bracket[0].value else (0, 1)


def cubic_minimum(a: Point, b: Point, least: float, most: float) -> float:
    """The minimum of the cubic through two points with their slopes, clipped to an interval; else the interval's middle."""
    left, right = (a, b) if a.t <= b.t else (b, a)
    with silent:
        mean = np.float64(a.slope) + b.slope - 3 * (np.float64(a.value) - b.value) / (a.t - b.t)
        square = mean**2 - a.slope * b.slope
        root = np.sqrt(square)
        t = right.t - (right.t - left.t) * ((right.slope + root - mean) / (right.slope - left.slope + 2 * root))
    return float(min(max(t, least), most)) if square >= 0 and not math.isnan(t) else (least + most) / 2
