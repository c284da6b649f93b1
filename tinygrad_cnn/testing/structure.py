"""What must hold of a gradient before its numbers are looked at: types, linearity, memory, one result however asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.graph import Node
from ..core.tracing import Args, Tracer, trace
from .layouts import strided
from .levels import Arrays, Level, Record
from .report import Failure

Gradients: TypeAlias = Sequence[NDArray[Any] | None]

TERMS = 64
"""Terms of the size of the inputs whose rounding may be left where they cancel."""

ROUNDING = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-4, np.dtype(np.float16): 5e-2}
"""How far two ways to compute the same thing may differ, relative to the largest element."""


def check_structure(
    level: Level,
    record: Record,
    us: Arrays,
    before: Arrays,
    rtol: float,
    rng: np.random.Generator,
    failures: list[Failure],
) -> None:
    """Add to `failures` whatever does not hold of f's first gradient (see :func:`~tinygrad_cnn.testing.gradcheck`).

    `before` are the inputs as they were before f ran.
    """
    if _modified(level, before, failures):
        return
    if not all(np.isfinite(y).all() for y in record.values):
        failures.append(Failure("f is not finite at this point", 1))
        return
    kept = [u.copy() for u in us]
    found = record.pull(us)
    if not all(g is None or np.isfinite(g).all() for g in found):
        failures.append(Failure("the gradient is not finite at this point", 1))
        return
    _types_and_memory(level, record, us, found, failures)

    _rules_keep_dtypes(level, us, failures)

    compare = _Comparison(level, rtol, failures)
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

    _modified(level, before, failures)
    if not all(np.array_equal(u, k) for u, k in zip(us, kept, strict=True)):
        failures.append(Failure("the incoming gradient was modified", 1))


def _modified(level: Level, before: Arrays, failures: list[Failure]) -> bool:
    changed = [p for p, (a, b) in enumerate(zip(level.arrays, before, strict=True)) if not np.array_equal(a, b)]
    failures.extend(Failure(f"{level.name(p)}: was modified", 1, p) for p in changed)
    return bool(changed)


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


def _rules_keep_dtypes(level: Level, us: Arrays, failures: list[Failure]) -> None:
    """The walk would convert what a rule returns; but a rule that widens costs time and memory. Looked at in float32."""
    found = set()

    class Dtypes(Tracer):
        def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
            gradients = super().vjp(node, g, saved, parents)
            for parent, r in zip(parents, gradients, strict=True):
                if parent is not None and hasattr(r, "dtype") and r.dtype not in (parent.dtype, g.dtype):
                    found.add(
                        f"a rule of {node.op.name} returned {r.dtype} where g is {g.dtype} and its input {parent.dtype}"
                    )
            return gradients

    narrow = all(level.arrays[p].dtype == np.float64 for p in level.floating)
    arrays = [a.astype(np.float32) if narrow and a.dtype == np.float64 else a for a in level.arrays]
    with np.errstate(all="ignore"), trace(Dtypes()):
        record = level.record(arrays)
        record.pull([u.astype(y.dtype) for u, y in zip(us, record.values, strict=True)])
    failures.extend(Failure(text, 1) for text in sorted(found))


class _Comparison:
    """Two lists of arrays must be equal, up to rounding."""

    def __init__(self, level: Level, rtol: float, failures: list[Failure]) -> None:
        self.level, self.rtol, self.failures = level, rtol, failures
        found = [np.abs(a).max(initial=0.0) for a in level.arrays if a.dtype.kind == "f"]
        self.largest = float(max(found, default=0.0))  # of the terms, which may cancel

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
            dtype = min(x.dtype, y.dtype)
            allowed = max(self.rtol, ROUNDING[dtype]) * scale + TERMS * float(np.finfo(dtype).eps) * self.largest
            if not worst <= (0.0 if exact else allowed):
                index = tuple(int(i) for i in np.unravel_index(np.argmax(gap), gap.shape))
                p = self.level.floating[k] if gradient else None
                where = f"output {k}" if p is None else self.level.name(p)
                values = f"{float(x[index])!r} and {float(y[index])!r}"
                self.failures.append(Failure(f"{where}, index {index}: {text} ({values})", 1, p, index))
