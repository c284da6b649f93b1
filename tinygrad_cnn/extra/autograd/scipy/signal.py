"""``convolve``: convolutions along chosen axes, with sums over others."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import numpy as onp
from scipy import signal as _signal

from .. import numpy as np
from ..trees import holds

__all__ = ["convolve"]

Axes = Sequence[Sequence[int]]


def convolve(A: Any, B: Any, axes: Axes | None = None, dot_axes: Axes = ((), ()), mode: str = "full") -> Any:
    """The convolution of A and B along pairs of axes, summed over products along other pairs.

    Args:
        A, B: the arrays.
        axes: a list of axes of A, and one of B, to be convolved; by default all axes that are not in `dot_axes`.
        dot_axes: a list of axes of A, and one of B, over which products are summed.
        mode: "full", with every element that some pair of elements contributes to; "same", its middle of the size of A; or
            "valid", only those where the smaller array lies inside the larger one.

    Returns:
        An array with the other axes of A, the other axes of B, and the convolved axes.

    Raises:
        ValueError: for another mode, or axes that do not pair up.
    """
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolve: `mode` is {mode!r}; it must be 'full', 'same' or 'valid'")
    ndim = onp.ndim(A), onp.ndim(B)
    dots = [[i % n for i in chosen] for chosen, n in zip(dot_axes, ndim, strict=True)]
    given = axes or [[i for i in range(n) if i not in d] for n, d in zip(ndim, dots, strict=True)]
    along = [[i % n for i in chosen] for chosen, n in zip(given, ndim, strict=True)]
    if len(along[0]) != len(along[1]) or len(dots[0]) != len(dots[1]):
        raise ValueError(f"convolve: `axes` {given} and `dot_axes` {dot_axes} must name as many axes of A as of B")
    if not holds((A, B)) and ndim[0] == ndim[1] and along[0] == along[1] == [*range(ndim[0])]:
        return _signal.convolve(A, B, mode)
    A, B = np.asarray(A), np.asarray(B)
    letters = iter(ascii_letters)
    names: list[list[str]] = [[next(letters) for _ in range(n)] for n in ndim]
    for i, j in zip(*dots, strict=True):
        names[1][j] = names[0][i]
    kept = [[names[k][i] for i in range(ndim[k]) if i not in dots[k] + along[k]] for k in (0, 1)]
    larger, smaller = 0, 1
    sizes = [[x.shape[i] for i in chosen] for x, chosen in zip((A, B), along, strict=True)]
    if mode == "valid" and any(n < m for n, m in zip(*sizes, strict=True)):
        if any(n > m for n, m in zip(*sizes, strict=True)):
            raise ValueError("convolve: with mode 'valid', one array must be the larger one along all axes")
        larger, smaller = 1, 0
    arrays, outputs = [A, B], []
    x, y = arrays[larger], arrays[smaller]
    x_names = list(names[larger])
    for i, j in zip(along[larger], along[smaller], strict=True):
        m = y.shape[j]
        place = x_names.index(names[larger][i])
        if mode != "valid":
            x = np.pad(x, [(m - 1, m - 1) if axis == place else (0, 0) for axis in range(x.ndim)])
        count = x.shape[place] - m + 1
        windows = onp.arange(count)[:, None] + onp.arange(m)[::-1]
        x = x[(*(slice(None),) * place, windows)]
        outputs.append(next(letters))
        x_names[place : place + 1] = [outputs[-1], names[smaller][j]]
    subscripts = f"{''.join(x_names)},{''.join(names[smaller])}->{''.join(kept[0] + kept[1] + outputs)}"
    result = np.einsum(subscripts, x, y)
    if mode == "same":
        starts = [(m - 1) // 2 for m in sizes[1]]
        result = result[(..., *(slice(start, start + n) for start, n in zip(starts, sizes[0], strict=True)))]
    return result
