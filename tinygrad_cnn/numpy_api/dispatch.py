"""NumPy functions called on Tensors: recorded if there is an op for them, else NumPy's if no gradient can be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, methodcaller
from typing import Any

import numpy as np

from ..core.grad_mode import is_grad_enabled
from ..core.registry import numpy_ops
from ..ops import fourier  # noqa: F401 - it registers
from ..ops.lists import gather
from ..tensor import Tensor
from . import arguments as numpy_arguments
from . import difference, join, matrix_functions, nan, polynomial, products, select, statistics  # noqa: F401 - they register
from .arguments import Refused
from .refused import FORM, QUERIES, REFUSED, WRITES


def array_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Implements ``Tensor.__array_ufunc__``: call the op that is registered for the ufunc.

    Methods such as ``reduce``, ``out=`` and other keywords, and ufuncs without an op are NumPy's, on the values, if no gradient
    can be lost.

    Raises:
        TypeError: for these, if a Tensor requires a gradient, or is to be written.
    """
    name = f"np.{ufunc.__name__}"
    op = numpy_ops.get(ufunc)
    target = inputs[0] if method == "at" else kwargs.get("out")
    try:
        if op is None:
            raise _unknown(name, ufunc)
        if method != "__call__":
            raise Refused(
                f"{name}.{method}: not recorded on Tensors; use a reduction such as tinygrad_cnn.sum, or t.numpy() for values "
                "without a gradient"
            )
        if kwargs and isinstance(inputs[0], np.ndarray) and kwargs.get("out", (None,))[0] is inputs[0]:
            raise Refused(
                f"{name}: `out=` is refused beside a Tensor: an operator such as a -= t would write it into an array; write "
                "a = a - t, or a -= t.numpy()"
            )
        arguments = numpy_arguments.ufunc_arguments(ufunc, op, kwargs) if kwargs else {}
    except Refused as error:
        if _holds(target) or _loses_gradient((inputs, kwargs)):
            raise TypeError(str(error)) from None
        return getattr(ufunc, method)(*_values(inputs), **_values(kwargs))
    return op(*inputs, **arguments)


def array_function(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Implements ``Tensor.__array_function__``: call the op registered for the function, or a function that only reads.

    A function without an op, or with arguments that the op does not take, is NumPy's, on values, if no gradient can be lost.

    Raises:
        TypeError: for these, if a Tensor requires a gradient, or is to be written.
    """
    op = numpy_ops.get(function)
    try:
        if op is not None:
            return numpy_arguments.call(function, op, args, kwargs)
        if function in FORM or function in QUERIES:
            look = attrgetter("_array") if function in FORM else methodcaller("numpy")
            given = [gather(v) for v in args]
            plain = {k: look(v) if isinstance(v, Tensor) else v for k, v in kwargs.items()}
            return function(*(look(v) if isinstance(v, Tensor) else v for v in given), **plain)
        raise _unknown(f"{function.__module__.replace('numpy', 'np')}.{function.__name__}", function)
    except Refused as error:
        targets = kwargs.get("out"), args[0] if args and function in WRITES else None
        if _holds(targets) or _loses_gradient((args, kwargs)):
            raise TypeError(str(error)) from None
    return function(*_values(args), **_values(kwargs))


def _holds(value: Any) -> bool:
    """Whether `value` is a Tensor, or a list, tuple or dict with one."""
    return bool(_tensors(value))


def _loses_gradient(value: Any) -> bool:
    return is_grad_enabled() and any(t.requires_grad for t in _tensors(value))


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [found for part in parts for found in _tensors(part)]


def _values(value: Any) -> Any:
    """`value` with arrays in place of Tensors."""
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, Mapping):
        return {name: _values(part) for name, part in value.items()}
    return type(value)(_values(part) for part in value) if type(value) in (list, tuple) else value


def _unknown(name: str, function: Callable[..., Any]) -> Refused:
    reason = REFUSED.get(function)
    return Refused(
        f"{name}: no op records it on Tensors; call {name} on t.numpy() for values without a gradient, or declare an op "
        "with @tinygrad_cnn.op" + (f" ({reason})" if reason else "")
    )
