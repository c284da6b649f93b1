"""Operands of ops: Tensors, arrays, numbers and lists.

A list, tuple or object array that holds Tensors becomes one Tensor, as by ``stack``, so that the gradient reaches each
of them. NumPy alone would read their values, and the graph would end there.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, TypeVar

import numpy as np

OBJECT = np.dtype(object)
NUMBERS = frozenset({bool, int, float, complex, type(None)})
"""Classes of operands that ops take unchanged."""

NUMPY_NUMBERS = frozenset(np.dtype(code).type for code in "?bhilqBHILQefd")
FLAT = NUMBERS | NUMPY_NUMBERS
FINE = set(FLAT)
"""Classes of operands that are not lists: numbers, and the Tensor class once registered."""

ODD = "({0}.dtype.hasobject if {0}.__class__ is _ndarray else {0}.__class__ not in {1})"
"""Python source for: does an operand need a closer look? All other operands cost no call."""

F = TypeVar("F", bound=Callable[..., Any])
_item = {kind: kind.item for kind in NUMPY_NUMBERS}
_tensor: Any = ()
_from_list: Any = None
_stack: Any = None


def register(tensor: type, from_list: Callable[..., Any], stack: Callable[..., Any]) -> None:
    """Register the Tensor class, the conversion of a list of numbers beside a Tensor, and the op that stacks Tensors."""
    global _tensor, _from_list, _stack
    _tensor, _from_list, _stack = tensor, from_list, stack
    FINE.add(tensor)


def tensor(array: np.ndarray) -> Any:
    """A Tensor that shares the memory of an array."""
    return _tensor._of(array)


def adapt(value: Any, name: str = "Tensor") -> Any:
    """An operand beside a Tensor, converted: a NumPy scalar becomes a Python number, a list becomes Tensor(list)."""
    item = _item.get(value.__class__)
    if item is not None:
        return item(value)
    value = gather(value, name)
    return _from_list(value) if isinstance(value, list | tuple) else value


def gather(value: Any, name: str = "Tensor") -> Any:
    """`value`, unless it is a list, tuple or object array that holds Tensors: then the Tensor stacked from it.

    NumPy's promotion of the Tensors and arrays in it gives the dtype; Python and NumPy scalars do not promote.

    Raises:
        TypeError: beginning with `name`, for an object array that holds no Tensor.
        ValueError: for a ragged list.
    """
    if isinstance(value, _tensor):
        return value
    if not _holds_tensor(value):
        if getattr(value, "dtype", None) == OBJECT:
            raise TypeError(f"{name}: {_NO_OPERAND}")
        return value
    try:
        return _joined(value, _common(value))
    except ValueError as error:
        raise ValueError(f"{name}: a list that holds Tensors must be full, with parts of one shape: {error}") from None


def members(values: Iterable[Any]) -> list[Any]:
    """`values`, to be joined: if one is a Tensor, the arrays, scalars and lists become Tensors too, as in :func:`gather`."""
    found = list(values)
    if all(value.__class__ is _tensor for value in found) or not _holds_tensor(found):
        return found
    dtype = _common(found)
    return [_joined(value, dtype) for value in found]


_NO_OPERAND = "an array of dtype object is not a valid operand; give numbers, with astype(np.float32), or Tensors"


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return not FLAT.issuperset(map(type, value)) and any(map(_holds_tensor, value))
    if isinstance(value, np.ndarray):
        return value.dtype == OBJECT and any(map(_holds_tensor, value.flat))
    return isinstance(value, _tensor)


def _parts(value: Any) -> Any:
    """The elements of a list, tuple or object array; None for anything else."""
    if isinstance(value, np.ndarray) and value.dtype == OBJECT:
        return value if value.ndim else [value.item()]
    return value if isinstance(value, list | tuple) else None


_PYTHON = {"b": bool, "i": int, "u": int, "f": float, "c": complex}


def _kinds(value: Any) -> set[Any]:
    """The dtypes of the Tensors and arrays in a nested list, and Python's class for each kind of scalar."""
    parts = _parts(value)
    if isinstance(value, np.ndarray) and parts is not None and not _holds_tensor(value):
        raise TypeError(f"Tensor: {_NO_OPERAND}")
    if parts is not None:
        return set().union(*map(_kinds, parts))
    if isinstance(value, _tensor):
        return {value.dtype}
    array = np.asarray(value)
    if array.dtype.kind not in _PYTHON:
        raise TypeError(f"Tensor: a list that holds Tensors holds {value!r:.60}; it must hold numbers or Booleans")
    return {array.dtype if array.ndim or isinstance(value, np.ndarray) else _PYTHON[array.dtype.kind]}


def _common(value: Any) -> np.dtype[Any]:
    return np.result_type(*(kind(0) if isinstance(kind, type) else kind for kind in _kinds(value)))


def _joined(value: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(value, _tensor):
        return value
    if not _holds_tensor(value):
        return _tensor._of(value if isinstance(value, np.ndarray) else _from_list(value, dtype))
    joined = _stack([_joined(part, dtype) for part in _parts(value)])
    return joined[0] if isinstance(value, np.ndarray) and not value.ndim else joined


def accept_lists(namespace: MutableMapping[str, Any], replace: MutableMapping[Any, Any]) -> None:
    """Let the public functions of a module take lists that hold Tensors wherever a parameter is annotated as ``Array``.

    Ops accept such lists already. A function composed of ops may ask for a shape first, and NumPy would read the values.
    Modules that imported a function earlier keep the original, so calls within the library cost nothing.
    The values of `replace` are functions; they are replaced too.
    """
    for name in namespace["__all__"]:
        function = namespace[name]
        if inspect.isfunction(function) and not hasattr(function, "op"):
            namespace[name] = accepting = accepting_lists(function)
            replace.update({key: accepting for key, value in replace.items() if value is function})


def accepting_lists(function: F) -> F:
    """`function`, with list arguments converted to Tensors; `function` itself if no parameter is annotated as ``Array``."""
    parameters = inspect.signature(function).parameters.values()
    arrays = {p.name for p in parameters if p.annotation in ("Array", "TensorLike")}
    if not arrays:
        return function
    name = function.__name__
    places = [i for i, p in enumerate(parameters) if p.name in arrays and p.kind is not p.KEYWORD_ONLY]

    @functools.wraps(function)
    def accepting(*args: Any, **kwargs: Any) -> Any:
        for i in places:
            if i < len(args) and _is_odd(args[i]):
                args = (*args[:i], gather(args[i], name), *args[i + 1 :])
        for n, value in kwargs.items():
            if n in arrays and _is_odd(value):
                kwargs[n] = gather(value, name)
        return function(*args, **kwargs)

    return accepting  # type: ignore[return-value]


def _is_odd(value: Any) -> bool:
    return value.dtype.hasobject if value.__class__ is np.ndarray else value.__class__ not in FINE
