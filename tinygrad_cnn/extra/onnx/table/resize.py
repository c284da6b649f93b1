"""Interpolation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import elementwise as e
from ....ops import resize as z
from .base import Structural, bounded, dtype_of, integers, reads, refuse, values, writes


@reads("Upsample")
def _upsample(x: Array, scales: Structural, *, mode: str = "nearest") -> Array:
    return _resize(x, None, scales, mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@reads("Resize")
def _resize_row(
    x: Array, roi: Structural = None, scales: Structural = None, sizes: Structural = None, *, antialias: int = 0,
    axes: Sequence[int] | None = None, coordinate_transformation_mode: str = "half_pixel", cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0, extrapolation_value: float = 0.0, keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest", nearest_mode: str = "round_prefer_floor", opset: int,
) -> Array:  # fmt: skip
    if opset == 10:  # then the inputs were x and scales
        return _resize(x, None, roi, mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    return _resize(
        x, roi, scales, sizes, antialias=antialias, axes=axes, coordinate_transformation_mode=coordinate_transformation_mode,
        cubic_coeff_a=cubic_coeff_a, exclude_outside=exclude_outside, extrapolation_value=extrapolation_value,
        keep_aspect_ratio_policy=keep_aspect_ratio_policy, mode=mode, nearest_mode=nearest_mode,
    )  # fmt: skip


def _resize(
    x: Array, roi: Any = None, scales: Any = None, sizes: Any = None, *, antialias: int = 0,
    axes: Sequence[int] | None = None, coordinate_transformation_mode: str, cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0, extrapolation_value: float = 0.0, keep_aspect_ratio_policy: str = "stretch", mode: str,
    nearest_mode: str,
) -> Array:  # fmt: skip
    shape = np.shape(x)
    chosen = [i % len(shape) for i in (range(len(shape)) if axes is None else axes)]
    factors = None if scales is None else [float(f) for f in values(scales).reshape(-1)]
    if factors:
        refuse(len(factors) != len(chosen) or min(factors) <= 0, f"`scales` is {factors} for {len(chosen)} axes")
        out = [math.floor(np.float32(shape[i]) * np.float32(f)) for i, f in zip(chosen, factors, strict=True)]
    else:
        refuse(sizes is None, "it has neither `scales` nor `sizes`")
        out = list(integers(sizes))
        refuse(len(out) != len(chosen), f"`sizes` is {out} for {len(chosen)} axes")
        factors = [m / (shape[i] or 1) for i, m in zip(chosen, out, strict=True)]
        if keep_aspect_ratio_policy != "stretch":
            factors = [(min if keep_aspect_ratio_policy == "not_larger" else max)(factors)] * len(chosen)
            out = [math.floor(shape[i] * f + 0.5) for i, f in zip(chosen, factors, strict=True)]
    bounded(out, "Resize")
    corners = [] if roi is None else values(roi).reshape(-1).tolist()
    y = x if dtype_of(x).kind == "f" else x.astype(np.float32)
    for at, (axis, m, f) in enumerate(zip(chosen, out, factors, strict=True)):
        n = shape[axis]
        crop = coordinate_transformation_mode == "tf_crop_and_resize"
        if m == n and f == 1 and not crop:
            continue
        refuse(not n and bool(m), f"axis {axis} of {shape} has no element to resize")
        window = (0.0, 1.0)
        if crop:
            refuse(len(corners) != 2 * len(chosen), "`roi` must have two numbers for each axis")
            window = (corners[at], corners[len(chosen) + at])
        places = _places(coordinate_transformation_mode, n, m, f, window)
        y = z.resample(
            y,
            axis=axis,
            size=m,
            taps=_taps(places, n, f, mode, nearest_mode, cubic_coeff_a, exclude_outside, antialias),
        )
        if crop:
            beyond = (places < 0) | (places > n - 1)
            y = e.where(beyond.reshape(-1, *(1,) * (len(shape) - 1 - axis)), extrapolation_value, y)
    return y if dtype_of(y) == dtype_of(x) else y.astype(dtype_of(x))


def _places(mode: str, n: int, m: int, f: float, window: tuple[float, float]) -> np.ndarray:
    """For each of m output positions, the position among n elements, for a scale f."""
    i = np.arange(m, dtype=np.float64)
    if mode == "half_pixel":
        return (i + 0.5) / f - 0.5
    if mode == "half_pixel_symmetric":
        adjustment = m / (n * f)
        return n / 2 * (1 - adjustment) + (i + 0.5) / f - 0.5
    if mode == "pytorch_half_pixel":
        return (i + 0.5) / f - 0.5 if m > 1 else np.zeros(1)
    if mode == "align_corners":
        refuse(
            abs(n * f - m) > 1e-4 * m,  # where ONNX's definition counts a fraction of an element, and runtimes do not
            f"corners are aligned for the scale {f:g} of {n} elements, which is not a whole number of them; give `sizes`",
        )
        return i * (n - 1) / (m - 1) if m > 1 else np.zeros(m)
    if mode == "asymmetric":
        return i / f
    if mode == "tf_half_pixel_for_nn":
        return (i + 0.5) / f
    refuse(mode != "tf_crop_and_resize", f"`coordinate_transformation_mode` is {mode!r}, which is none of ONNX's")
    start, end = window
    if m > 1:
        return start * (n - 1) + i * (end - start) * (n - 1) / (m - 1)
    return np.full(m, 0.5 * (start + end) * (n - 1))


def _taps(
    places: np.ndarray, n: int, f: float, mode: str, nearest_mode: str, a: float, exclude_outside: int, antialias: int
) -> Any:
    """The elements that each position uses, and their weights."""
    i = np.arange(len(places))
    if mode == "nearest":
        return i, np.clip(_nearest(places, nearest_mode), 0, n - 1), np.ones(len(places), bool)
    refuse(mode not in ("linear", "cubic"), f"`mode` is {mode!r}; it must be nearest, linear or cubic")
    width = min(f, 1.0) if antialias else 1.0
    reach = (1 if mode == "linear" else 2) / width
    first = np.floor(places - reach).astype(np.int64) + 1
    first = np.where(places - first >= reach, first + 1, first)
    span = np.arange(math.ceil(2 * reach) + 1)
    sources = first[:, None] + span
    distance = np.abs(places[:, None] - sources) * width
    weights = np.maximum(1 - distance, 0) if mode == "linear" else _cubic(distance, a)
    if exclude_outside:
        weights = np.where((sources < 0) | (sources >= n), 0, weights)
    total = weights.sum(1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    targets = np.broadcast_to(i[:, None], sources.shape)
    used = weights != 0
    return targets[used], np.clip(sources, 0, n - 1)[used], weights[used]


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    """Keys's kernel, "Cubic convolution interpolation for digital image processing", 1981."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.asarray(np.where(t <= 1, near, np.where(t < 2, far, 0)))


