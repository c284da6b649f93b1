"""The ``fft`` part of the standard: ``tinygrad_cnn.fft``, with its names of arguments. All of it is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import fft as _ours
from .wrapping import check_device, tensor, tensors

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft", "rfftfreq",
    "rfftn",
]  # fmt: skip


def fft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Any:
    """The discrete Fourier transform along an axis."""
    return _ours.fft(tensor(x), n, axis, norm)


def ifft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Any:
    """The inverse of :func:`fft`."""
    return _ours.ifft(tensor(x), n, axis, norm)


def fftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = "backward") -> Any:
    """The discrete Fourier transform along several axes."""
    return _ours.fftn(tensor(x), s, axes, norm)


def ifftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = "backward") -> Any:
    """The inverse of :func:`fftn`."""
    return _ours.ifftn(tensor(x), s, axes, norm)


def rfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Any:
    """The half of :func:`fft` that decides the other, for real x."""
    return _ours.rfft(tensor(x), n, axis, norm)


def irfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Any:
    """The inverse of :func:`rfft`."""
    return _ours.irfft(tensor(x), n, axis, norm)


def rfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = "backward") -> Any:
    """The half of :func:`fftn` that decides the other, for real x."""
    return _ours.rfftn(tensor(x), s, axes, norm)


def irfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = "backward") -> Any:
    """The inverse of :func:`rfftn`."""
    return _ours.irfftn(tensor(x), s, axes, norm)


def hfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Any:
    """The transform of a signal of which half is given, and whose other half is conjugate to it: a real one."""
    return _ours.hfft(tensor(x), n, axis, norm)


def ihfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Any:
    """The inverse of :func:`hfft`."""
    return _ours.ihfft(tensor(x), n, axis, norm)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the results of :func:`fft`, in cycles per unit of the distance `d` of samples."""
    check_device(device)
    return tensors(np.asarray(np.fft.fftfreq(n, d), dtype))


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the results of :func:`rfft`."""
    check_device(device)
    return tensors(np.asarray(np.fft.rfftfreq(n, d), dtype))


def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """x with frequency 0 in the middle."""
    return _ours.fftshift(tensor(x), axes)


def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The inverse of :func:`fftshift`."""
    return _ours.ifftshift(tensor(x), axes)
