"""Numerical derivatives along a line with bounds of their error, and one-sided derivatives at kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .levels import Flat

EPS = float(np.finfo(np.float64).eps)
KINK = 1e-5
"""The change of slope, relative to the largest slope, from which a point may be a kink."""
PIECE = 1e-2
"""The change of slope, relative to the largest slope, that neither curvature nor rounding explains."""
SETTLED = 1e-3
"""The largest error, relative to the absolute derivatives of all outputs, of a settled estimate."""


@dataclass
class Estimate:
    """A numerical derivative along a line.

    Args:
        value: the sum of the derivatives of all outputs.
        error: a bound of its error.
        step: the step of the differences.
        bent: whether the slopes of the two sides seem to differ at this step.
        size: the sum of the absolute derivatives.
    """

    value: float
    error: float
    step: float
    bent: bool = False
    size: float = 0.0

    def beats(self, other: Estimate) -> bool:
        """Whether to trust this estimate rather than `other`, which has larger steps.

        If both are settled and contradict each other, this one: larger steps may reach across a pole or a kink.
        """
        settled, before = (e.error <= SETTLED * e.size for e in (self, other))
        if settled != before:
            return settled
        contradicts = settled and abs(self.value - other.value) > self.error + other.error
        return contradicts or self.error < other.error


@dataclass
class Line:
    """y(x + t d). Its derivatives are taken output by output and then summed, so that no two errors cancel.

    Args:
        sample: the outputs, as one vector, for a shift of the inputs.
        here: the outputs at x.
        direction: d, as one vector.
        input_noise: the size of x times the gradient along d, whose rounding is part of the error.
        expected: the derivative by the rules.
        tolerance: the error that it may have.
    """

    sample: Callable[[NDArray[Any]], NDArray[Any]]
    here: Flat
    direction: Flat
    input_noise: float
    expected: float
    tolerance: float
    known: dict[float, Flat] = field(default_factory=dict)

    def at(self, t: float) -> Flat:
        """The outputs at x + t d."""
        if t not in self.known:
            self.known[t] = self.sample(t * self.direction)
        return self.known[t]

    def central(self, h: float) -> Estimate:
        """(8 (y(h) - y(-h)) - (y(2h) - y(-2h))) / 12 h, whose error is h^4 y^(5) / 30 and rounding.

        The fourth difference over 2h is h^3 y^(4) / 2 where y is smooth, and the change of slope at a kink. It shows a jump,
        too; if y is in the middle of a jump, the slope halves as h doubles.
        """
        far_left, left, right, far_right = (self.at(t) for t in (-2 * h, -h, h, 2 * h))
        slopes = self.slopes(h)
        bends = np.abs(far_left - 4 * left + 6 * self.here - 4 * right + far_right) / (2 * h)
        halved = np.abs(2 * (right - left) - (far_right - far_left)) / (4 * h)
        size, height = (float(np.abs(a).max(initial=0.0)) for a in (slopes, self.here))
        noise = 64 * EPS * height / h
        bent = bool(((bends > KINK * size + noise) | (halved > 0.1 * size + noise)).any())
        error = self.rounding(slopes != 0, h, self.input_noise)
        return Estimate(float(slopes.sum()), error, h, bent, float(np.abs(slopes).sum()))

    def slopes(self, h: float) -> Flat:
        """The derivative of every output, by central differences."""
        return (8 * (self.at(h) - self.at(-h)) - (self.at(2 * h) - self.at(-2 * h))) / (12 * h)

    def rounding(self, outputs: NDArray[np.bool_], h: float, more: float = 0.0) -> float:
        """A bound of the error that rounding of some outputs, and of `more`, causes in a derivative with step h."""
        return float(4 * EPS / h * (np.linalg.norm(self.here[outputs]) + more))

    def still(self, h: float) -> NDArray[np.bool_]:
        """Which outputs do not change at all with step h: they are constant, or change by less than their rounding."""
        return np.asarray(np.all([self.at(k * h) == self.here for k in (-2, -1, 1, 2)], axis=0))

    def refined(self, h: float, tolerance: float, agrees: Callable[[Estimate], bool]) -> Estimate | None:
        """The best of central differences with steps from 16 h down, or None if they are not finite.

        Three steps in a row give an estimate, with their disagreement as its error; :meth:`Estimate.beats` ranks them. The
        loop ends when the error is at most `tolerance` and the estimate agrees with the expected value or with much smaller
        steps; or, below h / 2^18, when rounding hides the derivative.
        """
        ladder: list[Estimate] = []
        best: Estimate | None = None
        for k in range(-2, 24):
            step = self.central(h * 4.0**-k)
            ladder = [*ladder[-2:], step] if np.isfinite(step.value) else []
            if k >= 9 and (not ladder or step.error >= SETTLED * step.size):
                break
            if len(ladder) < 3:
                continue
            a, b, c = ladder
            error = max(abs(a.value - b.value), abs(b.value - c.value)) + b.error
            found = Estimate(b.value, error, b.step, size=b.size)
            if best is None or found.beats(best):
                best = found
            if best.error <= tolerance and (agrees(best) or self._persists(best, h)):
                break
        return best

    def _persists(self, estimate: Estimate, h: float) -> bool:
        """Whether two much smaller steps agree. They do not if the estimate's steps reached across a pole."""
        closer = (self.central(h * 4.0**-k) for k in (9, 14))
        return all(abs(step.value - estimate.value) <= step.error + estimate.error for step in closer)

    def sides(self, h: float) -> Sides:
        """One-sided derivatives, with the smallest step from h down to h / 4096 that the step before confirms."""
        found = [self._sides(h * 4.0**-k) for k in range(7)]
        for wide, narrow in pairwise(found):
            narrow.error = float((np.abs(wide.low - narrow.low) + np.abs(wide.high - narrow.high)).sum())
        size = max((s.size for s in found if np.isfinite(s.error)), default=0.0)
        confirmed = [s for s in found if s.error <= 1e-6 * max(1.0, size)]
        return confirmed[-1] if confirmed else min(found, key=lambda s: s.error)

    def _sides(self, h: float) -> Sides:
        """By the cubic through four points; the middle is left out, since a jump may have any value there."""
        values, slopes = [], []
        for side in (-h, h):
            one, two, three, four = (self.at(side * k) for k in (1, 2, 3, 4))
            values.append(4 * one - 6 * two + 4 * three - four)
            slopes.append((-26 * one + 57 * two - 42 * three + 11 * four) / (6 * side))
        return Sides(np.minimum(*slopes), np.maximum(*slopes), np.abs(values[1] - values[0]), h)

    def nearby(self, shift: Flat, h: float) -> Flat:
        """The slope of every output at a nearby point, by differences with step h."""
        forward, backward = (self.sample(shift + side * h * self.direction) for side in (1, -1))
        return np.asarray((forward - backward) / (2 * h))

    def complex_step(self, h: float) -> Estimate:
        """imag y(x + i h d) / h: exact to rounding where y is analytic."""
        slopes = self.sample(1j * h * self.direction).imag / h
        size = float(np.abs(slopes).sum())
        return Estimate(float(slopes.sum()), 64 * EPS * size, h, size=size)


