"""Checks of a gradient besides its values: float32, linearity, memory, and the same result twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.node import Node
from ..core.tracing import Args, Tracer, performed, trace
from ..scope import silent
from ..tensor import Tensor
from .layouts import strided
from .levels import Arrays, Level, Record
from .report import Failure, Report

if TYPE_CHECKING:
    from ..core.graph import Op

Gradients: TypeAlias = Sequence[NDArray[Any] | None]

TOLERANCES = {
    np.dtype(np.float64): (1e-8, 1e-10),
    np.dtype(np.float32): (1e-4, 1e-5),
    np.dtype(np.float16): (2e-2, 1e-2),
}
"""Relative and absolute tolerance by dtype: for float64 against numerical derivatives, for the others against float64."""

TERMS = 64
"""The number of terms, of the size of the inputs, that may cancel and leave their rounding."""

ALONE = 8
"""The most inputs whose gradient is computed without those of the others."""

ROUNDING = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-4, np.dtype(np.float16): 5e-2}
"""How far two computations of the same value may differ, relative to the largest element."""


class Structure:
    """Checks f's first gradient as :func:`~tinygrad_cnn.testing.gradcheck` says, and adds to `report`."""

    def __init__(self, level: Level, rtol: float, report: Report) -> None:
        self.level, self.rtol, self.report = level, rtol, report
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
        self._run_narrow(us)
        self._alone(us, found)

        vs = [self._of_every_size(rng, u) for u in us]
        other, mixed = record.pull(vs), record.pull([np.asarray(2 * u - v / 2) for u, v in zip(us, vs, strict=True)])
        expected = [None if a is None or b is None else 2 * a - b / 2 for a, b in zip(found, other, strict=True)]
        linear = "the gradient is not linear in the incoming gradient: a rule must multiply by g"
        self._same(expected, mixed, linear)

        first, second = _Results(), _Results()
        with trace(first):
            again = level.record(level.arrays)
        random = "the second time: fix the seed of what is random in f"
        if not all(np.array_equal(a, b) for a, b in zip(record.values, again.values, strict=True)):
            self._fail(f"f returned something else {random}")
            return
        self._same(found, again.pull(us), f"the gradient is another {random}", exact=True)
        tensors = again.pull(us, create=True)
        self._same(found, tensors, "rules on Tensors (create_graph=True) and rules on arrays disagree")

        with trace(second):
            moved = level.record([strided(a) for a in level.arrays])
        for text in sorted({*first.returned_inputs(), *first.shared_with(second)}):
            self._fail(text)
        layout = "the gradient depends on the memory layout of inputs or of g"
        self._same(record.values, moved.values, "f depends on the memory layout of its inputs", gradient=False)
        pulled = moved.pull([strided(u) for u in us])
        self._same(found, pulled, layout)
        equal = [np.broadcast_to(np.ones((), u.dtype), u.shape) for u in us]  # as the gradient of a sum is
        ones = record.pull([u.copy() for u in equal])
        self._same(ones, record.pull(equal), layout)
        more = [a if b is None else b if a is None else a + b for a, b in zip(found, ones, strict=True)]
        self._same(more, record.pull([np.asarray(u + 1) for u in us]), linear)

        self._modified(before)
        if not all(np.array_equal(u, k) for u, k in zip(us, kept, strict=True)):
            self._fail("the incoming gradient was modified")

    def _of_every_size(self, rng: np.random.Generator, u: NDArray[Any]) -> NDArray[Any]:
        """An incoming gradient with small and large elements, and zeros."""
        sizes = 2.0 ** rng.integers(-10, 10 if u.dtype == np.float64 else 1, u.shape) * (rng.random(u.shape) < 7 / 8)
        return np.asarray(rng.uniform(-1, 1, u.shape) * sizes).astype(u.dtype)

    def _fail(self, text: str, position: int | None = None) -> None:
        where = "" if position is None else f"{self.level.names[position]}: "
        self.report.failures.append(Failure(where + text, 1, position))

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

    def _alone(self, us: Arrays, found: Gradients) -> None:
        """The gradient of each of several inputs is the same if the others require none."""
        for p, g in zip(self.level.floating[:ALONE], found, strict=False) if len(self.level.floating) > 1 else ():
            try:
                alone = self.level.record(self.level.arrays, [p]).pull(us)
            except Exception as error:
                self._fail(f"{type(error).__name__} if no other input requires a gradient: {error}", p)
                continue
            self._same([g], alone, "the gradient is another if no other input requires one", positions=[p])

    def _run_narrow(self, us: Arrays) -> None:
        """Run f and its rules in float32 and with inputs of both dtypes, unless an input is narrow already."""
        level = self.level
        if any(level.arrays[p].dtype != np.float64 for p in level.floating):
            self._run(us, level.arrays, "in other dtypes", whole=True)
            return
        self._run(us, self._narrowed(level.floating), "in float32", whole=True)
        for part in (level.floating[::2], level.floating[1::2]) if len(level.floating) > 1 else ():
            self._run(us, self._narrowed(part), f"with {level.names[part[0]]} in float32", whole=False)

    def _narrowed(self, positions: Sequence[int]) -> Arrays:
        return [a.astype(np.float32) if p in positions else a for p, a in enumerate(self.level.arrays)]

    def _run(self, us: Arrays, arrays: Arrays, how: str, whole: bool) -> None:
        """Run f and its rules and look at each op by itself; f may refuse some dtypes unless all inputs have them (`whole`)."""
        level, ops, again = self.level, _NarrowOps(), _Results()
        if not all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f"):
            return
        try:
            with silent:
                with trace(ops):
                    record = level.record(arrays)
                    record.pull([u.astype(y.dtype) for u, y in zip(us, record.values, strict=True)])
                with trace(again):
                    level.record(arrays)
        except Exception as error:
            text = f"f raises {type(error).__name__}"
            if whole and not isinstance(error, np.linalg.LinAlgError):  # a matrix may be singular in float32 only
                self._fail(f"{text} {how} and not in float64: {error}")
            else:
                self.report.notes.append(f"not checked {how}, where {text}: {error}")
        for text in sorted({*ops.found, *ops.shared_with(again)}):
            self._fail(text)

    def _same(
        self, a: Gradients, b: Gradients, text: str, exact: bool = False, gradient: bool = True,
        positions: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """Two lists of arrays, of the gradients of all inputs or of those at some positions, are equal up to rounding."""
        positions = self.level.floating if positions is None else positions
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
                p = positions[k] if gradient else None
                where = f"output {k}" if p is None else self.level.names[p]
                values = f"{float(x[index])!r} and {float(y[index])!r}"
                self.report.failures.append(Failure(f"{where}, index {index}: {text} ({values})", 1, p, index))


class _Results(Tracer):
    """Keeps the floating-point results of all ops, with the inputs of each."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, NDArray[Any], list[Any]]] = []

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor:
        output = performed(op, inputs, params, self, self.outer)
        if output.dtype.kind == "f":
            self.calls.append((op.name, output._array, [getattr(i, "_array", i) for i in inputs]))
        return output

    def returned_inputs(self) -> Iterator[str]:
        """A text for each op that returned one of its inputs itself."""
        for name, result, inputs in self.calls:
            if any(result is i for i in inputs):
                yield f"{name} returned its input itself, which a write into the result would change: return a copy"

    def shared_with(self, other: _Results) -> Iterator[str]:
        """A text for each op whose results of two calls share memory that is no input's."""
        for (name, a, inputs), (_, b, _) in zip(self.calls, other.calls, strict=False):
            known = any(isinstance(i, np.ndarray) and np.may_share_memory(a, i) for i in inputs)
            if a.flags.writeable and not known and np.may_share_memory(a, b):
                yield f"{name} returned memory of its last call, whose result it has overwritten: return a new array"


class _NarrowOps(_Results):
    """Checks that each op and rule keeps its dtype, and gives in a narrow one what it gives in float64 for the same numbers.

    The walk would convert a wider gradient, but that costs time and memory. Single ops are compared, and not f, whose
    differences may cancel in float32. Where an op itself is ill-conditioned, rounded numbers show how much.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor:
        output = super().call(op, inputs, params)
        sig, given = op.signature, tuple(getattr(i, "_array", i) for i in inputs)
        dtype = _narrowest((output._array, *given))
        if dtype is not None and not any(isinstance(p, np.random.Generator) for p in params):
            options = dict(zip(sig.params, params, strict=True))
            run = lambda noisy: (op.function(*([noisy] if sig.variadic else noisy), **options),)  # noqa: E731
            self._compare((output._array,), given, dtype, run, lambda _: f"{op.name} gives")
        return output

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        gradients, op = super().vjp(node, g, saved, parents), node.op
        for parent, r in zip(parents, gradients, strict=True):
            if parent is not None and hasattr(r, "dtype") and r.dtype not in (parent.dtype, g.dtype):
                given = f"g is {g.dtype} and its input {parent.dtype}"
                self.found.add(f"a rule of {op.name} returned {r.dtype} where {given}")
        differentiates = any(
            "parents" in names for names in op.signature.rules.values()
        )  # f itself, whose rules are seen
        dtype = _narrowest((g, saved)) if isinstance(g, np.ndarray) else None
        if dtype is not None and not differentiates:
            run, served = (lambda noisy: op.pull(*noisy, node.params, parents)), op.signature.served
            name = lambda k: f"the rule of {op.name} for `{served[min(k, len(served) - 1)]}` gives"  # noqa: E731
            self._compare(gradients, (g, saved), dtype, run, name)
        return gradients

    def _compare(
        self, results: Args, given: Any, dtype: np.dtype[Any], run: Callable[[Any], Args], name: Callable[[int], str]
    ) -> None:
        rng, (rtol, atol), eps = np.random.default_rng(0), TOLERANCES[dtype], float(np.finfo(dtype).eps)
        exact = run(_widened(given, dtype, lambda a: a))
        size = float(np.abs(given[0]).max(initial=0.0)) if isinstance(given[0], np.ndarray) else 0.0
        for k, (a, b) in enumerate(zip(results, exact, strict=True)):
            if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or a.shape != b.shape or not np.isfinite(b).all():
                continue
            largest = float(np.abs(b).max(initial=0.0))
            allowed = rtol * np.abs(b) + atol * largest + 8 * eps * size
            if largest > 1e-3 * float(np.finfo(dtype).max) or most_different(a, b, allowed) is None:
                continue
            noisy = [
                run(_widened(given, dtype, lambda a: a * (1 + 8 * eps * rng.uniform(-1, 1, a.shape))))[k]
                for _ in range(8)
            ]
            index = most_different(a, b, allowed + 8 * np.max([np.abs(n - b) for n in noisy], axis=0))
            if index is not None:
                self.found.add(
                    f"{name(k)} {float(a[index])!r} {_dtypes(given)}, but {float(b[index])!r} in float64, for the same numbers "
                    f"at index {index}"
                )


def _arrays(value: Any) -> Iterator[NDArray[Any]]:
    """The floating-point arrays in nested tuples."""
    if isinstance(value, np.ndarray) and value.dtype in TOLERANCES:
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _arrays(each)


def _narrowest(value: Any) -> np.dtype[Any] | None:
    """The narrowest dtype in nested tuples, if it is narrower than float64."""
    found = {a.dtype for a in _arrays(value)} - {np.dtype(np.float64)}
    return min(found, key=lambda dtype: dtype.itemsize, default=None)


def _dtypes(value: Any) -> str:
    """ "in float32", or "in float32 with float64"."""
    return "in " + " with ".join(sorted({str(a.dtype) for a in _arrays(value)}))


def _widened(value: Any, dtype: np.dtype[Any], change: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    """The arrays of a dtype in nested tuples in float64, changed."""
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_widened(v, dtype, change) for v in value)
    return (
        np.asarray(change(value.astype(np.float64)))
        if isinstance(value, np.ndarray) and value.dtype == dtype
        else value
    )


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
