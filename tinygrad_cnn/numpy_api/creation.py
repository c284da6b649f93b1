"""Functions that make Tensors."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core import tracing
from ..core.graph import implements
from ..core.registry import numpy_ops
from ..ops.composite import accept_lists
from ..ops.data import TensorLike, plain
from ..ops.elementwise import copy, floor, pow
from ..ops.lists import gather
from ..ops.random import Seed, generator
from ..ops.real import dtype_of, is_integer
from ..ops.shape import broadcast_to, moveaxis, unpacked
from ..ops.transcendental import log10
from ..tensor import Tensor, get_default_dtype

__all__ = [
    "arange", "eye", "from_dlpack", "from_numpy", "full", "full_like", "geomspace", "linspace", "logspace", "ones", "ones_like",
    "rand", "rand_like", "randn", "randn_like", "tri", "zeros", "zeros_like",
]  # fmt: skip


def _made(data: NDArray[Any], requires_grad: bool) -> Tensor:
    tensor = Tensor._of(data)
    if requires_grad:
        tensor.requires_grad = requires_grad
    return tensor


def _dtype(name: str, dtype: DTypeLike | None) -> np.dtype[Any]:
    return get_default_dtype() if dtype is None else dtype_of(name, dtype)


def _shape(name: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape that is one tuple or separate sizes."""
    given = unpacked(sizes)
    try:
        shape = tuple(map(index, given if isinstance(given, (tuple, list)) or np.ndim(given) else (given,)))
        if shape and min(shape) < 0:
            raise ValueError
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{name}: the shape is {given!r:.80}; it must be whole numbers of at least 0, or one tuple of them; dtype= and "
            "requires_grad= are given by name"
        ) from None
    return shape


def _float(name: str, dtype: DTypeLike | None) -> np.dtype[Any]:
    wanted = _dtype(name, dtype)
    if wanted.kind != "f":
        raise TypeError(f"{name}: `dtype` is {wanted}; random numbers are drawn in a floating-point dtype")
    return wanted


def from_numpy(array: NDArray[Any], *, requires_grad: bool = False) -> Tensor:
    """A Tensor that shares the memory of `array`: a change to either is seen in both.

    An array of a subclass, such as np.memmap or np.matrix, counts as a plain array. The memory order and gaps stay as they are.
    :class:`Tensor` copies, also what cannot be shared: lists, and arrays in the other byte order.

    A graph notices when this library overwrites values that it saved, through either array, and refuses to run backward.
    It cannot notice writes by NumPy: the gradient is then computed with the new values, and a model frozen by
    ``compile(model, freeze=True)`` keeps the old values of a buffer with this memory until its ``clear()``. Nor can the library
    tell that two arrays map the same memory at two addresses, unless they are ``np.memmap`` of one file.

    Raises:
        TypeError: if `array` is not an ndarray of numbers or Booleans, is a masked array, or is in the other byte order.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufc":
        what, remedy = type(array).__name__, "or use Tensor(...)"
        if isinstance(array, Tensor):
            remedy = "it is what you want already"
        elif isinstance(array, np.ndarray):
            what = f"an ndarray of {array.dtype}"
            remedy = (
                "such as labels become by np.unique(labels, return_inverse=True)[1], and numbers by astype(np.float32)"
            )
        raise TypeError(f"from_numpy: `array` is {what}; it must be a numeric ndarray, {remedy}")
    if not array.dtype.isnative:
        raise TypeError(
            f"from_numpy: `array` has dtype {array.dtype.str!r}, the other byte order, and Tensors are in the machine's; "
            "use Tensor(array), which copies"
        )
    tensor = Tensor._of(plain(array, "from_numpy"))
    tensor.requires_grad = requires_grad
    return tensor


def from_dlpack(x: Any, *, requires_grad: bool = False) -> Tensor:
    """A Tensor that shares the memory of another library's array (PyTorch, JAX, CuPy...), through the DLPack protocol.

    As with :func:`from_numpy`, graphs notice writes by this library, but not by others.

    Raises:
        TypeError: if `x` does not support DLPack, or has a dtype that NumPy does not have, such as bfloat16.
        BufferError: from the library of `x`, if it cannot share the memory, as for a PyTorch tensor that requires a gradient.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> a = np.zeros(2)
    >>> t = tg.from_dlpack(a)
    >>> a[0] = 1
    >>> t.tolist()
    [1.0, 0.0]
    """
    if isinstance(x, np.ndarray):
        return from_numpy(x, requires_grad=requires_grad)  # NumPy before 2.1 makes arrays from DLPack read-only
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"from_dlpack: `x` is a {type(x).__name__}, which has no __dlpack__; use Tensor(...)")
    try:
        array = np.from_dlpack(x)
    except RuntimeError as error:
        raise TypeError(
            f"from_dlpack: NumPy cannot hold `x` ({error}); convert it or move it to the CPU first"
        ) from None
    return from_numpy(array, requires_grad=requires_grad)


def zeros(*shape: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros; the shape is one tuple or separate sizes."""
    return _made(np.zeros(_shape("zeros", shape), _dtype("zeros", dtype)), requires_grad)


