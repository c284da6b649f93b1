"""SciPy's functions, and ops that are ufuncs of SciPy."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np

try:
    from scipy import special
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_cnn.special needs SciPy, which is not installed; pip install 'tinygrad_cnn[scipy]'", name="scipy"
    ) from error

from ...core.graph import Array, OpFunction, op
from ...ops.elementwise import REAL

# The ufuncs themselves: with SCIPY_ARRAY_API=1, SciPy has functions around them, which choose a library by the argument.
scipy = SimpleNamespace(
    **{name: inspect.unwrap(function) for name, function in vars(special).items() if callable(function)}
)


def polygamma(n: int, x: Any) -> Any:
    """psi^(n)(x), by functions that know NumPy's protocols: SciPy's own makes an array of NumPy of what it is given."""
    return scipy.psi(x) if n == 0 else (-1.0) ** (n + 1) * scipy.gamma(n + 1.0) * scipy.zeta(n + 1.0, x)


def floating(*inputs: Any, complex: bool = False) -> np.dtype[Any]:
    """The dtype of a function of the inputs: their own if it is floating-point, and float64 for integers and numbers.

    TypeError for complex numbers, unless they are allowed.
    """
    dtype = np.result_type(*inputs)
    if dtype.kind == "c" and not complex:
        raise TypeError(REAL)
    return dtype if dtype.kind in "fc" else np.dtype(np.float64)


def op_of(ufunc: Any, doc: str, name: str = "", *, complex: bool = False, **rules: Any) -> OpFunction[[]]:
    """An op that is a ufunc of SciPy, in the dtype of its inputs: SciPy computes float16 in float32 or float64."""

    def one(a: Array) -> Array:
        return np.asarray(ufunc(a)).astype(floating(a, complex=complex), copy=False)

    def two(a: Array, b: Array) -> Array:
        return np.asarray(ufunc(a, b)).astype(floating(a, b), copy=False)

    raw: Any = one if ufunc.nin == 1 else two
    raw.__name__ = raw.__qualname__ = name or ufunc.__name__
    raw.__doc__ = doc
    function: OpFunction[[]] = op(elementwise=True, numpy=ufunc, complex=complex)(raw)
    function.vjp(**rules)
    return function
