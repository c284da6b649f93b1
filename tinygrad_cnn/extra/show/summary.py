"""Summaries of arrays on a page: the numbers if they are few, else moments, a histogram and a picture."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...scope import silent
from .png import picture

FEW = 64
"""The most elements that are shown as numbers."""

CHUNK = 1 << 18
"""The number of elements of a large array that are processed at a time."""

SAMPLE = 1 << 16
"""The most elements that a histogram counts."""

BINS = 24


def summarize(array: NDArray[Any], kind: str = "op", pictures: bool = True) -> dict[str, Any]:
    """The summary of an array, in plain Python numbers. It has the elements only of arrays of up to FEW elements.

    Returns:
        "size", "nan" and "inf", the counts of those elements; "values", nested lists, or None if there are more than FEW
        elements. With more than one element also "mean", "std", "min" and "max" of the finite elements, None if there are
        none, to seven digits; "norm", their Euclidean norm; "zeros", the share of elements that are 0; "histogram", a dict of
        "low", "high", "counts" and "sampled", whether it is made of some elements only, or None for few elements; and
        "picture", a PNG as a data URL, or None.
    """
    if array.dtype.kind == "c":
        array = np.abs(array)
    if array.size == 1:
        value = array.item()
        number = float(value)
        return {"size": 1, "nan": int(math.isnan(number)), "inf": int(math.isinf(number)), "values": _short(array)}
    return {
        "size": array.size,
        **_moments(array),
        "values": _short(array) if array.size <= FEW else None,
        "picture": picture(array, kind) if pictures and array.size > BINS else None,
    }


def _short(array: NDArray[Any]) -> Any:
    """Nested lists; floats other than float64 with as few digits as identify them."""
    if array.dtype.kind == "f" and array.dtype != np.float64:
        return np.array([float(str(v)) for v in array.ravel()], np.float64).reshape(array.shape).tolist()
    return array.tolist()


def rounded(x: float) -> float:
    """x to seven significant digits."""
    return float(f"{x:.7g}")


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """The elements in memory order, without a copy if the array is contiguous."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    return array.transpose(np.argsort([-abs(s) for s in array.strides], kind="stable")).reshape(-1)


def _moments(array: NDArray[Any]) -> dict[str, Any]:
    flat = _flat(array)
    nan, inf, zeros, count, mean, spread, low, high = _few(flat) if flat.size <= FEW else _many(flat)
    known = count > 0
    std = math.sqrt(spread / count) if known else 0.0
    return {
        "nan": nan,
        "inf": inf,
        "zeros": rounded(zeros / array.size if array.size else 0.0),
        "mean": rounded(mean) if known else None,
        "std": rounded(std) if known else None,
        "min": rounded(low) if known else None,
        "max": rounded(high) if known else None,
        "norm": rounded(math.hypot(mean, std) * math.sqrt(count)) if known else 0.0,
        "histogram": histogram(flat, low, high) if known else None,
    }


Counts: TypeAlias = tuple[int, int, int, int, float, float, float, float]
"""How many elements are NaN, infinite, 0 and finite; of the finite ones the mean, the sum of squares around it, the least and
the largest."""


def _few(flat: NDArray[Any]) -> Counts:
    """In Python: on few elements, ten calls of NumPy take ten times as long."""
    found = flat.astype(np.float64).tolist()
    part = [x for x in found if math.isfinite(x)]
    nan = sum(map(math.isnan, found))
    if not part:
        return nan, len(found) - nan, 0, 0, 0.0, 0.0, math.inf, -math.inf
    mean = sum(part) / len(part)
    spread = sum([(x - mean) * (x - mean) for x in part])
    return nan, len(found) - len(part) - nan, part.count(0.0), len(part), mean, spread, min(part), max(part)


def _many(flat: NDArray[Any]) -> Counts:
    count, mean, spread, zeros, nan, inf = 0, 0.0, 0.0, 0, 0, 0
    low, high = math.inf, -math.inf
    with silent:
        for start in range(0, flat.size, CHUNK):
            part = flat[start : start + CHUNK].astype(np.float64)
            finite = np.isfinite(part)
            if not finite.all():
                missing = int(np.isnan(part).sum())
                nan += missing
                inf += part.size - int(finite.sum()) - missing
                part = part[finite]
            if not part.size:
                continue
            zeros += part.size - int(np.count_nonzero(part))
            low, high = min(low, float(part.min())), max(high, float(part.max()))
            own = float(part.mean())
            delta = own - mean  # Chan, Golub and LeVeque, "Updating formulae", 1979
            spread += float(np.square(part - own).sum()) + delta * delta * count * part.size / (count + part.size)
            mean += delta * part.size / (count + part.size)
            count += part.size
    return nan, inf, zeros, count, mean, spread, low, high


def histogram(flat: NDArray[Any], low: float, high: float) -> dict[str, Any] | None:
    """The counts of elements in bins from the lowest to the highest; None if there are few, or the range is not finite."""
    if flat.size <= BINS // 2 or not math.isfinite(high - low):
        return None
    step = -(-flat.size // SAMPLE)
    some = flat[:: step | 1] if step > 1 else flat  # odd, so that the sample has all channels
    some = some[np.isfinite(some)].astype(np.float64)
    if high > low:
        bins = ((some - low) * (BINS / (high - low))).astype(np.intp)  # faster than np.histogram, for many small arrays
    else:
        bins = np.full(some.shape, BINS // 2)
    counts = np.bincount(np.minimum(bins, BINS - 1), minlength=BINS)
    return {"low": rounded(low), "high": rounded(high), "counts": counts.tolist(), "sampled": step > 1}
