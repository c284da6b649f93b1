"""Methods of ``torch.Tensor``. A final underscore of a name here keeps it apart from one of Python's."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from . import functions
from .common import as_method, check_device, is_dtype, public, renamed, renamed_method, tg


def view(self: Any, *shape: Any) -> Any:
    """`x.reshape(...)`"""
    if len(shape) == 1 and is_dtype(shape[0]):
        raise TypeError(
            f"view: `dtype` is {shape[0]}, which would read the same bytes as another dtype; use "
            "Tensor(x.numpy().view(dtype)), or x.astype(dtype), which converts the values"
        )
    return self.reshape(*shape)


def view_as(self: Any, other: Any) -> Any:
    """`x.reshape(y.shape)`"""
    return self.reshape(other.shape)


def expand(self: Any, *sizes: Any) -> Any:
    """`x.broadcast_to(sizes)`, where -1 keeps the size of an axis"""
    wanted = list(sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes)
    new = len(wanted) - self.ndim
    for i, n in enumerate(wanted):
        if n == -1 and i < new:
            raise ValueError(f"expand: `sizes` is {tuple(wanted)}; -1 keeps an axis, and x has shape {self.shape}")
        wanted[i] = self.shape[i - new] if n == -1 else n
    return self.broadcast_to(tuple(wanted))


def expand_as(self: Any, other: Any) -> Any:
    """`x.broadcast_to(y.shape)`"""
    return self.broadcast_to(other.shape)


def permute(self: Any, *dims: Any) -> Any:
    """`x.transpose(...)`"""
    return tg().transpose(self, dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims)


def unflatten(self: Any, dim: int, *sizes: Any) -> Any:
    """`x.reshape`, with one axis cut into `sizes`"""
    return functions.unflatten(self, dim, sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes)


def select(self: Any, dim: int, index: int) -> Any:
    """`x[index]` along the axis `dim`"""
    return tg().moveaxis(self, dim, 0)[index]


def contiguous(self: Any, *, memory_format: Any = None) -> Any:
    """`x` itself: every op takes every order in memory"""
    return self


def to(self: Any, *args: Any, **named: Any) -> Any:
    """`x.astype(dtype)`, or `x` itself for the device 'cpu'; a Tensor stands for its dtype"""
    given = {"device": None, "dtype": None, "non_blocking": False, "copy": False, "memory_format": None, **named}
    if unknown := given.keys() - {"device", "dtype", "non_blocking", "copy", "memory_format", "other"}:
        raise TypeError(f"to: got an unexpected keyword argument {sorted(unknown)[0]!r}; use x.astype(dtype)")
    for x in (*args, *([given["other"]] if "other" in given else ())):
        if isinstance(x, tg().Tensor):
            given["dtype"] = x.dtype
        elif is_dtype(x):
            given["dtype"] = x
        elif not isinstance(x, bool):  # non_blocking and copy by position
            check_device("to", x)
    check_device("to", given["device"])
    result = self if given["dtype"] is None or self.dtype == np.dtype(given["dtype"]) else self.astype(given["dtype"])
    return result.copy() if given["copy"] and result is self else result


def cpu(self: Any, *, memory_format: Any = None) -> Any:
    """`x` itself"""
    return self


def type_(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """`x.astype(dtype)`"""
    if dtype is None:
        raise TypeError("type: give a dtype, x.type(np.float32); x.dtype is that of the Tensor")
    return to(self, dtype)


def type_as(self: Any, other: Any) -> Any:
    """`x.astype(y.dtype)`"""
    return to(self, other)


def dim(self: Any) -> int:
    """`x.ndim`"""
    return int(self.ndim)


def element_size(self: Any) -> int:
    """`x.dtype.itemsize`"""
    return int(self.dtype.itemsize)


def add(self: Any, other: Any, *, alpha: float = 1) -> Any:
    """`x + y`"""
    return self + functions._scaled(other, alpha)


def sub(self: Any, other: Any, *, alpha: float = 1) -> Any:
    """`x - y`"""
    return self - functions._scaled(other, alpha)


def mul(self: Any, other: Any) -> Any:
    """`x * y`"""
    return self * other


def div(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """`x / y`, `tg.trunc(x / y)` or `x // y`, by `rounding_mode`"""
    return functions.divide(self, other, rounding_mode=rounding_mode)


def neg(self: Any) -> Any:
    """`-x`"""
    return -self


def amax(self: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """`x.max(axis)`"""
    return self.max(axis=_axes(dim), keepdims=keepdim)


def amin(self: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """`x.min(axis)`"""
    return self.min(axis=_axes(dim), keepdims=keepdim)


def _axes(dim: Any) -> Any:
    if isinstance(dim, list | tuple):
        return tuple(dim) or None
    return dim


def new_tensor(self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`tg.Tensor(data)`, in the dtype of x"""
    made = functions.tensor(data, dtype=dtype or self.dtype, device=device)
    made.requires_grad = requires_grad
    return made


