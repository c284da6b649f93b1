"""Find wrong entries of a gradient with few evaluations: compare along random directions, and halve where they disagree."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scope import silent
from .levels import Arrays, Flat, Level, Record
from .numeric import EPS, PIECE, Estimate, Line, Sides
from .report import Failure, Kink, Report

VISIBLE = 1e-3
"""A relative error of one entry that must be found."""
CLOSER_LOOKS = 32
"""The most directions for entries that are too small to show in the first ones."""
CONFIDENCE = 6.0
"""Standard deviations that a sum of errors with random signs exceeds with probability 3e-8 at most (Hoeffding)."""
NEAR = 1e-5
"""Slopes within this distance of a kink count as slopes at the kink. For coordinates above 1 it is relative."""
NEARBY = 128
"""How many points within NEAR are tried before a gradient at a kink is called wrong."""
FEW = 12
"""As NEARBY, while no kink has been found."""

Entries = NDArray[np.intp]


def away_from_zero(rng: np.random.Generator, shape: Any) -> Flat:
    """Random signs times random magnitudes from 0.5 to 1.5: weights that hide no element of a sum."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


class Search:
    """Compares all entries of one gradient with numerical derivatives, in float64."""

    def __init__(
        self, level: Level, record: Record, us: Arrays, order: int, report: Report, rng: np.random.Generator,
        tolerances: tuple[float, float], eps: float, method: str,
    ) -> None:  # fmt: skip
        self.level, self.order, self.report, self.rng = level, order, report, rng
        self.tolerances, self.eps, self.method, self.complex = tolerances, eps, method, method == "complex"
        rtol, self.atol = tolerances
        found = record.pull(us)
        self.record, self.us = record, us
        self.absent = {p for p, g in zip(level.floating, found, strict=True) if g is None}
        self.analytic = level.flat(found)
        sizes = np.abs(self.analytic)
        self.allowed = self.atol + rtol * sizes
        floor = 4 * (self.atol or float(np.finfo(float).tiny)) / VISIBLE
        self.small = sizes <= floor
        self.visible = np.where(self.small, floor, VISIBLE * sizes)  # the error of each entry that must be found
        self.weights = _joined(us)
        self.here = _joined(record.values) * self.weights
        self.point = level.flat([level.arrays[p] for p in level.floating])
        self.seen, self.kinked, self.corners = np.zeros((3, level.size), bool)
        self.bent = False
        self.beside = False
        """Whether the point lies beside a kink, where no kink may explain a difference."""

    def run(self, directions: int, budget: int) -> None:
        """Check random directions; recheck entries too small to show there; then `budget` single entries."""
        if not np.isfinite(self.analytic).all():
            self._fail(np.flatnonzero(~np.isfinite(self.analytic))[:1], "the gradient is not finite")
            return
        failures = self.report.failures
        with silent:
            for _ in range(directions):
                if not failures:
                    self._look(np.flatnonzero(~self.kinked))
            self._look_closer()
            if failures:  # report every wrong input once
                for position, part in self.level.slices.items():
                    if all(failure.input != position for failure in failures):
                        self._look(np.arange(part.start, part.stop))
                return
            singles = self.rng.permutation(np.flatnonzero(~self.kinked))
            for entry in singles[np.argsort(self.seen[singles], kind="stable")][:budget]:
                self._look(np.array([entry]))
            self._look_at_ties()
            if not failures:
                self._look_beside()
        self.report.unseen += int((~self.seen).sum())

    def _look_closer(self) -> None:
        """Recheck entries not seen yet: together while each round shows at least half of them, else in halves by size."""
        queue = [np.flatnonzero(~self.seen & self.small), np.flatnonzero(~self.seen & ~self.small)]
        for _ in range(CLOSER_LOOKS):
            queue = [entries for entries in queue if entries.size]
            if not queue or self.report.failures:
                break
            entries = queue.pop(0)
            self._look(entries)
            rest = entries[~self.seen[entries]]
            if rest.size <= entries.size / 2:
                queue.append(rest)
            elif rest.size > 1:
                queue += np.array_split(rest[np.argsort(-np.abs(self.analytic[rest]))], 2)

    def _look(self, entries: Entries, direction: Flat | None = None) -> None:
        """Compare derivatives along a direction through `entries`, random by default, and mark the entries that it shows.

        On disagreement, refine the numerical derivative. If that does not help, or there is a kink, check both halves of
        `entries`. If neither half reports anything, :meth:`_judge` judges them together.
        """
        if not entries.size:
            return
        if entries.size == 1:
            direction = self._unit(entries[0])
        elif direction is None:
            direction = _only(entries, away_from_zero(self.rng, self.level.size))
        line = self._line(direction)
        estimate, sides = self._estimate(line), None
        if estimate.bent and line.central(self.eps / 8).bent:
            self.bent, sides = True, line.sides(self.eps)
        if sides is None or not sides.kinked:
            sides = None
            if estimate.bent or not self._agrees(line, estimate):
                if not self.complex:
                    refined = line.refined(self.eps, line.tolerance, lambda e: self._agrees(line, e))
                    if refined is None:
                        self._fail(entries, "f is not finite around this point with steps above 1e-8")
                        return
                    estimate = refined
                size = max(abs(line.expected), float(np.linalg.norm(self.analytic * direction)))
                most = max(10 * line.tolerance, VISIBLE * size, 1e-7 * float(np.linalg.norm(self.here)))
                if self._agrees(line, estimate) and estimate.error > most:
                    self._fail(
                        entries, f"the numerical derivative {estimate.value:.6g} is uncertain by {estimate.error:.2g}; "
                        "f may round to a lower precision: choose a larger `eps`, or raise `rtol` and `atol`",
                    )  # fmt: skip
            if self._agrees(line, estimate):
                self.seen |= self.visible * np.abs(direction) > 2 * self._uncertainty(line, estimate)
                return
        failures, kinks = len(self.report.failures), len(self.report.kinks)
        for half in np.array_split(entries, 2) if entries.size > 1 else ():
            if len(self.report.failures) == failures:
                self._look(half, _only(half, direction))
        if (len(self.report.failures), len(self.report.kinks)) == (failures, kinks):
            self._judge(entries, line, estimate, sides)
            self.seen[entries] = True

    def _judge(self, entries: Entries, line: Line, estimate: Estimate, sides: Sides | None) -> None:
        """Report a kink if that explains the gradient along `line`, else a failure."""
        kink = sides is not None
        if self.beside and kink:
            return
        if sides is None:
            # This direction may not show a kink: of three that tie, moving the middle one does not.
            slopes = line.slopes(estimate.step)
            sides = Sides(slopes, slopes, np.zeros_like(slopes), estimate.step, estimate.error, PIECE)
        else:
            if self.order > 1:
                sides.allow_jumps()
            self.kinked[entries] = True
            self.corners[entries] = not sides.jumped.any()
        smooth = self.complex or self.beside
        fits, expected, low, high = (False, 0.0, 0.0, 0.0) if smooth else self._fits(line, sides)
        if fits:
            self.corners[
                entries
            ] |= not kink  # a tie, such as that of the second largest, need not bend along any of them
            low, high = (0.0 if abs(x) <= line.tolerance else x for x in (low, high))
            self.report.kinks.append(Kink(self.order, *self.level.place(int(entries[0])), expected, low, high))
        elif kink:
            text = _outside("a kink", expected, low, high)
            self._fail(entries, text, expected, (low + high) / 2, sides.step)
        else:
            text = f"analytic {line.expected:.12g}, numerical {estimate.value:.12g}"
            text += f", difference {_gap(line, estimate):.3g}, tolerance {self._uncertainty(line, estimate):.3g}"
            self._fail(entries, text, line.expected, estimate.value, estimate.step)

    def _fits(self, line: Line, sides: Sides, outputs: Any = ...) -> tuple[bool, float, float, float]:
        """Whether the derivative of some outputs lies between the slopes at both sides or nearby; it; the two bounds."""
        expected = line.expected if outputs is ... else float(self._pulled(outputs) @ line.direction)
        tolerance = line.tolerance + 2 * sides.error
        reach, h, found = NEAR * np.maximum(1.0, np.abs(self.point)), NEAR / 500, False
        noise = 8 * EPS * float(np.abs(self.here).max(initial=0.0)) / h
        for n in range(NEARBY):
            low, high = (float(bound[outputs].sum()) for bound in (sides.low, sides.high))
            fits = low - tolerance <= expected <= high + tolerance
            if fits or (n == FEW and not found and not self.bent):
                break
            shift = reach * away_from_zero(self.rng, self.level.size)
            if sides.take_in(lambda t: line.nearby(t * shift, h), noise):  # noqa: B023
                found, tolerance = True, tolerance + noise * self.here.size * (not found)
        return fits, expected, low, high

    def _look_at_ties(self) -> None:
        """Check entries that share a kink together: each may lie between its sides, and their sum be wrong.

        Outputs that bend along the direction are checked apart from the others, which allow one value only.
        """
        for tied, gradients in self._tied():
            ones = np.ones(self.level.size)
            apart = _from_hull(_only(tied, self.analytic), np.array([_only(tied, g) for g in gradients]))
            for signs in (ones, apart, *(away_from_zero(self.rng, self.level.size) for _ in range(3))):
                if not signs.any():
                    continue
                line = self._line(_only(tied, signs))
                sides = line.sides(self.eps)
                if sides.jumped.any() or not np.isfinite(sides.error):
                    continue
                for outputs in (sides.bends, ~sides.bends):
                    fits, expected, low, high = self._fits(line, sides, outputs)
                    if not fits:
                        text = _outside("a tie", expected, low, high) + " of moving all of them"
                        self._fail(tied, text, expected, (low + high) / 2, sides.step)
                        return

    def _look_beside(self) -> None:
        """Check two points beside a kink: there the gradient has one value, while at the kink zero may be as good."""
        if not (self.kinked | self.corners).any():
            return
        shift = NEAR * np.maximum(1.0, np.abs(self.point)) * away_from_zero(self.rng, self.level.size)
        for side in (1, -1):
            level = Level(self.level.f, self.level.moved(side * shift), self.level.names)
            report, record = Report(), level.record(level.arrays)
            if not all(np.isfinite(y).all() for y in record.values):
                continue
            rest = self.tolerances, NEAR / 8, self.method
            search = Search(level, record, self.us, self.order, report, self.rng, *rest)
            search.beside = True
            search._look(np.arange(self.level.size))
            for failure in report.failures[:1]:
                if failure.numeric is not None:
                    self.report.failures.append(
                        replace(failure, text=f"{failure.text}, at a point {NEAR} beside a kink")
                    )
                    return

    def _tied(self) -> list[tuple[Entries, list[Flat]]]:
        """Groups of two or more entries whose gradients jump together, each with gradients at points nearby."""
        corners = np.flatnonzero(self.corners)
        reach = NEAR * np.maximum(1.0, np.abs(self.point))
        noise, group = reach * away_from_zero(self.rng, self.level.size), np.arange(self.level.size)
        found: dict[Any, list[Flat]] = {}
        for entry in corners if corners.size > 1 else ():
            a, b = (self._gradient(noise + side * 8 * reach * self._unit(entry)) for side in (-1, 1))
            together = np.flatnonzero(np.abs(a - b) > 1e-3 * np.maximum(np.abs(a), np.abs(b)).max())
            group[np.isin(group, group[together])] = group[entry]
            found[entry] = [a, b]
        tied = [np.flatnonzero(group == name) for name in np.unique(group[corners])]
        return [(entries, [g for e in entries for g in found.get(e, [])]) for entries in tied if entries.size > 1]

    def _gradient(self, shift: Flat) -> Flat:
        return self.level.flat(self.level.record(self.level.moved(shift)).pull(self.us))

    def _pulled(self, outputs: NDArray[np.bool_]) -> Flat:
        """The gradient of <y, u> over some outputs."""
        ends = np.cumsum([u.size for u in self.us])[:-1]
        parts = np.split(np.where(outputs, self.weights, 0.0), ends)
        return self.level.flat(self.record.pull([p.reshape(u.shape) for p, u in zip(parts, self.us, strict=True)]))

    def _fail(
        self, entries: Entries, text: str, analytic: float | None = None, numeric: float | None = None,
        step: float | None = None,
    ) -> None:  # fmt: skip
        position, index = self.level.place(int(entries[0]))
        others = entries.size - 1
        where = f"index {index}" + (f" and {others} others along a random direction" if others else "")
        text = f"{self.level.names[position]}, {where}: {text}"
        if step is not None:
            text += f", step {step:.2g}"
        if position in self.absent and numeric:
            text += "; no gradient reaches it, but f depends on it"
        at = None if others else index
        self.report.failures.append(Failure(text, self.order, position, at, analytic, numeric, step))

    def _uncertainty(self, line: Line, estimate: Estimate) -> float:
        """The difference that is allowed between the gradient and an estimate.

        An output that did not move is constant along the direction, or moves by less than its rounding. What the rules say that
        such outputs move is added, if it is within their rounding.
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

    def _estimate(self, line: Line) -> Estimate:
        """The derivative with the first step; ValueError if it is a complex step and real differences contradict it."""
        if not self.complex:
            return line.central(self.eps)
        estimate = line.complex_step(self.eps)
        real: Estimate | None = line.central(1e-3)
        if not _close(real, estimate):
            real = line.refined(1e-3, 1e-4 * estimate.size, lambda _: True)
        if real is None or not _close(real, estimate):
            raise ValueError(
                f"gradcheck: `method` is 'complex' but f is not analytic: its complex step gives {estimate.value:.6g} and "
                f"real differences {'nothing finite' if real is None else f'{real.value:.6g}'}; use method='central'"
            )
        return estimate

    def _unit(self, entry: Any) -> Flat:
        return np.asarray(np.arange(self.level.size) == entry, np.float64)

    def _line(self, direction: Flat) -> Line:
        noise = float(np.linalg.norm(self.point * self.analytic * (direction != 0)))
        # Allowed errors add up to at most their 1-norm, and with random signs to CONFIDENCE times their 2-norm.
        allowed = self.allowed * np.abs(direction)
        tolerance = min(CONFIDENCE * float(np.linalg.norm(allowed)), float(allowed.sum()))
        return Line(self._sample, self.here, direction, noise, float(self.analytic @ direction), tolerance)

    def _sample(self, shift: NDArray[Any]) -> NDArray[Any]:
        arrays = self.level.moved(shift)
        if shift.dtype.kind != "c":
            try:
                return _joined(self.level.outputs(arrays)) * self.weights
            except np.linalg.LinAlgError:  # outside of the domain
                return np.full(self.weights.shape, np.nan)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                return np.concatenate([y.ravel() for y in self.level.outputs(arrays)]) * self.weights
        except (TypeError, np.exceptions.ComplexWarning) as error:
            raise ValueError(
                f"gradcheck: `method` is 'complex' but f is not defined for complex numbers ({error}); use method='central'"
            ) from error


def _gap(line: Line, estimate: Estimate) -> float:
    return abs(line.expected - estimate.value)


def _outside(what: str, expected: float, low: float, high: float) -> str:
    return f"{what}; analytic {expected:.9g} does not lie between the one-sided derivatives {low:.9g} and {high:.9g}"


def _close(real: Estimate | None, estimate: Estimate) -> bool:
    return real is not None and abs(real.value - estimate.value) <= 1e-4 * estimate.size + real.error


def _joined(arrays: Arrays) -> Flat:
    return np.concatenate([np.zeros(0), *(a.ravel() for a in arrays)]).astype(np.float64, copy=False)


def _from_hull(point: Flat, corners: NDArray[np.float64]) -> Flat:
    """From the nearest point of a convex hull to `point`, by Gilbert's algorithm; zeros if the point is inside."""
    nearest = corners.mean(axis=0)
    for _ in range(100):
        away = point - nearest
        step = corners[np.argmax(corners @ away)] - nearest
        gain, length = step @ away, step @ step
        if gain <= 1e-9 * length or not length:
            break
        nearest = nearest + min(1.0, gain / length) * step
    away = point - nearest
    return np.asarray(np.where(np.abs(away) > 1e-3 * np.abs(corners).max(initial=0.0), away, 0.0))


def _only(entries: Entries, direction: Flat) -> Flat:
    kept = np.zeros_like(direction)
    kept[entries] = direction[entries]
    return kept
