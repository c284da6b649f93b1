"""What must hold of a gradient before its numbers are looked at: types, linearity, memory, one result however asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .layouts import strided
from .levels import Arrays, Level, Record
from .report import Failure

Gradients: TypeAlias = Sequence[NDArray[Any] | None]

ROUNDING = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-4, np.dtype(np.float16): 5e-2}
"""How far two ways to compute the same thing may differ, relative to the largest element."""


def check_structure(
    level: Level, record: Record, us: Arrays, rng: np.random.Generator, failures: list[Failure]
) -> None:
    """Add to `failures` whatever does not hold of f's first gradient (see :func:`~tinygrad_cnn.testing.gradcheck`)."""
    if not all(np.isfinite(y).all() for y in record.values):
        failures.append(Failure("f is not finite at this point", 1))
        return
    before, kept = [a.copy() for a in level.arrays], [u.copy() for u in us]
    found = record.pull(us)
    _types_and_memory(level, record, us, found, failures)

    compare = _Comparison(level, failures)
    vs = [np.asarray(rng.uniform(-1, 1, u.shape)).astype(u.dtype) for u in us]
    other, mixed = record.pull(vs), record.pull([np.asarray(2 * u - v / 2) for u, v in zip(us, vs, strict=True)])
    expected = [None if a is None or b is None else 2 * a - b / 2 for a, b in zip(found, other, strict=True)]
    compare(expected, mixed, "the gradient is not linear in the incoming gradient: a rule must multiply by g")

    again = level.record(level.arrays)
    random = "the second time: fix the seed of what is random in f"
    if not all(np.array_equal(a, b) for a, b in zip(record.values, again.values, strict=True)):
        failures.append(Failure(f"f returned something else {random}", 1))
        return
    compare(found, again.pull(us), f"the gradient is another {random}", exact=True)
    compare(found, again.pull(us, create=True), "rules on Tensors (create_graph=True) and rules on arrays disagree")

    moved = level.record([strided(a) for a in level.arrays])
    compare(record.values, moved.values, "f depends on the memory layout of its inputs", gradient=False)
    compare(found, moved.pull([strided(u) for u in us]), "the gradient depends on the memory layout of inputs or of g")

    for p, (a, b) in enumerate(zip(level.arrays, before, strict=True)):
        if not np.array_equal(a, b):
            failures.append(Failure(f"{level.name(p)}: was modified", 1, p))
    if not all(np.array_equal(u, k) for u, k in zip(us, kept, strict=True)):
        failures.append(Failure("the incoming gradient was modified", 1))


def _types_and_memory(level: Level, record: Record, us: Arrays, found: Gradients, failures: list[Failure]) -> None:
    known: list[tuple[str, NDArray[Any]]] = [(level.name(p), a) for p, a in enumerate(level.arrays)]
    known += [("the incoming gradient", u) for u in us]
    known += [("f's result", y) for y in record.values]
    for p, g in zip(level.floating, found, strict=True):
        if g is None:
            continue
        x = level.arrays[p]
        if g.shape != x.shape or g.dtype != x.dtype:
            text = f"the gradient is {g.dtype} {g.shape} but the input is {x.dtype} {x.shape}"
            failures.append(Failure(f"{level.name(p)}: {text}", 1, p))
        shared = next((name for name, array in known if np.may_share_memory(g, array)), None)
        if shared is not None:
            failures.append(Failure(f"{level.name(p)}: its gradient shares memory with {shared}", 1, p))
        known.append((f"the gradient of {level.name(p)}", g))


class _Comparison:
    """Two lists of arrays must be equal, up to rounding."""

    def __init__(self, level: Level, failures: list[Failure]) -> None:
        self.level, self.failures = level, failures

    def __call__(self, a: Gradients, b: Gradients, text: str, exact: bool = False, gradient: bool = True) -> None:
        scale = max((float(np.abs(x).max(initial=0.0)) for x in a if x is not None), default=0.0)
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            if x is None or y is None:
                x, y = (np.zeros(()) if z is None else z for z in (x, y))
            if x.shape != y.shape:
                self.failures.append(Failure(f"{text} (shapes {x.shape} and {y.shape})", 1))
                continue
            gap = np.abs(x - y)
            worst = float(gap.max(initial=0.0))
            if not worst <= (0.0 if exact else ROUNDING[min(x.dtype, y.dtype)] * scale):
                index = tuple(int(i) for i in np.unravel_index(np.argmax(gap), gap.shape))
                p = self.level.floating[k] if gradient else None
                where = f"output {k}" if p is None else self.level.name(p)
                values = f"{float(x[index])!r} and {float(y[index])!r}"
                self.failures.append(Failure(f"{where}, index {index}: {text} ({values})", 1, p, index))
