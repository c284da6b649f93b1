"""Discrete Fourier transforms, with the names and arguments of numpy.fft.

A transform multiplies by a symmetric matrix, so its gradient is the same transform of g; ``complex_numbers.py`` says what a
complex gradient is. float32 and complex64 become complex64, as in NumPy 2. In docstrings, y is the output, g the incoming
gradient, and a' the gradient with respect to a.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.graph import Array, Tensor, implements, op
from .complex_numbers import conj, real
from .elementwise import astype
from .rearrange import roll
from .shape import Axis, pad_constant, slice_axis

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft", "irfft2",
    "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

SWAPPED = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The `norm` of the transform in the other direction that has the same factor."""


@op(linear=["a"])
def dft(a: Array, *, axes: tuple[int, ...], inverse: bool = False, norm: str | None = None) -> Array:
    """y_k = c sum of a_j e^(-2 pi i j k / n) along each of `axes`, and e^(+...) for the inverse.   a' = the same of g."""
    return (np.fft.ifftn if inverse else np.fft.fftn)(a, axes=axes, norm=norm)  # type: ignore[arg-type]


dft.vjp(a=lambda g, axes, inverse, norm: dft(g, axes=axes, inverse=inverse, norm=norm))


@op(linear=["a"])
def half_dft(a: Array, *, axis: int, norm: str | None = None) -> Array:
    """y = the transform of real numbers at the frequencies from 0 to n / 2.   a' = the real part of that of g."""
    return np.fft.rfft(a, axis=axis, norm=norm)  # type: ignore[arg-type]


half_dft.vjp(a=lambda g, in_shape, axis, norm: real(dft(_resized(g, in_shape[axis], axis), axes=(axis,), norm=norm)))


@op(linear=["a"])
def real_inverse(a: Array, *, n: int, axis: int, norm: str | None = None) -> Array:
    """y = the n real numbers with the transform a at the frequencies from 0 to n / 2.

    a' = w conj(half_dft(g)) with the same factor, where w is 2 for the frequencies that count twice: all but 0 and n / 2.
    """
    return np.fft.irfft(a, n, axis, norm)  # type: ignore[arg-type]


