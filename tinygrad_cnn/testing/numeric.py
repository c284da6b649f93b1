"""Numerical derivatives along a line, with what they are worth: their error, and whether there is a kink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .levels import Flat

EPS = float(np.finfo(np.float64).eps)
KINK = 1e-5
"""A change of slope, relative to the largest slope, that is looked into."""


@dataclass
class Estimate:
    """A numerical derivative of <y, u> along a line.

    Args:
        value: the derivative.
        error: what it may be wrong by.
        step: the step it was computed with.
        bent: whether the slopes at both sides seem to differ at this step.
        size: the absolute derivatives of all outputs, summed.
    """

    value: float
    error: float
    step: float
    bent: bool = False
    size: float = 0.0


class Line:
    """y(x + t d) and the weights u, so that derivatives of <y, u> are taken output by output, and no two errors cancel.

    Args:
        sample: the outputs, as one vector, after a shift of the inputs.
        here: the outputs at x.
        direction: d, as one vector.
        weights: u, as one vector.
        input_noise: the size of x times the gradient along d, whose rounding is part of the error.
    """

    def __init__(
        self, sample: Callable[[NDArray[Any]], NDArray[Any]], here: Flat, direction: Flat, weights: Flat,
        input_noise: float,
    ) -> None:  # fmt: skip
        self.sample, self.here, self.direction, self.weights = sample, here, direction, weights
        self.input_noise = input_noise
        self._known: dict[float, Flat] = {0.0: here}

    def at(self, t: float) -> Flat:
        """The outputs at x + t d."""
        if t not in self._known:
            self._known[t] = self.sample(t * self.direction)
        return self._known[t]

    def central(self, h: float) -> Estimate:
        """(8 (y(h) - y(-h)) - (y(2h) - y(-2h))) / 12 h, whose error is h^4 y^(5) / 30 and rounding.

        The fourth difference over 2h is h^3 y^(4) / 2 where y is smooth, and the change of slope where it has a kink. A jump
        shows in that too, or if y is in its middle, in that slopes fall by half as h doubles.
        """
        far_left, left, right, far_right = (self.at(t) for t in (-2 * h, -h, h, 2 * h))
        slopes = (8 * (right - left) - (far_right - far_left)) / (12 * h)
        bends = np.abs(far_left - 4 * left + 6 * self.here - 4 * right + far_right) / (2 * h)
        halved = np.abs(2 * (right - left) - (far_right - far_left)) / (4 * h)
        size, height = (float(np.abs(a).max(initial=0.0)) for a in (slopes, self.here))
        noise = 64 * EPS * height / h
        bent = bool(((bends > KINK * size + noise) | (halved > 0.1 * size + noise)).any())
        rounding = float(np.linalg.norm((self.here * self.weights)[slopes != 0])) + self.input_noise
        return Estimate(float(slopes @ self.weights), 4 * EPS / h * rounding, h, bent)

    def refined(self, h: float, enough: float) -> Estimate | None:
        """The best of central differences with steps from 16 h down to h / 2^18, or None where they are not finite.

        The best is where three steps in a row agree best, and their disagreement is its error. Steps stop shrinking when
        the error is no more than `enough`.
        """
        ladder: list[Estimate] = []
        best: Estimate | None = None
        for k in range(-2, 10):
            step = self.central(h * 4.0**-k)
            ladder = [*ladder, step] if np.isfinite(step.value) else []
            if len(ladder) < 3:
                continue
            a, b, c = ladder[-3:]
            error = max(abs(a.value - b.value), abs(b.value - c.value)) + b.error
            if best is None or error < best.error:
                best = Estimate(b.value, error, b.step)
            if best.error <= enough:
                break
        return best

    def sides(self, h: float) -> Sides:
        """Derivatives from either side, with the smallest step from h down to h / 4096 that the next one confirms."""
        found = [self._sides(h * 4.0**-k) for k in range(7)]
        weight = np.abs(self.weights)
        for wide, narrow in pairwise(found):
            gap = np.abs(wide.left - narrow.left) + np.abs(wide.right - narrow.right)
            narrow.error = float((weight * gap).sum())
        size = max((s.size for s in found if np.isfinite(s.error)), default=0.0)
        confirmed = [s for s in found if s.error <= 1e-6 * max(1.0, size)]
        return confirmed[-1] if confirmed else min(found, key=lambda s: s.error)

    def _sides(self, h: float) -> Sides:
        """From the cubic through four points that leave out the middle one, where a jump may put any value."""
        ends = []
        for side in (-h, h):
            one, two, three, four = (self.at(side * k) for k in (1, 2, 3, 4))
            slope = (-26 * one + 57 * two - 42 * three + 11 * four) / (6 * side)
            ends.append((4 * one - 6 * two + 4 * three - four, slope))
        (left_value, left), (right_value, right) = ends
        return Sides(left, right, np.abs(right_value - left_value), self.weights, h)

    def complex_step(self, h: float) -> Estimate:
        """imag y(x + i h d) / h: exact to rounding where y is analytic."""
        slopes = self.sample(1j * h * self.direction).imag / h
        size = float(np.abs(slopes * self.weights).sum())
        return Estimate(float(slopes @ self.weights), 64 * EPS * size, h, size=size)


@dataclass
class Sides:
    """Each output's derivative from the left and from the right, and its jump between them."""

    left: Flat
    right: Flat
    jump: Flat
    weights: Flat
    step: float
    error: float = np.inf

    @property
    def size(self) -> float:
        """The largest weighted derivative."""
        return max(float(np.abs(side * self.weights).max(initial=0.0)) for side in (self.left, self.right))

    @property
    def kinked(self) -> bool:
        """Whether the two sides differ by more than their error allows."""
        change = np.abs(self.weights) * np.abs(self.right - self.left)
        size = self.size
        broken = bool((self.jump > 1e-6 * max(1.0, size) + 10 * self.error * self.step).any())
        return np.isfinite(self.error) and (broken or float(change.max(initial=0.0)) > KINK * size + 10 * self.error)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest derivative of <y, u> that lies, output by output, between the two sides."""
        a, b = self.left * self.weights, self.right * self.weights
        return float(np.minimum(a, b).sum()), float(np.maximum(a, b).sum())
