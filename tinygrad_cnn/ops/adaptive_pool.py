"""Adaptive pooling: the maximum or the mean of each region, for a given number of regions.

In docstrings, g is the incoming gradient and x' the gradient with respect to x.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core.graph import Array, op
from .geometry import batched, by_rank, check_filled, looked_up, sizes, unbatched
from .pool import MANY, Windows, flat_grid, gather, image_means, max_result, sum_windows
from .resize import means, regions, resample
from .windows import Sizes, volume

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]

OutputSize: TypeAlias = int | Sequence[int | None] | None


@op(differentiable=False)
def max_region_indices(x: Array, *, grid: Sizes) -> Array:
    """The indices of the largest elements of a `grid` of regions in the flattened spatial axes, with max_pool_which's ties.

    All regions are treated as if they were as long as the longest, with their last elements repeated.
    """
    axes = []
    for n, m in zip(x.shape[2:], grid, strict=True):
        starts, stops = regions(n, m)
        axes.append([np.minimum(starts + i, stops - 1) for i in range((stops - starts).max())])
    elements = [(x[(..., *np.ix_(*places))], flat_grid(places, x.shape[2:])) for places in product(*axes)]
    top = reduce(np.maximum, [values for values, _ in elements])
    found = np.empty_like(top, np.int64)
    for values, flat in reversed(elements):
        np.copyto(found, flat, where=values == top)
    for values, flat in elements:
        np.copyto(found, flat, where=np.isnan(values))
    return found


@lru_cache(maxsize=1024)
def _tiles(inputs: Sizes, grid: Sizes) -> Windows | None:
    """The regions as windows, if all have the same size; else None."""
    if any(n % m for n, m in zip(inputs, grid, strict=True)):
        return None
    size = tuple(n // m for n, m in zip(inputs, grid, strict=True))
    return Windows(size, grid, size, (0,) * len(size), (1,) * len(size))


def _adaptive_max_pool(ndim: int, x: Array, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each region, where `output_size` regions cover each axis.

    Region i of m along n elements goes from floor(i n / m) to ceil((i + 1) n / m).   x' as for :func:`max_pool2d`.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        output_size: regions along height and width, an int or a pair, where None keeps the size of x.
        return_indices: also return the indices of the largest elements in the flattened image.

    Returns:
        (N, C, *output_size), or (C, *output_size) for one image; with `return_indices` a pair of that and its indices.

    Raises:
        ValueError: for a wrong rank, an image without elements, or an `output_size` out of range.
        TypeError: for an `output_size` that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.adaptive_max_pool2d(tg.Tensor([[[1, 5, 2], [4, 3, 6]]]), (None, 2)).tolist()
    [[[5.0, 5.0], [4.0, 6.0]]]
    """
    name = f"adaptive_max_pool{ndim}d"
    x, alone = batched(name, x, ndim)
    check_filled(name, x.shape)
    grid = _grid(name, x.shape[2:], output_size)
    if tiles := _tiles(x.shape[2:], grid):
        return max_result(x, alone, return_indices, tiles)
    indices = max_region_indices(x, grid=grid)
    y = unbatched(gather(x, indices), alone)
    return (y, unbatched(indices, alone)) if return_indices else y


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = by_rank(_adaptive_max_pool, 1, 2, 3)


def _adaptive_avg_pool(ndim: int, x: Array, output_size: OutputSize) -> Tensor:
    """The mean of each region, where `output_size` regions cover each axis, as in :func:`adaptive_max_pool2d`.

    x' = g / count, added to every element of the region.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        output_size: regions along height and width, an int or a pair, where None keeps the size of x.

    Raises:
        ValueError: for a wrong rank, an image without elements, or an `output_size` out of range.
        TypeError: for an `output_size` that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.adaptive_avg_pool2d(tg.Tensor([[[1, 5, 2], [4, 3, 6]]]), (None, 2)).tolist()
    [[[3.0, 3.5], [3.5, 4.5]]]
    """
    name = f"adaptive_avg_pool{ndim}d"
    x, alone = batched(name, x, ndim)
    check_filled(name, x.shape, channels=False)
    inputs, grid = x.shape[2:], _grid(name, x.shape[2:], output_size)
    if volume(grid) == 1 and volume(inputs) >= MANY:
        return unbatched(image_means(x), alone)  # type: ignore[no-any-return]
    if tiles := _tiles(inputs, grid):
        return unbatched(sum_windows(x, windows=tiles) / volume(tiles.size), alone)  # type: ignore[no-any-return]
    for axis, (n, m) in enumerate(zip(inputs, grid, strict=True)):
        x = resample(x, axis=2 + axis, size=m, taps=means(n, m))
    return unbatched(x, alone)  # type: ignore[no-any-return]


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = by_rank(_adaptive_avg_pool, 1, 2, 3)


@looked_up
def _grid(name: str, inputs: Sizes, output_size: OutputSize) -> Sizes:
    several = isinstance(output_size, Sequence) and not isinstance(output_size, str) and len(output_size) == len(inputs)
    wanted: Any = output_size if several else (output_size,) * len(inputs)
    if not several and output_size is not None:
        wanted = sizes(name, "output_size", output_size, len(inputs), least=1)  # type: ignore[arg-type]
    chosen = [n if m is None else m for n, m in zip(inputs, wanted, strict=True)]
    return sizes(name, "output_size", chosen, len(inputs), least=1)