def _nearest(places: np.ndarray, mode: str) -> np.ndarray:
    places = np.round(places, 6)  # i / f may be just below a whole number because of rounding
    if mode == "floor":
        found = np.floor(places)
    elif mode == "ceil":
        found = np.ceil(places)
    elif mode == "round_prefer_floor":
        found = np.ceil(places - 0.5)
    else:
        refuse(mode != "round_prefer_ceil", f"`nearest_mode` is {mode!r}, which is none of ONNX's")
        found = np.floor(places + 0.5)
    return np.asarray(found, np.int64)


# Writing


def _same_taps(first: Any, second: Any) -> bool:
    """Whether the weights are the same, added up where an element is taken twice."""
    found = []
    for targets, sources, weights in (first, second):
        places, where = np.unique(np.stack([targets, sources]), axis=1, return_inverse=True)
        found.append((places, np.bincount(where.ravel(), weights)))
    (places, weights), (others, more) = found
    return np.array_equal(places, others) and np.allclose(weights, more)


RESIZES: list[tuple[str, bool, dict[str, str]]] = [
    ("nearest", False, {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}),
    ("linear", False, {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}),
    ("linear", True, {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    ("nearest-exact", False, {"nearest_mode": "round_prefer_ceil", "coordinate_transformation_mode": "half_pixel"}),
    ("bicubic", False, {"mode": "cubic", "coordinate_transformation_mode": "half_pixel"}),
    ("bicubic", True, {"mode": "cubic", "coordinate_transformation_mode": "align_corners"}),
]
"""Modes of interpolate, whether corners are aligned, and the attributes of the equal Resize."""


@writes(z.resample, varies=True)
def _write_resample(w: Any, x: Any, *, axis: Any, size: Any, taps: Any, out: Any) -> Any:
    """A Resize along one axis if the weights are those of a Resize; else a product with the matrix of weights."""
    n, ndim = x.shape[axis], len(x.shape)
    if n == size and _same_taps(taps, (np.arange(n), np.arange(n), np.ones(n, bool))):
        return x
    for mode, align, more in RESIZES:
        found = all(_same_taps(t, z.taps_of(mode, k, m, k / m, align)) for k, m, t in w.variants(x, axis, taps))
        if found and axis >= 2 and ndim <= 5:
            if not x.is_dynamic(axis):
                return w.node("Resize", x, None, None, w.shape(out), **more)
            scales = {m / k for k, m, _ in w.variants(x, axis, taps)}
            exact = len(scales) == 1 and all(float(np.float32(f)) == f for f in scales)
            w.refuse_size(not exact, "resizes an axis whose size is dynamic, not by one factor that float32 has")
            factors = np.array([scales.pop() if i == axis else 1 for i in range(ndim)], np.float32)
            return w.node("Resize", x, None, w.constant(factors), **more)
    w.refuse_size(x.is_dynamic(axis), "resizes an axis whose size is dynamic by weights of its own")
    matrix = np.zeros((n, size), out.dtype)
    np.add.at(matrix, (taps[1], taps[0]), taps[2].astype(out.dtype))
    x = w.as_dtype(x, out.dtype)
    if axis == ndim - 1:
        return w.node("MatMul", x, w.constant(matrix))
    if axis == ndim - 2:
        return w.node("MatMul", w.constant(np.ascontiguousarray(matrix.T)), x)
    order = [*(i for i in range(ndim) if i != axis), axis]
    y = w.node("MatMul", w.node("Transpose", x, perm=order), w.constant(matrix))
    return w.node("Transpose", y, perm=[int(i) for i in np.argsort(order)])
