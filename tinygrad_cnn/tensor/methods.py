"""The Tensor's operators and methods, taken from ops.

An op's first input is an array or a Tensor, so the op itself can serve as a method. Methods whose parameters may be
positional, as in NumPy, are written out for their signatures.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from inspect import isfunction, signature
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..ops import (
    activation,
    compare,
    elementwise,
    gather,
    index,
    masked,
    matmul,
    rearrange,
    reduce,
    rounding,
    scan,
    scatter,
    shape,
    softmax,
    sort,
    transcendental,
)
from ..ops.shape import Axis, Shape

if TYPE_CHECKING:
    from .tensor import Tensor

Scalar: TypeAlias = float | int | bool
TensorLike: TypeAlias = "Tensor | NDArray[Any] | Scalar | Sequence[Any]"


def unpacked(sizes: tuple[Any, ...]) -> Any:
    """Sizes given either as one sequence or as separate arguments."""
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int | np.integer) else sizes


def _check_pair(ndim: int, i: int, j: int) -> None:
    """Two separate axes, which PyTorch's transpose exchanges: a ValueError or a warning that names swapaxes."""
    if ndim == 2 and i not in (0, -2):
        return
    remedy = (
        f"transpose takes all axes in their new order, as in NumPy; PyTorch's transpose({i}, {j}) is swapaxes({i}, {j})"
    )
    if ndim != 2:
        raise ValueError(f"transpose: `axes` are {i}, {j}, and there are {ndim} axes; {remedy}")
    warnings.warn(f"transpose({i}, {j}) of two axes changes nothing: {remedy}", stacklevel=3)


