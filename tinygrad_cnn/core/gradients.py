"""What the backward walk does with one gradient: it fits it to its input, adds it up, and gives it memory of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from .graph import Array, Op
from .node import Node, Place
from .registry import above
from .versions import owner

LARGE = 1 << 15
"""Gradients of at least this many elements are put into the memory order of the forward output."""


def fit(r: Array, parent: Place, op: Op, position: int) -> Array:
    """What a rule returned, in its input's shape and dtype: summed over broadcast axes, for elementwise ops only.

    TypeError if it is no array.
    """
    r = above.plain(r, op.name)
    try:
        shape, _ = r.shape, r.dtype
    except AttributeError:
        raise unusable(op, f"the rule for {input_name(op, position)}", r) from None
    if shape != parent.shape:
        try:
            if not op.elementwise:
                raise ValueError
            r = above.sum_to(r, shape=parent.shape)
        except ValueError:
            raise ValueError(
                f"{op.name}: the rule for {input_name(op, position)} returned shape {r.shape} for an input of shape "
                f"{parent.shape}"
            ) from None
    if r.dtype == parent.dtype:
        return r
    if r.dtype.kind == "c" and parent.dtype.kind == "f" and op.signature.takes_complex:  # Re(r dx) = Re(r) dx
        r = above.real(r)
        return r if r.dtype == parent.dtype else r.astype(parent.dtype)
    if r.dtype.kind not in ("biufc" if parent.dtype.kind == "c" else "biuf"):
        raise TypeError(
            f"{op.name}: the rule for {input_name(op, position)} returned {r.dtype} for an input of {parent.dtype}"
        )
    if parent.op is None and (r.dtype.char, parent.dtype.char) == ("d", "f"):
        above.wide_gradient(op, parent)
    return r.astype(parent.dtype)


def total(old: Array, r: Array, ours: bool) -> Array:
    """old + r: in place, if `old` is ours and the layouts match. Else NumPy chooses the order, as for Tensors."""
    if ours and isinstance(old, np.ndarray) and old.strides == r.strides:
        return np.add(old, r, out=old)
    return old + r


def owned(g: Array, borrowed: bool, place: Place) -> Array:
    """g in memory of its own and writable: in C order, unless it has the order of the place's value and few bytes around it."""
    if isinstance(g, np.generic):
        return np.asarray(g)
    a = g if g.__class__ is ndarray else g._array
    alike = a.flags.carray or (a.strides == place.strides and owner(a).nbytes < a.nbytes + 64 and a.flags.behaved)
    if alike and not borrowed:
        return g
    return above.copy(g, order="C")


def apart(results: Mapping[Place, Array]) -> dict[Place, Array]:
    """The results, each an array of its own: a joint rule may have returned one array for two inputs."""
    found: dict[int, Array] = {}
    return {p: owned(g, found.setdefault(id(g), p) is not p, p) for p, g in results.items()}


def shares(r: Array, g: Array, saved: Any, pulled: Any) -> bool:
    """Whether a gradient that a rule returned may share memory with the incoming one, a saved value or another gradient."""
    if r.__class__ is ndarray and r.base is None:  # new, unless the rule returned one of its arguments
        if r is g:
            return True
        for value in saved:  # noqa: SIM110 - a generator would double the cost
            if value is r or (value.__class__ is tuple and any(each is r for each in value)):
                return True
        return False  # if it is another gradient too, `apart` copies it
    memory = _memory(r)
    for values in () if memory is None else ((g,), pulled, saved, *saved):
        for value in values if isinstance(values, tuple | list) else ():
            if _memory(value) is memory and (value is not r or values is not pulled):
                return True
    return False


def _memory(value: Any) -> Any:
    """The array that owns the memory of a value; None if the value is not an array."""
    data = value if value.__class__ is ndarray else getattr(value, "_array", value)
    return owner(data) if isinstance(data, np.ndarray) else None


def in_order(g: Array, node: Node) -> Array:
    """A large g in the memory order of the output of `node`, if both arrays have one and the rules depend on it.

    When operands differ in order, NumPy picks C order for the result. But NumPy also reuses large temporaries in an
    expression and then keeps their order, so a rule could give arrays one order and Tensors another, and sums other bits.
    """
    strides, data = node.strides, g if g.__class__ is ndarray else g._array
    if data.strides == strides or 0 in data.strides or 0 in strides or (node.op.along and not node.op.in_place):
        return g  # kernels that are no elementwise ones take any order
    long = [i for i, n in enumerate(data.shape) if n > 1]
    axes = sorted(long, key=lambda i: -strides[i])
    if axes == sorted(long, key=lambda i: -data.strides[i]):
        return g
    return above.laid_out(g, axes=(*axes, *(i for i, n in enumerate(data.shape) if n == 1)))


def check_recorded(op: Op, pulled: Sequence[Any], parents: Sequence[Place | None]) -> None:
    """TypeError unless the rules, given Tensors, returned Tensors: an array has lost how it depends on them."""
    for i, (r, parent) in enumerate(zip(pulled, parents, strict=True)):
        if parent is not None and not isinstance(r, op.globals["Tensor"]):
            raise unusable(op, f"the rule for {input_name(op, i)}", r)


def unusable(op: Op, rule: str, result: Any) -> TypeError:
    """The error of a rule that returned no array, or an array where it was given Tensors."""
    if not isinstance(result, np.ndarray | np.generic):
        return TypeError(f"{op.name}: {rule} returned {result!r:.60}, not an array")
    return TypeError(
        f"{op.name}: {rule} returned an array where it was given Tensors, so higher derivatives would be lost; write it with "
        "operators and ops, such as tinygrad_cnn.where, which compute with arrays and Tensors alike"
    )


def input_name(op: Op, position: int) -> str:
    """The name, in error messages, of the input at position `position` among the parents."""
    sig = op.signature
    served = sig.served
    return f"`{sig.inputs[0]}[{position}]`" if sig.variadic else f"`{served[position]}`"