@dataclass
class Sides:
    """The smaller and the larger of the two one-sided derivatives of each output, and its jump in between.

    A slope nearby belongs to another piece of the function if it differs by `margin`, relative to the largest slope.
    """

    low: Flat
    high: Flat
    jump: Flat
    step: float
    error: float = np.inf
    margin: float = KINK

    @property
    def size(self) -> float:
        """The largest derivative."""
        return float(np.maximum(np.abs(self.low), np.abs(self.high)).max(initial=0.0))

    @property
    def jumped(self) -> NDArray[np.bool_]:
        """Which outputs have different limits from the left and from the right."""
        return self.jump > 1e-6 * max(1.0, self.size) + 10 * self.error * self.step

    @property
    def bends(self) -> NDArray[np.bool_]:
        """Which outputs have one-sided derivatives that differ by more than their error."""
        return self.high - self.low > KINK * self.size + 10 * self.error

    @property
    def kinked(self) -> bool:
        """Whether there is a kink or a jump."""
        return bool(np.isfinite(self.error) and (self.jumped.any() or self.bends.any()))

    def allow_jumps(self) -> None:
        """Remove the bounds of outputs that jump, which have no derivative."""
        self.low, self.high = np.where(self.jumped, -np.inf, self.low), np.where(self.jumped, np.inf, self.high)

    def take_in(self, nearby: Callable[[float], Flat], noise: float) -> bool:
        """Widen the bounds to slopes nearby that lie outside of them, and return whether there were any.

        ``nearby(t)`` has the slopes at t times some distance. Slopes that are nearly equal at t = 1 and at t = 0.1 belong to
        another piece of the function; the bounds are widened to their limit.
        """

        def outside(values: Flat) -> NDArray[np.bool_]:
            margin = noise + self.margin * np.fmax(self.size, np.abs(values))
            return (values < self.low - margin) | (values > self.high + margin)

        near = nearby(0.1)
        if not outside(near).any():
            return False
        far = nearby(1.0)
        limit = near + (near - far) / 9
        same = np.abs(far - near) <= 0.1 * np.maximum(np.abs(far), np.abs(near))
        other = same & outside(near) & outside(limit)
        self.low = np.where(other, np.fmin(self.low, limit), self.low)
        self.high = np.where(other, np.fmax(self.high, limit), self.high)
        return bool(other.any())
