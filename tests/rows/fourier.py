"""Rows for ops/fourier.py and ops/complex_numbers.py: complex results as their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.ops import complex_numbers, elementwise, fourier
from tinygrad_cnn.testing.cases import Arg, Case


def parts(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with its real and imaginary parts as one real result."""

    def both(*arrays: Any, **params: Any) -> Any:
        y = f(*arrays, **params)
        return tg.stack([tg.real(y), tg.imag(y)])

    return both


def turned(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of a complex multiple of its input."""
    return lambda a, **params: f(a * (1 + 0.5j), **params)


def matrix(n: int, inverse: bool) -> Any:
    """The matrix of the transform, to the last digit: sums of equal numbers are 0, or nearly."""
    k = np.arange(n)
    turns = np.outer(k, k) % n / np.longdouble(n)
    y = np.exp((2j if inverse else -2j) * np.arccos(np.longdouble(-1)) * turns)
    return y / n if inverse else y


def transform(a: Any, axes: tuple[int, ...], inverse: bool = False, norm: str | None = None) -> Any:
    """A product with the matrix for each axis."""
    y = a
    for axis in axes:
        n = a.shape[axis]
        factor = {None: 1, "backward": 1, "ortho": n**-0.5, "forward": 1 / n}[norm]
        if inverse:
            factor = {None: 1, "backward": 1, "ortho": n**0.5, "forward": n}[norm]
        y = np.moveaxis(np.tensordot(matrix(n, inverse) * factor, y, (1, axis)), 0, axis)
    return y.astype(np.complex128)


def half(a: Any, axis: int, norm: str | None = None) -> Any:
    """The first half of the transform."""
    return np.take(transform(a, (axis,), False, norm), range(a.shape[axis] // 2 + 1), axis)


def real_inverse(a: Any, n: int, axis: int, norm: str | None = None) -> Any:
    """The inverse of the transform that the first half stands for."""
    k = np.arange(n)
    whole = np.take(a, np.minimum(k, n - k), axis)
    shape = [1] * a.ndim
    shape[axis] = n
    upper = (k > n - k).reshape(shape)
    return np.real(transform(np.where(upper, np.conj(whole), whole), (axis,), True, norm))


CASES = [
    Case(fourier.dft, (Arg((3, 4)),), transform, {"axes": (1,)}, via=parts),
    Case(fourier.dft, (Arg((3, 5)),), transform, {"axes": (0, 1), "inverse": True, "norm": "ortho"}, via=parts),
    Case(fourier.dft, (Arg((3, 2)),), transform, {"axes": (0,), "inverse": True, "norm": "forward"}, via=parts),
    Case(fourier.half_dft, (Arg((2, 5)),), half, {"axis": 1}, via=parts),
    Case(fourier.half_dft, (Arg((4, 2)),), half, {"axis": 0, "norm": "ortho"}, via=parts),
    Case(fourier.real_inverse, (Arg((2, 3)),), real_inverse, {"n": 4, "axis": 1}, fixed=True, via=turned),
    Case(fourier.real_inverse, (Arg((3, 3)),), real_inverse, {"n": 4, "axis": 1}, fixed=True, via=turned),
    Case(
        fourier.real_inverse,
        (Arg((3, 2)),),
        real_inverse,
        {"n": 5, "axis": 0, "norm": "forward"},
        fixed=True,
        via=turned,
    ),
    Case(complex_numbers.real, (Arg(),), np.real),
    Case(complex_numbers.imaginary, (Arg(),), np.imag, via=turned),
    Case(complex_numbers.imag, (Arg(),), np.imag, order=1),
    Case(complex_numbers.angle, (Arg(away=(0.0,)),), np.angle, order=1),
    Case(complex_numbers.angle, (Arg(away=(0.0,)),), np.angle, {"deg": True}, order=1),
    Case(elementwise.conj, (Arg(),), np.conjugate),
]
