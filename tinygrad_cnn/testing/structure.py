"""Checks of a gradient besides its values: dtypes, linearity, memory, and the same result twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.node import Node
from ..core.tracing import Args, Tracer, trace
from .layouts import strided
from .levels import Arrays, Level, Record
from .report import Failure

Gradients: TypeAlias = Sequence[NDArray[Any] | None]

TERMS = 64
"""The number of terms, of the size of the inputs, that may cancel and leave their rounding."""

ROUNDING = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-4, np.dtype(np.float16): 5e-2}
"""How far two computations of the same value may differ, relative to the largest element."""


class Structure:
    """Checks f's first gradient as :func:`~tinygrad_cnn.testing.gradcheck` says, and adds to `failures`."""

    def __init__(self, level: Level, rtol: float, failures: list[Failure]) -> None:
        self.level, self.rtol, self.failures = level, rtol, failures
        found = [np.abs(a).max(initial=0.0) for a in level.arrays if a.dtype.kind == "f"]
        self.largest = float(max(found, default=0.0))

    def check(self, record: Record, us: Arrays, before: Arrays, rng: np.random.Generator) -> None:
        """Run all checks; `before` has copies of the inputs from before f ran."""
        level = self.level
        if self._modified(before):
            return
        if not all(np.isfinite(y).all() for y in record.values):
            self._fail("f is not finite at this point")
            return
        kept = [u.copy() for u in us]
        found = record.pull(us)
        if not all(g is None or np.isfinite(g).all() for g in found):
            self._fail("the gradient is not finite at this point")
            return
        self._types_and_memory(record, us, found)
        self._rules_keep_dtypes(us)

        vs = [np.asarray(rng.uniform(-1, 1, u.shape)).astype(u.dtype) for u in us]
        other, mixed = record.pull(vs), record.pull([np.asarray(2 * u - v / 2) for u, v in zip(us, vs, strict=True)])
        expected = [None if a is None or b is None else 2 * a - b / 2 for a, b in zip(found, other, strict=True)]
        self._same(expected, mixed, "the gradient is not linear in the incoming gradient: a rule must multiply by g")

        again = level.record(level.arrays)
        random = "the second time: fix the seed of what is random in f"
        if not all(np.array_equal(a, b) for a, b in zip(record.values, again.values, strict=True)):
            self._fail(f"f returned something else {random}")
            return
        self._same(found, again.pull(us), f"the gradient is another {random}", exact=True)
        tensors = again.pull(us, create=True)
        self._same(found, tensors, "rules on Tensors (create_graph=True) and rules on arrays disagree")

        moved = level.record([strided(a) for a in level.arrays])
        self._same(record.values, moved.values, "f depends on the memory layout of its inputs", gradient=False)
        pulled = moved.pull([strided(u) for u in us])
        self._same(found, pulled, "the gradient depends on the memory layout of inputs or of g")

        self._modified(before)
        if not all(np.array_equal(u, k) for u, k in zip(us, kept, strict=True)):
            self._fail("the incoming gradient was modified")

    def _fail(self, text: str, position: int | None = None) -> None:
        where = "" if position is None else f"{self.level.names[position]}: "
        self.failures.append(Failure(where + text, 1, position))

    def _modified(self, before: Arrays) -> bool:
        changed = [
            p for p, (a, b) in enumerate(zip(self.level.arrays, before, strict=True)) if not np.array_equal(a, b)
        ]
        for p in changed:
            self._fail("was modified", p)
        return bool(changed)

    def _types_and_memory(self, record: Record, us: Arrays, found: Gradients) -> None:
        level = self.level
        known = [*zip(level.names, level.arrays, strict=True), *(("the incoming gradient", u) for u in us)]
        known += [("f's result", y) for y in record.values]
        for p, g in zip(level.floating, found, strict=True):
            if g is None:
                continue
            x = level.arrays[p]
            if g.shape != x.shape or g.dtype != x.dtype:
                self._fail(f"the gradient is {g.dtype} {g.shape} but the input is {x.dtype} {x.shape}", p)
            for name in [name for name, array in known if np.may_share_memory(g, array)][:1]:
                self._fail(f"its gradient shares memory with {name}", p)
            known.append((f"the gradient of {level.names[p]}", g))

    def _rules_keep_dtypes(self, us: Arrays) -> None:
        """Rules keep float32. The backward pass would convert their results, but wider ones cost time and memory."""
        level, found = self.level, set()

        class Dtypes(Tracer):
            def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
                gradients = super().vjp(node, g, saved, parents)
                for parent, r in zip(parents, gradients, strict=True):
                    if parent is not None and hasattr(r, "dtype") and r.dtype not in (parent.dtype, g.dtype):
                        given = f"g is {g.dtype} and its input {parent.dtype}"
                        found.add(f"a rule of {node.op.name} returned {r.dtype} where {given}")
                return gradients

        narrow = all(level.arrays[p].dtype == np.float64 for p in level.floating)
        arrays = [a.astype(np.float32) if narrow and a.dtype == np.float64 else a for a in level.arrays]
        with np.errstate(all="ignore"), trace(Dtypes()):
            record = level.record(arrays)
            record.pull([u.astype(y.dtype) for u, y in zip(us, record.values, strict=True)])
        for text in sorted(found):
            self._fail(text)

    def _same(self, a: Gradients, b: Gradients, text: str, exact: bool = False, gradient: bool = True) -> None:
        """Two lists of arrays are equal, up to rounding."""
        scale = max((float(np.abs(x).max(initial=0.0)) for x in a if x is not None), default=0.0)
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            if x is None or y is None:
                x, y = (np.zeros(()) if z is None else z for z in (x, y))
            if x.shape != y.shape:
                self._fail(f"{text} (shapes {x.shape} and {y.shape})")
                continue
            dtype = min(x.dtype, y.dtype)
            allowed = max(self.rtol, ROUNDING[dtype]) * scale + TERMS * float(np.finfo(dtype).eps) * self.largest
            index = most_different(x, y, 0.0 if exact else allowed)
            if index is not None:
                p = self.level.floating[k] if gradient else None
                where = f"output {k}" if p is None else self.level.names[p]
                values = f"{float(x[index])!r} and {float(y[index])!r}"
                self.failures.append(Failure(f"{where}, index {index}: {text} ({values})", 1, p, index))


