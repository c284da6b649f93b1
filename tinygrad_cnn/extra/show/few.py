"""Summaries of many arrays of few elements, made together: one by one, NumPy's calls take longer than their elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...scope import silent
from .png import matrices

BINS = 24

TOGETHER = 1 << 16
"""The most elements that are processed at a time."""

POWERS = np.array([float(f"1e{n}") for n in range(23)])
"""The powers of ten that are exact."""


def rounded(x: float) -> float:
    """x to seven significant digits."""
    return float(f"{x:.7g}")


def complete(arrays: Sequence[NDArray[Any]], summaries: Sequence[dict[str, Any]], drawn: bool) -> None:
    """Write into the summaries what they say of these arrays, which have one shape and dtype. `drawn`: pictures, too."""
    n = max(1, TOGETHER // max(1, arrays[0].size))
    for start in range(0, len(arrays), n):
        with silent:
            _complete(np.stack(arrays[start : start + n]), summaries[start : start + n], drawn)


def _complete(arrays: NDArray[Any], summaries: Sequence[dict[str, Any]], drawn: bool) -> None:
    x = arrays.reshape(len(arrays), -1).astype(np.float64)  # a row for each array
    finite = np.isfinite(x)
    count = np.count_nonzero(finite, 1)
    nan = np.count_nonzero(np.isnan(x), 1)
    mean = np.where(finite, x, 0).sum(1) / count
    std = np.sqrt(np.square(np.where(finite, x - mean[:, None], 0)).sum(1) / count)
    low = np.where(finite, x, np.inf).min(1, initial=np.inf)
    high = np.where(finite, x, -np.inf).max(1, initial=-np.inf)
    counts = {
        "nan": nan, "inf": x.shape[1] - count - nan, "zeros": np.count_nonzero(x == 0, 1) / max(1, x.shape[1])
    }  # fmt: skip
    moments = {"mean": mean, "std": std, "min": low, "max": high, "norm": np.hypot(mean, std) * np.sqrt(count)}
    found: dict[str, list[Any]] = {name: each.tolist() for name, each in (counts | moments).items()}
    for name in ("zeros", *moments):
        found[name] = _rounded((counts | moments)[name])
    for i in np.flatnonzero(count == 0).tolist():
        for name in moments:
            found[name][i] = None
    found["norm"] = [0.0 if v is None else v for v in found["norm"]]
    found["histogram"] = _histograms(x, finite, low, high, found["min"], found["max"])
    found["values"] = shortest(arrays).tolist()
    if drawn:
        found["picture"] = matrices(x.reshape(arrays.shape))
    for summary, values in zip(summaries, zip(*found.values(), strict=True), strict=True):
        summary.update(zip(found, values, strict=True))


def _histograms(
    x: NDArray[Any], finite: NDArray[Any], low: NDArray[Any], high: NDArray[Any], least: list[Any], most: list[Any]
) -> list[Any]:
    """For each row, as ``summary.histogram`` of one array; `least` and `most` are its ends to seven digits."""
    width = high - low
    if x.shape[1] <= BINS // 2:
        return [None] * len(x)
    at = np.where((width > 0)[:, None], (x - low[:, None]) * (BINS / width)[:, None], BINS // 2)
    bins = np.where(finite & np.isfinite(width)[:, None], np.minimum(at, BINS - 1), BINS).astype(np.intp)
    bins += np.arange(len(x))[:, None] * (BINS + 1)  # each row has one more, which counts what is not finite
    counts = np.bincount(bins.reshape(-1), minlength=len(x) * (BINS + 1)).reshape(len(x), -1)[:, :BINS].tolist()
    return [
        {"low": a, "high": b, "counts": each, "sampled": False} if bounded else None
        for a, b, each, bounded in zip(least, most, counts, np.isfinite(width).tolist(), strict=True)
    ]


def _rounded(x: NDArray[Any]) -> list[float]:
    """:func:`rounded` of each number."""
    power, easy = _power(x)
    found: list[float] = _decimal(x, 6 - power).tolist()
    for i in np.flatnonzero(~easy).tolist():
        found[i] = rounded(float(x[i]))
    return found


def _power(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The powers of ten of the first digits, and where they are such that :func:`_decimal` is right for them."""
    size = np.abs(x)
    easy = (size > 1e-13) & (size < 1e13)
    return np.floor(np.log10(size, out=np.zeros_like(size), where=easy)).astype(np.intp), easy


def _decimal(x: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """x rounded to so many places behind the point."""
    up, down = POWERS[np.clip(places, 0, 22)], POWERS[np.clip(-places, 0, 22)]
    return np.asarray(np.rint(x * up / down) / up * down)


def shortest(x: NDArray[Any]) -> NDArray[Any]:
    """x; floats as float64 whose decimals are the fewest that identify them in the dtype of x."""
    if x.dtype.kind != "f" or x.dtype.itemsize >= 8:
        return x.astype(np.float64) if x.dtype.kind == "f" else x
    wide = x.astype(np.float64)
    y, (power, left) = wide.copy(), _power(wide)
    left &= np.abs(wide) >= np.finfo(x.dtype).tiny  # smaller ones have fewer digits
    hard = np.isfinite(wide) & ~left & (wide != 0)
    digits = np.finfo(x.dtype).precision  # of any decimal number that the dtype distinguishes
    for n in range(digits, digits + 4):
        decimal = _decimal(wide, n - 1 - power)
        same = left & (decimal.astype(x.dtype) == x)
        np.copyto(y, decimal, where=same)
        left &= ~same
        if n == digits:  # a power of two has more room above than below, so rounding may miss the fewest digits
            hard |= left & (np.abs(np.frexp(wide)[0]) == 0.5)
    y[hard] = [float(str(v)) for v in x[hard]]
    return y
