"""Mutation testing of gradient rules: break them one at a time, and see whether a test suite fails."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..core.graph import Op
from ..ops.compare import logical_not
from ..ops.complex_numbers import conjugate, real
from ..ops.elementwise import conj, copy
from ..ops.shape import reshape, transpose

Rule = Callable[..., Any]


class Mutant:
    """A context manager that installs a broken rule, and restores the right one at the end.

    Args:
        op: the op.
        served: the input whose rule is broken, or the empty string if the op itself is.
        name: how it is broken, such as "scaled by 1.01".
    """

    def __init__(
        self, op: Op, served: str, name: str, install: Callable[[], None], restore: Callable[[], None]
    ) -> None:
        self.op, self.served, self.name = op, served, name
        self._install, self._restore = install, restore

    def __enter__(self) -> Mutant:
        self._install()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def __repr__(self) -> str:
        return f"<{self.op.name}{f', rule for `{self.served}`' if self.served else ''}: {self.name}>"


def mutants(op: Any, complex: bool = False) -> Iterator[Mutant]:
    """Every rule of an op, broken in every way that applies to it.

    The result is scaled by 1.001 or 1.01, negated, zeroed, reordered, rounded to float32 or widened to float64, lacks its
    largest element, or is in memory that the next call overwrites. Two of its axes of equal length are exchanged, which only
    square inputs show. The incoming gradient is passed on, ignored, squared or written into. Each array that the rule
    asks for is replaced by ones or by other numbers. For an elementwise op that broadcasts, the sum over the broadcast axes is
    left out.

    Some mutants compute the right gradient, such as the transpose of a symmetric matrix. Exclude these by name.

    Args:
        op: an op, or the function that ``@op`` made.
        complex: whether also to conjugate the result and the incoming gradient, to multiply the result by i, and to drop its
            imaginary part, which only a check with complex inputs shows.

    Raises:
        TypeError: if `op` is not an op.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn.testing import gradcheck, mutants
    >>> x = np.array([[0.5, -1.0], [1.5, 0.25]])
    >>> for mutant in mutants(tg.exp):
    ...     with mutant:
    ...         if gradcheck(tg.exp, x, order=1):
    ...             print(f"nobody notices {mutant}")
    """
    declared = getattr(op, "op", op)
    if not isinstance(declared, Op):
        raise TypeError(f"mutants: `op` is {op!r}; it must be an op, made with @tinygrad_cnn.op")
    for inputs in list(declared.signature.rules):
        rule = declared.rules[inputs[0]]
        for served, name, broken in _broken(declared, inputs, rule, complex):
            install, restore = (partial(_register, declared, inputs, r) for r in (functools.wraps(rule)(broken), rule))
            yield Mutant(declared, served, name, install, restore)
    if declared.elementwise and declared.rules and len(declared.signature.inputs) > 1:
        install, restore = (partial(_declare_elementwise, declared, value) for value in (False, True))
        yield Mutant(declared, "", "no sum over what was broadcast", install, restore)


def survivors(op: Any, check: Callable[[], Any], complex: bool = False) -> list[Mutant]:
    """The mutants of an op under which ``check()`` neither raises nor returns something false, such as a failed report.

    `complex` is as in :func:`mutants`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn.testing import gradcheck, survivors
    >>> survivors(tg.exp, lambda: gradcheck(tg.exp, np.array([[0.5, -1.0], [1.5, 0.25]]), order=1))
    []
    """
    found = []
    for mutant in mutants(op, complex):
        with mutant:
            try:
                result = check()
            except Exception:
                continue
        if result is None or result:
            found.append(mutant)
    return found


def _declare_elementwise(op: Op, value: bool) -> None:
    op.elementwise = value


def _is_joint(op: Op, inputs: tuple[str, ...]) -> bool:
    return len(inputs) > 1 or op.signature.joins


def _register(op: Op, inputs: tuple[str, ...], rule: Rule) -> None:
    if _is_joint(op, inputs):
        op.joint_vjp(*inputs)(rule)
    else:
        op.vjp(**{inputs[0]: rule})


def _broken(op: Op, inputs: tuple[str, ...], rule: Rule, complex: bool) -> Iterator[tuple[str, str, Rule]]:
    """For each way to break a rule: the inputs whose gradients are wrong, the name, and the broken rule."""

    def with_value(at: int, change: Callable[[Any], Any]) -> Rule:
        return lambda *values: rule(*values[:at], change(values[at]), *values[at + 1 :])

    def with_result(at: int, change: Callable[[Any], Any]) -> Rule:
        def broken(*values: Any) -> Any:
            result = rule(*values)
            if not joint:
                return change(result)
            return tuple(change(g) if i == at and g is not None else g for i, g in enumerate(result))

        return broken

    names, joint, together = op.signature.rules[inputs], _is_joint(op, inputs), ", ".join(inputs)
    for name, change in {**RESULTS, **(COMPLEX_RESULTS if complex else {})}.items():
        for at, served in enumerate(inputs):
            yield served, name, with_result(at, change)
    yield together, "in memory that is used again", _buffered(rule)
    if "g" in names:
        g = names.index("g")
        passed_on: Rule = lambda *values: (values[g],) * len(inputs) if joint else values[g]  # noqa: E731
        yield together, "the incoming gradient passed on", passed_on
        yield together, "the incoming gradient ignored", with_value(g, _ones)
        yield together, "the incoming gradient squared", with_value(g, lambda g: g * g)
        if complex:
            yield together, "the incoming gradient conjugated", with_value(g, conjugate)
        yield together, "the incoming gradient written into", lambda *values: _overwritten(rule(*values), values[g])
    for at, asked in enumerate(names):
        if asked in op.signature.saveable:
            yield together, f"`{asked}` left out", with_value(at, _ones)
            yield together, f"`{asked}` exchanged", with_value(at, _other)


def _overwritten(result: Any, g: Any) -> Any:
    """The gradients as they were before the incoming gradient is overwritten."""
    result = tuple(r if r is None else copy(r) for r in result) if isinstance(result, tuple) else copy(result)
    if isinstance(g, np.ndarray) and g.flags.writeable:
        g[...] = 0
    return result


def _buffered(rule: Rule) -> Rule:
    """A rule that returns the same array, overwritten by every call. Tensors are not changed."""
    buffers: dict[Any, Any] = {}

    def broken(*values: Any) -> Any:
        result = rule(*values)
        return tuple(map(kept, result)) if isinstance(result, tuple) else kept(result)

    def kept(result: Any) -> Any:
        if not isinstance(result, np.ndarray):
            return result
        buffer = buffers.setdefault((result.shape, result.dtype), np.empty(result.shape, result.dtype))
        buffer[...] = result
        return buffer

    return broken


def _ones(value: Any) -> Any:
    """Ones in place of numbers, 0 in place of indices, and the opposite of Booleans, which have no neutral value."""
    if not hasattr(value, "dtype"):
        return tuple(0 if isinstance(v, int) else _ones(v) for v in value) if isinstance(value, tuple) else value
    return logical_not(value) if value.dtype.kind == "b" else value * 0 + int(value.dtype.kind in "fc")


def _other(value: Any) -> Any:
    """Other numbers: 1.5 a + 1, indices in reverse order, the opposite of Booleans."""
    if not hasattr(value, "dtype"):
        if isinstance(value, tuple):
            return value[::-1] if all(isinstance(v, int) for v in value) else tuple(map(_other, value))
        return value
    if value.dtype.kind in "fc":
        return value * 1.5 + 1
    return logical_not(value) if value.dtype.kind == "b" else value[(slice(None, None, -1),) * value.ndim]


def _without_largest(result: Any) -> Any:
    kept = np.ones(result.shape, result.dtype)
    if result.size:
        kept.reshape(-1)[np.argmax(np.abs(np.asarray(getattr(result, "_array", result))))] = 0
    return result * kept


def _exchanged(which: int, result: Any) -> Any:
    """The result with two axes of equal length exchanged, the first such pair or the last: its shape stays right."""
    shape, order = result.shape, list(range(result.ndim))
    pairs = [(i, j) for i in order for j in order[i + 1 :] if shape[i] == shape[j] > 1]
    if not pairs:
        return result
    i, j = pairs[which]
    order[i], order[j] = j, i
    return transpose(result, axes=tuple(order))


def _reordered(result: Any) -> Any:
    """The elements in the order of the transpose, or backward if only one axis is longer than 1."""
    if sum(n > 1 for n in result.shape) < 2:
        return result[(slice(None, None, -1),) * result.ndim]
    return reshape(transpose(result), shape=result.shape)


RESULTS: dict[str, Callable[[Any], Any]] = {
    "scaled by 1.001": lambda r: r * 1.001,
    "scaled by 1.01": lambda r: r * 1.01,
    "negated": lambda r: -r,
    "zero": lambda r: r * 0,
    "the largest element dropped": _without_largest,
    "transposed": _reordered,
    "the first two equal axes exchanged": partial(_exchanged, 0),
    "the last two equal axes exchanged": partial(_exchanged, -1),
    "rounded to float32": lambda r: r.astype(np.complex64 if r.dtype.kind == "c" else np.float32),
    "widened to float64": lambda r: r.astype(np.complex128 if r.dtype.kind == "c" else np.float64),
}
"""Ways to break the result of a rule."""

COMPLEX_RESULTS: dict[str, Callable[[Any], Any]] = {
    "conjugated": lambda r: conj(r),
    "multiplied by i": lambda r: r * 1j,
    "the imaginary part dropped": lambda r: real(r),
}
"""Ways to break the result of a rule that only complex inputs show."""
