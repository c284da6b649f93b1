"""The arguments of a compiled call: the key of its programs, stand-ins for a captured run, and aliases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.grad_mode import is_grad_enabled
from ..core.hooks import register
from ..core.node import Argument, Leaf
from ..core.versions import owner
from ..tensor import Tensor, get_default_dtype
from ..transforms.pytree import leaves, rebuild
from .same import Held, typed
from .steps import CaptureError


class Differentiated(CaptureError):
    """A transform differentiates the call, and must see its ops."""


def signature(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The key of a program, and the distinct arrays and Tensors among the arguments, in order.

    Arrays and Tensors enter the key by shape, dtype and memory order, all other arguments by value.
    """
    given: list[Any] = []
    key: list[Any] = [is_grad_enabled(), get_default_dtype()]
    for i, x in enumerate(args):
        if x.__class__ is Tensor and x._node is None:  # the common case of _scan, inlined
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
        if isinstance(x._node, Argument):
            raise Differentiated(f"{name}: argument {where!r} is differentiated by a transform; compile the transform")
        given.append(x)
        key.append((x.shape, x.dtype, x._array.strides, x._node is not None, _grad(x) is None, *map(Held, _hooks(x))))
    elif isinstance(x, list | tuple | dict):
        key.append((x.__class__, *map(typed, x)) if isinstance(x, dict) else (x.__class__, len(x)))
        if x.__class__ not in (list, tuple, dict):
            key.append(typed(getattr(x, "__dict__", None)))
        for part in x.values() if isinstance(x, dict) else x:
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


def _hooks(x: Any) -> list[Any]:
    return [*getattr(getattr(x, "_node", None), "hooks", {}).values()]


def _grad(x: Tensor) -> Any:
    return getattr(x, "_grad", None)


def array_of(x: Any) -> np.ndarray:
    """The plain array of an argument, without its ndarray subclass, such as a memmap, a matrix or a masked array."""
    data: np.ndarray = x._array if isinstance(x, Tensor) else x
    return data if data.__class__ is np.ndarray else np.asarray(data)


def wrapped(tree: Any) -> Any:
    """The arguments with arrays wrapped as Tensors."""
    found = [x for _, x in leaves(tree)]
    if not any(isinstance(x, np.ndarray) for x in found):
        return tree
    return rebuild(tree, [Tensor._of(array_of(x)) if isinstance(x, np.ndarray) else x for x in found])


class StandIns:
    """Arguments for a captured run: new Tensors that share the memory of the given arrays and Tensors."""

    def __init__(self, given: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._given, self._tree = given, (args, kwargs)
        by_identity = {id(x): _stand_in(x) for x in given}
        self.tensors = [*by_identity.values()]
        self._leaves = [by_identity.get(id(leaf), leaf) for _, leaf in leaves(self._tree)]
        self.others = [leaf for _, leaf in leaves(self._tree) if id(leaf) not in by_identity]
        self.args, self.kwargs = self._filled = rebuild(self._tree, self._leaves)

    def are_edited(self) -> bool:
        """Whether the run changed lists or dicts among the arguments, or the requires_grad of one of them."""
        before = [(path, id(leaf)) for (path, _), leaf in zip(leaves(self._tree), self._leaves, strict=True)]
        if before != [(path, id(leaf)) for path, leaf in leaves(self._filled)]:
            return True
        pairs = zip(self._given, self.tensors, strict=True)
        return any((t._node is None) is not (getattr(x, "_node", None) is None) for x, t in pairs)


def _stand_in(x: Any) -> Tensor:
    tensor = Tensor._of(array_of(x).view())
    if isinstance(x, Tensor) and x._node is not None:
        tensor._grad = _grad(x)
        tensor._node = Leaf(tensor)
        for hook in _hooks(x):
            register(tensor._node, hook)
    return tensor


class Written:
    """The memory that effects write: outside arrays, and some arguments.

    In eager mode, other arguments that share this memory change with it. A program may have copied them.
    """

    __slots__ = ("_arguments", "_arrays", "_foreign", "_own")

    def __init__(self, arrays: Sequence[np.ndarray], arguments: Sequence[int]) -> None:
        self._arrays, self._arguments = arrays, arguments
        roots = [owner(array) for array in arrays]
        self._foreign = any(map(_is_foreign, roots))
        self._own = frozenset(map(id, roots))

    def is_among(self, given: Sequence[np.ndarray]) -> bool:
        """Whether an argument shares written memory with an outside array or another argument."""
        for i in self._arguments:
            if any(i != j and np.may_share_memory(given[i], a) for j, a in enumerate(given)):
                return True
        for array in given if self._own else ():
            if array.base is None and not self._foreign and id(array) not in self._own:
                continue  # it owns its memory, which is not written
            root = owner(array)
            is_suspect = self._foreign or id(root) in self._own or _is_foreign(root)
            if is_suspect and any(np.may_share_memory(array, written) for written in self._arrays):
                return True
        return False


def _is_foreign(root: np.ndarray) -> bool:
    """Whether no array owns the memory: arrays with other owners may then share it."""
    return root.base is not None or not root.flags.owndata
