"""Rows for ops/grid_sample.py: the whole image, continued far beyond its border, weighted by a kernel around each place."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import grid_sample as ops
from tinygrad_cnn.testing.cases import Arg, Case

FAR = 9


def keys(d: NDArray[Any], a: float = -0.75) -> NDArray[Any]:
    """Keys's cubic kernel: (a + 2) d^3 - (a + 3) d^2 + 1 and a (d^3 - 5 d^2 + 8 d - 4), whose factors do not cancel."""
    d = np.abs(d)
    near, far = (1 - d) * (1 + d - (a + 2) * d**2), a * (d - 1) * (d - 2) ** 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


KERNELS = {"nearest": lambda d: np.abs(d) < 0.5, "bilinear": lambda d: np.maximum(1 - np.abs(d), 0), "bicubic": keys}


def naive_grid_sample(
    x: NDArray[Any], grid: NDArray[Any], mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> NDArray[Any]:  # fmt: skip
    """One place at a time."""
    sizes = np.array(x.shape[2:])
    how = {"zeros": "constant", "border": "edge", "reflection": "reflect" if align_corners else "symmetric"}[
        padding_mode
    ]
    wide = np.pad(x, [(0, 0), (0, 0), *[(FAR, FAR)] * len(sizes)], how)
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for place in np.ndindex(*grid.shape[:-1]):
        share, g = wide[place[0]], (grid[place][::-1] + 1) / 2
        for n, at in zip(sizes, g * (sizes - 1) if align_corners else g * sizes - 0.5, strict=True):
            share = np.tensordot(share, KERNELS[mode](at - np.arange(-FAR, n + FAR)), (1, 0))
        y[(place[0], slice(None), *place[1:])] = share
    return y


def naive_affine_grid(theta: NDArray[Any], size: Any, align_corners: bool = False) -> NDArray[Any]:
    """One place at a time."""
    y = np.zeros((len(theta), *size[2:], len(size) - 2))
    for place in np.ndindex(y.shape[:-1]):
        ends = [
            2 * i / (n - 1) - 1 if align_corners else (2 * i + 1) / n - 1
            for i, n in zip(place[1:], size[2:], strict=True)
        ]
        y[place] = theta[place[0]] @ [*ends[::-1], 1]
    return y


def grids(shape: tuple[int, ...], n: int, align_corners: bool, half: bool = False) -> Arg:
    """Places in axes of n elements, also beyond them, that are not whole numbers; or for `half`, half an element away."""
    places = np.arange(-8, n + 8) + half / 2
    ends = 2 * places / (n - 1) - 1 if align_corners else (2 * places + 1) / n - 1
    return Arg(shape, low=-1.9, high=1.9, away=tuple(ends.tolist()))


IMAGES, VOLUMES, PLACES, POINTS = (2, 1, 3, 3), (1, 2, 3, 3, 3), (2, 2, 2, 2), (1, 1, 2, 1, 3)

CASES = [
    *(
        Case(ops.grid_sample, (Arg(x), grids(g, 3, align, mode == "nearest")), naive_grid_sample,
             {"mode": mode, "padding_mode": padding, "align_corners": align}, order=2, fixed=True)
        for x, g, mode, padding, align in (
            *((IMAGES, PLACES, *how) for how in product(ops.MODES, ops.PADDINGS, (False, True))),
            (VOLUMES, POINTS, "bilinear", "reflection", False), (VOLUMES, POINTS, "nearest", "border", True),
        )
    ),
    Case(ops.affine_grid, (Arg((2, 2, 3)),), naive_affine_grid, {"size": (2, 5, 2, 3)}),
    Case(ops.affine_grid, (Arg((1, 3, 4)),), naive_affine_grid, {"size": (1, 1, 2, 3, 2), "align_corners": True}),
]  # fmt: skip
