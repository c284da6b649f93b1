"""Large arrays cut into parts, for as many threads as there are: for work on each element, or on each image, by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .task import Call, Work, buffered, halved
from .threads import each

LARGE = 3 << 18
"""Elements from which on it pays to wake the threads."""

SMALL = 1 << 17
"""Elements with less of which arranging work in parts is too much."""

PARTS = 4
"""Few, since the threads wait for each other at every call from Python; more than two, since one thread may be late."""


def by_images(work: Callable[..., object], out: np.ndarray, *arrays: np.ndarray) -> Callable[[], np.ndarray]:
    """A task that calls work(out, *arrays), which fills `out`: where one of them is not small, for the same images of all."""
    size = max(a.size for a in (out, *arrays))
    if size < SMALL:
        return partial(_filled, work, out, *arrays)
    parts = halved(len(out), -(-len(out) // PARTS))

    def arrange(images: slice) -> list[Call]:
        return buffered(partial(work, *(a[images] for a in (out, *arrays))))

    return Work(parts, arrange, images=parts, little=size < LARGE, out=out)


def _filled(work: Callable[..., object], out: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    work(out, *arrays)
    return out


def share(work: Callable[..., object], *arrays: np.ndarray, axis: int | None = None) -> None:
    """Call work(*arrays), on parts of the arrays where the first is large.

    They are cut along `axis`, or along the one that is outermost in the memory of the first. What is of another shape than
    the first, as a number is, goes to every part.
    """
    sharing(work, *arrays, axis=axis)()


def sharing(work: Callable[..., object], *arrays: np.ndarray, axis: int | None = None) -> Callable[[], object]:
    """:func:`share` in the same memory every time."""
    first = arrays[0]
    if first.size < LARGE:
        return partial(work, *arrays)
    if axis is None:
        axis = max(range(first.ndim), key=lambda i: (first.shape[i] > 1, first.strides[i]))
    length = first.shape[axis]
    step = -(-length // PARTS)
    lead = (slice(None),) * axis
    cuts: list[Any] = [(*lead, slice(i, min(i + step, length))) for i in range(0, length, step)]
    whole = [a.ndim > axis and a.shape[axis] == length for a in arrays]
    parts = [tuple(a[cut] if is_cut else a for a, is_cut in zip(arrays, whole, strict=True)) for cut in cuts]
    return partial(each, lambda part: work(*part), parts)
