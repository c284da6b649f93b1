"""Functions, dtypes and the device of ``torch``."""

from __future__ import annotations

from operator import index
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import composed, counting, types
from .common import check_device, is_processor, public, renamed, tg


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Any:
    """`tg.Tensor(data)`, but Python integers stay integers"""
    check_device("tensor", device)
    if dtype is None and isinstance(data, int | list | tuple):
        try:
            array = np.asarray(data)
        except (TypeError, ValueError):  # Tensors in it; or ragged, which the Tensor explains
            array = np.empty(0)
        if array.size and array.dtype.kind in "biu":
            data = array
    made = tg().Tensor(data, dtype=dtype).detach()
    made.requires_grad = requires_grad
    return made


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """a Tensor itself; `tg.from_numpy(data)`, which shares memory, for an array in the machine's byte order; else a copy, by
    `tg.Tensor(data)`. Another `dtype` makes a copy, too"""
    check_device("as_tensor", device)
    if isinstance(data, tg().Tensor):
        return data if dtype is None or data.dtype == np.dtype(dtype) else data.astype(dtype)
    if isinstance(data, np.ndarray) and data.dtype.isnative and (dtype is None or data.dtype == np.dtype(dtype)):
        return tg().from_numpy(data)
    return tensor(data, dtype=dtype)


