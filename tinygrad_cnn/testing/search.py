"""Find the entries of a gradient that are wrong, with few evaluations: look along directions, and halve what is wrong."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .levels import Arrays, Flat, Level, Record
from .numeric import EPS, PIECE, Estimate, Line, Sides
from .report import Failure, Kink, Report

VISIBLE = 1e-3
"""The relative error of one element that must be seen."""
CLOSER_LOOKS = 32
"""Directions spent on elements that the first ones do not show."""
CONFIDENCE = 6.0
"""Standard deviations that a sum of errors with random signs stays within: a chance of 3e-8 at most (Hoeffding)."""
NEAR = 1e-5
"""The distance, relative to coordinates above 1, of points whose slopes count as slopes at a kink."""
NEARBY = 128
"""Such points that are looked at before a gradient at a kink is called wrong."""
FEW = 12
"""Such points where nothing has bent so far."""

Entries = NDArray[np.intp]


def away_from_zero(rng: np.random.Generator, shape: Any) -> Flat:
    """Random values with random signs and magnitudes from 0.5 to 1.5, so that a sum weighted by them hides no element."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


class Search:
    """One order: compares the gradient of every entry of every input with numerical derivatives, in float64."""

    def __init__(
        self, level: Level, record: Record, us: Arrays, order: int, report: Report, rng: np.random.Generator,
        tolerances: tuple[float, float], eps: float, method: str,
    ) -> None:  # fmt: skip
        self.level, self.order, self.report, self.rng = level, order, report, rng
        (rtol, self.atol), self.eps, self.complex = tolerances, eps, method == "complex"
        found = record.pull(us)
        self.record, self.us = record, us
        self.absent = {p for p, g in zip(level.floating, found, strict=True) if g is None}
        self.analytic = level.flat(found)
        sizes = np.abs(self.analytic)
        self.allowed = self.atol + rtol * sizes
        floor = 4 * (self.atol or float(np.finfo(float).tiny)) / VISIBLE
        self.small = sizes <= floor
        self.visible = np.where(self.small, floor, VISIBLE * sizes)  # the error of each entry that must be seen
        self.here, self.weights = _joined(record.values), _joined(us)
        self.point = level.flat([level.arrays[p] for p in level.floating])
        self.kinked, self.corners = np.zeros((2, level.size), bool)
        self.bent = False

    def run(self, directions: int, budget: int) -> None:
        """Look along `directions` directions through everything, then at what they cannot show, then one by one."""
        size, failures = self.level.size, self.report.failures
        if not np.isfinite(self.analytic).all():
            self._fail(int(np.argmin(np.isfinite(self.analytic))), "the gradient is not finite")
            return
        seen = np.zeros(size, bool)
        with np.errstate(all="ignore"):
            for _ in range(directions):
                smooth = np.flatnonzero(~self.kinked & (not failures))
                seen |= self._look(smooth, _only(smooth, away_from_zero(self.rng, size)))
            seen |= self._look_closer(np.flatnonzero(~seen))
            if failures:
                self._look_at_other_inputs()
                return
            singles = self.rng.permutation(np.flatnonzero(~self.kinked))
            for entry in singles[np.argsort(seen[singles], kind="stable")][:budget]:
                seen |= self._look(np.array([entry]), self._unit(entry))
            self._look_at_ties()
        self.report.unseen += int((~seen).sum())

    def _look_closer(self, hidden: Entries) -> NDArray[np.bool_]:
        """Look at hidden elements along directions of their own, together while that helps, else in halves by size."""
        seen = np.zeros(self.level.size, bool)
        queue = [part for part in (hidden[self.small[hidden]], hidden[~self.small[hidden]]) if part.size]
        for _ in range(CLOSER_LOOKS):
            if not queue or self.report.failures:
                break
            entries = queue.pop(0)
            seen |= self._look(entries, _only(entries, away_from_zero(self.rng, self.level.size)))
            rest = entries[~seen[entries]]
            if rest.size > entries.size / 2 and rest.size > 1:
                queue += np.array_split(rest[np.argsort(-np.abs(self.analytic[rest]))], 2)
            elif 0 < rest.size < entries.size:
                queue.append(rest)
        return seen

    def _look(self, entries: Entries, direction: Flat) -> NDArray[np.bool_]:
        """Compare derivatives along a direction that is zero outside `entries`. Which elements' errors that would show.

        Where they disagree, or there is a bend, smaller steps tell whether the numerical derivative is to blame. If the
        gradient is, its wrong element is located; if there is a kink, the halves of `entries` are looked at.
        """
        if not entries.size:
            return np.zeros(self.level.size, bool)
        line = self._line(direction)
        estimate = self._estimate(line, self.eps)
        if estimate.bent or not self._agrees(line, estimate):
            if estimate.bent and line.central(self.eps / 8).bent:
                self.bent = True
                seen = self._at_kink(entries, direction, line)
                if seen is not None:
                    return seen
            closer = estimate if self.complex else self._refined(line)
            if closer is None:
                self._fail(int(entries[0]), "f is not finite around this point with steps above 1e-8", entries)
                return np.asarray(direction != 0)
            estimate = closer
            if not self._agrees(line, estimate):
                return np.asarray((direction != 0) & self._locate(entries, direction, estimate.step))
            size = max(abs(line.expected), float(np.linalg.norm(self.analytic * direction)))
            if estimate.error > max(10 * line.tolerance, VISIBLE * size, 1e-7 * float(np.linalg.norm(self.here))):
                self._fail(
                    int(entries[0]), f"the numerical derivative {estimate.value:.6g} is uncertain by {estimate.error:.2g}; "
                    "f may round to a lower precision: choose a larger `eps`, or raise `rtol` and `atol`", entries,
                )  # fmt: skip
        return np.asarray(self.visible * np.abs(direction) > 2 * self._uncertainty(line, estimate))

    def _at_kink(self, entries: Entries, direction: Flat, line: Line) -> NDArray[np.bool_] | None:
        """Judge the gradient if there is a kink at the point. Which elements' errors that showed, or None without a kink."""
        if entries.size == 1 and direction[entries[0]] != 1.0:
            direction = self._unit(int(entries[0]))
            line = self._line(direction)
        if entries.size > 1:
            known = len(self.report.kinks), len(self.report.failures)
            halves = [self._look(half, _only(half, direction)) for half in np.array_split(entries, 2)]
            if known != (len(self.report.kinks), len(self.report.failures)):
                return np.asarray(halves[0] | halves[1])
        sides = line.sides(self.eps)
        if not sides.kinked:
            return None
        if self.order > 1:
            sides.allow_jumps()
        self.kinked[entries] = True
        self.corners[entries] = not sides.jumped.any()
        fits, expected, low, high = self._fits(line, sides)
        if fits:
            self._note_kink(int(entries[0]), line, low, high)
        else:
            self._fail(
                int(entries[0]), f"a kink; analytic {expected:.9g} does not lie between the one-sided derivatives {low:.9g} "
                f"and {high:.9g}, step {sides.step:.2g}", entries, expected, (low + high) / 2, sides.step,
            )  # fmt: skip
        return np.asarray(direction != 0)

    def _fits(self, line: Line, sides: Sides, outputs: Any = None) -> tuple[bool, float, float, float]:
        """Whether the gradient in some outputs lies between the sides or slopes nearby; its derivative and the two bounds."""
        expected = line.expected if outputs is None else float(self._pulled(outputs) @ line.direction)
        tolerance = line.tolerance + 2 * sides.error
        reach, h, found = NEAR * np.maximum(1.0, np.abs(self.point)), NEAR / 500, False
        noise = 8 * EPS * float(np.abs(self.here).max(initial=0.0)) / h
        for n in range(NEARBY):
            low, high = sides.bounds(slice(None) if outputs is None else outputs)
            fits = low - tolerance <= expected <= high + tolerance
            if fits or (n == FEW and not found and not self.bent):
                break
            shift = reach * away_from_zero(self.rng, self.level.size)
            if sides.take_in(lambda t: line.nearby(t * shift, h), noise):  # noqa: B023
                found, tolerance = True, tolerance + noise * float(np.abs(self.weights).sum()) * (not found)
        return fits, expected, low, high

    def _note_kink(self, entry: int, line: Line, low: float, high: float) -> None:
        low, high = (0.0 if abs(x) <= line.tolerance else x for x in (low, high))
        self.report.kinks.append(Kink(self.order, *self.level.place(entry), line.expected, low, high))

    def _look_at_ties(self) -> None:
        """Judge kinked entries together that share a kink: each alone may lie between its sides, and their sum may not.

        Outputs that bend along the direction are judged apart from those that do not, which allow one value only.
        """
        for tied in self._tied():
            ones = np.ones(self.level.size)
            for signs in (ones, *(away_from_zero(self.rng, self.level.size) for _ in range(3))):
                line = self._line(_only(tied, signs))
                sides = line.sides(self.eps)
                if sides.jumped.any() or not np.isfinite(sides.error):
                    continue
                for outputs in (sides.bends, ~sides.bends):
                    fits, expected, low, high = self._fits(line, sides, outputs)
                    if not fits:
                        self._fail(
                            int(tied[0]), f"a tie; analytic {expected:.9g} does not lie between the one-sided derivatives "
                            f"{low:.9g} and {high:.9g} of moving all of them, step {sides.step:.2g}", tied, expected,
                            (low + high) / 2, sides.step,
                        )  # fmt: skip
                        return

    def _tied(self) -> list[Entries]:
        """The entries at corners in groups of two and more: those whose gradients jump as one of the group moves."""
        corners = np.flatnonzero(self.corners)
        reach = NEAR * np.maximum(1.0, np.abs(self.point))
        noise, group = reach * away_from_zero(self.rng, self.level.size), np.arange(self.level.size)
        for entry in corners if corners.size > 1 else ():
            a, b = (self._gradient(noise + side * 8 * reach * self._unit(int(entry))) for side in (-1, 1))
            together = corners[(np.abs(a - b) > 1e-3 * np.maximum(np.abs(a), np.abs(b)).max())[corners]]
            group[np.isin(group, group[together])] = group[entry]
        groups = [corners[group[corners] == name] for name in np.unique(group[corners])]
        return [entries for entries in groups if entries.size > 1]

    def _gradient(self, shift: Flat) -> Flat:
        return self.level.flat(self.level.record(self.level.moved(shift)).pull(self.us))

    def _pulled(self, outputs: NDArray[np.bool_]) -> Flat:
        """The gradient of <y, u> over some outputs."""
        ends = np.cumsum([u.size for u in self.us])[:-1]
        parts = np.split(np.where(outputs, self.weights, 0.0), ends)
        return self.level.flat(self.record.pull([p.reshape(u.shape) for p, u in zip(parts, self.us, strict=True)]))

    def _locate(self, entries: Entries, direction: Flat, step: float) -> bool:
        """Add a failure for the worst entry, found by halving, or for the direction if no half is wrong by itself.

        Whether there is one, or a kink: the numerical derivative may prove wrong with other steps.
        """
        while entries.size > 1:
            halves = [(self._excess(_only(half, direction), step), half) for half in np.array_split(entries, 2)]
            excess, worse = max(halves, key=lambda pair: pair[0])
            if not excess > 1:
                break
            entries = worse
        direction = _only(entries, direction)
        if entries.size == 1 and self._excess(self._unit(int(entries[0])), step) > 1:
            direction = self._unit(int(entries[0]))
        line = self._line(direction)
        estimate = self._estimate(line, step)
        if not self.complex:
            estimate = self._refined(line) or estimate
        uncertainty = self._uncertainty(line, estimate)
        if _gap(line, estimate) <= uncertainty:
            return False
        if not self.complex:  # a kink that does not show along this direction, as in the middle one of three that tie
            slopes = line.slopes(estimate.step)
            around = Sides(slopes, slopes, np.zeros_like(slopes), self.weights, estimate.step, estimate.error, PIECE)
            fits, _, low, high = self._fits(line, around)
            if fits:
                self._note_kink(int(entries[0]), line, low, high)
                return True
        self._fail(
            int(entries[0]), f"analytic {line.expected:.12g}, numerical {estimate.value:.12g}, "
            f"difference {_gap(line, estimate):.3g}, tolerance {uncertainty:.3g}, step {estimate.step:.2g}",
            entries, line.expected, estimate.value, estimate.step,
        )  # fmt: skip
        return True

    def _look_at_other_inputs(self) -> None:
        """After a failure, tell for every other input whether it is wrong too."""
        for position, part in self.level.slices.items():
            if all(failure.input != position for failure in self.report.failures):
                entries = np.arange(part.start, part.stop)
                self._look(entries, _only(entries, away_from_zero(self.rng, self.level.size)))

    def _fail(
        self, entry: int, text: str, entries: Entries | None = None,
        analytic: float | None = None, numeric: float | None = None, step: float | None = None,
    ) -> None:  # fmt: skip
        position, index = self.level.place(entry)
        others = 0 if entries is None else entries.size - 1
        where = f"index {index}" + (f" and {others} others along a random direction" if others else "")
        if position in self.absent and numeric:
            text += "; no gradient reaches it, but f depends on it"
        self.report.failures.append(
            Failure(
                f"{self.level.name(position)}, {where}: {text}", self.order, position, None if others else index,
                analytic, numeric, step,
            )
        )  # fmt: skip

    def _tolerance(self, direction: Flat) -> float:
        """What elements that are right may add up to: at most the 1-norm, and with random signs CONFIDENCE 2-norms."""
        allowed = self.allowed * np.abs(direction)
        return min(CONFIDENCE * float(np.linalg.norm(allowed)), float(allowed.sum()))

    def _uncertainty(self, line: Line, estimate: Estimate) -> float:
        """What the gradient and an estimate may differ by.

        An output that did not move either does not depend on the direction, or moves by less than it is rounded by. Where
        the rules say the second, what they say is uncertain.
        """
        allowed = line.tolerance + estimate.error
        missing = _gap(line, estimate) - allowed
        if missing > 0 and not self.complex:
            still = line.still(estimate.step)
            rounding = line.rounding(still, estimate.step)
            claimed = abs(float(self._pulled(still) @ line.direction)) if rounding >= missing else np.inf
            allowed += claimed if claimed <= rounding else 0.0
        return allowed

    def _agrees(self, line: Line, estimate: Estimate) -> bool:
        return _gap(line, estimate) <= self._uncertainty(line, estimate)

    def _refined(self, line: Line) -> Estimate | None:
        """The derivative with steps that shrink until it is as good as the tolerance and the gradient agrees with it."""
        return line.refined(self.eps, line.tolerance, lambda e: self._agrees(line, e))

    def _excess(self, direction: Flat, step: float) -> float:
        line = self._line(direction)
        estimate = self._estimate(line, step)
        gap = _gap(line, estimate)
        return gap / self._uncertainty(line, estimate) if np.isfinite(gap) else np.inf

    def _estimate(self, line: Line, step: float) -> Estimate:
        if not self.complex:
            return line.central(step)
        estimate = line.complex_step(step)
        real: Estimate | None = line.central(1e-3)
        if not _close(real, estimate):
            real = line.refined(1e-3, 1e-4 * estimate.size, lambda _: True)
        if real is None or not _close(real, estimate):
            raise ValueError(
                f"gradcheck: `method` is 'complex' but f is not analytic: its complex step gives {estimate.value:.6g} and "
                f"real differences {'nothing finite' if real is None else f'{real.value:.6g}'}; use method='central'"
            )
        return estimate

    def _unit(self, entry: int) -> Flat:
        return np.asarray(np.arange(self.level.size) == entry, np.float64)

    def _line(self, direction: Flat) -> Line:
        noise = float(np.linalg.norm(self.point * self.analytic * (direction != 0)))
        expected, tolerance = float(self.analytic @ direction), self._tolerance(direction)
        return Line(self._sample, self.here, direction, self.weights, noise, expected, tolerance)

    def _sample(self, shift: NDArray[Any]) -> NDArray[Any]:
        arrays = self.level.moved(shift)
        if shift.dtype.kind != "c":
            return _joined(self.level.outputs(arrays))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                return np.concatenate([y.ravel() for y in self.level.outputs(arrays)])
        except (TypeError, np.exceptions.ComplexWarning) as error:
            raise ValueError(
                f"gradcheck: `method` is 'complex' but f is not defined for complex numbers ({error}); use method='central'"
            ) from error


def _gap(line: Line, estimate: Estimate) -> float:
    return abs(line.expected - estimate.value)


def _close(real: Estimate | None, estimate: Estimate) -> bool:
    return real is not None and abs(real.value - estimate.value) <= 1e-4 * estimate.size + real.error


def _joined(arrays: Arrays) -> Flat:
    return np.concatenate([np.zeros(0), *(a.ravel() for a in arrays)]).astype(np.float64, copy=False)


def _only(entries: Entries, direction: Flat) -> Flat:
    kept = np.zeros_like(direction)
    kept[entries] = direction[entries]
    return kept