class Methods:
    """The methods that call ops. Only :class:`~tinygrad_cnn.Tensor` derives from this class."""

    __slots__ = ()

    __add__ = elementwise.add
    __sub__ = elementwise.sub
    __mul__ = elementwise.mul
    __truediv__ = elementwise.div
    __mod__ = rounding.remainder
    __floordiv__ = rounding.floor_divide
    __divmod__ = rounding.divmod
    __pow__ = elementwise.pow
    __matmul__ = matmul.matmul
    __neg__ = elementwise.neg
    __lt__ = compare.less
    __le__ = compare.less_equal
    __gt__ = compare.greater
    __ge__ = compare.greater_equal
    __and__ = compare.bitwise_and
    __or__ = compare.bitwise_or
    __xor__ = compare.bitwise_xor
    __lshift__ = compare.left_shift
    __rshift__ = compare.right_shift
    __invert__ = compare.bitwise_not
    __hash__ = object.__hash__

    if TYPE_CHECKING:  # signatures that type checkers accept for the protocols of Python

        def __abs__(self) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
    else:
        __abs__ = elementwise.abs
        __eq__ = compare.equal
        __ne__ = compare.not_equal

    def __radd__(self, other: TensorLike) -> Tensor:
        return elementwise.add(other, self)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return elementwise.sub(other, self)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return elementwise.mul(other, self)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return elementwise.div(other, self)

    def __rmod__(self, other: TensorLike) -> Tensor:
        return rounding.remainder(other, self)

    def __rfloordiv__(self, other: TensorLike) -> Tensor:
        return rounding.floor_divide(other, self)

    def __rdivmod__(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        return rounding.divmod(other, self)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return elementwise.pow(other, self)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return matmul.matmul(other, self)

    def __rand__(self, other: TensorLike) -> Tensor:
        return compare.bitwise_and(other, self)

    def __ror__(self, other: TensorLike) -> Tensor:
        return compare.bitwise_or(other, self)

    def __rxor__(self, other: TensorLike) -> Tensor:
        return compare.bitwise_xor(other, self)

    def __rlshift__(self, other: TensorLike) -> Tensor:
        return compare.left_shift(other, self)

    def __rrshift__(self, other: TensorLike) -> Tensor:
        return compare.right_shift(other, self)

    # Ops as methods

    abs = elementwise.abs
    ceil = elementwise.ceil
    copy = elementwise.copy
    exp = elementwise.exp
    floor = elementwise.floor
    log = elementwise.log
    maximum = elementwise.maximum
    minimum = elementwise.minimum
    reciprocal = elementwise.reciprocal
    sign = elementwise.sign
    pow = elementwise.pow
    sqrt = elementwise.sqrt
    square = elementwise.square

    arccos = transcendental.arccos
    arccosh = transcendental.arccosh
    arcsin = transcendental.arcsin
    arcsinh = transcendental.arcsinh
    arctan = transcendental.arctan
    arctan2 = transcendental.arctan2
    arctanh = transcendental.arctanh
    cos = transcendental.cos
    cosh = transcendental.cosh
    erf = transcendental.erf
    exp2 = transcendental.exp2
    expm1 = transcendental.expm1
    hypot = transcendental.hypot
    log1p = transcendental.log1p
    log2 = transcendental.log2
    log10 = transcendental.log10
    logaddexp = transcendental.logaddexp
    sigmoid = transcendental.sigmoid
    sin = transcendental.sin
    sinh = transcendental.sinh
    tan = transcendental.tan
    tanh = transcendental.tanh

    gelu = activation.gelu
    relu = activation.relu
    silu = activation.silu
    softplus = activation.softplus
    dot = matmul.dot
    trace = matmul.trace
    matmul = matmul.matmul  # shadows the module from this line on
    diagonal = rearrange.diagonal
    pad = shape.pad
    repeat = rearrange.repeat
    scatter_add = scatter.scatter_add
    scatter_reduce = scatter.scatter_reduce
    tile = rearrange.tile
    tril = rearrange.tril
    triu = rearrange.triu
    ravel = shape.ravel
    flatten = shape.flatten
    moveaxis = shape.moveaxis
    masked_fill = index.masked_fill
    masked_select = index.masked_select
    nonzero = index.nonzero
    topk = sort.topk

    def clip(self, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
        """Limit values to the interval from `min` to `max`; None means no bound. The gradient passes at the bounds too."""
        return elementwise.clip(self, min, max)

    def round(self, decimals: int = 0) -> Tensor:
        """Rounded to `decimals` places, halves to the nearest even digit; the gradient is zero."""
        return elementwise.round(self, decimals=decimals)

    def sum(
        self, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None,
        initial: float | None = None, where: TensorLike | None = None,
    ) -> Tensor:  # fmt: skip
        """Sum over `axis`, all axes by default."""
        return reduce.sum(self, axis=axis, keepdims=keepdims, dtype=dtype, initial=initial, where=where)

    def mean(
        self, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None, where: TensorLike | None = None,
    ) -> Tensor:  # fmt: skip
        """Mean over `axis`, all axes by default."""
        return reduce.mean(self, axis=axis, keepdims=keepdims, dtype=dtype, where=where)

    def max(
        self, axis: Axis = None, keepdims: bool = False, *, initial: float | None = None, where: TensorLike | None = None,
    ) -> Tensor:  # fmt: skip
        """Largest element over `axis`, all axes by default; ties share the gradient evenly."""
        return reduce.max(self, axis=axis, keepdims=keepdims, initial=initial, where=where)

    def min(
        self, axis: Axis = None, keepdims: bool = False, *, initial: float | None = None, where: TensorLike | None = None,
    ) -> Tensor:  # fmt: skip
        """Smallest element over `axis`, all axes by default; ties share the gradient evenly."""
        return reduce.min(self, axis=axis, keepdims=keepdims, initial=initial, where=where)

    def prod(
        self, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None,
        initial: float | None = None, where: TensorLike | None = None,
    ) -> Tensor:  # fmt: skip
        """Product over `axis`, all axes by default; the gradient is exact even if elements are zero."""
        return reduce.prod(self, axis=axis, keepdims=keepdims, dtype=dtype, initial=initial, where=where)

    var = masked.var
    std = masked.std

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Logarithm of the sum of exponentials over `axis`, all axes by default."""
        return reduce.logsumexp(self, axis=axis, keepdims=keepdims)

    norm = reduce.norm

    def cumsum(self, axis: int | None = None, *, dtype: DTypeLike | None = None) -> Tensor:
        """Running sum along `axis`, of the flattened elements by default."""
        return scan.cumsum(self, axis=axis, dtype=dtype)

    def cumprod(self, axis: int | None = None, *, dtype: DTypeLike | None = None) -> Tensor:
        """Running product along `axis`, of the flattened elements by default."""
        return scan.cumprod(self, axis=axis, dtype=dtype)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Index of the largest element along `axis`, the first of equals."""
        return reduce.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Index of the smallest element along `axis`, the first of equals."""
        return reduce.argmin(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, keepdims: bool = False, *, where: TensorLike | None = None) -> Tensor:
        """Whether some element over `axis` is not zero."""
        return reduce.any(self, axis=axis, keepdims=keepdims, where=where)

    def all(self, axis: Axis = None, keepdims: bool = False, *, where: TensorLike | None = None) -> Tensor:
        """Whether no element over `axis` is zero."""
        return reduce.all(self, axis=axis, keepdims=keepdims, where=where)

    def softmax(self, axis: int = -1) -> Tensor:
        """Exponentials along `axis` divided by their sum."""
        return softmax.softmax(self, axis=axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        """Logarithm of the softmax along `axis`."""
        return softmax.log_softmax(self, axis=axis)

    def reshape(self, *sizes: Any, order: str | None = None) -> Tensor:
        """The elements in another shape, given as one tuple or as separate sizes, one of which may be -1.

        They are read and written in C order, or for `order` "F" with the first axis changing fastest.
        """
        return shape.reshape(self, shape=unpacked(sizes), order=order)

    def transpose(self, *axes: Any) -> Tensor:
        """Axes permuted, given as one tuple or separately; reversed if none are given.

        ``swapaxes`` exchanges two axes, as PyTorch's ``transpose``. Two axes that would change nothing here raise a warning.
        """
        if len(axes) == 2:
            _check_pair(self.ndim, *axes)  # type: ignore[attr-defined]
        return shape.transpose(self, axes=axes if len(axes) > 1 else (axes and unpacked(axes)) or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes exchanged."""
        return shape.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Axis = None) -> Tensor:
        """Axes of size 1 dropped: all of them, or those in `axis`."""
        return shape.squeeze(self, axis)

    def expand_dims(self, axis: int | Sequence[int]) -> Tensor:
        """New axes of size 1 at `axis`."""
        return shape.expand_dims(self, axis)

    def broadcast_to(self, sizes: Shape) -> Tensor:
        """Repeated to a larger shape, as a view."""
        return shape.broadcast_to(self, shape=sizes)

    def flip(self, axis: Axis = None) -> Tensor:
        """The order along `axis` reversed, along every axis by default."""
        return rearrange.flip(self, axis=axis)

    def roll(self, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
        """Elements shifted by `shift` along `axis`; elements shifted past the end reappear at the start."""
        return rearrange.roll(self, shift=shift, axis=axis)

    def take(self, indices: TensorLike, axis: int | None = None, *, mode: str | None = None) -> Tensor:
        """The elements at integer `indices` of `axis`, or of the flattened Tensor by default."""
        return gather.take(self, indices, axis=axis, mode=mode)

    def argsort(self, axis: int | None = -1, descending: bool = False) -> Tensor:
        """The indices that sort along `axis`; the sort is stable."""
        return sort.argsort(self, axis=axis, descending=descending)

    def sort(self, axis: int | None = -1, descending: bool = False) -> Tensor:
        """A new Tensor, sorted along `axis`; unlike ndarray.sort, it does not sort in place."""
        return sort.sort(self, axis=axis, descending=descending)


OPS = (compare, elementwise, reduce, rearrange, scan, gather, softmax, sort)


def _bind(name: str, method: Any) -> None:
    """Replace a method that only calls an op of the same parameters by the op."""
    given = signature(method).parameters.values()
    for function in (vars(module)[name] for module in OPS if name in module.__all__):
        ours = signature(function).parameters.values()
        if hasattr(function, "op") and [(p.name, p.kind) for p in given][1:] == [(p.name, p.kind) for p in ours][1:]:
            setattr(Methods, name, function)


for _name, _method in list(vars(Methods).items()):
    if isfunction(_method) and not _name.startswith("_") and not hasattr(_method, "op"):
        _bind(_name, _method)
