"""A captured run as a program: the plan, the generated function, and the guard that says whether it may be replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..kernels.parallel.threads import blas_alone
from .arguments import Written
from .audit import Record
from .codegen import Writer, in_bytes
from .memory import planned
from .results import Results
from .trace import Capture

SMALL_BYTES = 1 << 20
"""The total size of a program's values below which no op is large enough for several threads, ours or BLAS's."""

FIRST_AUDIT = 2
"""The number of the first audited call of a program, counting its capture as 1; later audits follow from it."""

AUDITED_MOVES = 8
"""After this many changes of outside arrays that ops use, each found by an audit to change no step, they are not compared."""


class Program:
    """A captured run, ready to be replayed."""

    def __init__(self, capture: Capture, results: Results) -> None:
        gradients = [v for _, v in capture.gradients if v is not None]
        given = [
            v for leaf, v in capture.gradients if v is not None and leaf.tensor is None
        ]  # in the next run these are other leaves
        plan = planned(capture.steps, [*results.values, *given], gradients)
        writer = Writer(plan, capture.arguments)
        self.source = writer.program(results, capture.gradients, given)
        self.run: Callable[..., Any] = writer.constants.define(self.source, "compiled program")
        self.peak, self.total, self.lines = plan.peak, plan.total, writer.lines
        self._lent, self._takes_given = writer.lent, writer.takes_given

    def recall(self) -> None:
        """Remove the gradients of the last run, whose memory a failed run may have overwritten."""
        for leaf, gradient in self._lent:
            if getattr(leaf, "_grad", None) is gradient:
                leaf._grad = None

    @property
    def summary(self) -> str:
        """The number of operations, and the size of the planned memory."""
        return f"{len(self.lines)} operations in {in_bytes(self.peak)} of memory"

    def describe(self) -> str:
        """The steps with their inputs and outputs, and the memory: the arena's peak against the sum of all values."""
        width = max((len(name) for name, _ in self.lines), default=0)
        rows = [f"{i:4}  {name:{width}}  {text}" for i, (name, text) in enumerate(self.lines)]
        share = f" ({self.peak / self.total:.0%})" if self.total else ""
        rows.append(
            f"{len(self.lines)} steps; planned memory {in_bytes(self.peak)}, all values {in_bytes(self.total)}{share}"
        )
        return "\n".join(rows)


class Ready(Program):
    """A program with its guard and audits, and the structure of its results."""

    def __init__(self, capture: Capture, results: Results) -> None:
        super().__init__(capture, results)
        self.record, self.state = Record(capture, results.compared), capture.state
        self.written, self.referred, self.unchanged = (
            Written(*capture.written),
            capture.referred(),
            capture.state.guard(),
        )
        self.takes_leaves, self._is_small = capture.takes_leaves, self.total < SMALL_BYTES
        # The number of the next audited call, and the calls left until then.
        self.audit, self.left = FIRST_AUDIT, FIRST_AUDIT - 1
        self._shared, self._moves = capture.shared, AUDITED_MOVES
        self._seen = self._values()

    def is_audited(self) -> bool:
        """Whether this call is audited: by its number, or because an outside array has changed that ops use by reference.

        Python may read such an array too. If it does, and the program has baked in what it read, the audit finds that.
        """
        self.left -= 1
        return self.left <= 0 or (bool(self._shared) and self._seen != self._values())

    def passed(self) -> None:
        """An audit found no difference."""
        if self.left <= 0:  # after call 2: 3, 5, 9, 17 ...
            self.left = self.audit - 1
            self.audit += self.left
        if self._shared and self._seen != (seen := self._values()):
            self._seen, self._moves = seen, self._moves - 1
            self._shared = self._shared if self._moves else []

    def _values(self) -> list[bytes]:
        return [array.tobytes() for array in self._shared]

    def replay(self, given: list[Any], arrays: list[Any]) -> Any:
        """The function's results for these arguments; `arrays` are their values."""
        if self._takes_given:
            arrays.append(given)
        try:
            if self._is_small:
                return self.run(*arrays)
            return blas_alone(self.run, *arrays)  # BLAS threads would spin and slow the kernels' threads
        except BaseException:
            self.recall()
            raise
