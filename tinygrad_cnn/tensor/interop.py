"""NumPy functions called on Tensors: recorded if there is an op for them, else a TypeError with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, methodcaller
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.graph import numpy_ops
from ..core.operands import gather
from . import numpy_arguments
from .refused import FORM, QUERIES, REFUSED


def array_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Implements ``Tensor.__array_ufunc__``: call the op that is registered for the ufunc.

    Raises:
        TypeError: for ``out=`` and other keywords, for methods such as ``reduce``, and for a ufunc without an op.
    """
    name = f"np.{ufunc.__name__}"
    op = numpy_ops.get(ufunc)
    if op is None:
        raise _unknown(name, ufunc)
    if method != "__call__":
        raise TypeError(
            f"{name}.{method}: not recorded on Tensors; use a reduction such as tinygrad_cnn.sum, or t.numpy() for values "
            "without a gradient"
        )
    if kwargs and isinstance(inputs[0], np.ndarray) and kwargs.get("out", (None,))[0] is inputs[0]:
        raise TypeError(
            f"{name}: `out=` is refused beside a Tensor: an operator such as a -= t would write it into an array; write "
            "a = a - t, or a -= t.numpy()"
        )
    return op(*inputs, **numpy_arguments.ufunc_arguments(ufunc, op, kwargs)) if kwargs else op(*inputs)


def array_function(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], tensor: type) -> Any:
    """Implements ``Tensor.__array_function__``: call the op registered for the function, or a function that only reads.

    Raises:
        TypeError: for a function without an op, or an argument that the op does not take.
    """
    op = numpy_ops.get(function)
    if op is not None:
        return numpy_arguments.call(function, op, args, kwargs)
    if function in FORM or function in QUERIES:
        look = attrgetter("_array") if function in FORM else methodcaller("numpy")
        given = [gather(v) for v in args]
        plain = {k: look(v) if isinstance(v, tensor) else v for k, v in kwargs.items()}
        return function(*(look(v) if isinstance(v, tensor) else v for v in given), **plain)
    raise _unknown(f"{function.__module__.replace('numpy', 'np')}.{function.__name__}", function)


def _unknown(name: str, function: Callable[..., Any]) -> TypeError:
    reason = REFUSED.get(function)
    return TypeError(
        f"{name}: no op records it on Tensors; call {name} on t.numpy() for values without a gradient, or declare an op "
        "with @tinygrad_cnn.op" + (f" ({reason})" if reason else "")
    )


def copied(value: Any) -> NDArray[Any]:
    """A copy of the values of an array of any library, such as a PyTorch tensor that requires a gradient.

    Raises:
        ValueError: if `value` is not an array, or NumPy cannot read it.
    """
    if not hasattr(value, "__array__") and not hasattr(value, "__dlpack__"):
        raise ValueError(f"a {type(value).__name__}; it must be an array")
    try:
        value = value.detach() if hasattr(value, "detach") else value
        array = np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
        return array.copy("K")
    except Exception as error:  # each library raises its own class
        raise ValueError(f"a {type(value).__name__} that NumPy cannot read: {error}") from None


def shown(value: Any) -> str:
    """The beginning of the value's ``repr``, for an error message."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out integers of more than 4,300 digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 500 else f"{text[:500]}..."
