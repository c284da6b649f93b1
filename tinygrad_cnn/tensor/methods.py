"""The Tensor's operators and methods, bound from tables. An op takes arrays and Tensors, so it serves as a method as it is.

Type checkers read ``methods.pyi``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops import (
    activation,
    compare,
    complex_numbers,
    data,
    elementwise,
    gather,
    in_place,
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

PLAIN = {
    "abs": elementwise.abs, "invert": compare.bitwise_not, "neg": elementwise.neg,
    "eq": compare.equal, "ge": compare.greater_equal, "gt": compare.greater, "le": compare.less_equal, "lt": compare.less,
    "ne": compare.not_equal, "array_namespace": data.array_namespace, "complex": data.to_complex, "setitem": in_place.assign,
}  # fmt: skip
"""By the name of Python's method: what has no reflected method, and comparisons, whose reflection is one another."""

BINARY = {
    "add": ("+", elementwise.add), "and": ("&", compare.bitwise_and), "divmod": ("", rounding.divmod),
    "floordiv": ("//", rounding.floor_divide), "lshift": ("<<", compare.left_shift), "matmul": ("@", matmul.matmul),
    "mod": ("%", rounding.remainder), "mul": ("*", elementwise.mul), "or": ("|", compare.bitwise_or),
    "pow": ("**", elementwise.pow), "rshift": (">>", compare.right_shift), "sub": ("-", elementwise.sub),
    "truediv": ("/", elementwise.div), "xor": ("^", compare.bitwise_xor),
}  # fmt: skip
"""By the name of Python's method: the sign, and the function. Each has a reflected method; with a sign, one in place too."""

METHODS = {
    activation: "gelu relu silu softplus",
    elementwise: """
        abs ceil clip copy exp floor log maximum minimum pow reciprocal round sign sqrt square""",
    complex_numbers: "conj",
    data: "to_device",
    gather: "take",
    in_place: "copy_",
    index: "masked_fill masked_select nonzero",
    masked: "std var",
    matmul: "dot matmul trace",
    rearrange: "diagonal flip repeat roll tile tril triu",
    reduce: "all any argmax argmin logsumexp max mean min norm prod sum",
    scan: "cumprod cumsum",
    scatter: "scatter_add scatter_reduce",
    shape: "broadcast_to expand_dims flatten moveaxis pad ravel squeeze swapaxes",
    softmax: "log_softmax softmax",
    sort: "argsort sort topk",
    transcendental: """
        arccos arccosh arcsin arcsinh arctan arctan2 arctanh cos cosh erf exp2 expm1 hypot log10 log1p log2 logaddexp sigmoid
        sin sinh tan tanh""",
}
"""Functions that are methods of the same name, by module."""


class Methods:
    """The operators and methods. Only :class:`~tinygrad_cnn.Tensor` derives from this class."""

    __slots__ = ()
    __hash__ = object.__hash__

    def reshape(self, *sizes: Any, order: str | None = None) -> Any:
        """The elements in another shape, given as one tuple or as separate sizes, one of which may be -1.

        They are read and written in C order, or for `order` "F" with the first axis changing fastest.
        """
        return shape.reshape(self, shape=shape.unpacked(sizes), order=order)

    def transpose(self, *axes: Any) -> Any:
        """Axes permuted, given as one tuple or separately; reversed if none are given.

        ``swapaxes`` exchanges two axes, as PyTorch's ``transpose``. Two axes that would change nothing here raise a warning.
        """
        if len(axes) == 2:
            shape.check_pair(self.ndim, *axes)
        return shape.transpose(self, axes=axes if len(axes) > 1 else (axes and shape.unpacked(axes)) or None)


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def reflected(self: Any, other: Any) -> Any:
        return function(other, self)

    return reflected


for _module, _names in METHODS.items():
    for _name in _names.split():
        setattr(Methods, _name, getattr(_module, _name))
Methods.device, Methods.mT = "cpu", property(shape.matrix_transpose)
Methods.real, Methods.imag = property(complex_numbers.real), property(complex_numbers.imag)
for _name, _function in PLAIN.items():
    setattr(Methods, f"__{_name}__", _function)
for _name, (_sign, _function) in BINARY.items():
    setattr(Methods, f"__{_name}__", _function)
    setattr(Methods, f"__r{_name}__", _reflected(_function))
    if _sign:
        setattr(Methods, f"__i{_name}__", in_place.operator(_sign, _function))
