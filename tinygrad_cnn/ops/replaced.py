"""Memory that a Tensor left when ``x[i] = v`` gave it a new value.

NumPy would write into the memory of x, and every view of x would show it. Here x gets memory of its own, so the values that
graphs saved stay what they were. Any other Tensor on the old memory would be out of date, and its use is an error. While
there is such memory, the outermost tracer looks at the operands of every op. Else nothing is looked at.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from contextvars import ContextVar
from functools import partial
from sys import getrefcount
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..core import tracing
from ..core.versions import owner
from ..scope import Scoped

if TYPE_CHECKING:
    from ..tensor import Tensor

COUNTS = getattr(sys, "_is_gil_enabled", lambda: True)() and sys.implementation.name == "cpython"
"""Whether reference counts tell who holds an array."""

left: dict[int, tuple[weakref.ref[np.ndarray], list[tuple[int, int]]]] = {}
"""By the id of the array that owns it: the ranges of bytes that Tensors left, while that array is alive."""

times = 0
"""How often a Tensor left memory that something else may use, or was frozen: what holds the arrays of Tensors looks here."""

_lock = RLock()  # of the two above: a Tensor may die in any thread, also while this one leaves memory

refused = Scoped("refused", "")
"""Why every assignment is an error, in a block; "" where it is none."""

permitted = Scoped("permitted", False)
"""Whether Tensors on old memory are fine in a block: rules are given what graphs saved."""

lent: Scoped[Sequence[Tensor]] = Scoped("lent", ())
"""The arguments of a function that runs in a block. It must not assign to them, since its caller has them too."""

standing: ContextVar[tuple[Tensor, ...]] = ContextVar("standing", default=())
"""The Tensors that a compiled function is given in place of its caller's arrays, while it runs."""


def _references(tensor: Any) -> tuple[int, int]:
    """The number of references to the array of a Tensor, and to the array that owns its memory, plus constants."""
    base = tensor._array.base
    return getrefcount(tensor._array), 0 if base is None else getrefcount(base)


class _Sole:
    """It has an array that nothing else refers to, as a Tensor may."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array


_OWN, _VIEW = _references(_Sole(np.zeros(1))), _references(_Sole(np.zeros(1)[:]))


def _is_shared(tensor: Tensor) -> bool:
    """Whether something besides this Tensor may refer to its memory."""
    base = tensor._array.base
    if not COUNTS or (base is not None and (base.__class__ is not np.ndarray or base.base is not None)):
        return True
    alone = _OWN if base is None else _VIEW
    del base
    return _references(tensor) != alone


def leave(tensor: Tensor) -> None:
    """Note that the Tensor is about to get other memory. RuntimeError if NumPy does not own the memory that it has."""
    global times
    if not _is_shared(tensor):
        return
    root = owner(tensor._array)
    if not root.flags.owndata:
        raise RuntimeError(
            "Tensor: `x[i] = v` gives x memory of its own, and x shares the memory of another library or of a file, which "
            "would not change; use y = tinygrad_cnn.index_set(x, i, v), or copy x before"
        )
    bounds = byte_bounds(tensor._array)
    with _lock:
        times += 1
        known = left.setdefault(id(root), (weakref.ref(root, partial(left.pop, id(root))), []))
        if bounds not in known[1]:
            known[1].append(bounds)
        _follow()


def freeze(tensor: Tensor) -> None:
    """Make a Tensor read-only, since another one takes its place: an optimizer that still has it notices."""
    global times
    tensor._array.flags.writeable = False
    with _lock:
        times += 1


def come_back(tensor: Tensor) -> None:
    """Note that the Tensor has its old memory again."""
    key, bounds = id(owner(tensor._array)), byte_bounds(tensor._array)
    with _lock:
        if key in left and bounds in left[key][1]:
            left[key][1].remove(bounds)
            if not left[key][1]:
                forget(key)


def forget(key: int) -> None:
    """Nothing uses the memory of the array with this id any more."""
    left.pop(key, None)
    _follow()


def _follow() -> None:
    """Look at the operands of ops, and at values that are read, while there is memory that was left."""
    with _lock:
        if left:
            tracing.attach(looking)
        else:
            tracing.detach(looking)


class _Looking(tracing.Tracer):
    """Refuses Tensors on memory that was left, while there is any."""

    def call(self, op: Any, inputs: Sequence[Any], params: Any) -> None:
        if not left:  # the memory was freed since
            _follow()
        elif not permitted.get():
            for x in inputs:
                if hasattr(x, "_array"):
                    check(x)

    def read(self, tensor: Tensor) -> None:
        if not permitted.get():
            check(tensor)

    def vjp(self, node: Any, g: Any, saved: Any, parents: Any) -> Any:
        with permitted(True):
            return super().vjp(node, g, saved, parents)


looking = _Looking()
"""It is attached while there is memory that was left, and until the next op after that."""


def _is_left(array: np.ndarray) -> bool:
    """Whether a Tensor left memory of this array."""
    known = left.get(id(owner(array)))
    if known is None:
        return False
    start, stop = byte_bounds(array)
    return any(start < end and begin < stop for begin, end in known[1])


def apart(array: np.ndarray) -> np.ndarray:
    """An array for a new Tensor: a copy, if a Tensor left its memory, of which the values are those of the array still."""
    return array.copy() if left and _is_left(array) else array


def check(tensor: Tensor) -> None:
    """RuntimeError if the Tensor uses memory that another Tensor left."""
    if _is_left(tensor._array):
        raise RuntimeError(
            f"Tensor: this one, of shape {tensor.shape}, shares memory with a Tensor x that got a new value by `x[i] = v`, so "
            "it is out of date: NumPy would have changed both. Take views after the assignment, copy() what is to keep the "
            "old values, or use y = tinygrad_cnn.index_set(x, i, v)"
        )


def check_assignable(tensor: Tensor) -> None:
    """RuntimeError if a function is running that must not assign to this Tensor."""
    if reason := refused.get():
        raise RuntimeError(f"Tensor: `x[i] = v`: {reason}; use tinygrad_cnn.index_set(x, i, v)")
    if any(_are_on_one_memory(t, tensor) for tensors in lent.all() for t in tensors):
        raise RuntimeError(
            "Tensor: `x[i] = v`, where x is the argument of a function that is differentiated or batched, or a view of it, "
            "would change what the caller has; assign to a copy, x = x.copy(), or use tinygrad_cnn.index_set(x, i, v)"
        )
    if any(_are_on_one_memory(t, tensor) for t in standing.get()):
        raise _unlike_numpy("x[i] = v")


def _are_on_one_memory(a: Tensor, b: Tensor) -> bool:
    return owner(a._array) is owner(b._array)


def check_changeable(tensor: Tensor, sign: str) -> None:
    """RuntimeError if `tensor` stands for an array, which NumPy would change by an operator such as `+=`."""
    if any(t is tensor for t in standing.get()):
        raise _unlike_numpy(f"x {sign}= v")


def _unlike_numpy(what: str) -> RuntimeError:
    return RuntimeError(
        f"Tensor: `{what}`, where x stands for an array that a compiled function was given, or is a view of it, would leave "
        "the array as it is, and NumPy would change it; make a new Tensor, such as x = x + v or index_set(x, i, v), return "
        "it, and change the array outside; or give the function a Tensor"
    )
