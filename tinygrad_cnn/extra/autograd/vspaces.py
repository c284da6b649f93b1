"""The vector space that a value belongs to: shape, dtype, zeros, a basis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from ...tensor import Tensor
from ...transforms.pytree import leaves, rebuild
from .trees import NESTED


class VSpace:
    """The space of the values with the structure, shapes and dtypes of `value`.

    Attributes:
        shape: of an array or a number; for a tuple, list or dict, one VSpace for each part.
        size: the number of real dimensions.
        dtype, ndim: of an array or a number; None otherwise.
        iscomplex: whether an array is complex: it has two real dimensions for each element.

    Raises:
        TypeError: if a part is not a floating-point number or array.
    """

    mappings: ClassVar[dict[type, Callable[[Any], VSpace]]] = {}
    """What makes the space of values of a type: see :meth:`register`."""

    @classmethod
    def register(cls, value_type: type, vspace_maker: Callable[[Any], VSpace] | None = None) -> None:
        """Let ``vspace_maker(value)``, or this class, make the spaces that :func:`vspace` gives for values of a type."""
        VSpace.mappings[value_type] = vspace_maker or cls

    def __init__(self, value: Any) -> None:
        self._leaves: list[np.ndarray] = []
        for path, leaf in leaves(value):
            array = leaf._array if isinstance(leaf, Tensor) else np.asarray(leaf)
            if array.dtype.kind not in "fc":
                raise TypeError(f"vspace: the value{path} is {leaf!r:.60}; it must be a floating-point number or array")
            self._leaves.append(array)
        self._like = value
        single = None if isinstance(value, NESTED) else self._leaves[0]
        self.iscomplex = any(leaf.dtype.kind == "c" for leaf in self._leaves)
        self.size = sum(leaf.size * (1 + (leaf.dtype.kind == "c")) for leaf in self._leaves)
        self.dtype = None if single is None else single.dtype
        self.ndim = None if single is None else single.ndim
        if single is not None:
            self.shape: Any = single.shape
        elif isinstance(value, dict):
            self.shape = {name: VSpace(part) for name, part in value.items()}
        else:
            self.shape = type(value)([VSpace(part) for part in value]) if type(value) in (list, tuple) else value

    def _made(self, function: Any) -> Any:
        return rebuild(self._like, [function(leaf) for leaf in self._leaves])

    def zeros(self) -> Any:
        """The zero of this space."""
        return self._made(lambda a: np.zeros(a.shape, a.dtype))

    def ones(self) -> Any:
        """The value whose elements are all 1, or 1 + 1j where they are complex: the sum of the basis."""
        return self._made(lambda a: np.full(a.shape, 1 + 1j if a.dtype.kind == "c" else 1, a.dtype))

    def randn(self) -> Any:
        """Normally distributed numbers, from NumPy's global generator."""
        return self._made(_drawn)

    def standard_basis(self) -> Iterator[Any]:
        """The values of which one element is 1, or 1j where it is complex, and the others are 0, in order."""
        for k, leaf in enumerate(self._leaves):
            for i in range(leaf.size):
                for unit in (1, 1j) if leaf.dtype.kind == "c" else (1,):
                    made = [np.zeros(a.shape, a.dtype) for a in self._leaves]
                    made[k].flat[i] = unit
                    yield rebuild(self._like, made)

    def add(self, x: Any, y: Any) -> Any:
        """x + y."""
        return _zipped(lambda a, b: a + b, x, y)

    def scalar_mul(self, x: Any, a: Any) -> Any:
        """a x."""
        return rebuild(x, [leaf * a for _, leaf in leaves(x)])

    def inner_prod(self, x: Any, y: Any) -> Any:
        """The sum of the products of the elements of x and y, its real part of complex ones."""
        return sum(
            np.real((np.conj(a) * b).sum())
            for (_, a), (_, b) in zip(leaves(_arrays(x)), leaves(_arrays(y)), strict=True)
        )

    def covector(self, x: Any) -> Any:
        """x itself, its conjugate in a complex space."""
        return rebuild(x, [np.conj(leaf) for _, leaf in leaves(x)]) if self.iscomplex else x

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VSpace):
            return NotImplemented
        forms = [
            [(path, a.shape, a.dtype) for (path, _), a in zip(leaves(s._like), s._leaves, strict=True)]
            for s in (self, other)
        ]
        return forms[0] == forms[1]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"VSpace({self._made(lambda a: (a.shape, a.dtype.name))})"


def vspace(value: Any) -> VSpace:
    """The space that a value belongs to."""
    return VSpace.mappings.get(type(value), VSpace)(value)


def _drawn(like: np.ndarray) -> Any:
    """Normally distributed numbers of a form."""
    drawn = np.random.randn(*like.shape)  # noqa: NPY002 - np.random.seed sets it
    return np.asarray(drawn + 1j * np.random.randn(*like.shape) if like.dtype.kind == "c" else drawn, like.dtype)  # noqa: NPY002


def _arrays(tree: Any) -> Any:
    return rebuild(tree, [leaf if isinstance(leaf, Tensor) else np.asarray(leaf) for _, leaf in leaves(tree)])


def _zipped(function: Any, x: Any, y: Any) -> Any:
    return rebuild(x, [function(a, b) for (_, a), (_, b) in zip(leaves(x), leaves(y), strict=True)])
