"""Check gradients against numerical derivatives, to any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..autograd import gradients
from ..graph import no_grad
from ..tensor import Tensor

Arrays: TypeAlias = Sequence[NDArray[Any]]
Function: TypeAlias = Callable[..., Any]

TOLERANCES = {
    np.dtype(np.float64): (1e-6, 1e-8),
    np.dtype(np.float32): (1e-3, 1e-4),
    np.dtype(np.float16): (3e-2, 1e-2),
}
"""Relative and absolute tolerance by the coarsest dtype that takes part."""


def assert_gradients(
    f: Function,
    *inputs: Any,
    order: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    eps: float | None = None,
    rng: np.random.Generator | int | None = 0,
    budget: int = 24,
) -> None:
    """AssertionError, saying where and by how much, unless f's derivatives agree with finite differences.

    At each order the function (x, u) -> gradient of <f(x), u> is itself checked, so one numerical differentiation is all
    that any order needs. Every input is checked along a random direction whose entries are bounded away from zero, which
    misses no single wrong element, and along `budget` coordinates.

    Args:
        f: a function of Tensors to a Tensor or a sequence of them.
        inputs: arrays or Tensors. Floating-point ones are differentiated, others passed as they are.
        order: the highest derivative checked.
        rtol, atol: tolerances; by default from TOLERANCES.
        eps: the step of the central differences; 1e-3 by default, whose error of order eps^4 is near rounding.
        rng: a generator or seed for directions and cotangents.
        budget: coordinates checked per input and order.
    """
    arrays = [x._data if isinstance(x, Tensor) else np.asarray(x) for x in inputs]
    generator = np.random.default_rng(rng)
    dtype = max((a.dtype for a in arrays if a.dtype.kind == "f"), key=lambda d: -d.itemsize)
    default = TOLERANCES[dtype]
    level: Function = lambda *xs: _several(f(*xs))  # noqa: E731
    for n in range(1, order + 1):
        outputs = [y._data for y in level(*map(Tensor, arrays))]
        cotangents = [away_from_zero(generator, y.shape).astype(y.dtype) for y in outputs]
        check = _Check(level, arrays, cotangents, n, rtol or default[0], atol or default[1], eps or 1e-3, generator)
        check.run(budget)
        level, arrays = _gradient_of(level, len(arrays)), [*arrays, *cotangents]


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Random values with random signs and magnitudes from 0.5 to 1.5, so that a sum weighted by them hides no element."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def _several(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def _gradient_of(level: Function, count: int) -> Function:
    """(x..., u...) -> the gradients of sum <level(x), u> with respect to the floating-point x."""

    def gradient(*tensors: Tensor) -> list[Tensor]:
        xs, us = _leaves(tensors[:count]), tensors[count:]
        return _pull(level, xs, us, create_graph=True)

    return gradient


def _leaves(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors that require gradients, where they can: those in a graph as they are, others as new leaves."""
    return [t if t.requires_grad or t.dtype.kind != "f" else Tensor(t, requires_grad=True) for t in tensors]


def _pull(level: Function, xs: Sequence[Tensor], us: Sequence[Any], create_graph: bool) -> list[Tensor]:
    wanted = [x for x in xs if x.requires_grad]
    pairs = [(y, u) for y, u in zip(level(*xs), us, strict=True) if y.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(wanted)
    if pairs:
        found = gradients(
            [y for y, _ in pairs], wanted, [u for _, u in pairs], create_graph=create_graph, allow_unused=True
        )
    return [Tensor(np.zeros(x.shape, x.dtype)) if g is None else g for x, g in zip(wanted, found, strict=True)]


class _Check:
    """One order: the function, where it is checked, and how closely."""

    def __init__(
        self, level: Function, arrays: Arrays, cotangents: Arrays, order: int, rtol: float, atol: float, eps: float,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.level, self.arrays, self.cotangents, self.order = level, arrays, cotangents, order
        self.rtol, self.atol, self.eps, self.rng = rtol, atol, eps, rng

    def run(self, budget: int) -> None:
        """Compare the gradient of every floating-point input with numerical derivatives."""
        xs = _leaves([Tensor(a) for a in self.arrays])
        found = iter(_pull(self.level, xs, self.cotangents, create_graph=False))
        for position, x in enumerate(xs):
            if x.requires_grad:
                self._input(position, x, next(found), budget)

    def _input(self, position: int, x: Tensor, g: Tensor, budget: int) -> None:
        label = f"order {self.order}, input {position}"
        assert g.shape == x.shape, f"{label}: the gradient has shape {g.shape}, the input {x.shape}"
        assert g.dtype == x.dtype, f"{label}: the gradient has dtype {g.dtype}, the input {x.dtype}"
        analytic = g.numpy().astype(np.float64)
        direction = away_from_zero(self.rng, x.shape)
        self._compare(label, position, direction, analytic)
        for flat in self.rng.permutation(x.size)[:budget]:
            index = tuple(int(i) for i in np.unravel_index(flat, x.shape))
            one = np.zeros(x.shape)
            one[index] = 1.0
            self._compare(f"{label}, index {index}", position, one, analytic)

    def _compare(self, label: str, position: int, direction: NDArray[Any], analytic: NDArray[Any]) -> None:
        expected = float((analytic * direction).sum())
        scale = float(np.abs(analytic * direction).sum())
        numeric = self._derivative(position, direction)
        error = abs(expected - numeric)
        assert error <= self.atol + self.rtol * max(scale, abs(numeric)), (
            f"{label}: analytic derivative {expected!r}, numerical {numeric!r}, difference {error:.3e} "
            f"(step {self.eps}, rtol {self.rtol}, atol {self.atol}); inputs {[a.tolist() for a in self.arrays]!r:.600}"
        )

    def _derivative(self, position: int, direction: NDArray[Any]) -> float:
        """(8 (F(h) - F(-h)) - (F(2h) - F(-2h))) / 12 h, with F(t) = <f(x + t d), u>, in float64."""
        h = self.eps
        values = [self._value(position, direction * step) for step in (h, -h, 2 * h, -2 * h)]
        return (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h)

    def _value(self, position: int, shift: NDArray[Any]) -> float:
        wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in self.arrays]
        wide[position] = wide[position] + shift
        with no_grad():
            outputs = self.level(*map(Tensor, wide)) if self.order == 1 else None
        if outputs is None:
            outputs = self.level(*map(Tensor, wide))
        return float(sum(np.vdot(y.numpy(), u) for y, u in zip(outputs, self.cotangents, strict=True)))