def check_forward(level: Level, record: Record, us: Arrays, order: int, rtol: float, failures: list[Failure]) -> None:
    """<u, dy> along a direction is <gradient, direction>: the forward rules are the transpose of the backward rules."""
    rng = np.random.default_rng(order)
    ds = [rng.uniform(-1, 1, level.arrays[p].shape).astype(level.arrays[p].dtype) for p in level.floating]
    pairs = [*zip(us, record.push(ds), strict=True)], [*zip(record.pull(us), ds, strict=True)]
    terms = [
        np.concatenate(
            [np.zeros(0), *((a * b.astype(np.float64)).ravel() for a, b in side if a is not None and b is not None)]
        )
        for side in pairs
    ]
    forward, backward = (float(products.sum()) for products in terms)
    size = max(float(np.abs(products).sum()) for products in terms)
    dtype = min((y.dtype for y in (*record.values, *ds)), key=lambda dtype: dtype.itemsize)
    largest = max((float(np.abs(a).max(initial=0.0)) for a in level.arrays if a.dtype.kind == "f"), default=0.0)
    allowed = max(rtol, ROUNDING[dtype]) * size + TERMS * float(np.finfo(dtype).eps) * largest
    if np.isfinite(backward) and not abs(forward - backward) <= allowed:
        failures.append(
            Failure(
                f"forward mode gives <u, dy> = {forward!r} along a direction, but <gradient, direction> is {backward!r}: a "
                "rule of jvp, or an input declared linear, does not fit the backward rule",
                order,
            )
        )


def most_different(a: NDArray[Any], b: NDArray[Any], allowed: Any) -> tuple[int, ...] | None:
    """The index of the largest difference of two arrays beyond the tolerance, or None."""
    gap = np.abs(a - b)
    excess = np.where(np.isfinite(gap), gap - allowed, np.inf)
    if not (excess > 0).any():
        return None
    return tuple(int(i) for i in np.unravel_index(np.argmax(excess), excess.shape))
