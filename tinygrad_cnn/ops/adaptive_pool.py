"""Adaptive pooling: the largest element or the mean of each region, where the number of regions is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core.graph import Array
from ..kernels.pool import regions
from .geometry import batched, check_filled, sizes, unbatched
from .pool import Sliding, gather_windows, max_region_indices, max_result, sum_windows
from .resize import resample
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


def adaptive_max_pool1d(x: Array, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each of `output_size` regions: :func:`adaptive_max_pool2d` on (N, C, L) or (C, L)."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, x, output_size, return_indices)


def adaptive_max_pool2d(x: Array, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each region, where `output_size` regions cover each axis.

    Region i of m along n elements goes from floor(i n / m) to ceil((i + 1) n / m).   x' as for :func:`max_pool2d`.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        output_size: regions along height and width, an int or a pair, where None keeps the size of x.
        return_indices: also return where the largest elements are: indices into the flattened image.

    Returns:
        (N, C, *output_size), or (C, *output_size) for one image; with `return_indices` a pair of that and its indices.

    Raises:
        ValueError: for a wrong rank, an image without elements, or an `output_size` out of range.
        TypeError: for an `output_size` that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.adaptive_max_pool2d(tg.Tensor([[[1, 5, 2], [4, 3, 6]]]), (None, 2)).tolist()
    [[[5.0, 5.0], [4.0, 6.0]]]
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, x, output_size, return_indices)


def adaptive_max_pool3d(x: Array, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each region: :func:`adaptive_max_pool2d` on (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, x, output_size, return_indices)


def _adaptive_max_pool(name: str, ndim: int, x: Array, output_size: OutputSize, return_indices: bool) -> Any:
    x, alone = batched(name, x, ndim)
    check_filled(name, x.shape)
    inputs, grid = x.shape[2:], _regions(name, x.shape[2:], output_size)
    if not any(n % m for n, m in zip(inputs, grid, strict=True)):  # then the regions are windows that slide
        window = tuple(n // m for n, m in zip(inputs, grid, strict=True))
        return max_result(x, alone, return_indices, Sliding(window, grid, window, (0,) * ndim, (1,) * ndim))
    indices = max_region_indices(x, grid=grid)
    y = unbatched(gather_windows(x, indices), alone)
    return (y, unbatched(indices, alone)) if return_indices else y


def adaptive_avg_pool1d(x: Array, output_size: OutputSize) -> Tensor:
    """The mean of each of `output_size` regions: :func:`adaptive_avg_pool2d` on (N, C, L) or (C, L)."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, x, output_size)


def adaptive_avg_pool2d(x: Array, output_size: OutputSize) -> Tensor:
    """The mean of each region, where `output_size` regions cover each axis, cut as :func:`adaptive_max_pool2d` says.

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
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, x, output_size)


def adaptive_avg_pool3d(x: Array, output_size: OutputSize) -> Tensor:
    """The mean of each region: :func:`adaptive_avg_pool2d` on (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, x, output_size)


def _adaptive_avg_pool(name: str, ndim: int, x: Array, output_size: OutputSize) -> Tensor:
    x, alone = batched(name, x, ndim)
    check_filled(name, x.shape, channels=False)
    inputs, grid = x.shape[2:], _regions(name, x.shape[2:], output_size)
    if not any(n % m for n, m in zip(inputs, grid, strict=True)):  # then the regions are windows that slide
        window = tuple(n // m for n, m in zip(inputs, grid, strict=True))
        y = sum_windows(x, window=window, grid=grid, stride=window, before=(0,) * ndim) / volume(window)
        return unbatched(y, alone)  # type: ignore[no-any-return]
    for axis, (n, m) in enumerate(zip(inputs, grid, strict=True)):
        starts, stops = regions(n, m)
        counts = stops - starts
        targets = np.repeat(np.arange(m), counts)
        sources = np.concatenate([np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)])
        x = resample(x, axis=2 + axis, size=m, taps=(targets, sources, np.repeat(1 / counts, counts)))
    return unbatched(x, alone)  # type: ignore[no-any-return]


def _regions(name: str, inputs: Sizes, output_size: OutputSize) -> Sizes:
    several = isinstance(output_size, Sequence) and not isinstance(output_size, str) and len(output_size) == len(inputs)
    wanted: Any = output_size if several else (output_size,) * len(inputs)
    if not several and output_size is not None:
        wanted = sizes(name, "output_size", output_size, len(inputs), least=1)  # type: ignore[arg-type]
    chosen = [n if m is None else m for n, m in zip(inputs, wanted, strict=True)]
    return sizes(name, "output_size", chosen, len(inputs), least=1)
