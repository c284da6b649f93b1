"""A row of the case table with complex inputs: its value, and its derivatives of two orders beside differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Case, Draws

REFUSALS = (TypeError, ValueError, NotImplementedError)
"""How a function may say that it takes no complex numbers, or has no gradient in them."""
CAST = np.exceptions.ComplexWarning
"""How NumPy says that it takes the real part. It may, where a real `dtype` is asked for."""


def complex_inputs(case: Case, seed: int, square: bool) -> list[np.ndarray]:
    """Arrays for a row, the floating-point ones with imaginary parts."""
    rng = np.random.default_rng(seed)
    drawn = case.draw(Draws(rng, square))
    return [a + 1j * rng.uniform(-0.5, 0.5, a.shape) if a.dtype.kind == "f" else a for a in drawn]


def outcome(case: Case, seed: int, square: bool) -> str:
    """What a row does with complex inputs: "right", why it says that it takes none, or "wrong" and how."""
    arrays = complex_inputs(case, seed, square)
    free = [i for i, a in enumerate(arrays) if a.dtype.kind == "c"]
    if not free:
        return "no floating-point input"
    rng = np.random.default_rng(seed + 1)
    refusals = (*REFUSALS, CAST) if "dtype" in case.params else REFUSALS
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        try:
            values = [np.asarray(y) for y in _floating(case, [tg.Tensor(a) for a in arrays])]
        except refusals as error:
            return f"refused: {error}"
        except CAST as warning:
            return f"wrong: {warning}"
        try:
            expected = _as_list(case.expected(*arrays))
        except (*REFUSALS, CAST):  # a reference for real numbers
            expected = []
        if not values:
            return "no floating-point result"
        for y, wanted in zip(values, expected, strict=False):
            if y.shape == np.shape(wanted) and not np.allclose(y, wanted, rtol=1e-9, atol=1e-9, equal_nan=True):
                return f"wrong: the value differs from the reference by {np.abs(y - wanted).max()}"
        weights = [_draw(rng, y.shape) for y in values]
        steps, seconds = ([_draw(rng, arrays[i].shape) for i in free] for _ in range(2))

        def loss(given: Sequence[Any]) -> Any:
            """A real number that depends on every part of the results."""
            return _real_sum(_floating(case, given), weights)

        def slope(given: Sequence[Any]) -> Any:
            """The derivative of the loss along the second directions, by the gradients."""
            leaves = [x.detach() if isinstance(x, tg.Tensor) and x.is_leaf else x for x in given]
            for i in free:
                leaves[i] = given[i] if given[i].requires_grad else given[i].requires_grad_()
            total = loss(leaves)
            if not getattr(total, "requires_grad", False):
                return None
            found = tg.gradients(total, [leaves[i] for i in free], create_graph=True, allow_unused=True)
            terms = [(g, d) for g, d in zip(found, seconds, strict=True) if g is not None]
            return _real_sum([g for g, _ in terms], [d for _, d in terms])

        def moved(h: float) -> list[Any]:
            shift = dict(zip(free, steps, strict=True))
            return [tg.Tensor(a + h * shift[i] if i in shift else a) for i, a in enumerate(arrays)]

        try:
            for f in (loss, slope):
                leaves = moved(0.0)
                for i in free:
                    leaves[i].requires_grad = True
                y = f(leaves)
                if y is None or not getattr(y, "requires_grad", False):
                    return "constant" if f is loss else "right"
                found = tg.gradients(y, [leaves[i] for i in free], allow_unused=True)
                derivative = sum(
                    float(np.real(np.sum(g.numpy() * d))) for g, d in zip(found, steps, strict=True) if g is not None
                )
                warnings.simplefilter("ignore")
                wanted = _difference(lambda h, f=f: float(np.real(f(moved(h)).numpy())))
                warnings.simplefilter("error")
                if not np.isclose(derivative, wanted, rtol=1e-5, atol=1e-5):
                    return f"wrong: order {1 + (f is slope)}: {derivative} is {wanted}"
        except refusals as error:
            return f"refused: {error}"
    return "right"


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


def _as_list(y: Any) -> list[Any]:
    return list(y) if isinstance(y, tuple | list) else [y]


def _floating(case: Case, arrays: Sequence[Any]) -> list[Any]:
    """The floating-point results of a row."""
    return [y for y in _as_list(case.call(*arrays)) if hasattr(y, "dtype") and y.dtype.kind in "fc"]


def _real_sum(values: Sequence[Any], weights: Sequence[np.ndarray]) -> Any:
    """Re(sum of w y), with real weights for real values."""
    total: Any = 0.0
    for y, w in zip(values, weights, strict=True):
        total = total + tg.real(tg.sum(y * (w if y.dtype.kind == "c" else w.real)))
    return total


def _difference(f: Callable[[float], float], h: float = 1e-4) -> float:
    """f'(0), by differences of fourth order."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
