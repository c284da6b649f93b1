"""Large arrays cut into parts for several threads, for kernels that treat each element or each image independently."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .task import Call, Work, buffered, halved
from .threads import each

LARGE = 3 << 18
"""From this many elements on, waking the threads pays off."""

SMALL = 1 << 17
"""Smaller arrays are not worth preparing in parts."""

PARTS = 4
"""Few, because threads wait for each other at every call from Python; more than two, because one thread may be late."""


def by_images(work: Callable[..., object], out: np.ndarray, *arrays: np.ndarray) -> Callable[[], np.ndarray]:
    """A task that calls work(out, *arrays), which fills `out`; large arrays are cut along the batch axis."""
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


def shared(work: Callable[..., object], out: np.ndarray, *arrays: np.ndarray) -> Callable[[], np.ndarray]:
    """A task that calls work(*arrays) on parts of the arrays, which writes to `out`, and returns `out`.

    The cut is along the outermost axis in the memory of the first array. An array of another length along that axis, such as a
    number, is passed to every part.
    """
    first = arrays[0]
    axis = max(range(first.ndim), key=lambda i: (first.shape[i] > 1, first.strides[i]))
    length = first.shape[axis]
    step = -(-length // PARTS)
    cuts = [(*(slice(None),) * axis, slice(i, min(i + step, length))) for i in range(0, length, step)]
    is_cut = [a.ndim > axis and a.shape[axis] == length for a in arrays]
    parts = [tuple(a[cut] if yes else a for a, yes in zip(arrays, is_cut, strict=True)) for cut in cuts]

    def task() -> np.ndarray:
        each(lambda part: work(*part), parts)
        return out

    return task
