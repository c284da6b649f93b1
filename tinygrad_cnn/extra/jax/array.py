"""An array of JAX in the place of one of NumPy: what is written for NumPy computes with it, by NumPy's own protocols.

A call of a NumPy function comes to :meth:`Array.__array_function__` (NEP 18); an operator, or a call of a ufunc, comes to
:meth:`Array.__array_ufunc__` (NEP 13).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ...core.registry import above
from .errors import JaxError

_NARROW = {
    np.dtype(wide): np.dtype(narrow) for wide, narrow in (("f8", "f4"), ("i8", "i4"), ("u8", "u4"), ("c16", "c8"))
}

WIDE = frozenset({np.dtype(np.float64), np.dtype(np.complex128)})
"""Floating-point and complex dtypes of 64 bits a number, which JAX has with its option jax_enable_x64 alone."""


def has_64_bits() -> bool:
    """Whether JAX's option jax_enable_x64 is on."""
    return bool(jax.config.jax_enable_x64)


def held(dtype: Any) -> np.dtype[Any]:
    """The dtype in which JAX holds values of `dtype`: half as wide for 64 bits, unless its option jax_enable_x64 is on."""
    native: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    return native if has_64_bits() else _NARROW.get(native, native)


def is_traced(value: Any) -> bool:
    """Whether JAX follows a value, which it does not know yet."""
    return isinstance(value, jax.core.Tracer)


class Array(NDArrayOperatorsMixin):
    """An array of JAX, or one of NumPy that a definition made and may write to.

    Attributes:
        value: the array of JAX or NumPy. A write in place replaces it.
        dtype: what NumPy's would be: without JAX's option jax_enable_x64, JAX's may be half as wide.
        writeable: whether a definition made it, and may write to it.
        weak: whether it is a Python number that is not known yet, and does not promote others.
    """

    __slots__ = ("_value", "dtype", "weak", "writeable")

    # Set by the modules that define them, which import this one.
    call_ufunc: ClassVar[Callable[..., Any]]
    call_function: ClassVar[Callable[..., Any]]
    read: ClassVar[Callable[..., Any]]
    written: ClassVar[Callable[..., Any]]

    def __init__(self, value: Any, dtype: Any = None, writeable: bool = True, weak: bool = False) -> None:
        self._value = value
        self.weak = weak
        self.dtype: np.dtype[Any] = np.dtype(value.dtype if dtype is None else dtype)
        self.writeable = writeable

    @property
    def value(self) -> Any:
        return self._value

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(hasattr(x, "_node") for x in inputs):
            return above.array_ufunc(ufunc, method, inputs, options)
        return self.call_ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.call_function(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if is_traced(self.value):
            raise JaxError("the values of an array are asked for, which are not known while JAX traces the function")
        return np.array(self.value, self.dtype if dtype is None else dtype)

    # An array's attributes

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return int(self.value.ndim)

    @property
    def size(self) -> int:
        return int(self.value.size)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Those of C order, which JAX's arrays have for who looks at them from outside."""
        return tuple(self.itemsize * math.prod(self.shape[i + 1 :]) for i in range(self.ndim))

    flags = SimpleNamespace(
        carray=True,
        c_contiguous=True,
        f_contiguous=False,
        fnc=False,
        owndata=True,
        behaved=True,
        aligned=True,
        writeable=True,
    )
    base = None

    @property
    def T(self) -> Any:
        return np.transpose(self)

    @property
    def real(self) -> Any:
        return np.real(self)

    @property
    def imag(self) -> Any:
        return np.imag(self)

    @property
    def flat(self) -> Any:
        return iter(np.reshape(self, -1))

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        return self.read(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.write(self.written(self, index, value))

    def write(self, value: Any) -> None:
        """Take other values, as after a write in place."""
        if not self.writeable:
            raise JaxError("it writes into an input, or into a view of one, and arrays of JAX are never written")
        self._value = value

    def seen(self, read: Callable[[Any], Any], write: Callable[[Any, Any], Any] | None) -> Array:
        """``read(value)``, which NumPy lets share memory: if this array may be written, a view that sees it and is seen.

        ``write(value, part)`` is the value after the view has been given other ones.
        """
        return View(self, read, write) if self.writeable else Array(read(self.value), self.dtype, writeable=False)

    def __bool__(self) -> bool:
        return bool(self.__array__())

    def __int__(self) -> int:
        return int(self.__array__())

    def __float__(self) -> float:
        return float(self.__array__())

    def __index__(self) -> int:
        return self.__array__().__index__()

    def item(self) -> Any:
        return self.__array__().item()

    def tolist(self) -> Any:
        return self.__array__().tolist()

    def __repr__(self) -> str:
        return f"Array({self.value!r})"

    def __format__(self, spec: str) -> str:
        return format(self.item() if not self.ndim else self, spec)

    # An array's methods

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Array:
        if not copy and self.dtype == dtype:
            return self
        if not np.can_cast(self.dtype, dtype, casting):
            raise TypeError(f"cannot cast an array from {self.dtype} to {np.dtype(dtype)} according to {casting!r}")
        return Array(jnp.asarray(self.value).astype(held(dtype)), dtype)

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def view(self, kind: Any = np.ndarray) -> Array:
        if kind is not np.ndarray:
            raise JaxError("it reads the bytes of an array in another dtype")
        return self.seen(lambda a: a, lambda _, part: part)

    def fill(self, value: Any) -> None:
        self[...] = value


class View(Array):
    """A view of an array that may be written."""

    __slots__ = ("_of", "_read", "_write")

    def __init__(self, of: Array, read: Callable[[Any], Any], write: Callable[[Any, Any], Any] | None) -> None:
        self._of, self._read, self._write = of, read, write
        self.dtype, self.writeable, self.weak = of.dtype, write is not None, False

    @property
    def value(self) -> Any:
        return self._read(self._of.value)

    def write(self, value: Any) -> None:
        if self._write is None:
            raise JaxError("it writes into a view that is read-only")
        self._of.write(self._write(self._of.value, value))


def _method(name: str) -> Any:
    def call(self: Array, *args: Any, **kwargs: Any) -> Any:
        return getattr(np, name)(self, *args, **kwargs)

    return call


for _name in (
    "all", "any", "argmax", "argmin", "argsort", "clip", "conj", "copy", "cumprod", "cumsum", "diagonal", "dot", "max", "mean",
    "min", "nonzero", "prod", "ravel", "repeat", "round", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var",
):  # fmt: skip
    setattr(Array, _name, _method(_name))