def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`tg.zeros(*size)`, in the dtype of x"""
    check_device("new_zeros", device)
    return tg().zeros(*size, dtype=dtype or self.dtype, requires_grad=requires_grad)


def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`tg.ones(*size)`, in the dtype of x"""
    check_device("new_ones", device)
    return tg().ones(*size, dtype=dtype or self.dtype, requires_grad=requires_grad)


def new_full(
    self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """`tg.full(size, fill_value)`, in the dtype of x"""
    check_device("new_full", device)
    return tg().full(size, fill_value, dtype=dtype or self.dtype, requires_grad=requires_grad)


def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """`x` at the windows of an axis, whose elements are a new last axis"""
    n, axis = self.shape[dimension], dimension % self.ndim
    if not 0 <= size <= n or step < 1:
        raise ValueError(f"unfold: `size` is {size} and `step` {step}, and the axis {dimension} has size {n}")
    places = np.arange(0, n - size + 1, step)[:, None] + np.arange(size)
    return tg().moveaxis(tg().take(self, places, axis=axis), axis + 1, -1)


def adjoint(self: Any) -> Any:
    """`x.mT`, conjugated"""
    return tg().conj(self).mT if self.dtype.kind == "c" else self.mT


def quantile(self: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """`tg.quantile(x, q, axis)`"""
    return tg().quantile(self, q, dim, method=interpolation, keepdims=keepdim)


def index_add(self: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """`tg.index_add(x, axis, index, src)`"""
    return tg().index_add(self, dim, index, source, alpha=alpha)


def is_contiguous(self: Any, memory_format: Any = None) -> bool:
    """`x.numpy().flags.c_contiguous`"""
    return bool(self.numpy().flags.c_contiguous)


def _on_gpu(self: Any) -> bool:
    """`False`"""
    return False


def _converted(name: str, dtype: Any) -> Any:
    def convert(self: Any, memory_format: Any = None) -> Any:
        return to(self, dtype)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"`x.astype(np.{dtype.__name__})`"
    return convert


_DTYPES = {
    "float": np.float32, "double": np.float64, "half": np.float16, "short": np.int16, "int": np.int32, "long": np.int64,
    "byte": np.uint8, "char": np.int8, "bool": np.bool_, "cfloat": np.complex64, "cdouble": np.complex128,
}  # fmt: skip

_RENAMED = {
    "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arctan2": "atan2", "arccosh": "acosh", "arcsinh": "asinh",
    "arctanh": "atanh", "abs": "absolute", "sign": "sgn",
    "swapaxes": "swapdims", "moveaxis": "movedim",
}  # fmt: skip

_OPERATORS: dict[str, tuple[Callable[..., Any], str]] = {
    "x == y": (operator.eq, "eq"), "x != y": (operator.ne, "ne not_equal"), "x < y": (operator.lt, "lt less"),
    "x <= y": (operator.le, "le less_equal"), "x > y": (operator.gt, "gt greater"), "x >= y": (operator.ge, "ge greater_equal"),
    "x % y": (operator.mod, "remainder"), "x // y": (operator.floordiv, "floor_divide"),
    "x & y": (operator.and_, "bitwise_and"),
    "x | y": (operator.or_, "bitwise_or"), "x ^ y": (operator.xor, "bitwise_xor"), "~x": (operator.invert, "bitwise_not"),
}  # fmt: skip

_FUNCTIONS = """
    unsqueeze chunk unbind narrow t mm bmm mv addmm baddbmm addcmul addcdiv clamp clamp_min clamp_max rsqrt frac index_select
    take_along_dim repeat_interleave unique bincount histc count_nonzero det inverse clone numel is_complex is_floating_point
    bernoulli allclose isclose multinomial
"""
"""Those of ``torch`` with the Tensor as the first argument."""

_OURS = """
    argwhere copysign deg2rad diag diagflat diff fliplr flipud float_power fmax fmin fmod gcd hardshrink heaviside i0 inner
    isfinite isinf isnan kron lcm ldexp lerp logaddexp2 logcumsumexp logical_and logical_not logical_or logical_xor nan_to_num
    outer positive prelu rad2deg rot90 signbit sinc trunc vdot
"""
"""Functions of the package that are methods there, with the Tensor and the arguments in the same order."""

TABLE: dict[str, Any] = {
    **{name: as_method(renamed(name, [name])[name], name, f"tg.{name}(x, ...)") for name in _OURS.split()},
    **{name: functions.TABLE[name] for name in _FUNCTIONS.split()},
    **public(globals(), __name__),
    **{name: _converted(name, dtype) for name, dtype in _DTYPES.items()},
}
TABLE |= {
    "nelement": functions.numel, "ndimension": dim, "reshape_as": view_as, "subtract": sub, "multiply": mul, "divide": div,
    "true_divide": div, "negative": neg, "new_empty": new_zeros, "is_cuda": property(_on_gpu, doc=_on_gpu.__doc__),
}  # fmt: skip
for _doc, (_operator, _theirs) in _OPERATORS.items():
    TABLE |= {name: as_method(_operator, name, _doc) for name in _theirs.split()}
for _ours, _theirs in _RENAMED.items():
    TABLE |= renamed_method(_ours, _theirs.split())