def ones(*shape: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones; the shape is one tuple or separate sizes."""
    return _made(np.ones(_shape("ones", shape), _dtype("ones", dtype)), requires_grad)


def full(shape: Any, fill_value: Any, dtype: DTypeLike | None = None, *, requires_grad: bool = False) -> Tensor:
    """A Tensor filled with one value: a number, or an array that broadcasts to `shape`. Recorded if the value is a Tensor.

    Without `dtype`, the Tensor has that of ``Tensor(fill_value)``: a Python number, whole ones too, gives the default dtype,
    float32, where NumPy has int64 and float64; True and False stay Booleans.
    """
    if isinstance(dtype, int | float):
        raise TypeError(f"full: `dtype` is {dtype!r}; the shape is one tuple: full(({shape}, {fill_value}), {dtype})")
    sizes = _shape("full", (shape,))
    fill_value = gather(fill_value)
    value = Tensor(fill_value, dtype=dtype)
    if not isinstance(fill_value, Tensor):
        return _made(np.full(sizes, value._array, value.dtype), requires_grad)
    repeated = copy(broadcast_to(value, shape=sizes), order="C")
    return Tensor(repeated, requires_grad=True) if requires_grad else repeated


def arange(
    *bounds: float, start: float | None = None, stop: float | None = None, step: float | None = None,
    dtype: DTypeLike | None = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... below stop, as np.arange: integers from integers, else the default dtype.

    The numbers are given by position, as (stop), (start, stop) or (start, stop, step), or by name.

    >>> import tinygrad_cnn as tg
    >>> tg.arange(5, step=2).tolist()
    [0, 2, 4]
    """
    named: dict[str, Any] = {n: v for n, v in (("start", start), ("stop", stop), ("step", step)) if v is not None}
    if not 1 <= len(bounds) + len(named) <= 3:
        raise TypeError(
            f"arange: there are {len(bounds) + len(named)} numbers; give stop, or start, stop and step, and dtype= by name"
        )
    wanted = None if dtype is None else dtype_of("arange", dtype)
    try:
        values = np.arange(*bounds, **named, dtype=wanted)
    except TypeError as error:
        raise TypeError(f"arange: start, stop and step are numbers, each given once: {error}") from None
    if dtype is None and values.dtype.kind == "f":
        values = values.astype(get_default_dtype())
    return _made(values, requires_grad)


def eye(
    n: int, m: int | None = None, k: int = 0, dtype: DTypeLike | None = None, *, requires_grad: bool = False
) -> Tensor:
    """Ones on the k-th diagonal of an n x m matrix of zeros; m is n by default."""
    if not is_integer(k):
        raise TypeError(
            f"eye: `k` is {k!r:.60}; it must be an integer, the number of the diagonal; dtype= is given by name"
        )
    return _made(np.eye(n, m, k, dtype=_dtype("eye", dtype)), requires_grad)


def rand(
    *shape: Any,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform draws from [0, 1), with `rng` or the library's seeded generator."""
    return _drawn("rand", "random", shape, rng, dtype, requires_grad)


def randn(
    *shape: Any,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal draws, with `rng` or the library's seeded generator."""
    return _drawn("randn", "standard_normal", shape, rng, dtype, requires_grad)


def _drawn(name: str, method: str, shape: Any, rng: Seed, dtype: DTypeLike | None, requires_grad: bool) -> Tensor:
    wanted = _float(name, dtype)
    draw_in = wanted if wanted.itemsize in (4, 8) else np.dtype(np.float64)
    sizes = _shape(name, shape)

    def draw() -> NDArray[Any]:
        return np.asarray(getattr(generator(rng), method)(sizes, dtype=draw_in.type), dtype=wanted)

    tensor = Tensor._of(tracing.tracer().compute(draw))
    tensor.requires_grad = requires_grad
    return tensor


def _like(t: TensorLike) -> NDArray[Any]:
    plain = gather(t)
    return plain._array if isinstance(plain, Tensor) else np.asarray(plain)


def _shape_like(name: str, t: TensorLike, sizes: Any) -> tuple[int, ...]:
    return _like(t).shape if sizes is None else _shape(name, (sizes,))


def tri(
    n: int, m: int | None = None, k: int = 0, dtype: DTypeLike | None = None, *, requires_grad: bool = False
) -> Tensor:
    """Ones on and below the k-th diagonal of an n x m matrix of zeros; m is n by default."""
    return _made(np.tri(n, m, k, dtype=_dtype("tri", dtype)), requires_grad)


def _ends(name: str, num: int, endpoint: bool, *ends: Any) -> tuple[Any, Any, NDArray[Any]]:
    """Two ends of one dtype, and the parts of the way from one to the other, counted along the first axis."""
    if isinstance(num, bool) or not is_integer(num) or num < 0:
        raise ValueError(f"{name}: `num` is {num!r}; it must be an integer of at least 0")
    if not isinstance(endpoint, bool | np.bool_):
        raise TypeError(
            f"{name}: `endpoint` is {endpoint!r:.60}; it must be True or False; give base= and dtype= by name"
        )
    start, stop = (e if hasattr(e, "dtype") else Tensor(e) for e in map(gather, ends))
    dtype = np.result_type(*(e.dtype if e.dtype.kind in "fc" else np.float64 for e in (start, stop)))
    start, stop = (Tensor(e) if e.dtype == dtype else Tensor(e).astype(dtype) for e in (start, stop))
    ndim = max(start.ndim, stop.ndim)
    parts = np.arange(num, dtype=np.float64) / max(num - 1 if endpoint else num, 1)
    return start, stop, parts.astype(dtype).reshape(-1, *(1,) * ndim)


@implements(np.linspace)
def linspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: DTypeLike | None = None, axis: int = 0,
) -> Any:  # fmt: skip
    """`num` numbers from `start` to `stop` at even distances: y_i = start (1 - t_i) + stop t_i.

    start' = the sum of g (1 - t),  stop' = the sum of g t.

    Args:
        start, stop: numbers or arrays, which broadcast; Python numbers have the default dtype.
        num: how many.
        endpoint: whether `stop` is the last one; else it comes after it.
        retstep: whether to return the distance too, in a tuple.
        dtype: convert to this dtype.
        axis: the axis of the result along which the numbers run.

    Raises:
        TypeError: if `endpoint` is not Boolean.
        ValueError: if `num` is not an integer of at least 0.
    """
    first, last, t = _ends("linspace", num, endpoint, start, stop)
    y = moveaxis(first * (1 - t) + last * t, 0, axis)
    y = floor(y) if dtype is not None and np.dtype(dtype).kind in "iu" else y  # as NumPy
    y = y if dtype is None else y.astype(dtype)
    steps = num - 1 if endpoint else num
    return (y, (last - first) / steps if steps > 0 else (last - first) * float("nan")) if retstep else y


@implements(np.logspace)
def logspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, base: float = 10.0,
    dtype: DTypeLike | None = None, axis: int = 0,
) -> Tensor:  # fmt: skip
    """`base` to the powers that :func:`linspace` gives."""
    y: Tensor = pow(float(base), linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else y.astype(dtype)


@implements(np.geomspace)
def geomspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor:  # fmt: skip
    """`num` numbers from `start` to `stop` with one ratio, both of one sign: y_i = start (stop / start)^t_i.

    NaN where an end is 0 or the signs differ.

    Raises:
        ValueError: if `num` is not an integer of at least 0.
    """
    first, last, t = _ends("geomspace", num, endpoint, start, stop)
    # Powers of 10 are exact where the ratio is one, and stay whole in an integer dtype.
    y = moveaxis(first * pow(10.0, log10(last / first) * t), 0, axis)
    return y if dtype is None else y.astype(dtype)


@implements(np.empty_like, np.zeros_like)
def zeros_like(
    t: TensorLike, dtype: DTypeLike | None = None, *, shape: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of t's shape, or another `shape`, and dtype."""
    return _made(
        np.zeros(_shape_like("zeros_like", t, shape), dtype_of("zeros_like", dtype or _like(t).dtype)), requires_grad
    )


@implements(np.ones_like)
def ones_like(
    t: TensorLike, dtype: DTypeLike | None = None, *, shape: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones of t's shape, or another `shape`, and dtype."""
    return _made(
        np.ones(_shape_like("ones_like", t, shape), dtype_of("ones_like", dtype or _like(t).dtype)), requires_grad
    )


@implements(np.full_like)
def full_like(
    t: TensorLike, fill_value: Any, dtype: DTypeLike | None = None, *, shape: Any = None, requires_grad: bool = False
) -> Tensor:
    """One repeated value in t's shape, or another `shape`, and dtype."""
    return full(_shape_like("full_like", t, shape), fill_value, dtype or _like(t).dtype, requires_grad=requires_grad)


def rand_like(
    t: TensorLike,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
    *,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform draws from [0, 1) in t's shape and dtype."""
    return rand(_like(t).shape, rng=rng, dtype=dtype or _like(t).dtype, requires_grad=requires_grad)


def randn_like(
    t: TensorLike,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
    *,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal draws in t's shape and dtype."""
    return randn(_like(t).shape, rng=rng, dtype=dtype or _like(t).dtype, requires_grad=requires_grad)


def _astype(x: Tensor, dtype: DTypeLike, /, *, copy: bool = True) -> Tensor:
    """np.astype of a Tensor."""
    return x.astype(dtype)


if hasattr(np, "astype"):  # new in NumPy 2.1
    implements(np.astype)(_astype)

accept_lists(globals(), numpy_ops)
