"""Regions of feature maps, each resampled to one size. g is the incoming gradient, x' the gradient in x."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.graph import Array
from ...nn.layer import Layer
from ...ops.composite import accept_lists
from ...ops.elementwise import REAL, in_floats, where
from ...ops.gather import take_along_axis
from ...ops.geometry import shape_of
from ...ops.half import in_float32
from ...ops.matmul import matmul
from ...ops.reduce import argmax
from ...ops.shape import concatenate, reshape, transpose
from ...tensor import Tensor
from .boxes import boxes_of, plain

__all__ = ["RoIAlign", "RoIPool", "roi_align", "roi_pool"]

Boxes = Any


def roi_align(
    input: Array, boxes: Boxes, output_size: int | tuple[int, int], spatial_scale: float = 1.0, sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:  # fmt: skip
    """y[k, c] = region k of the feature maps, in bins; each is the mean of bilinear samples.

    input' = g with the weights of the samples. The boxes get no gradient, as in torchvision.
    Reference: He et al., "Mask R-CNN", arXiv:1703.06870.

    Args:
        input: (N, C, H, W).
        boxes: (K, 5) of the number of an image and two corners; or a list of N arrays (K_n, 4).
        output_size: the bins (height, width), or one number for both.
        spatial_scale: the size of a feature map divided by that of its image.
        sampling_ratio: samples along each side of a bin; with -1 as many as it has pixels, rounded up.
        aligned: whether pixel centres lie at half a pixel, which is more exact. Without it a region has at least one pixel.

    Returns:
        (K, C, height, width).

    Raises:
        ValueError: for shapes that do not match, or an image that does not exist.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> tg.vision.ops.roi_align(x, [np.array([[0.0, 0.0, 4.0, 4.0]])], 2, aligned=True).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    shape, rois, bins = _given("roi_align", input, boxes, output_size)
    places = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    sizes = places[:, 2:] - places[:, :2]
    if not aligned:
        sizes = np.maximum(sizes, 1)
    rows = _weights(places[:, 1], sizes[:, 1], bins[0], shape[2], sampling_ratio)
    columns = _weights(places[:, 0], sizes[:, 0], bins[1], shape[3], sampling_ratio)
    y: Tensor = _aligned(in_floats(input), rows, columns, rois[:, 0].astype(np.intp))
    return y


def _weights(
    start: NDArray[Any], length: NDArray[Any], bins: int, size: int, ratio: int
) -> NDArray[np.float64]:  # fmt: skip
    """The share of each pixel of a side in each bin of each region, (K, bins, size): a sample's weights are products of two."""
    weights = np.zeros((len(start), bins, size))
    for weight, first, whole in zip(weights, start, length, strict=True):
        count = ratio if ratio > 0 else int(np.ceil(whole / bins))
        if count < 1:
            continue
        at = first + (np.arange(bins)[:, None] + (np.arange(count) + 0.5) / count) * (whole / bins)  # (bins, count)
        inside = (at >= -1) & (at <= size)
        at = np.clip(at, 0, size - 1)
        low = at.astype(np.intp)
        high, part = np.minimum(low + 1, size - 1), at - low
        bin_of = np.broadcast_to(np.arange(bins)[:, None], at.shape)
        np.add.at(weight, (bin_of, low), (1 - part) * inside / count)
        np.add.at(weight, (bin_of, high), part * inside / count)
    return weights


@in_float32
def _aligned(x: Any, rows: Any, columns: Any, image: Any) -> Any:
    """y[k, c] = rows[k] x[image[k], c] columns[k]^T."""
    rows, columns = rows.astype(x.dtype), columns.astype(x.dtype).swapaxes(1, 2)  # (K, bins, H) and (K, W, bins)
    order = np.argsort(image, kind="stable")
    found: list[Any] = []
    for n in np.unique(image):
        chosen = np.flatnonzero(image == n)
        lines = matmul(rows[chosen].reshape(-1, rows.shape[2]), x[n])  # (C, k bins, W)
        lines = reshape(lines, shape=(x.shape[1], len(chosen), rows.shape[1], x.shape[3]))
        found.append(transpose(matmul(lines, columns[chosen]), axes=(1, 0, 2, 3)))
    if not found:
        return x[:0, :, :1, :1] * np.zeros((rows.shape[1], columns.shape[2]), x.dtype)
    return concatenate(found, axis=0)[np.argsort(order)]


