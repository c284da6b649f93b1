"""Summaries of arrays on a page: the numbers if they are few, else moments, a histogram and a picture."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...scope import silent
from .few import BINS, complete, rounded
from .png import picture

FEW = 64
"""The most elements that are shown as numbers."""

CHUNK = 1 << 18
"""The number of elements of a large array that are processed at a time."""

SAMPLE = 1 << 16
"""The most elements that a histogram counts."""


class Summaries:
    """The summaries of the arrays of a page, in plain Python numbers. One has the elements of an array of up to FEW only.

    Those of few elements wait for others, and are completed by :meth:`fill`.
    """

    def __init__(self) -> None:
        self._waiting: dict[Any, list[tuple[NDArray[Any], dict[str, Any]]]] = {}  # of one shape and dtype, drawn or not

    def add(self, array: NDArray[Any], kind: str = "op") -> dict[str, Any]:
        """The summary of what an array holds now; of complex numbers, that of their moduli, with a picture of the phases, too.

        Returns:
            "size", "nan" and "inf", the counts of those elements; "values", nested lists, or None if there are more than FEW
            elements. With more than one element also "mean", "std", "min" and "max" of the finite elements, None if there are
            none, to seven digits; "norm", their Euclidean norm; "zeros", the share of elements that are 0; "histogram", a dict
            of "low", "high", "counts" and "sampled", whether it is made of some elements only, or None for few elements; and
            "picture", a PNG as a data URL, or None.
        """
        whole, drawn = array, array.size > BINS and array.ndim == 2 and array.dtype.kind != "c"
        if array.dtype.kind == "c":
            array = np.abs(array)
        if array.size == 1:
            number = float(array.item())
            return {"size": 1, "nan": int(math.isnan(number)), "inf": int(math.isinf(number)), "values": _nested(array)}
        if array.size > FEW:
            return {"size": array.size, **_moments(array), "values": None, "picture": picture(whole, kind)}
        summary: dict[str, Any] = {"size": array.size, "picture": None}
        if array.size > BINS and not drawn:
            summary["picture"] = picture(whole, kind)
        self._waiting.setdefault((array.shape, array.dtype, drawn), []).append((array.copy(), summary))
        return summary

    def fill(self) -> None:
        """Complete those that wait."""
        while self._waiting:
            (*_, drawn), pairs = self._waiting.popitem()
            complete([array for array, _ in pairs], [summary for _, summary in pairs], drawn)


def _nested(array: NDArray[Any]) -> Any:
    """The only element, in as many lists as there are axes: as of :func:`shortest`, but faster."""
    value = float(str(array.reshape(-1)[0])) if array.dtype.kind == "f" else array.item()
    for _ in array.shape:
        value = [value]
    return value


def summarize(array: NDArray[Any], kind: str = "op") -> dict[str, Any]:
    """The summary of one array: see :class:`Summaries`."""
    summaries = Summaries()
    found = summaries.add(array, kind)
    summaries.fill()
    return found


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """The elements in memory order, without a copy if the array is contiguous."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    return array.transpose(np.argsort([-abs(s) for s in array.strides], kind="stable")).reshape(-1)


def _moments(array: NDArray[Any]) -> dict[str, Any]:
    flat = _flat(array)
    nan, inf, zeros, count, mean, spread, low, high = _many(flat)
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
