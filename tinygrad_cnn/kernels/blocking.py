"""Columns: the windows of a block of output places, laid out as a matrix for a product of matrices.

A window is a row (k, c), a few long runs of channels. A block is some images, or some rows of one: its columns are still in
the cache when the product reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .parallel.task import Call, Work, halved
from .parallel.workspace import scratch
from .window import Pairs, Sizes, interior, last_view, volume, windows

BLOCK_BYTES = 1 << 21
"""Size of the columns that are built at a time: a share of a third-level cache, and enough rows for BLAS, which rearranges
the filters anew for each product."""

ALONE = 6_000_000
"""Multiplications that one thread has done before another is awake."""

UNCOPIED = 1_000_000
"""Multiplications up to which OpenBLAS multiplies matrices where they lie, which is faster for narrow ones."""

SHORTEST = 512
"""Places of a part of an image that is worth a product of its own."""


class Geometry(NamedTuple):
    """How windows lie on an image, one entry for each spatial axis."""

    kernel: Sizes
    out: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes

    @property
    def is_pointwise(self) -> bool:
        """Whether a window is a pixel, and each pixel a window."""
        return volume(self.kernel) == 1 and all(s == 1 for s in self.stride) and not any(map(any, self.padding))


class Block(NamedTuple):
    """Output places: the images, and the rows along the first spatial axis."""

    images: slice
    rows: slice


def pointwise(out: Sizes) -> Geometry:
    """Windows that are the pixels."""
    ones = (1,) * len(out)
    return Geometry(ones, out, ones, ((0, 0),) * len(out), ones)


def cut(out: Sizes, place_bytes: int, block_bytes: int = BLOCK_BYTES) -> tuple[int, list[slice]]:
    """How many images fit a block of about `block_bytes`, at least one, and the rows of an image that do, at least one."""
    rows = max(1, block_bytes // max(1, place_bytes * volume(out[1:])))
    if rows >= out[0]:
        return rows // out[0], [slice(0, out[0])]
    step = -(-out[0] // -(-out[0] // rows))  # as many blocks as it takes, of nearly one size
    return 1, [slice(i, min(out[0], i + step)) for i in range(0, out[0], step)]


def blocks(n: int, out: Sizes, place_bytes: int, block_bytes: int = BLOCK_BYTES) -> list[Block]:
    """All places of n images, in blocks of nearly one size, none of them in both halves of the images."""
    step, rows = cut(out, place_bytes, block_bytes)
    return [Block(images, part) for images in halved(n, step) for part in rows]


def image_blocks(n: int, out: Sizes, place_bytes: int, block_bytes: int = BLOCK_BYTES) -> list[Block]:
    """:func:`blocks` with no image in two of them."""
    step, _ = cut(out, place_bytes, block_bytes)
    return [Block(images, slice(0, out[0])) for images in halved(n, step)]


def shared(
    n: int, out: Sizes, multiplications: int, place_bytes: int, block_bytes: int = BLOCK_BYTES,
    cut: Callable[..., list[Block]] = blocks,
) -> tuple[list[Block], bool]:  # fmt: skip
    """All places of n images in blocks, one if there are very few, and whether they and the `multiplications` for each are too
    few to be shared by threads."""
    places = n * volume(out)
    little = places * multiplications <= ALONE and places * place_bytes <= block_bytes
    if little and 0 < places * multiplications <= ALONE // 8:
        return [Block(slice(0, n), slice(0, out[0]))], little
    return cut(n, out, place_bytes, block_bytes), little


def by_block(
    blocks: Sequence[Block], arrange: Callable[[Block], list[Call]], before: Sequence[Call], little: bool = False
) -> Work:
    """Work of which each part is a block."""
    return Work(blocks, arrange, before, images=[block.images for block in blocks], little=little)


def images_of(lanes: Sequence[Sequence[Block]]) -> list[slice]:
    """The images of blocks that follow each other."""
    return [slice(lane[0].images.start, lane[-1].images.stop) for lane in lanes]


def pieces(n: int, places: int, multiplications: int) -> tuple[int, int]:
    """Of how many images to make a product each, and of how many parts of an image, for n of so many places with so many
    `multiplications` for each: of images or parts that BLAS multiplies where they lie, or of all at once, (1, 1)."""
    least = -(-places * multiplications // UNCOPIED)
    if least <= 1:
        return n, 1
    parts = next((m for m in range(least, 2 * least) if places % m == 0), places)
    return (n, parts) if places // parts >= SHORTEST else (1, 1)


def in_rows(x: np.ndarray, block: Block, g: Geometry, dtype: np.dtype[Any]) -> np.ndarray:
    """Columns (P, k c) of a block of x (N, c, *sizes), in memory that the next call uses again; or a view of x."""
    last = channels_last(x, block, g)  # (n, *padded, c)
    c = last.shape[-1]
    if g.is_pointwise:
        return last.reshape(-1, c).astype(dtype, copy=False)
    out = (block.rows.stop - block.rows.start, *g.out[1:])
    view = last_view(windows(np.moveaxis(last, -1, 1), g.kernel, out, g.stride, g.dilation))  # (n, *out, *k, c)
    size = volume(g.kernel) * c
    columns = scratch("columns", (view.size // size, size), dtype)
    if g.dilation[-1] == 1 and view.strides[-2] == c * view.strides[-1]:  # a window's last axis is one run
        run = (*view.shape[:-2], g.kernel[-1] * c)
        view = np.lib.stride_tricks.as_strided(view, run, (*view.strides[:-2], view.strides[-1]))
    np.copyto(columns.reshape(view.shape), view)
    return columns


def channels_last(x: np.ndarray, block: Block, g: Geometry, name: str = "images") -> np.ndarray:
    """What the windows of a block see of x, as (n, *padded, c) with adjacent channels; scratch of the given name, or a view."""
    images, padding = rows_of(x, block, g)
    last = last_view(images)
    if not any(map(any, padding)) and last.strides[-1] == x.itemsize:
        return last
    shape = (len(images), *_padded(images.shape[2:], padding), images.shape[1])
    padded = scratch(name, shape, x.dtype)
    if any(map(any, padding)):
        padded.fill(0)
    inside = padded[(*interior(images.shape[2:], padding), slice(None))]
    copy_channels_last(inside, images)
    return padded


def is_last(a: np.ndarray) -> bool:
    """Whether channels are adjacent in memory, (N, C, *sizes)."""
    others = [step for step, n in zip(a.strides[2:], a.shape[2:], strict=True) if n > 1]
    return a.shape[1] == 1 or a.strides[1] <= min(others, default=a.strides[1])


def copy_channels_last(to: np.ndarray, x: np.ndarray) -> None:
    """Copy x (n, c, *sizes) to (n, *sizes, c).

    Channels a large power of two apart fall on the same few lines of the cache, and reading across channels then is ten
    times slower; they are first moved to an odd distance.
    """
    if x.strides[1] % 512 == 0 and x.strides[1] > x.itemsize:
        pitch = volume(x.shape[2:]) + 64 // x.itemsize
        apart = scratch("apart", (*x.shape[:2], pitch), x.dtype)[..., : pitch - 64 // x.itemsize].reshape(x.shape)
        np.copyto(apart, x)
        x = apart
    np.copyto(to, last_view(x))


def copy_channels_first(to: np.ndarray, last: np.ndarray) -> None:
    """Copy (n, *sizes, c) to an array (n, c, *sizes), with the same care."""
    if to.strides[1] % 512 == 0 and to.strides[1] > to.itemsize:
        size = volume(to.shape[2:])
        apart = scratch("apart", (*to.shape[:2], size + 64 // to.itemsize), to.dtype)[..., :size].reshape(to.shape)
        np.copyto(last_view(apart), last)
        np.copyto(to, apart)
    else:
        np.copyto(last_view(to), last)


def rows_of(x: np.ndarray, block: Block, g: Geometry) -> tuple[np.ndarray, Pairs]:
    """The rows of x that the windows of a block reach into, and the padding that is left around them."""
    height, before = x.shape[2], g.padding[0][0]
    start = block.rows.start * g.stride[0] - before
    stop = (block.rows.stop - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1 - before
    first, last = min(max(start, 0), height), max(min(stop, height), 0)
    last = max(first, last)
    above = min(max(-start, 0), stop - start)
    return x[block.images, :, first:last], ((above, stop - start - above - (last - first)), *g.padding[1:])


def _padded(shape: Sizes, padding: Pairs) -> Sizes:
    lead = len(shape) - len(padding)
    return (*shape[:lead], *(n + before + after for n, (before, after) in zip(shape[lead:], padding, strict=True)))
