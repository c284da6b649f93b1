"""``x[i] = v``: x gets the value of ``index_set(x, i, v)``, which is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import replaced, tracing
from ..core.grad_mode import is_grad_enabled
from ..core.node import Argument
from ..ops.index import assigned, plain_index
from ..ops.lists import gather
from ..ops.shape import reshape


def assign(x: Any, key: Any, value: Any) -> None:
    """Give the Tensor x a new value. Nothing has changed if there is an error."""
    node = x._node
    is_leaf = node is not None and node.op is None and not isinstance(node, Argument)
    if is_leaf and is_grad_enabled():
        raise RuntimeError(
            "Tensor: `x[i] = v` would overwrite a leaf that requires a gradient; write it under no_grad(), or make the "
            "result with tinygrad_cnn.index_set(x, i, v)"
        )
    if node is not None and not is_leaf and not is_grad_enabled():
        raise RuntimeError(
            f"Tensor: `x[i] = v` under no_grad() would lose the graph of x, which is {x._origin}; assign to x.detach().copy(), "
            "or outside of no_grad()"
        )
    replaced.check_assignable(x)
    y = _with(x, key, _fitted(gather(value, "Tensor"), x.dtype))
    if is_leaf:
        x.copy_(y)
        return
    replaced.leave(x)
    if tracing.watchers:
        tracing.tracer().assign(x)
    x._array, x._node = y._array, y._node


def _fitted(value: Any, dtype: np.dtype[Any]) -> Any:
    """A Python number as one of the dtype, if that has numbers of its kind. OverflowError if it is too large."""
    kinds = {bool: "biuf", int: "iuf", float: "f"}.get(type(value), "")
    return np.array(value, dtype) if dtype.kind in kinds else value


def _with(x: Any, key: Any, value: Any) -> Any:
    """x with the value at the index. As in NumPy, axes of size 1 in front are not needed."""
    index = plain_index(key)
    try:
        size = x._array[index].shape
    except IndexError as error:
        raise IndexError(f"Tensor: {error} (x has shape {x.shape})") from None
    own = np.shape(value)
    extra = len(own) - len(size)
    if extra > 0 and own[:extra] == (1,) * extra:
        value = reshape(value, shape=own[extra:])
    return assigned("Tensor", x, index, value, size)
