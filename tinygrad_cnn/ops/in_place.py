"""What changes a Tensor: a leaf is written in place, and ``x[i] = v`` gives any other a new value."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np

from ..core import tracing
from ..core.grad_mode import is_grad_enabled
from ..core.graph import Tensor
from ..core.node import Argument
from ..core.registry import namespace
from ..core.versions import mark_written
from . import replaced
from .data import TensorLike
from .index import assigned, plain_index
from .lists import gather
from .shape import reshape


def copy_(self: Tensor, source: TensorLike) -> Tensor:
    """Write `source` into this leaf in place, as optimizers do. Graphs that saved the old values then refuse backward.

    The write is never recorded, in any grad mode: the leaf stays a leaf, and no gradient passes to `source`.

    Raises:
        RuntimeError: if this Tensor is the result of a recorded op, or the argument of a function under a transform; if
            `source` is one of these, unless under :class:`no_grad`.
        ValueError: if `source` does not broadcast to this Tensor's shape.
    """
    if self._is_recorded:
        raise RuntimeError(f"copy_: this Tensor is {self._origin}; nothing recorded is ever written")
    given: Any = gather(source, "copy_")
    is_tensor = isinstance(given, namespace["Tensor"])
    if replaced.left:
        for t in (self, given) if is_tensor else (self,):
            replaced.check(t)
    values = given._array if is_tensor else np.asarray(given)
    if values.shape != self.shape:
        try:
            np.broadcast_to(values, self.shape)
        except ValueError:
            raise ValueError(
                f"copy_: `source` has shape {values.shape}, which does not broadcast to {self.shape}"
            ) from None
    if not np.can_cast(values.dtype, self.dtype, "same_kind"):
        raise TypeError(
            f"copy_: `source` is {values.dtype}, which does not become {self.dtype}; convert it with astype"
        )
    loses = is_tensor and given._is_recorded and is_grad_enabled()
    # Refused where it is done, since vmap has its own error.
    write = partial(_refuse_to_lose, given) if loses else _write
    tracing.tracer().effect(write, self._array, values)
    return self


def update_(self: Tensor, rule: Callable[..., np.ndarray], *given: Any) -> None:
    """Write ``rule(values of this leaf, *given)`` into this leaf, as :func:`copy_` does; `rule` is given arrays for Tensors.

    RuntimeError if this Tensor is recorded.
    """
    if self._is_recorded:
        raise RuntimeError(f"update_: this Tensor is {self._origin}; nothing recorded is ever written")
    if replaced.left:
        for t in (self, *given):
            if hasattr(t, "_node"):
                replaced.check(t)
    arrays = [x._array if hasattr(x, "_node") else x for x in given]
    tracing.tracer().effect(_write_rule, self._array, rule, *arrays)


def _write_rule(target: np.ndarray, rule: Callable[..., np.ndarray], *given: Any) -> None:
    _write(target, rule(target, *given))


def _refuse_to_lose(source: Any, *_: Any) -> NoReturn:
    raise RuntimeError(
        f"copy_: `source` is {source._origin}, and a write passes no gradient to it; copy source.detach() if that is meant, "
        "or write under no_grad()"
    )


def _write(target: np.ndarray, values: np.ndarray) -> None:
    np.copyto(target, values, casting="same_kind")
    mark_written(target)


def operator(sign: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The operator, such as `+=`, that writes a leaf which requires a gradient, and makes a new Tensor of any other.

    A RuntimeError outside of no_grad; a TypeError or ValueError for a result that does not fit into the leaf.
    """

    def write(self: Any, other: Any) -> Any:
        if not self.is_leaf or not self.requires_grad or isinstance(self._node, Argument):
            replaced.check_changeable(self, sign)
            return NotImplemented  # Python then computes x = x + y
        if is_grad_enabled():
            raise RuntimeError(
                f"Tensor: `{sign}=` would overwrite a leaf that requires a gradient, or rebind its name to another Tensor; "
                "write it under no_grad(), or let an optimizer of tinygrad_cnn.optim update it; for a new Tensor, write "
                f"x = x {sign} y"
            )
        result = function(self, other)
        if result.shape != self.shape:
            raise ValueError(
                f"Tensor: `{sign}=` has a result of shape {result.shape}, which does not fit into a leaf of shape "
                f"{self.shape}"
            )
        if result.dtype.kind != "f":
            raise TypeError(
                f"Tensor: `{sign}=` has a result of {result.dtype}, which cannot be written into {self.dtype}"
            )
        return self.copy_(result)

    return write


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
    try:
        replaced.leave(x)
        if tracing.watchers:
            tracing.tracer().assign(x)
    except BaseException:  # or an interrupt
        replaced.come_back(x)
        raise
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
