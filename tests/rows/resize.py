"""Rows for ops/resize.py, against loops over the elements of the result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import resize as ops
from tinygrad_cnn.testing.cases import Arg, Case

from .grid_sample import FAR, keys


def _line(x: NDArray[Any], m: int, r: float, mode: str, align_corners: bool) -> NDArray[Any]:
    """The last axis resized to m elements."""
    n, y = x.shape[-1], np.zeros((*x.shape[:-1], m))
    for i in range(m):
        if mode == "area":
            y[..., i] = x[..., i * n // m : -(-(i + 1) * n // m)].mean(-1)
            continue
        place = i * r if mode == "nearest" else (i + 0.5) * r - (mode != "nearest-exact") / 2
        if align_corners:
            place = i * (n - 1) / (m - 1) if m > 1 else 0
        if mode == "bicubic":
            wide = np.pad(x, [*[(0, 0)] * (x.ndim - 1), (FAR, FAR)], "edge")
            y[..., i] = wide @ keys(place - np.arange(-FAR, n + FAR))
            continue
        place = max(place, 0)
        j = min(math.floor(place + 1e-9), n - 1)
        t = 0 if mode.startswith("nearest") else max(place - j, 0)
        y[..., i] = (1 - t) * x[..., j] + t * x[..., min(j + 1, n - 1)]
    return y


def naive_interpolate(
    x: NDArray[Any], size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> NDArray[Any]:  # fmt: skip
    """Interpolation by its definition, one element at a time along each axis."""
    given = size if scale_factor is None else scale_factor
    for axis, v in enumerate(given if isinstance(given, tuple) else (given,) * (x.ndim - 2), start=2):
        n = x.shape[axis]
        m = v if scale_factor is None else math.floor(n * v)
        r = n / m if scale_factor is None else 1 / v
        x = np.moveaxis(_line(np.moveaxis(x, axis, -1), m, r, mode, bool(align_corners)), -1, axis)
    return x


def _resample(x: NDArray[Any], axis: int, size: int, taps: Any) -> NDArray[Any]:
    matrix = np.zeros((size, x.shape[axis]))
    for t, s, w in zip(*taps, strict=True):
        matrix[t, s] += w
    return np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)


def naive_shuffle(x: NDArray[Any], upscale_factor: int) -> NDArray[Any]:
    """pixel_shuffle by its definition."""
    r, (c, h, w) = upscale_factor, x.shape[-3:]
    y = np.zeros((*x.shape[:-3], c // r**2, h * r, w * r))
    for ch, i, j in np.ndindex(*y.shape[-3:]):
        y[..., ch, i, j] = x[..., ch * r * r + i % r * r + j % r, i // r, j // r]
    return y


def naive_unshuffle(x: NDArray[Any], downscale_factor: int) -> NDArray[Any]:
    """pixel_unshuffle by its definition."""
    r, (c, h, w) = downscale_factor, x.shape[-3:]
    y = np.zeros((*x.shape[:-3], c * r * r, h // r, w // r))
    for ch, i, j in np.ndindex(c, h, w):
        y[..., ch * r * r + i % r * r + j % r, i // r, j // r] = x[..., ch, i, j]
    return y


TAPS = (np.array([0, 2, 2, 0, 2]), np.array([1, 0, 1, 1, 2]), np.array([0.5, 2.0, -1.0, 0.25, 1.0]))
LINE, IMAGE, VOLUME = (2, 1, 5), (1, 2, 3, 4), (1, 1, 2, 3, 2)

CASES = [
    Case(ops.resample, (Arg((2, 3, 2)),), _resample, {"axis": 1, "size": 4, "taps": TAPS}),
    Case(ops.interpolate, (Arg(LINE),), naive_interpolate, {"size": 7}),
    Case(ops.interpolate, (Arg(IMAGE),), naive_interpolate, {"scale_factor": (2, 0.5)}),
    Case(ops.interpolate, (Arg(VOLUME),), naive_interpolate, {"scale_factor": 1.5, "mode": "trilinear"}),
    Case(ops.interpolate, (Arg(IMAGE),), naive_interpolate, {"size": (5, 2), "mode": "bilinear"}),
    Case(ops.interpolate, (Arg(IMAGE),), naive_interpolate,
         {"size": (5, 1), "mode": "bilinear", "align_corners": True}),
    Case(ops.interpolate, (Arg(LINE),), naive_interpolate, {"scale_factor": 0.7, "mode": "linear"}),
    *(
        Case(ops.interpolate, (Arg(IMAGE),), naive_interpolate, {"mode": mode, **how})
        for mode, how in (
            ("nearest-exact", {"size": (5, 2)}), ("nearest-exact", {"scale_factor": 1.7}), ("area", {"size": (2, 5)}),
            ("bicubic", {"size": (5, 2)}), ("bicubic", {"scale_factor": 0.7}),
            ("bicubic", {"size": (2, 7), "align_corners": True}),
        )
    ),
    Case(ops.interpolate, (Arg(VOLUME),), naive_interpolate, {"size": 2, "mode": "area"}),
    Case(ops.pixel_shuffle, (Arg((1, 8, 1, 2)),), naive_shuffle, {"upscale_factor": 2}),
    Case(ops.pixel_unshuffle, (Arg((2, 6, 3)),), naive_unshuffle, {"downscale_factor": 3}),
]  # fmt: skip
