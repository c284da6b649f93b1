"""Whether a course saves time: of the first calls of a function, plain ones are timed beside those that follow the course.

Both give the same bits, so a wrong verdict costs time only.
"""

from __future__ import annotations

from .course import Course

PLAIN = 2
"""This many calls are plain, before a call is recorded: many functions are called no more often."""

SETTLES = 7
"""After this many calls the course is prepared."""

CLEARLY = 0.85
"""Calls that take less than this part of a plain one's time settle the matter soon."""

MOST_BYTES = 1 << 26
"""With a course of more memory, no plain call is tried: it would need as much again."""

ORDER = (0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0)
"""Which of the calls on trial follow the course. Calls that differ in turns of 2 or 4 are shared out evenly."""


class Trial:
    """The calls up to a verdict."""

    def __init__(self) -> None:
        self.calls = 0
        self.pays: bool | None = None  # the verdict
        self._plain: list[float] = []
        self._followed: list[float] = []

    def follows(self) -> bool:
        """Whether the next call follows the course."""
        n = self.calls - SETTLES
        return bool(ORDER[n]) if n >= 0 else self.calls >= PLAIN

    def took(self, seconds: float, course: Course) -> None:
        """The call has ended."""
        n = self.calls - SETTLES
        if n >= 0:
            (self._followed if ORDER[n] else self._plain).append(seconds)
        self.calls, n = self.calls + 1, n + 1
        if n == 0 and (course.nbytes > MOST_BYTES or not ORDER):
            self.pays = True
        elif n > 0 and n % 4 == 0:
            a, b = sorted(self._followed), sorted(self._plain)
            if n == len(ORDER):  # some calls may do less than others, or were disturbed
                self.pays = a[len(a) // 3] < b[len(b) // 3]
            elif a[len(a) // 2] < CLEARLY * b[0]:
                self.pays = True
