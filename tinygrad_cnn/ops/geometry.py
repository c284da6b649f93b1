"""Arguments of ops with windows over spatial axes: checked once, here, and passed on as tuples of integers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from operator import index
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import numpy as np

from ..core.graph import Array
from .shape import reshape
from .windows import Pairs, Sizes

P = ParamSpec("P")
R = TypeVar("R")
SizeLike: TypeAlias = int | Sequence[int]

LAYOUTS = {1: "L", 2: "H, W", 3: "D, H, W"}

_PLAIN = {int, bool, str, type(None)}


def by_rank(function: Callable[Concatenate[int, P], R], *ranks: int) -> tuple[Callable[P, R], ...]:
    """Public functions for 1, 2 or 3 spatial axes, such as max_pool1d, from one that takes their number, as `_max_pool`.

    Its docstring becomes that of the 2-d function, to which the others refer.
    """
    return tuple([_of_rank(function, ndim) for ndim in ranks])


def _of_rank(function: Callable[Concatenate[int, P], R], ndim: int) -> Callable[P, R]:
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(ndim, *args, **kwargs)

    given: Any = call
    base, whole = function.__name__.lstrip("_"), inspect.signature(function)
    given.__name__ = given.__qualname__ = f"{base}{ndim}d"
    given.__module__, given.__doc__ = function.__module__, function.__doc__
    given.__signature__ = whole.replace(parameters=list(whole.parameters.values())[1:])
    if ndim != 2:
        start = (function.__doc__ or "").partition("\n")[0].partition(": ")[0].rstrip(".")
        layouts = f"(N, C, {LAYOUTS[ndim]}) or (C, {LAYOUTS[ndim]})"
        given.__doc__ = f"{start}: :func:`{base}2d` on {'signals' if ndim == 1 else 'volumes'} {layouts}."
    return call


def are_plain(*given: Any) -> bool:
    """Whether all are integers, Booleans, strings, None, or tuples of these, which may be looked up among what was checked.

    A key must not treat 1.0 as 1: 1.0 is no size, but equals 1.
    """
    for a in given:
        kind = a.__class__
        if kind not in _PLAIN and (kind is not tuple or not {*map(type, a)} <= _PLAIN):
            return False
    return True


def looked_up(check: Callable[P, R]) -> Callable[P, R]:
    """`check`, whose result depends on its arguments alone, cached for arguments that :func:`are_plain`."""
    known: Any = lru_cache(maxsize=1024)(check)

    @wraps(check)
    def look_up(*given: P.args, **named: P.kwargs) -> R:
        return known(*given) if are_plain(*given) else check(*given, **named)

    return look_up


def shape_of(name: str, label: str, x: Array) -> Sizes:
    """The shape of an array or Tensor; TypeError for anything else."""
    try:
        return tuple(x.shape)
    except AttributeError:
        kind = type(x).__name__
        raise TypeError(f"{name}: `{label}` is a {kind}; it must be an array or a Tensor: wrap it in one") from None


def batched(name: str, x: Array, ndim: int) -> tuple[Array, bool]:
    """x (N, C, *spatial) unchanged, or an unbatched x (C, *spatial) as a batch of one; and whether it was unbatched."""
    shape = shape_of(name, "x", x)
    if len(shape) == ndim + 2:
        return x, False
    if len(shape) != ndim + 1:
        layout = LAYOUTS[ndim]
        raise ValueError(f"{name}: `x` has shape {shape}; it must be (N, C, {layout}) or (C, {layout}): reshape it")
    return reshape(x, shape=(1, *shape)), True


def check_filled(name: str, shape: Sizes, channels: bool = True) -> None:
    """ValueError unless images (N, C, *spatial) have spatial elements and, for `channels`, at least one channel."""
    if min(shape[2:]) < 1:
        raise ValueError(f"{name}: `x` has spatial sizes {shape[2:]}; every one must be at least 1")
    if channels and shape[1] < 1:
        raise ValueError(f"{name}: `x` has no channels; it must have at least 1")


def unbatched(y: Array, alone: bool) -> Array:
    """y without the batch axis, if :func:`batched` added it."""
    return reshape(y, shape=y.shape[1:]) if alone else y


def sizes(name: str, label: str, value: SizeLike, ndim: int, least: int) -> Sizes:
    """`value`, an int or one int per axis, as a tuple of `ndim` ints that are at least `least`.

    As in PyTorch, a sequence of one int is used for all axes too, unless it is the size of a result.
    """
    several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and np.ndim(value)
    parts: Any = value if several else (value,) * ndim
    try:
        whole = tuple(index(part) for part in parts)
    except TypeError:
        wanted = "an integer" if ndim == 1 else f"an integer or {ndim} integers"
        raise TypeError(f"{name}: `{label}` is {value!r}; it must be {wanted}") from None
    if len(whole) == 1 and label not in ("size", "output_size"):
        whole *= ndim
    if len(whole) != ndim:
        raise ValueError(f"{name}: `{label}` is {value!r}; it must be one integer or {ndim}, one per spatial axis")
    if min(whole) < least:
        raise ValueError(f"{name}: `{label}` is {value!r}; it must be at least {least}")
    return whole


def padding_pairs(name: str, padding: SizeLike | str, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Pairs:
    """Zeros (before, after) along each spatial axis, from ints, "valid" or "same"."""
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise ValueError(f"{name}: `padding` is {padding!r}; it must be 'same', 'valid', an integer or a pair")
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: `padding` 'same' needs stride 1 but `stride` is {stride}; give integers instead")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in sizes(name, "padding", padding, len(kernel), least=0))


def check_fit(name: str, what: str, inputs: Sizes, kernel: Sizes, padding: Pairs, dilation: Sizes) -> None:
    """ValueError if the window spans more than the padded input along some axis."""
    for axis, (n, k, d, pair) in enumerate(zip(inputs, kernel, dilation, padding, strict=True)):
        reach, extent = d * (k - 1) + 1, n + sum(pair)
        if reach > extent:
            raise ValueError(
                f"{name}: {what} spans {reach} along spatial axis {axis} but the padded `x` has {extent}; it must not be "
                "larger: raise `padding` or shrink `dilation`"
            )
