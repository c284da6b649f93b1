"""A captured run as a program: the plan and the generated function, and what tells whether the program may be replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..kernels.parallel.threads import blas_alone
from .arguments import Written
from .audit import Record
from .codegen import Writer, in_bytes
from .memory import planned
from .results import Results
from .steps import Value
from .trace import Capture

SMALL_BYTES = 1 << 20
"""Of all values of a program: with less, nothing in it is work for threads, whether ours or those of BLAS."""


class Program:
    """A captured run, ready to be repeated."""

    def __init__(self, capture: Capture, results: Sequence[Value]) -> None:
        gradients = [(ref, v) for ref, v in capture.gradients if v is not None]
        given = [v for ref, v in gradients if ref in capture.refs]  # which the next run does not replace
        plan = planned(capture.steps, [*results, *given], [v for _, v in gradients])
        writer = Writer(plan, capture.arguments)
        self.source = writer.program(results, capture.gradients, given)
        self.run: Callable[..., tuple[Any, ...]] = writer.constants.define(self.source, "compiled program")
        self.peak, self.total, self.lines = plan.peak, plan.total, writer.lines
        self._lent = writer.lent

    def recall(self) -> None:
        """Take back the gradients of the last run, whose memory a run that failed may have written over."""
        for ref, gradient in self._lent:
            if getattr(ref.tensor, "_grad", None) is gradient:
                ref.tensor._grad = None

    @property
    def summary(self) -> str:
        """How many operations there are, and the memory that is planned for them."""
        return f"{len(self.lines)} operations in {in_bytes(self.peak)} of memory"

    def describe(self) -> str:
        """The steps with what they read and make, and the memory: the arena's peak against the sum of all values."""
        width = max((len(name) for name, _ in self.lines), default=0)
        rows = [f"{i:4}  {name:{width}}  {text}" for i, (name, text) in enumerate(self.lines)]
        share = f" ({self.peak / self.total:.0%})" if self.total else ""
        rows.append(
            f"{len(self.lines)} steps; planned memory {in_bytes(self.peak)}, all values {in_bytes(self.total)}{share}"
        )
        return "\n".join(rows)


class Ready(Program):
    """A program with what tells whether it may be replayed, and the structure of its results."""

    def __init__(self, capture: Capture, results: Results) -> None:
        super().__init__(capture, results.values)
        self.results, self.record, self.state = results, Record(capture, results.compared), capture.state
        self.written, self.referred, self.unchanged = (
            Written(*capture.written),
            capture.referred(),
            capture.state.guard(),
        )
        self.is_small = self.total < SMALL_BYTES
        self.refs = [(i, ref) for i, ref in enumerate(capture.refs) if id(ref.tensor) in capture.leaves]
        self.takes_leaves = any(ref.tensor._node is not None for ref in capture.refs)
        self.audit, self.left = 2, 1  # the next of its calls that is audited, and how far it is
        self.release()

    def find(self, given: Sequence[Any]) -> None:
        """Let the program find its leaves among these arguments."""
        for i, ref in self.refs:
            ref.tensor = given[i]

    def release(self) -> None:
        """Let the program hold no arguments."""
        for _, ref in self.refs:
            ref.tensor = None  # type: ignore[assignment]

    def replay(self, given: list[Any], arrays: list[np.ndarray]) -> Any:
        """What the function would return for these arguments, of which `arrays` are the values."""
        try:
            if self.is_small:
                values = self.run(*arrays)
            else:
                values = blas_alone(self.run, *arrays)  # whose threads would spin beside those of the kernels
        except BaseException:
            self.recall()
            raise
        finally:
            if self.refs:
                self.release()
        return self.results(values, given)
