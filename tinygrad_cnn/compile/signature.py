"""What a program is good for: the form of the arrays among the arguments, and the values of all others."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.grad_mode import is_grad_enabled
from ..core.graph import Leaf
from ..core.hooks import register
from ..tensor import Tensor, get_default_dtype
from ..transforms.pytree import leaves, rebuild
from .same import Held, typed


def signature(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The key of a program, and the arrays and Tensors among the arguments, in order, each once."""
    given: list[Any] = []
    key: list[Any] = [is_grad_enabled(), get_default_dtype()]
    for i, x in enumerate(args):
        if x.__class__ is Tensor and x._node is None:  # as _scan has it, in fewer steps
            data = x._array
            given.append(x)
            key.append((data.shape, data.dtype, data.strides, False))
        else:
            _scan(name, i, x, given, key)
    for word, x in kwargs.items():
        key.append(word)
        _scan(name, word, x, given, key)
    if len(given) > 1 and (len(given) > 2 or given[0] is given[1]) and len({*map(id, given)}) < len(given):
        numbers = {id(x): i for i, x in enumerate(given)}
        key.append(tuple([numbers[id(x)] for x in given]))
        given = [x for i, x in enumerate(given) if numbers[id(x)] == i]
    return tuple(key), given


def _scan(name: str, where: int | str, x: Any, given: list[Any], key: list[Any]) -> None:
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "biufc":
            raise TypeError(f"{name}: argument {where!r} holds an array of {x.dtype}; it must hold numbers or Booleans")
        given.append(x)
        key.append((x.shape, x.dtype, x.strides))
    elif isinstance(x, Tensor):
        if not x.is_leaf and is_grad_enabled():
            raise TypeError(
                f"{name}: argument {where!r} is the result of `{x._op_name}` and requires a gradient, which cannot flow out of "
                "a compiled call; detach() it, or compute it inside"
            )
        given.append(x)
        hooked = [] if x._node is None else getattr(x._node, "hooks", {}).values()
        key.append((x.shape, x.dtype, x._array.strides, x._node is not None, *map(Held, hooked)))
    elif isinstance(x, list | tuple):
        key.append((x.__class__, len(x)))
        for part in x:
            _scan(name, where, part, given, key)
    elif isinstance(x, dict):
        key.append((x.__class__, *map(typed, x)))
        for part in x.values():
            _scan(name, where, part, given, key)
    else:
        try:
            hash(x)
        except TypeError:
            raise TypeError(
                f"{name}: argument {where!r} holds a {type(x).__name__}, which cannot be hashed; arguments are arrays, "
                "Tensors, lists, tuples and dicts of them, and Python values that a program may be kept for"
            ) from None
        key.append(typed(x))


def is_array(leaf: Any) -> bool:
    """Whether an argument changes from call to call without a new program."""
    return isinstance(leaf, Tensor | np.ndarray)


def array_of(x: Any) -> np.ndarray:
    """The plain array of an argument: what a subclass such as a memmap, a matrix or a masked array adds does not count."""
    data: np.ndarray = x._array if isinstance(x, Tensor) else x
    return data if data.__class__ is np.ndarray else np.asarray(data)


def wrapped(tree: Any) -> Any:
    """Arguments as the function sees them: Tensors for arrays."""
    found = [x for _, x in leaves(tree)]
    if not any(isinstance(x, np.ndarray) for x in found):
        return tree
    return rebuild(tree, [Tensor._of(array_of(x)) if isinstance(x, np.ndarray) else x for x in found])


def stand_in(x: Any) -> Tensor:
    """A Tensor in the place of an argument, in its memory but with an identity of its own."""
    tensor = Tensor._of(array_of(x).view())
    if isinstance(x, Tensor) and x._node is not None:
        tensor._grad = getattr(x, "_grad", None)
        tensor._node = Leaf(tensor)
        for hook in getattr(x._node, "hooks", {}).values():
            register(tensor._node, hook)
    return tensor
