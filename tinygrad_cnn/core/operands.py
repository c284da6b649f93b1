"""Operands of ops: Tensors, arrays and numbers; and lists, tuples and object arrays, which may hold Tensors.

What holds Tensors becomes one Tensor, so that the gradient reaches each of them: see ``ops/lists.py``. An array in the other
byte order is copied where it enters, and where a definition returns one, so no op and no kernel meets one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import explain
from .registry import above, namespace

if TYPE_CHECKING:
    from .graph import Op

NUMBERS = frozenset({bool, int, float, complex, type(None)})
"""Classes of operands that ops take unchanged."""

NUMPY_NUMBERS = frozenset(np.dtype(code).type for code in "?bhilqBHILQefd")
FINE = NUMBERS | NUMPY_NUMBERS
"""Classes of operands that hold no Tensors."""

PLAIN = frozenset(np.dtype(code) for code in "?bhilqBHILQefdgFDG")
"""Dtypes of arrays that ops take unchanged: numbers and Booleans in the machine's byte order."""

DOUBLE = np.dtype(np.float64)
SINGLE = PLAIN - {DOUBLE}
"""Dtypes of results in a network of float32. A result of another one is looked at, in ops that declare it."""

ODD = "({0}.dtype not in _PLAIN if {0}.__class__ is _ndarray else {0}.__class__ not in _FINE)"
"""Source of a test: whether an operand must be looked at, and perhaps converted. Other operands cost no call."""


def operand(value: Any, name: str, is_label: bool, beside: Sequence[Any]) -> tuple[Any, Any, Any]:
    """An operand beside a Tensor, adapted; its array; its node, if it is a Tensor. Lists of labels and indices stay lists."""
    if value.__class__ is not np.ndarray or value.dtype not in PLAIN:
        value = above.gather(value, name) if is_label else above.adapt(value, name, beside)
        if isinstance(value, namespace["Tensor"]):
            return value, value._array, value._node
    return value, value, None


def operands(values: Iterable[Any], name: str) -> tuple[Any, ...]:
    """The operands of a variadic op: lists that hold Tensors become Tensors, others arrays, adapted beside a Tensor."""
    found = [*values]
    if {*map(type, found)} != {namespace["Tensor"]}:
        found = [above.gather(value, name) for value in found]
        mixed = any(isinstance(value, namespace["Tensor"]) for value in found)
        found = [above.adapt(x, name, found) if mixed else above.gather(x, name, arrays=True) for x in found]
    return tuple(found)


def output(value: Any, op: Op, inputs: Sequence[Any]) -> np.ndarray:
    """A result of the op, a NumPy scalar or an unusual array, as an array that ops take; TypeError for a masked one."""
    if value.__class__ is np.ndarray and value.dtype is DOUBLE:
        above.wide_result(op, inputs)
        return value
    return np.asarray(above.plain(value, op.name) if isinstance(value, np.ndarray) else value)


def call_with_lists(op: Op, inputs: Sequence[Any], params: Sequence[Any]) -> Any:
    """Call an op without a Tensor among its inputs, but with lists, which may hold Tensors, or other objects."""
    named = dict(zip(op.signature.params, params, strict=True))
    gathered = [above.gather(value, op.name) for value in inputs]
    if any(isinstance(value, namespace["Tensor"]) for value in gathered):
        return op.function(*gathered, **named)
    try:
        result = op.run(*[above.gather(value, op.name, arrays=True) for value in gathered], **named)
    except AttributeError as error:
        raise explain(op, error, gathered) from error
    return result[0] if op.signature.residuals else result
