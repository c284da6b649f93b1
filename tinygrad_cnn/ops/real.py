"""Checks of values: of real-number parameters, such as slopes and eps, of dtypes, of functions, and of arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.grad_mode import is_grad_enabled

if TYPE_CHECKING:
    from typing_extensions import TypeIs


def real(
    function: str, parameter: str, value: Any, rule: str = "be a number", holds: Callable[[float], bool] | None = None,
    remedy: str = "",
) -> float:  # fmt: skip
    """`value` as a Python float, which does not change the dtype of an array it is combined with.

    Raises:
        TypeError: if it is not a real number, or an array without axes that holds one.
        ValueError: if it is NaN, or `holds` is not true of it; `rule` is the text for the message.
    """
    if value.__class__ is not float:
        if isinstance(value, np.ndarray) and not value.ndim:
            value = value[()]
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"{function}: `{parameter}` is {value!r:.60}; it must be a number{remedy}")
    number = float(value)
    if number != number or (holds is not None and not holds(number)):
        raise ValueError(f"{function}: `{parameter}` is {value!r}; it must {rule}{remedy}")
    return number


def constant(function: str, parameter: str, value: Any) -> Any:
    """`value`, a parameter without a gradient; TypeError if it, or a Tensor in it, requires one."""
    held = isinstance(value, np.ndarray) and value.dtype == object
    parts = value.flat if held else value if isinstance(value, list | tuple) else (value,)
    if any(getattr(part, "requires_grad", False) for part in parts) and is_grad_enabled():
        raise TypeError(
            f"{function}: `{parameter}` requires a gradient but {function} has none for it; pass `{parameter}.detach()`"
        )
    return value


def is_integer(value: Any) -> TypeIs[int]:
    """Whether a value is one integer: Python's, NumPy's, or an array without axes that holds one."""
    whole = isinstance(value, int | np.integer)
    return whole or (isinstance(value, np.ndarray) and not value.ndim and value.dtype.kind in "iu")


def dtype_of(function: str, dtype: DTypeLike) -> np.dtype[Any]:
    """A dtype, in the machine's byte order; TypeError if NumPy has none of this name."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(
            f"{function}: `dtype` is {dtype!r:.60}; it must be a dtype of NumPy, such as np.float32 or 'float32'"
        ) from None
    return found if found.isnative else found.newbyteorder("=")


def dtype_if(function: str, dtype: DTypeLike | None) -> np.dtype[Any] | None:
    """A dtype, or None; with the error of :func:`dtype_of`."""
    return None if dtype is None else dtype_of(function, dtype)


def kind(value: Any) -> str:
    """A short description of a value, for a message."""
    dtype = getattr(value, "dtype", None)
    return f"{value!r:.60}" if dtype is None else f"{type(value).__name__} of {dtype}"


def check_callable(name: str, f: Any) -> None:
    """Raise TypeError, that begins with `name`, unless f can be called."""
    if not callable(f):
        raise TypeError(f"{name}: `f` is {kind(f)}; it must be a function")


positive = partial(real, rule="be above 0", holds=lambda x: x > 0)
not_negative = partial(real, rule="not be negative", holds=lambda x: x >= 0)
probability = partial(real, rule="be a probability, from 0 to 1", holds=lambda x: 0 <= x <= 1)


def refuse(values: Any, wrong: Any, message: str, error: type[Exception] = ValueError) -> None:
    """Raise an error if some of the `values` are `wrong`; {value} and {at} in the message are the first one and its index."""
    wrong = np.asarray(wrong)
    if wrong.any():
        at = tuple(int(i) for i in np.unravel_index(np.argmax(wrong), wrong.shape))
        raise error(message.format(value=np.broadcast_to(values, wrong.shape)[at], at=at))
