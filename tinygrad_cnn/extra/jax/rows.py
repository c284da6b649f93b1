"""The ops whose definitions JAX cannot run, or would run slowly, and what they compute here."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
from jax import lax

from ...ops import activation, conv, dropout, elementwise, gather, index, pool, scan, transcendental, windows
from ...ops.real import is_integer
from ...ops.windows import Pairs, Sizes
from . import checks
from .array import Array, held
from .definitions import helper, row
from .indexing import add_at
from .keys import next_key
from .trees import plain


def adjoint(f: Any, shape: Sizes, dtype: Any, u: Any) -> Any:
    """The adjoint of a linear function of one array of this shape, at u."""
    (x,) = jax.linear_transpose(f, jax.ShapeDtypeStruct(shape, dtype))(u)
    return x


# Convolutions: JAX has one for each device


@row(conv.convolve)
def convolve(x: Any, w: Any, b: Any = None, *, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Any:
    dtype = jnp.result_type(x, w)
    y = lax.conv_general_dilated(
        jnp.asarray(x, dtype), jnp.asarray(w, dtype), stride, padding, rhs_dilation=dilation, feature_group_count=groups
    )
    return y if b is None else y + jnp.reshape(b, (-1, *(1 for _ in stride)))


@row(conv.convolve_dx)
def convolve_dx(u: Any, w: Any, *, shape: Sizes, **how: Any) -> Any:
    dtype = jnp.result_type(u, w)
    return adjoint(lambda x: convolve(x, w, **how), shape, dtype, jnp.asarray(u, dtype))


@row(conv.convolve_dw)
def convolve_dw(x: Any, u: Any, *, shape: Sizes, **how: Any) -> Any:
    dtype = jnp.result_type(x, u)
    return adjoint(lambda w: convolve(x, w, **how), shape, dtype, jnp.asarray(u, dtype))


# Windows: NumPy views them by strides, which arrays of JAX do not have


@helper(windows.windows)
def view_of_windows(x: Array, kernel: Sizes, out: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """A copy (*lead, *out, *kernel) of the windows of x (*lead, *sizes)."""
    parts = [plain(x)[places] for _, places in windows.elements(kernel, out, stride, dilation)]
    y = jnp.stack([jnp.asarray(part) for part in parts], -1)
    return Array(y.reshape(*y.shape[:-1], *kernel), x.dtype)


def _elements(x: Any, of: pool.Windows, value: Any) -> list[Any]:
    """For each element of a window, in C order: this element of every window, `value` outside the image."""
    reach = [(o - 1) * s + (k - 1) * d + 1 for k, o, s, _, d in zip(*of, strict=True)]
    sides = [(p, max(0, r - p - n)) for r, p, n in zip(reach, of.before, x.shape[2:], strict=True)]
    xp = np if isinstance(x, np.ndarray) else jnp
    whole = xp.pad(x, [(0, 0), (0, 0), *sides], constant_values=value)
    return [whole[places] for _, places in windows.elements(of.size, of.grid, of.stride, of.dilation)]


@row(pool.max_pool)
def max_pool(x: Any, *, windows: pool.Windows) -> Any:
    return functools.reduce(jnp.maximum, _elements(x, windows, pool.lowest(x.dtype)))


@row(pool.sum_windows)
def sum_windows(x: Any, *, windows: pool.Windows) -> Any:
    return functools.reduce(jnp.add, _elements(x, windows, 0))


@row(pool.spread_windows)
def spread_windows(u: Any, *, sizes: Sizes, windows: pool.Windows) -> Any:
    return adjoint(lambda x: sum_windows(x, windows=windows), (*u.shape[:2], *sizes), u.dtype, u)


@row(pool.max_pool_which)
def max_pool_which(x: Any, top: Any, *, windows: pool.Windows) -> Any:
    ones = np.ones((1, 1, *x.shape[2:]), bool)
    elements = list(enumerate(zip(_elements(x, windows, 0), _elements(ones, windows, False), strict=True)))
    y = jnp.full(top.shape, len(elements), np.min_scalar_type(len(elements)))
    for i, (part, own) in reversed(elements):
        y = jnp.where((part == top) & own, y.dtype.type(i), y)
    for i, (part, own) in elements:
        y = jnp.where(jnp.isnan(part) & own, y.dtype.type(i), y)
    return y


@row(pool.put_elements)
def put_elements(u: Any, which: Any, *, sizes: Sizes, windows: pool.Windows) -> Any:
    count = math.prod(windows.size)
    parts = jnp.stack([jnp.where(which == i, u, 0) for i in range(count)])
    return adjoint(lambda x: jnp.stack(_elements(x, windows, 0)), (*u.shape[:2], *sizes), u.dtype, parts)


@row(pool.take_elements)
def take_elements(a: Any, which: Any, *, windows: pool.Windows) -> Any:
    parts = enumerate(_elements(a, windows, 0))
    return functools.reduce(jnp.add, [jnp.where(which == i, part, jnp.zeros_like(part)) for i, part in parts])


@row(pool.flat_indices)
def flat_indices(which: Any, *, sizes: Sizes, windows: pool.Windows) -> Any:
    zeros = np.zeros((1, 1, *windows.grid), np.intp)
    every = [pool.flat_indices(zeros + i, sizes=sizes, windows=windows) for i in range(math.prod(windows.size))]
    return jnp.take_along_axis(
        jnp.stack([jnp.broadcast_to(e, which.shape) for e in every]), which[None].astype(int), 0
    )[0]


@row(pool.last_written)
def last_written(indices: Any, *, size: int) -> Any:
    if not isinstance(indices, jax.core.Tracer):
        return pool.last_written(np.asarray(indices), size=size)
    checks.note((indices < 0) | (indices >= size))
    lines = indices.reshape(math.prod(indices.shape[:2]), -1)
    turn = jnp.broadcast_to(jnp.arange(lines.shape[1]), lines.shape)
    first = jnp.arange(len(lines))[:, None]
    last = jnp.zeros((len(lines), size), turn.dtype).at[first, lines].max(turn)
    return (last[first, lines] == turn).reshape(indices.shape)


# Indices: definitions look whether one repeats


@row(index.add_at_zeros)
def add_at_zeros(u: Any, *, index: Any, shape: Sizes) -> Any:
    wide = jnp.result_type(u, jnp.float32) if u.dtype.kind == "f" else u.dtype  # many small ones may add up
    y = Array(jnp.zeros(shape, wide))
    add_at(y, index, u)
    return y.value.astype(u.dtype)


@row(index.assign)
def assign(a: Any, value: Any, *, index: Any) -> Any:
    y = Array(jnp.asarray(a))
    y[index] = value
    return y


@row(conv.columns)
def columns(x: Any, *, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Any:
    out = windows.output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    whole = jnp.pad(x, [(0, 0), (0, 0), *padding])
    parts = [whole[places] for _, places in windows.elements(kernel, out, stride, dilation)]
    return jnp.stack(parts, 2).reshape(*x.shape[:2], *kernel, *out)


@row(conv.add_columns)
def add_columns(u: Any, *, shape: Sizes, **how: Any) -> Any:
    return adjoint(lambda x: columns(x, kernel=u.shape[2 : len(shape)], **how), shape, u.dtype, u)


# Functions that NumPy lacks, and definitions take from Python's math one number at a time


@helper(activation.normal_probability)
def normal_probability(a: Array) -> Array:
    """The probability that a standard normal number is below a."""
    x = jnp.asarray(plain(a), held(np.float64))
    return Array(jax.scipy.special.erfc(x * -math.sqrt(0.5)) / 2, np.float64)


@row(transcendental.erf)
def erf(a: Any) -> Any:
    return jax.scipy.special.erf(a if a.dtype.kind == "f" else a.astype(held(np.float64)))


# Scans, which definitions write as loops


@row(scan.recurrence)
def recurrence(a: Any, b: Any, *, axis: int = -1, reverse: bool = False) -> Any:
    shape = jnp.broadcast_shapes(jnp.shape(a), jnp.shape(b))
    a, b = jnp.broadcast_to(a, shape), jnp.broadcast_to(b, shape)

    def after(earlier: Any, later: Any) -> Any:
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    _, y = lax.associative_scan(after, (a, b), reverse=reverse, axis=axis % len(shape))
    return y.astype(b.dtype)


# Memory orders, which arrays of JAX do not have


@row(elementwise.laid_out)
def laid_out(a: Any, *, axes: Sizes) -> Any:
    return jnp.asarray(a)


# Checks of labels, for which definitions look at the bytes of integers


@helper(gather.checked_labels)
def checked_labels(function: str, argument: str, values: Any, classes: int, ignore: int | None = None) -> Any:
    """Labels, noted if one is out of range. The errors of other arguments are those of the definition."""
    given = plain(values)
    if not isinstance(given, jax.core.Tracer):
        return gather.checked_labels(function, argument, np.asarray(given), classes, ignore)
    if given.dtype.kind not in "iu":
        return gather.checked_labels(function, argument, np.zeros(given.shape, given.dtype), classes, ignore)
    inside = (given >= 0) & (given < classes)
    checks.note(~inside if ignore is None else ~inside & (given != ignore))
    return Array(given.astype(held(np.intp)), np.intp)


# Draws, from the key that the function was given


@row(dropout.keep_mask)
def keep_mask(x: Any, *, p: float, spatial: int, rng: Any) -> Any:
    if is_integer(rng):  # the same draws in every call
        return dropout.keep_mask(np.broadcast_to(np.zeros((), x.dtype), x.shape), p=p, spatial=spatial, rng=rng)
    kept = jax.random.bernoulli(next_key("dropout"), 1 - p, dropout.mask_shape(x.shape, spatial))
    return kept * np.result_type(x.dtype, 1.0).type(1 / (1 - p) if p < 1 else 0)


@row(activation.drawn_slopes)
def drawn_slopes(a: Any, *, lower: float, upper: float, rng: Any) -> Any:
    if is_integer(rng):
        return activation.drawn_slopes(
            np.broadcast_to(np.zeros((), a.dtype), a.shape), lower=lower, upper=upper, rng=rng
        )
    dtype = jnp.result_type(a, 1.0)
    return jax.random.uniform(next_key("rrelu"), a.shape, dtype, lower, upper)
