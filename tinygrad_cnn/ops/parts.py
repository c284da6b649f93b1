"""NumPy's functions of complex numbers, called on Tensors, which are real: each is its own real part and its conjugate."""

from __future__ import annotations

import math

import numpy as np

from ..core.graph import Array, Tensor, implements
from .elementwise import where
from .transcendental import arctan2

__all__: list[str] = []


def _real(name: str, x: Array) -> Array:
    if x.dtype.kind == "c":
        raise TypeError(
            f"{name}: a Tensor is {x.dtype}, and no op records complex ones; write real and imaginary parts as two Tensors"
        )
    return x


@implements(np.real)
def _real_part(val: Array) -> Tensor:
    """np.real of a Tensor: the Tensor.   val' = g."""
    return _real("real", val)  # type: ignore[no-any-return]


@implements(np.real_if_close)
def _real_if_close(a: Array, tol: float = 100) -> Tensor:
    """np.real_if_close of a Tensor: the Tensor.   a' = g."""
    return _real("real_if_close", a)  # type: ignore[no-any-return]


@implements(np.conjugate)
def _conjugate(x: Array) -> Tensor:
    """np.conjugate of a Tensor: the Tensor.   x' = g."""
    return _real("conjugate", x)  # type: ignore[no-any-return]


@implements(np.imag)
def _imaginary_part(val: Array) -> Tensor:
    """np.imag of a Tensor: zeros.   val' = 0."""
    return where(False, _real("imag", val), 0)


@implements(np.angle)
def _angle(z: Array, deg: bool = False) -> Tensor:
    """np.angle of a Tensor: pi where it is negative, else 0, or these in degrees.   z' = 0."""
    y = arctan2(where(False, _real("angle", z), 0.0), z)
    return y * (180 / math.pi) if deg else y
