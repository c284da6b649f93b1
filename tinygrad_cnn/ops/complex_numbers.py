"""Real and imaginary parts, and angles.

The gradient of a real f in z = x + i y is z' = df/dx - i df/dy, so that df = Re(z' dz): the rule of a holomorphic function is
the one for real numbers, and a real input gets the real part of what a rule returns. (PyTorch's gradients are the conjugates.)
In docstrings, y is the output, g the incoming gradient, and a' the gradient with respect to a.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.graph import Array, Tensor, implements, op
from .elementwise import conj, mul, where
from .transcendental import arctan2

__all__ = ["angle", "conj", "imag", "real"]


@op(elementwise=True, numpy=np.real, complex=True)
def real(val: Array) -> Array:
    """y = the real part of val.   val' = g."""
    return np.real(val)[...]


@op(elementwise=True, complex=True)
def imaginary(val: Array) -> Array:
    """y = the imaginary part of complex numbers.   val' = -i g."""
    return np.imag(val)[...]


real.vjp(val=lambda g: g)
imaginary.vjp(val=lambda g: g * -1j)


@implements(np.imag)
def imag(val: Array) -> Tensor:
    """y = the imaginary part of val, zeros for real numbers.   val' = -i g, and 0 for real numbers."""
    val = val if hasattr(val, "dtype") else np.asarray(val)
    return imaginary(val) if val.dtype.kind == "c" else where(False, val, 0)


def conjugate(a: Array) -> Array:
    """conj(a) of a complex array or Tensor; any other as it is."""
    return conj(a) if getattr(a, "dtype", None) is not None and a.dtype.kind == "c" else a


@implements(np.angle)
def angle(z: Array, deg: bool = False) -> Tensor:
    """y = the angle of z = |z| e^(i y), in (-pi, pi].   z' = -i g / z, and 0 at 0.

    Args:
        z: real or complex.
        deg: whether the angle is in degrees.
    """
    y = arctan2(imag(z), real(z))
    return mul(y, 180 / math.pi) if deg else y


@implements(np.real_if_close)
def _real_if_close(a: Array, tol: float = 100) -> Tensor:
    """np.real_if_close of a real Tensor: the Tensor. TypeError for a complex one, whose values would decide the dtype."""
    if a.dtype.kind == "c":
        raise TypeError(f"real_if_close: a Tensor is {a.dtype}, and its values would decide the dtype; use real(a)")
    return a  # type: ignore[no-any-return]
