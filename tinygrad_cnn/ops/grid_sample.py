"""Images sampled at computed places, and the places of an affine map. g is the incoming gradient, x' the gradient in x."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.graph import Array, Tensor
from .activation import hardtanh
from .compare import isnan, logical_or
from .elementwise import clip, floor, in_floats, round, where
from .gather import take_along_axis
from .geometry import shape_of
from .half import in_float32
from .matmul import matmul
from .resize import cubic_weights
from .shape import reshape, swapaxes

__all__ = ["affine_grid", "grid_sample"]

MODES, PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


def grid_sample(
    x: Array, grid: Array, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> Tensor:
    """y[n, c, ...] = x[n, c] interpolated at the place grid[n, ...], whose coordinates go from -1 to 1 along each axis.

    x' = g with the weights of the interpolation; grid' = g times the slope of x there, which is 0 for "nearest".
    Reference: Jaderberg et al., "Spatial transformer networks", arXiv:1506.02025.

    Args:
        x: images (N, C, H, W), or volumes (N, C, D, H, W).
        grid: (N, H', W', 2), with the coordinate along W first, or (N, D', H', W', 3), with those along W, H and D.
        mode: "bilinear", which is trilinear for volumes; "nearest"; or for images "bicubic", as in :func:`interpolate`.
        padding_mode: the values outside of x: "zeros"; its "border", repeated; or its "reflection" at -1 and 1.
        align_corners: whether -1 and 1 are the centres of the first and the last element of an axis, or their outer edges.

    Returns:
        (N, C, H', W') or (N, C, D', H', W').

    Raises:
        ValueError: for shapes that do not match, an x without elements, or another `mode` or `padding_mode`.

    >>> import tinygrad_cnn as tg
    >>> tg.grid_sample(tg.Tensor([[[[1.0, 3.0]]]]), tg.Tensor([[[[0.0, 0.0], [0.5, 0.0]]]]), align_corners=True).tolist()
    [[[[2.0, 2.5]]]]
    """
    shape, sizes = shape_of("grid_sample", "x", x), shape_of("grid_sample", "grid", grid)
    ndim = len(shape) - 2
    if ndim not in (2, 3) or len(sizes) != len(shape) or sizes[0] != shape[0] or sizes[-1] != ndim:
        raise ValueError(
            f"grid_sample: `x` {shape} and `grid` {sizes} must be (N, C, H, W) and (N, H', W', 2), or (N, C, D, H, W) and "
            "(N, D', H', W', 3)"
        )
    if min(shape[2:]) < 1:
        raise ValueError(f"grid_sample: `x` has shape {shape}; its spatial axes must have elements")
    if mode not in MODES or (mode == "bicubic" and ndim == 3):
        known = MODES if ndim == 2 else MODES[:2]
        raise ValueError(f"grid_sample: `mode` is {mode!r}; it must be one of {', '.join(map(repr, known))}")
    if padding_mode not in PADDINGS:
        raise ValueError(
            f"grid_sample: `padding_mode` is {padding_mode!r}; it must be one of {', '.join(map(repr, PADDINGS))}"
        )
    y = _sampled_at(x, grid, mode, padding_mode, align_corners)
    return reshape(y, shape=(*shape[:2], *sizes[1:-1]))


@in_float32
def _sampled_at(x: Array, grid: Array, mode: str, padding_mode: str, align_corners: bool) -> Any:
    return sampled(x, places_of(grid, np.shape(x)[2:], align_corners), mode, padding_mode, align_corners)


def places_of(grid: Array, sizes: Sequence[int], align_corners: bool) -> list[Any]:
    """The coordinates of a grid as positions in elements, (N, 1, points), for each of the axes of these sizes."""
    if grid.dtype.kind == "c":
        raise TypeError(f"grid_sample: `grid` is {grid.dtype}, and places are real numbers")
    lines = np.shape(grid)[0], 1, math.prod(np.shape(grid)[1:-1])
    places = [reshape(grid[..., i], shape=lines) + 1 for i in range(len(sizes))[::-1]]
    if align_corners:
        return [place * ((n - 1) / 2) for place, n in zip(places, sizes, strict=True)]
    return [place * (n / 2) - 0.5 for place, n in zip(places, sizes, strict=True)]


def sampled(x: Array, places: Sequence[Any], mode: str, padding_mode: str, align_corners: bool) -> Any:
    """x (N, C, *sizes), with any number of axes, at positions (N, 1, points) along each: (N, C, points)."""
    n, channels, *sizes = np.shape(x)
    axes = []
    for place, size in zip(places, sizes, strict=True):
        if padding_mode != "zeros" and mode != "bicubic":
            place = _inside(place, size, padding_mode, align_corners)
        neighbours = []
        for index, weight in _neighbours(place, mode):
            if padding_mode == "zeros":
                weight = where(logical_or(index < 0, index > size - 1), 0, weight)
            elif padding_mode == "reflection":
                index = reflected(index, size, align_corners)
            index = clip(where(isnan(index), 0, index), 0, size - 1)
            neighbours.append((index.astype(np.int64), weight))
        axes.append(neighbours)
    rows = reshape(x, shape=(n, channels, math.prod(sizes)))
    total: Any = 0
    for chosen in itertools.product(*axes):
        position, share = chosen[0]
        for (index, weight), size in zip(chosen[1:], sizes[1:], strict=True):
            position, share = position * size + index, share * weight
        total = total + take_along_axis(rows, position, axis=2) * share
    return total


def _inside(place: Any, size: int, padding_mode: str, align_corners: bool) -> Any:
    """Places outside of an axis moved into it. At the ends the gradient is that of the outside, 0, as in PyTorch."""
    if padding_mode == "reflection":
        place = reflected(place, size, align_corners)
    return hardtanh(place, min_val=0.0, max_val=size - 1.0)


def reflected(place: Any, size: int, align_corners: bool) -> Any:
    """Places reflected about the centres of the first and the last element, or about their outer edges."""
    low, span = (0.0, size - 1.0 or 1.0) if align_corners else (-0.5, float(size))
    turns = floor((place - low) / span)
    rest = place - low - turns * span
    return where(turns - floor(turns / 2) * 2 == 1, span - rest, rest) + low


def _neighbours(place: Any, mode: str) -> list[tuple[Any, Any]]:
    """The elements along an axis that determine the value at a place, and their weights."""
    if mode == "nearest":
        nearest = round(place)
        return [(nearest, nearest * 0 + 1)]  # NaN for NaN
    first = floor(place)
    t = place - first
    if mode == "bilinear":
        return [(first, 1 - t), (first + 1, t)]
    return [(first + k - 1, weight) for k, weight in enumerate(cubic_weights(t))]


def affine_grid(theta: Array, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """y[n, ...] = theta[n] (place, 1) at the places of an image of `size`: a grid for :func:`grid_sample`.

    theta' = the sum over all places of g (place, 1)^T.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes.
        size: the shape of the images that are to be sampled, (N, C, H, W) or (N, C, D, H, W).
        align_corners: as for :func:`grid_sample`.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3).

    Raises:
        ValueError: for shapes that do not match.

    >>> import tinygrad_cnn as tg
    >>> tg.affine_grid(tg.Tensor([[[1.0, 0, 0], [0, 1, 0]]]), (1, 3, 1, 2), align_corners=True).tolist()
    [[[[-1.0, 0.0], [1.0, 0.0]]]]
    """
    shape, wanted = shape_of("affine_grid", "theta", theta), tuple(size)
    ndim = len(wanted) - 2
    if ndim not in (2, 3) or shape != (wanted[0], ndim, ndim + 1) or min(wanted) < 0:
        raise ValueError(
            f"affine_grid: `theta` {shape} and `size` {wanted} must be (N, 2, 3) and (N, C, H, W), or (N, 3, 4) and "
            "(N, C, D, H, W)"
        )
    return affine_places(in_floats(theta), wanted[2:], align_corners)


def affine_places(theta: Array, sizes: Sequence[int], align_corners: bool) -> Tensor:
    """:func:`affine_grid` for any number of axes of these sizes."""
    lines = [np.linspace(-1, 1, n) if n > 1 else np.zeros(n) for n in sizes]
    if not align_corners:
        lines = [line * ((n - 1) / max(n, 1)) for line, n in zip(lines, sizes, strict=True)]
    grid = np.meshgrid(*lines, indexing="ij")[::-1]
    points = np.stack([*grid, np.ones(tuple(sizes))], -1).reshape(-1, len(sizes) + 1)
    places = matmul(points.astype(theta.dtype), swapaxes(theta, -1, -2))
    return reshape(places, shape=(np.shape(theta)[0], *sizes, len(sizes)))