def _real_inverse_rule(g: Array, n: int, axis: int, norm: str | None) -> Array:
    twice = np.full(n // 2 + 1, 2, g.dtype)
    twice[0] = 1
    if n % 2 == 0:
        twice[-1] = 1
    shape = [1] * g.ndim
    shape[axis] = -1
    return conj(half_dft(g, axis=axis, norm=SWAPPED[norm])) * twice.reshape(shape)


real_inverse.vjp(a=_real_inverse_rule)


def _resized(a: Array, n: int, axis: int) -> Array:
    """`a` with n elements along an axis: the first ones, or zeros behind them."""
    size = a.shape[axis]
    if n == size:
        return a
    if n < size:
        return slice_axis(a, 0, n, axis)
    axis = normalize_axis_index(axis, a.ndim)
    return pad_constant(a, pad_width=[(0, n - size if i == axis else 0) for i in range(a.ndim)])


def _array(a: Array) -> Any:
    return a if hasattr(a, "shape") else np.asarray(a)


def _check(name: str, norm: str | None) -> None:
    if norm not in SWAPPED:
        raise ValueError(f"{name}: `norm` is {norm!r:.60}; it must be 'backward', 'ortho' or 'forward'")


def _length(name: str, n: Any, default: int) -> int:
    found = default if n is None else index(n)
    if found < 1:
        raise ValueError(f"{name}: there are {found} points; a transform needs 1 at least")
    return found


def _along_one(a: Array, n: int | None, axis: int, norm: str | None, name: str, inverse: bool) -> Any:
    a = _array(a)
    _check(name, norm)
    axis = normalize_axis_index(axis, a.ndim)
    return dft(_resized(a, _length(name, n, a.shape[axis]), axis), axes=(axis,), inverse=inverse, norm=norm)


@implements(np.fft.fft)
def fft(a: Array, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """y_k = sum over j of a_j e^(-2 pi i j k / n), along an axis.   a' = the same of g, and its real part for a real a.

    Args:
        a: real or complex.
        n: the number of points: `a` is cut to it, or continued by zeros.
        axis: the axis.
        norm: the factor of the sum: 1 for "backward" or None, 1 / sqrt(n) for "ortho", 1 / n for "forward".

    Returns:
        complex64 for float32 and complex64, else complex128.

    Raises:
        ValueError: for another `norm`, or fewer than one point.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor([1.0, 2.0, 4.0], requires_grad=True)
    >>> (abs(tg.fft.fft(x)) ** 2).sum().backward()  # 3 times the sum of squares
    >>> [round(g) for g in x.grad.tolist()]
    [6, 12, 24]
    """
    return _along_one(a, n, axis, norm, "fft", False)  # type: ignore[no-any-return]


@implements(np.fft.ifft)
def ifft(a: Array, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of :func:`fft`: y_j = 1/n sum of a_k e^(2 pi i j k / n).   a' = the same of g. Arguments are those of fft.

    `norm` belongs to the pair: the factor is 1 / n for "backward", 1 / sqrt(n) for "ortho", 1 for "forward".
    """
    return _along_one(a, n, axis, norm, "ifft", True)  # type: ignore[no-any-return]


@implements(np.fft.rfft)
def rfft(a: Array, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The first n // 2 + 1 elements of :func:`fft` of real numbers, which have the others as conjugates.

    a' = the real part of the transform of g, which is 0 for the other elements.

    Raises:
        TypeError: if `a` is complex.
        ValueError: as for fft.
    """
    a = _array(a)
    _check("rfft", norm)
    if a.dtype.kind == "c":
        raise TypeError(f"rfft: `a` is {a.dtype}; it must be real: use fft, or rfft of its real part")
    axis = normalize_axis_index(axis, a.ndim)
    return half_dft(_resized(a, _length("rfft", n, a.shape[axis]), axis), axis=axis, norm=norm)


@implements(np.fft.irfft)
def irfft(a: Array, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of :func:`rfft`: n real numbers, 2 (m - 1) by default for m frequencies.

    a' = w conj(rfft(g)) with the factor of this transform, and w = 2 but for the frequencies 0 and n / 2, whose imaginary parts
    have no effect.
    """
    a = _array(a)
    _check("irfft", norm)
    axis = normalize_axis_index(axis, a.ndim)
    n = _length("irfft", n, 2 * (a.shape[axis] - 1))
    a = astype(a, np.result_type(a.dtype, np.complex64))
    return real_inverse(_resized(a, n // 2 + 1, axis), n=n, axis=axis, norm=norm)


@implements(np.fft.hfft)
def hfft(a: Array, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """:func:`fft` of n numbers whose second half is the conjugate of the first, a: n real numbers, 2 (m - 1) by default."""
    _check("hfft", norm)
    return irfft(conj(a), n, axis, SWAPPED[norm])


@implements(np.fft.ihfft)
def ihfft(a: Array, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of :func:`hfft`: the first n // 2 + 1 elements of :func:`ifft` of real numbers."""
    _check("ihfft", norm)
    return conj(rfft(a, n, axis, SWAPPED[norm]))


def _sizes(name: str, a: Any, s: Sequence[int] | None, axes: Axis, norm: str | None) -> tuple[list[int], list[int]]:
    """The number of points along each axis, and the axes: by default all, or as many of the last ones as `s` has."""
    _check(name, norm)
    if axes is None:
        axes = range(a.ndim) if s is None else range(-len(s), 0)
    places = [normalize_axis_index(index(i), a.ndim) for i in (axes if isinstance(axes, Sequence) else (axes,))]
    if s is not None and len(s) != len(places):
        raise ValueError(f"{name}: `s` is {tuple(s)} and `axes` {tuple(places)}; they must be as long")
    wanted = [None] * len(places) if s is None else [None if n == -1 else n for n in s]
    return [_length(name, n, a.shape[i]) for n, i in zip(wanted, places, strict=True)], places


def _along_several(name: str, a: Array, s: Any, axes: Axis, norm: str | None, inverse: bool) -> Any:
    a = _array(a)
    sizes, places = _sizes(name, a, s, axes, norm)
    for n, i in zip(sizes, places, strict=True):
        a = _resized(a, n, i)
    return dft(a, axes=tuple(places), inverse=inverse, norm=norm)


@implements(np.fft.fftn)
def fftn(a: Array, s: Sequence[int] | None = None, axes: Axis = None, norm: str | None = None) -> Tensor:
    """:func:`fft` along several axes.   a' = the same of g.

    Args:
        a: real or complex.
        s: the number of points along each axis; -1 for the size of `a`.
        axes: all by default, or the last ones, as many as `s` has.
        norm: as for fft.

    Raises:
        ValueError: as for fft, and if `s` and `axes` differ in length.
    """
    return _along_several("fftn", a, s, axes, norm, False)  # type: ignore[no-any-return]


@implements(np.fft.ifftn)
def ifftn(a: Array, s: Sequence[int] | None = None, axes: Axis = None, norm: str | None = None) -> Tensor:
    """The inverse of :func:`fftn`, with its arguments.   a' = the same of g."""
    return _along_several("ifftn", a, s, axes, norm, True)  # type: ignore[no-any-return]


@implements(np.fft.fft2)
def fft2(a: Array, s: Sequence[int] | None = None, axes: Axis = (-2, -1), norm: str | None = None) -> Tensor:
    """:func:`fftn` along the last two axes."""
    return _along_several("fft2", a, s, axes, norm, False)  # type: ignore[no-any-return]


@implements(np.fft.ifft2)
def ifft2(a: Array, s: Sequence[int] | None = None, axes: Axis = (-2, -1), norm: str | None = None) -> Tensor:
    """:func:`ifftn` along the last two axes."""
    return _along_several("ifft2", a, s, axes, norm, True)  # type: ignore[no-any-return]


@implements(np.fft.rfftn)
def rfftn(a: Array, s: Sequence[int] | None = None, axes: Axis = None, norm: str | None = None) -> Tensor:
    """:func:`rfft` along the last of the axes, then :func:`fft` along the others; arguments as for :func:`fftn`."""
    return _real("rfftn", a, s, axes, norm)


@implements(np.fft.rfft2)
def rfft2(a: Array, s: Sequence[int] | None = None, axes: Axis = (-2, -1), norm: str | None = None) -> Tensor:
    """:func:`rfftn` along the last two axes."""
    return _real("rfft2", a, s, axes, norm)


def _real(name: str, a: Array, s: Any, axes: Axis, norm: str | None) -> Tensor:
    sizes, places = _sizes(name, a := _array(a), s, axes, norm)
    if not places:
        raise ValueError(f"{name}: there are no axes; there must be one at least")
    y: Any = rfft(a, sizes[-1], places[-1], norm)
    return fftn(y, sizes[:-1], places[:-1], norm) if places[1:] else y


@implements(np.fft.irfftn)
def irfftn(a: Array, s: Sequence[int] | None = None, axes: Axis = None, norm: str | None = None) -> Tensor:
    """The inverse of :func:`rfftn`: real numbers; `s` says how many, and is 2 (m - 1) by default along the last axis."""
    return _real_inverse("irfftn", a, s, axes, norm)


@implements(np.fft.irfft2)
def irfft2(a: Array, s: Sequence[int] | None = None, axes: Axis = (-2, -1), norm: str | None = None) -> Tensor:
    """:func:`irfftn` along the last two axes."""
    return _real_inverse("irfft2", a, s, axes, norm)


def _real_inverse(name: str, a: Array, s: Any, axes: Axis, norm: str | None) -> Tensor:
    sizes, places = _sizes(name, a := _array(a), s, axes, norm)
    if not places:
        raise ValueError(f"{name}: there are no axes; there must be one at least")
    last = 2 * (a.shape[places[-1]] - 1) if s is None or s[-1] == -1 else sizes[-1]
    y: Any = ifftn(a, sizes[:-1], places[:-1], norm) if places[1:] else a
    return irfft(y, last, places[-1], norm)


def _shifted(x: Array, axes: Axis, steps: Callable[[int], int]) -> Tensor:
    x = _array(x)
    places = range(x.ndim) if axes is None else axes if isinstance(axes, Sequence) else (axes,)
    return roll(x, shift=tuple(steps(x.shape[i]) for i in places), axis=tuple(places))


@implements(np.fft.fftshift)
def fftshift(x: Array, axes: Axis = None) -> Tensor:
    """y = x rolled by n // 2 along `axes`, all by default: frequency 0 comes to the middle.   x' = g rolled back."""
    return _shifted(x, axes, lambda n: n // 2)


@implements(np.fft.ifftshift)
def ifftshift(x: Array, axes: Axis = None) -> Tensor:
    """The inverse of :func:`fftshift`."""
    return _shifted(x, axes, lambda n: -(n // 2))


def fftfreq(n: int, d: float = 1.0) -> Any:
    """The frequencies of :func:`fft` of n samples at a distance d, as an array: numpy.fft.fftfreq."""
    return np.fft.fftfreq(n, d)


def rfftfreq(n: int, d: float = 1.0) -> Any:
    """The frequencies of :func:`rfft` of n samples at a distance d, as an array: numpy.fft.rfftfreq."""
    return np.fft.rfftfreq(n, d)
