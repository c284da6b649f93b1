"""NumPy's functions and ufuncs on :class:`~.array.Array`: JAX's of the same name, with the dtypes of NumPy's results."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np

from . import checks
from .array import WIDE, Array, held, is_traced
from .errors import JaxError
from .indexing import add_at
from .trees import arrays_in, is_jax, plain

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""By NumPy's function or ufunc: the function of arrays of JAX in its place, where the one of the same name does not serve."""


def stands_for(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare that a function of arrays of JAX takes the place of functions of NumPy."""

    def declare(f: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update(dict.fromkeys(functions, f))
        return f

    return declare


_WIDER = {np.dtype(np.float32): np.dtype(np.float64), np.dtype(np.complex64): np.dtype(np.complex128)}


def wrapped(tree: Any, wide: bool = False, writeable: bool = True) -> Any:
    """Results with an :class:`Array` in the place of every array of JAX; `wide` ones would have 64 bits a number."""
    if isinstance(tree, jax.Array):
        dtype = _WIDER.get(tree.dtype, tree.dtype) if wide else tree.dtype
        return Array(tree, dtype, writeable)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[wrapped(part, wide) for part in tree])
    if isinstance(tree, tuple | list):
        return type(tree)(wrapped(part, wide, writeable) for part in tree)
    return tree


# Ufuncs


def ufunc(f: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """``f(*inputs)``, or one of its methods, in the dtypes that NumPy's rules of promotion give."""
    targets = options.pop("out", None)
    if not is_jax((inputs, options)):
        results = getattr(f, method)(*plain(inputs), **plain(options))
    elif method == "__call__":
        results = _called(f, inputs, **options)
    elif method == "reduce" and f in _REDUCED:
        x, *more = inputs
        how: Any = {"axis": 0, **dict(zip(("axis", "dtype"), more, strict=False)), **options}
        results = _REDUCED[f](x, **how)
    elif method == "accumulate" and f in _ACCUMULATED:
        x, *more = inputs
        results = _ACCUMULATED[f](x, more[0] if more else options.get("axis", 0))
    elif method == "at" and f in _COMBINED:
        target, index, value = inputs
        return add_at(target, index, value, _COMBINED[f])
    else:
        raise JaxError(f"it calls np.{f.__name__}.{method}, for which there is no function here")
    if targets is None:
        return results
    found = [results] if f.nout == 1 else list(results)
    for target, result in zip(targets, found, strict=True):
        if not isinstance(target, Array):
            raise JaxError("it writes into memory of NumPy")
        target[...] = result
    return targets[0] if f.nout == 1 else tuple(targets)


_REDUCED: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min, np.logical_and: np.all,
    np.logical_or: np.any,
}  # fmt: skip
_COMBINED = {np.add: "add", np.multiply: "multiply", np.maximum: "max", np.minimum: "min"}


def _scanned(f: Any) -> Callable[[Array, int], Array]:
    def scan(a: Array, axis: int) -> Array:
        return Array(jax.lax.associative_scan(f, jnp.asarray(a.value), axis=axis % a.ndim), a.dtype)

    return scan


_ACCUMULATED: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.cumsum, np.multiply: np.cumprod, np.maximum: _scanned(jnp.maximum), np.minimum: _scanned(jnp.minimum),
    np.logaddexp: _scanned(jnp.logaddexp),
}  # fmt: skip


def _called(f: np.ufunc, inputs: tuple[Any, ...], dtype: Any = None, where: Any = True, **options: Any) -> Any:
    if where is not True:
        raise JaxError(f"it calls np.{f.__name__} with where=; choose with np.where")
    wanted = None if dtype is None else (*(None,) * f.nin, *(np.dtype(dtype),) * f.nout)
    kinds = tuple(map(_kind, inputs))
    casting: Any = options.get("casting", "same_kind")
    how: Any = {"casting": casting} if wanted is None else {"casting": casting, "signature": wanted}
    loop = f.resolve_dtypes((*kinds, *(None,) * f.nout), **how)
    g = (
        FUNCTIONS.get(f)
        or SPECIAL.get(f.__name__)
        or getattr(jnp, f.__name__, None)
        or getattr(jax.scipy.special, f.__name__, None)
    )
    if g is None:
        raise JaxError(f"it calls {f.__name__}, which jax.numpy and jax.scipy.special do not have")
    found = g(*[jnp.asarray(plain(x), held(t)) for x, t in zip(inputs, loop, strict=False)])
    results = [
        Array(jnp.asarray(y, held(t)), t) for y, t in zip(found if f.nout > 1 else [found], loop[f.nin :], strict=True)
    ]
    for result in results:
        result.weak = all(isinstance(kind, type) for kind in kinds)
    return results[0] if f.nout == 1 else tuple(results)


