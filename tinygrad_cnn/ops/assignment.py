"""``x[i] = v``: x gets the value of ``index_set(x, i, v)``, which is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import tracing
from ..core.grad_mode import is_grad_enabled
from ..core.node import Argument
from . import replaced
from .index import assigned, plain_index
from .lists import gather
from .shape import reshape


def assign(x: Any, key: Any, value: Any) -> None:
    """Give this Tensor the value of ``index_set(x, key, value)``, recorded: what a graph saved does not change.

    The new value has memory of its own. Using a Tensor that shared the old memory, such as a view, is an error from then on;
    arrays that did, from :meth:`numpy` or under :func:`from_numpy`, keep the old values. Under ``no_grad``, a leaf that
    requires a gradient is written in place, as by :meth:`copy_`. Nothing has changed if there is an error.

    Raises:
        RuntimeError: for a leaf that requires a gradient, unless under ``no_grad``; for the result of a recorded op under
            ``no_grad``; for an argument of a function that is differentiated or batched, or a view of it.
        IndexError, ValueError, TypeError: as for :func:`index_set`.

    >>> import tinygrad_cnn as tg
    >>> w, y = tg.Tensor([1.0, 2.0], requires_grad=True), tg.zeros(3)
    >>> for i in range(1, 3):
    ...     y[i] = y[i - 1] + w[i - 1] ** 2
    >>> y[2].backward()
    >>> y.tolist(), w.grad.tolist()
    ([0.0, 1.0, 5.0], [2.0, 4.0])
    """
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
