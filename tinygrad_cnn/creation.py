"""Functions that make Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .graph import implements
from .methods import TensorLike, unpacked
from .ops.random import generator
from .tensor import Tensor, get_default_dtype

__all__ = [
    "arange", "eye", "from_numpy", "full", "full_like", "ones", "ones_like", "rand", "rand_like", "randn", "randn_like",
    "zeros", "zeros_like",
]  # fmt: skip


def _made(data: NDArray[Any], requires_grad: bool) -> Tensor:
    tensor = Tensor._of(data)
    if requires_grad:
        tensor.requires_grad = True
    return tensor


def _float(name: str, dtype: DTypeLike | None) -> np.dtype[Any]:
    wanted = get_default_dtype() if dtype is None else np.dtype(dtype)
    if wanted.kind != "f":
        raise TypeError(f"{name}: `dtype` is {wanted}; random numbers are drawn in a floating-point dtype")
    return wanted


def from_numpy(array: NDArray[Any], requires_grad: bool = False) -> Tensor:
    """A Tensor that shares the memory of `array`: a change to either is seen in both.

    Raises:
        TypeError: if `array` is not an ndarray of numbers or Booleans.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufc":
        raise TypeError(
            f"from_numpy: `array` is {type(array).__name__}; it must be a numeric ndarray, or use Tensor(...)"
        )
    return _made(array.view(np.ndarray), requires_grad)


def zeros(*shape: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros; the shape is one tuple or separate sizes."""
    return _made(np.zeros(unpacked(shape), get_default_dtype() if dtype is None else dtype), requires_grad)


def ones(*shape: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones; the shape is one tuple or separate sizes."""
    return _made(np.ones(unpacked(shape), get_default_dtype() if dtype is None else dtype), requires_grad)


def full(shape: Any, fill_value: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of one repeated value."""
    value = Tensor(fill_value, dtype=dtype)._data
    return _made(np.full(shape, value, value.dtype), requires_grad)


def arange(*bounds: float, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """start, start + step, ... below stop, as np.arange: integers from integers, else the default dtype."""
    values = np.arange(*bounds, dtype=dtype)
    if dtype is None and values.dtype.kind == "f":
        values = values.astype(get_default_dtype())
    return _made(values, requires_grad)


def eye(n: int, m: int | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n x m matrix of zeros; m is n by default."""
    return _made(np.eye(n, m, dtype=get_default_dtype() if dtype is None else np.dtype(dtype)), requires_grad)


def rand(
    *shape: Any,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform draws from [0, 1), from `rng` or the library's seeded generator."""
    wanted = _float("rand", dtype)
    draw_in = wanted if wanted.itemsize in (4, 8) else np.dtype(np.float64)
    values = generator(rng).random(unpacked(shape), dtype=draw_in.type)
    return _made(np.asarray(values, dtype=wanted), requires_grad)


def randn(
    *shape: Any,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal draws, from `rng` or the library's seeded generator."""
    wanted = _float("randn", dtype)
    draw_in = wanted if wanted.itemsize in (4, 8) else np.dtype(np.float64)
    values = generator(rng).standard_normal(unpacked(shape), dtype=draw_in.type)
    return _made(np.asarray(values, dtype=wanted), requires_grad)


def _like(t: TensorLike) -> NDArray[Any]:
    return t._data if isinstance(t, Tensor) else np.asarray(t)


@implements(np.zeros_like)
def zeros_like(t: TensorLike, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros of t's shape and dtype."""
    return _made(np.zeros(_like(t).shape, dtype or _like(t).dtype), requires_grad)


@implements(np.ones_like)
def ones_like(t: TensorLike, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of t's shape and dtype."""
    return _made(np.ones(_like(t).shape, dtype or _like(t).dtype), requires_grad)


@implements(np.full_like)
def full_like(t: TensorLike, fill_value: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """One repeated value in t's shape and dtype."""
    return full(_like(t).shape, fill_value, dtype or _like(t).dtype, requires_grad)


def rand_like(
    t: TensorLike,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform draws from [0, 1) in t's shape and dtype."""
    return rand(_like(t).shape, rng=rng, dtype=dtype or _like(t).dtype, requires_grad=requires_grad)


def randn_like(
    t: TensorLike,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal draws in t's shape and dtype."""
    return randn(_like(t).shape, rng=rng, dtype=dtype or _like(t).dtype, requires_grad=requires_grad)