def _kind(x: Any) -> Any:
    """The dtype of an operand, or the class of a Python number, which does not promote."""
    if isinstance(x, Array) and x.weak:
        return float
    return x.dtype if hasattr(x, "dtype") else type(x) if type(x) in (int, float, complex) else np.asarray(x).dtype


# Functions

_MODULES: dict[str, Any] = {"numpy": jnp, "numpy.linalg": jnp.linalg, "numpy.fft": jnp.fft}

_PROMOTING: dict[Any, Callable[[tuple[Any, ...]], tuple[tuple[Any, ...], tuple[Any, ...]]]] = {
    np.where: lambda args: (args[:1], args[1:]),
    **dict.fromkeys((np.concatenate, np.stack, np.hstack, np.vstack), lambda args: ((), (list(args[0]), *args[1:]))),
    **dict.fromkeys((np.dot, np.tensordot, np.inner, np.outer, np.linalg.solve), lambda args: ((), args)),
    np.einsum: lambda args: (args[:1], args[1:]),
}
"""Functions whose arrays get a common dtype: what precedes these arguments, and they."""


def function(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``f(*args, **kwargs)`` for a function of NumPy."""
    if f in _ON_SHAPES:
        return _ON_SHAPES[f](*args, **kwargs)
    if f in _VIEWS:
        return _seen(f, *args, **kwargs)
    if f is np.copyto:
        return _copyto(*args, **kwargs)
    target = kwargs.pop("out", None)
    if not is_jax((args, kwargs)):
        result = f(*plain(args), **plain(kwargs))
    else:
        g = FUNCTIONS.get(f) or getattr(_MODULES.get(f.__module__), f.__name__, None)
        if g is None:
            raise JaxError(f"it calls {f.__module__}.{f.__name__}, which jax.numpy does not have")
        if f in _PROMOTING:
            before, together = _PROMOTING[f](args)
            args = (*before, *_promoted(together))
        if (dtype := kwargs.get("dtype")) is not None:
            kwargs["dtype"] = held(dtype)
        wide = dtype in WIDE or (dtype is None and any(a.dtype in WIDE for a in arrays_in((args, kwargs))))
        result = wrapped(g(*plain(args), **plain(kwargs)), wide)
    if target is not None:
        target[...] = result
        return target
    return result


_VIEWS = {
    np.reshape,
    np.ravel,
    np.transpose,
    np.swapaxes,
    np.moveaxis,
    np.expand_dims,
    np.squeeze,
    np.broadcast_to,
    np.flip,
}
"""Functions whose result NumPy lets share memory."""


def _seen(f: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    """A view of `a`: f moves its elements, and moves their numbers alike, which tells where a write through the view goes."""
    order = kwargs.pop("order", "C")
    if order not in ("C", "K", "A"):
        raise JaxError(f"it asks for memory order {order!r}, and arrays of JAX have none")
    g = getattr(jnp, f.__name__)

    def write(value: Any, part: Any) -> Any:
        at = f(np.arange(value.size).reshape(value.shape), *args, **kwargs)
        return jnp.asarray(value).reshape(-1).at[at].set(part).reshape(value.shape)

    args, kwargs = plain(args), plain(kwargs)
    if not isinstance(a, Array):  # another argument is one
        return f(a, *map(np.asarray, args), **kwargs)
    return a.seen(
        lambda value: (g if isinstance(value, jax.Array) else f)(value, *args, **kwargs),
        None if f is np.broadcast_to else write,
    )


def _copyto(target: Any, source: Any, casting: Any = "same_kind", where: Any = True) -> None:
    if not isinstance(target, Array):
        raise JaxError("it writes into memory of NumPy")
    target[...] = source if where is True else np.where(where, source, target)


def _promoted(args: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = [x for arg in args for x in (arg if isinstance(arg, list) else [arg])]
    dtype = np.result_type(*(getattr(x, "dtype", x) for x in parts if hasattr(x, "dtype") or type(x) in (int, float)))

    def cast(x: Any) -> Any:
        if isinstance(x, list):
            return [cast(part) for part in x]
        if not hasattr(x, "dtype") or x.dtype == dtype:
            return x
        return x.astype(dtype)

    return tuple(map(cast, args))


def _shape_of(a: Any) -> np.ndarray:
    return np.broadcast_to(np.zeros((), a.dtype), a.shape) if isinstance(a, Array) else np.asarray(a)


_ON_SHAPES: dict[Any, Callable[..., Any]] = {
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a, axis=None: np.size(_shape_of(a), axis),
    np.result_type: lambda *xs: np.result_type(*[x.dtype if isinstance(x, Array) else x for x in xs]),
    np.can_cast: lambda a, to, casting="safe": np.can_cast(a.dtype, to, casting),
    np.einsum_path: lambda terms, *arrays, **how: np.einsum_path(terms, *map(_shape_of, arrays), **how),
    np.iscomplexobj: lambda a: a.dtype.kind == "c",
    np.isrealobj: lambda a: a.dtype.kind != "c",
    np.may_share_memory: lambda a, b: a is b,
    np.shares_memory: lambda a, b: a is b,
}
"""Functions of shapes and dtypes alone."""


@stands_for(np.copy)
def _copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return jnp.asarray(a)


def _sorting(f: Any) -> Callable[..., Any]:
    def call(a: Any, axis: int | None = -1, kind: Any = None, order: None = None, *, stable: bool | None = None) -> Any:
        return f(a, axis=axis, stable=True)

    return call


FUNCTIONS[np.sort], FUNCTIONS[np.argsort] = _sorting(jnp.sort), _sorting(jnp.argsort)


@stands_for(np.full_like)
def _full_like(a: Any, fill: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None) -> Any:
    return jnp.full(a.shape if shape is None else shape, fill, a.dtype if dtype is None else dtype)


def _like(value: Any) -> Callable[..., Any]:
    def call(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None) -> Any:
        return _full_like(a, value, dtype, shape=shape)

    return call


FUNCTIONS.update({np.zeros_like: _like(0), np.empty_like: _like(0), np.ones_like: _like(1)})


@stands_for(np.einsum)
def _einsum(terms: str, *operands: Any, optimize: Any = False, **options: Any) -> Any:
    return jnp.einsum(terms, *operands, **options)


@stands_for(np.take)
def _take(a: Any, indices: Any, axis: int | None = None) -> Any:
    a = jnp.asarray(a)
    return a.reshape(-1)[indices] if axis is None else a[(*(slice(None),) * (axis % max(a.ndim, 1)), indices)]


@stands_for(np.take_along_axis)
def _take_along_axis(a: Any, indices: Any, axis: int | None = -1) -> Any:
    return jnp.take_along_axis(
        jnp.asarray(a), jnp.asarray(indices), axis, mode="clip" if indices.dtype.kind == "u" else None
    )


def _counted(f: Any) -> Callable[..., Any]:
    """np.all or np.any, for which a complex number is True unless both of its parts are 0: JAX looks at the real one."""

    def call(a: Any, axis: Any = None, out: None = None, **how: Any) -> Any:
        return f(a != 0, axis, **how) if jnp.iscomplexobj(a) else f(a, axis, **how)

    return call


FUNCTIONS[np.all], FUNCTIONS[np.any] = _counted(jnp.all), _counted(jnp.any)


@stands_for(np.floor_divide)
def _floor_divide(a: Any, b: Any) -> Any:
    if a.dtype.kind == "f":
        return jnp.where(b == 0, a / b, jnp.floor_divide(a, b))
    return jnp.where(b == 0, 0, jnp.floor_divide(a, jnp.where(b == 0, 1, b)))


def _modulo(f: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, b: Any) -> Any:
        return f(a, b) if a.dtype.kind == "f" else jnp.where(b == 0, 0, f(a, jnp.where(b == 0, 1, b)))

    return call


FUNCTIONS[np.remainder], FUNCTIONS[np.fmod] = _modulo(jnp.remainder), _modulo(jnp.fmod)


@stands_for(np.divmod)
def _divmod(a: Any, b: Any) -> Any:
    return _floor_divide(a, b), FUNCTIONS[np.remainder](a, b)


@stands_for(np.clip)
def _clip(a: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None, dtype: Any = None) -> Any:
    low, high = (low if min is None else min), (high if max is None else max)
    if dtype is not None and not np.can_cast(a.dtype, dtype, "same_kind"):
        raise TypeError(f"np.clip: {a.dtype} cannot become {np.dtype(dtype)}")
    a = a if dtype is None else jnp.asarray(a, dtype)
    a = a if low is None else jnp.maximum(a, low)
    return a if high is None else jnp.minimum(a, high)


@stands_for(np.linalg.matrix_rank)
def _matrix_rank(a: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    s = jnp.linalg.svd(a, compute_uv=False, hermitian=hermitian)
    if tol is None:
        tol = s.max(-1, keepdims=True) * (max(a.shape[-2:]) * jnp.finfo(s.dtype).eps if rtol is None else rtol)
    else:
        tol = jnp.asarray(tol)[..., None]
    return jnp.sum(s > tol, -1)


@stands_for(np.argpartition)
def _argpartition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    return jnp.argsort(a, axis, stable=True)


@stands_for(np.searchsorted)
def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    return jnp.searchsorted(a, v, side=side, sorter=sorter).astype(held(np.intp))


def _of_regular(f: Any) -> Callable[..., Any]:
    """np.linalg.inv or solve: of a singular matrix, an error if it is known, and else results are NaN."""

    def call(a: Any, *b: Any) -> Any:
        y = f(a, *b)
        given = jnp.isfinite(a).all() if not b else jnp.isfinite(a).all() & jnp.isfinite(b[0]).all()
        wrong = given & ~jnp.isfinite(y).all()
        if not is_traced(wrong) and wrong:
            raise np.linalg.LinAlgError("Singular matrix")
        checks.note(wrong)
        return y

    return call


FUNCTIONS[np.linalg.inv] = _of_regular(jnp.linalg.inv)
FUNCTIONS[np.linalg.solve] = _of_regular(jnp.linalg.solve)


@stands_for(np.power)
def _power(a: Any, b: Any) -> Any:
    if a.dtype.kind in "iu" and b.dtype.kind == "i":
        wrong = (b < 0).any()
        if not is_traced(wrong) and wrong:
            raise ValueError("Integers to negative integer powers are not allowed.")
        checks.note(wrong)
    return jnp.power(a, b)


@stands_for(np.linalg.cholesky)
def _cholesky(a: Any, *, upper: bool = False) -> Any:
    below = jnp.linalg.cholesky(a.mT if upper else a, symmetrize_input=False)  # of one triangle, as NumPy's
    return below.mT if upper else below


@stands_for(np.linalg.eigh)
def _eigh(a: Any, UPLO: str = "L") -> Any:
    return jnp.linalg.eigh(a, UPLO, symmetrize_input=False)


@stands_for(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return _eigh(a, UPLO).eigenvalues


def _reciprocal_gamma(x: Any) -> Any:
    pole = (x <= 0) & (x == jnp.floor(x))
    return jnp.where(pole, 0, 1 / jax.scipy.special.gamma(jnp.where(pole, 1, x)))


def _log_ndtr(x: Any) -> Any:
    above = jnp.log1p(-jax.scipy.special.ndtr(-jnp.maximum(x, 0)))
    return jnp.where(x > 0, above, jax.scipy.special.log_ndtr(x))


SPECIAL: dict[str, Callable[..., Any]] = {
    "psi": jax.scipy.special.digamma,
    "_zeta": jax.scipy.special.zeta,
    "rgamma": _reciprocal_gamma,
    "log_ndtr": _log_ndtr,
    "erfcinv": lambda x: jax.scipy.special.ndtri(x / 2) * -math.sqrt(0.5),
}
"""By name: the functions for ufuncs of SciPy that JAX names otherwise, lacks, or computes with a large error."""


Array.call_ufunc, Array.call_function = staticmethod(ufunc), staticmethod(function)