def asarray(
    data: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Any:
    """as `tg.as_tensor`; with copy=True a copy, by `tg.Tensor(data)`"""
    check_device("asarray", device)
    made = tensor(data, dtype=dtype) if copy else as_tensor(data, dtype)
    if requires_grad:
        made.requires_grad = True
    return made


def cat(tensors: Any, dim: int = 0) -> Any:
    """`tg.concatenate(tensors, axis=dim)`"""
    return tg().concatenate(tensors, axis=dim)


def chunk(input: Any, chunks: int, dim: int = 0) -> list[Any]:
    """`tg.split(x, range(size, n, size), axis=dim)`, with `size = -(-n // chunks)`: equal parts, but for the last"""
    if index(chunks) < 1:
        raise ValueError(f"chunk: `chunks` is {chunks}; it must be at least 1")
    n = input.shape[dim]
    size = max(1, -(-n // chunks))
    found: list[Any] = tg().split(input, range(size, n, size), axis=dim)
    return found


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """`tg.unstack(x, axis=dim)`"""
    return tuple(tg().unstack(input, axis=dim))


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """`x[start:start + length]` along the axis `dim`"""
    n = input.shape[dim]
    start = start + n if start < 0 else start
    if not 0 <= start <= n or length < 0 or start + length > n:
        raise IndexError(f"narrow: `start` is {start} and `length` {length}, and the axis {dim} has size {n}")
    return tg().moveaxis(tg().moveaxis(input, dim, 0)[start : start + length], 0, dim)


def unsqueeze(input: Any, dim: int) -> Any:
    """`tg.expand_dims(x, axis=dim)`"""
    return tg().expand_dims(input, dim)


def permute(input: Any, dims: Any) -> Any:
    """`tg.transpose(x, dims)`"""
    return tg().transpose(input, dims)


def t(input: Any) -> Any:
    """`x.T`, of a vector or a matrix"""
    if np.ndim(input) > 2:
        raise ValueError(f"t: `input` has shape {input.shape}; it must be a vector or a matrix; use swapaxes or x.mT")
    return tg().transpose(input)


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """`x.reshape`, with one axis cut into `sizes`, of which one may be -1"""
    dim = dim + input.ndim if dim < 0 else dim
    return input.reshape(*input.shape[:dim], *sizes, *input.shape[dim + 1 :])


def mm(input: Any, mat2: Any) -> Any:
    """`tg.matmul(x, y)`, of two matrices"""
    return _product("mm", input, mat2, 2, 2)


def bmm(input: Any, mat2: Any) -> Any:
    """`tg.matmul(x, y)`, of two stacks of matrices of one length"""
    if np.ndim(input) == np.ndim(mat2) == 3 and input.shape[0] != mat2.shape[0]:
        raise ValueError(f"bmm: the stacks have {input.shape[0]} and {mat2.shape[0]} matrices; they must have as many")
    return _product("bmm", input, mat2, 3, 3)


def mv(input: Any, vec: Any) -> Any:
    """`tg.matmul(x, v)`, of a matrix and a vector"""
    return _product("mv", input, vec, 2, 1)


def _product(name: str, a: Any, b: Any, rows: int, columns: int) -> Any:
    if np.ndim(a) != rows or np.ndim(b) != columns:
        raise ValueError(
            f"{name}: the operands have shapes {np.shape(a)} and {np.shape(b)}; they must have {rows} and {columns} axes; use "
            "x @ y for others"
        )
    return tg().matmul(a, b)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """`b + x @ y`, for two matrices"""
    return _scaled(input, beta) + _scaled(mm(mat1, mat2), alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """`b + x @ y`, for two stacks of matrices"""
    return _scaled(input, beta) + _scaled(bmm(batch1, batch2), alpha)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """`x + value * a * b`"""
    return input + _scaled(tensor1 * tensor2, value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """`x + value * a / b`"""
    return input + _scaled(tensor1 / tensor2, value)


def divide(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """`x / y`, `tg.trunc(x / y)` or `x // y`, by `rounding_mode`"""
    if rounding_mode is None:
        return tg().div(input, other)
    if rounding_mode == "floor":
        return tg().floor_divide(input, other)
    if rounding_mode == "trunc":
        return tg().trunc(tg().div(input, other))
    raise ValueError(f"divide: `rounding_mode` is {rounding_mode!r:.60}; it must be None, 'trunc' or 'floor'")


def _scaled(x: Any, factor: float) -> Any:
    return x if factor == 1 else factor * x


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """`tg.clip(x, min, max)`"""
    if min is None and max is None:
        raise ValueError("clamp: `min` and `max` are None; give one of them at least")
    return tg().clip(input, min, max)


def clamp_min(input: Any, min: Any) -> Any:
    """`tg.maximum(x, min)`"""
    return tg().maximum(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """`tg.minimum(x, max)`"""
    return tg().minimum(input, max)


def rsqrt(input: Any) -> Any:
    """`1 / tg.sqrt(x)`"""
    return 1 / tg().sqrt(input)


def frac(input: Any) -> Any:
    """`x - tg.trunc(x)`"""
    return input - tg().trunc(input)


def index_select(input: Any, dim: int, index: Any) -> Any:
    """`tg.take(x, index, axis=dim)`"""
    if np.ndim(index) > 1:
        raise ValueError(f"index_select: `index` has shape {np.shape(index)}; it must be a vector")
    return tg().take(input, index, axis=dim)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`tg.take_along_axis(x, indices, axis=dim)`, of both flattened without `dim`"""
    if dim is None:
        input, indices, dim = tg().ravel(input), tg().ravel(indices), 0
    return tg().take_along_axis(input, indices, axis=dim)


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Any:
    """`tg.repeat(x, repeats, axis=dim)`"""
    return tg().repeat(input, repeats, axis=dim)


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """`tg.moveaxis(x, source, destination)`"""
    return tg().moveaxis(input, source, destination)


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """`x.copy()`"""
    return tg().copy(input)


def numel(input: Any) -> int:
    """`x.size`"""
    return int(input.size)


def is_tensor(obj: Any) -> bool:
    """`isinstance(x, tg.Tensor)`"""
    return isinstance(obj, tg().Tensor)


def is_floating_point(input: Any) -> bool:
    """`x.dtype.kind == 'f'`"""
    return bool(input.dtype.kind == "f")


def is_complex(input: Any) -> bool:
    """`x.dtype.kind == 'c'`"""
    return bool(input.dtype.kind == "c")


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`tg.zeros(*size)`"""
    check_device("empty", device)
    return tg().zeros(*size, dtype=dtype, requires_grad=requires_grad)


def empty_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`tg.zeros_like(x)`"""
    check_device("empty_like", device)
    return tg().zeros_like(input, dtype=dtype, requires_grad=requires_grad)


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None
) -> Any:
    """`np.random.Generator.integers(low, high, size)` of the library's generator, as a Tensor"""
    check_device("randint", device)
    if size is None:  # randint(high, size)
        low, high, size = 0, low, high
    if not isinstance(size, tuple | list):
        raise TypeError(f"randint: `size` is {size!r:.60}; it must be a tuple: randint(low, high, (2, 3))")
    drawn = tg().random.generator(generator).integers(low, high, tuple(size))
    return tg().Tensor(drawn.astype(np.int64 if dtype is None else dtype))


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """`np.random.Generator.permutation(n)` of the library's generator, as a Tensor"""
    check_device("randperm", device)
    return tg().Tensor(
        tg().random.generator(generator).permutation(index(n)).astype(np.int64 if dtype is None else dtype)
    )


def bernoulli(input: Any, *, generator: Any = None) -> Any:
    """`tg.rand(*x.shape) < x`, as 0 and 1 in the dtype of x"""
    p = input.numpy() if is_tensor(input) else np.asarray(input)
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(
            f"bernoulli: `input` has values from {p.min()} to {p.max()}; probabilities are between 0 and 1"
        )
    return tg().Tensor((tg().random.generator(generator).random(p.shape) < p).astype(p.dtype))


def device(type: Any) -> str:
    """`'cpu'`"""
    if not is_processor(type) or type is None:
        raise ValueError(f"device: `type` is {type!r:.60}; there is one device, 'cpu'")
    return "cpu"


def inference_mode(mode: Any = True) -> Any:
    """`tg.no_grad()`"""
    if callable(mode):
        return tg().no_grad(mode)
    return tg().no_grad() if mode else tg().enable_grad()


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """`np.allclose(x, y)`"""
    return bool(np.allclose(input, other, rtol, atol, equal_nan))


def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """`np.isclose(x, y)`"""
    return tg().Tensor(np.isclose(np.asarray(input), np.asarray(other), rtol, atol, equal_nan))


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """`np.random.default_rng().choice(len(p), n, replace, p)`, of each row of weights, from the library's generator"""
    weights = np.asarray(input, np.float64)
    if weights.ndim not in (1, 2) or not ((weights >= 0) & (weights < np.inf)).all():
        raise ValueError("multinomial: `input` must be one or two axes of finite weights of at least 0")
    rng, rows = tg().random.generator(generator), np.atleast_2d(weights)
    least = 1 if replacement else num_samples
    if (np.count_nonzero(rows, axis=1) < least).any():
        raise ValueError(
            f"multinomial: a row has fewer than {least} weights above 0, and `num_samples` is {num_samples}"
        )
    drawn = [rng.choice(len(row), num_samples, replace=bool(replacement), p=row / row.sum()) for row in rows]
    found = np.array(drawn, np.int64).reshape(len(rows), num_samples)
    return tg().Tensor(found if weights.ndim == 2 else found[0])


class _Cuda(SimpleNamespace):
    """a namespace in which is_available() is False"""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        why = "each dtype is computed as it is: there is no autocast" if name == "amp" else "there is no GPU"
        raise AttributeError(f"torch.cuda has {name!r} ({why}); leave it out, or ask is_available() first")


_cuda = _Cuda(
    is_available=lambda: False, device_count=lambda: 0, empty_cache=lambda: None, manual_seed=lambda seed: None,
    manual_seed_all=lambda seed: None,
)  # fmt: skip

_DTYPES = {
    np.float16: "float16 half", np.float32: "float32 float", np.float64: "float64 double", np.int8: "int8",
    np.int16: "int16 short", np.int32: "int32 int", np.int64: "int64 long", np.uint8: "uint8", np.uint16: "uint16",
    np.uint32: "uint32", np.uint64: "uint64", np.bool_: "bool", np.complex64: "complex64 cfloat",
    np.complex128: "complex128 cdouble",
}  # fmt: skip

_RENAMED = {
    "abs": "absolute", "vstack": "row_stack", "swapaxes": "swapdims", "arccos": "acos", "arcsin": "asin", "arctan": "atan",
    "arctan2": "atan2", "arccosh": "acosh", "arcsinh": "asinh", "arctanh": "atanh", "mul": "multiply", "sub": "subtract",
    "div": "true_divide", "neg": "negative", "trunc": "fix", "sign": "sgn", "equal": "eq", "not_equal": "ne",
    "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift", "outer": "ger", "linalg.inv": "inverse", "linalg.pinv": "pinverse",
    "trapezoid": "trapz", "array_split": "tensor_split",
}  # fmt: skip

TABLE: dict[str, Any] = {
    **public(globals(), __name__),
    **{name: dtype for dtype, names in _DTYPES.items() for name in names.split()},
    **composed.TABLE,
    **counting.TABLE,
    **types.TABLE,
    "concat": cat,
    "cuda": _cuda,
}
for _ours, _theirs in _RENAMED.items():
    TABLE |= renamed(_ours, _theirs.split())