def roi_pool(
    input: Array, boxes: Boxes, output_size: int | tuple[int, int], spatial_scale: float = 1.0
) -> Tensor:  # fmt: skip
    """y[k, c] = region k of the feature maps, in bins of whole pixels; each is the largest of its pixels, 0 if it has none.

    input' = g at the first largest pixel. Reference: Girshick, "Fast R-CNN", arXiv:1504.08083. Arguments as for
    :func:`roi_align`.
    """
    shape, rois, bins = _given("roi_pool", input, boxes, output_size)
    if np.iscomplexobj(input):
        raise TypeError(f"roi_pool: {REAL}")
    corners = rois[:, 1:] * spatial_scale
    corners = np.trunc(corners + np.copysign(0.5, corners)).astype(np.intp)  # half is rounded away from 0
    (rows, no_row), (columns, no_column) = (
        _windows(corners[:, axis], corners[:, axis + 2], count, size)
        for axis, count, size in ((1, bins[0], shape[2]), (0, bins[1], shape[3]))
    )
    empty = (no_row[:, :, None] | no_column[:, None, :])[:, None]
    pixels = rows[:, :, None, :, None] * shape[3] + columns[:, None, :, None, :]  # (K, *bins, lines, columns)
    pixels = pixels.reshape(len(rois), 1, math.prod(bins), math.prod(pixels.shape[3:]))
    maps = reshape(input, shape=(*shape[:2], shape[2] * shape[3]))[rois[:, 0].astype(np.intp)]  # (K, C, H W)
    found = take_along_axis(maps, pixels.reshape(len(rois), 1, math.prod(pixels.shape[2:])), axis=2)
    best = argmax(reshape(found, shape=(*maps.shape[:2], *pixels.shape[2:])), axis=3)  # (K, C, bins)
    at = take_along_axis(pixels, best[..., None], axis=3)
    largest = take_along_axis(maps, at[..., 0], axis=2)
    return where(empty, 0, reshape(largest, shape=(*maps.shape[:2], *bins)))


def _windows(low: NDArray[Any], high: NDArray[Any], count: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.bool]]:
    """The pixels of a side in each bin of each region, (K, bins, most), of shorter bins the last one again; which have none."""
    step = (np.maximum(high - low + 1, 1) / count)[:, None]
    at = np.arange(count)
    first = np.clip(np.floor(at * step).astype(np.intp) + low[:, None], 0, size)
    end = np.clip(np.ceil((at + 1) * step).astype(np.intp) + low[:, None], 0, size)
    most = np.arange(max(1, int((end - first).max(initial=0))))
    return np.clip(first[..., None] + most, 0, np.maximum(end - 1, 0)[..., None]), first >= end


def _given(
    name: str, x: Array, boxes: Boxes, output_size: int | tuple[int, int]
) -> tuple[tuple[int, ...], NDArray[Any], tuple[int, int]]:  # fmt: skip
    """The shape of the feature maps, the regions (K, 5), and the bins."""
    shape = shape_of(name, "input", x)
    if len(shape) != 4:
        raise ValueError(f"{name}: `input` has shape {shape}; it must be (N, C, H, W)")
    if isinstance(boxes, Sequence) and (not boxes or np.ndim(plain(boxes[0])) == 2):
        each = [np.asarray(plain(boxes_of(name, "boxes", part)), np.float64) for part in boxes]
        if len(each) != shape[0]:
            raise ValueError(f"{name}: `boxes` has {len(each)} arrays for {shape[0]} images; give one for each")
        numbered = [np.c_[np.full(len(part), n), part] for n, part in enumerate(each)]
        rois = np.concatenate(numbered) if numbered else np.zeros((0, 5))
    else:
        rois = np.asarray(plain(boxes), np.float64)
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise ValueError(f"{name}: `boxes` has shape {rois.shape}; it must be (K, 5), or a list of arrays (K_n, 4)")
    if len(rois) and not (np.isin(rois[:, 0], np.arange(shape[0])).all() and np.isfinite(rois).all()):
        raise ValueError(
            f"{name}: `boxes` must have the number of an image, from 0 to {shape[0] - 1}, and finite corners"
        )
    bins = tuple(map(index, output_size)) if isinstance(output_size, Sequence) else (index(output_size),) * 2
    if len(bins) != 2 or min(bins) < 1:
        raise ValueError(f"{name}: `output_size` is {output_size!r}; it must be at least 1, one number or two")
    return shape, rois, (bins[0], bins[1])


class RoIAlign(Layer):
    """:func:`roi_align` with these arguments, called with the feature maps and the boxes."""

    def __init__(
        self, output_size: int | tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool = False
    ) -> None:  # fmt: skip
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, input: Array, rois: Boxes) -> Tensor:
        """(K, C, height, width)."""
        return roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)


class RoIPool(Layer):
    """:func:`roi_pool` with these arguments, called with the feature maps and the boxes."""

    def __init__(self, output_size: int | tuple[int, int], spatial_scale: float) -> None:
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Array, rois: Boxes) -> Tensor:
        """(K, C, height, width)."""
        return roi_pool(input, rois, self.output_size, self.spatial_scale)


accept_lists(globals(), {})
