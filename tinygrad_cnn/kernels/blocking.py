"""Blocks of output positions for convolutions, and copies between channels-first and channels-last memory.

A block is several images, or several rows of one image, small enough to stay in the cache. Blocks depend on shapes alone, and
one thread computes each block, so results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..ops.windows import Pairs, Sizes, interior, last_view, volume
from .parallel.task import Call, Work, halved
from .parallel.threads import in_lanes
from .parallel.workspace import buffer, scratch

BLOCK_BYTES = 1 << 21
"""Bytes of im2col columns in a block: they fit into a share of the L3 cache, with enough rows for BLAS to amortize packing the
filters in each product."""

ALONE = 6_000_000
"""One thread finishes this many multiplications before another thread has woken up."""


TILE = 1 << 13
"""Elements of an image that are transposed at a time."""

LONGEST_RUN = 1 << 10
"""Runs up to this many bytes are copied faster as one item."""


class Geometry(NamedTuple):
    """The windows of a convolution, one entry for each spatial axis."""

    kernel: Sizes
    out: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes

    @property
    def is_pointwise(self) -> bool:
        """Whether the convolution is 1 x 1 with stride 1 and no padding."""
        return volume(self.kernel) == 1 and all(s == 1 for s in self.stride) and not any(map(any, self.padding))

    def flipped(self, sizes: Sizes) -> Geometry | None:
        """The windows of the convolution that computes the gradient in images of these sizes; None for too much padding.

        It convolves the incoming gradient, with zeros between its positions if there is a stride, with :func:`flipped` filters.
        """
        axes = list(zip(sizes, *self, strict=True))
        padding = tuple((d * (k - 1) - before, n + before - 1 - s * (out - 1)) for n, k, out, s, (before, _), d in axes)
        if min(map(min, padding)) < 0:
            return None
        return self._replace(out=sizes, stride=(1,) * len(sizes), padding=padding)


def flipped(w: np.ndarray) -> np.ndarray:
    """A view of filters (O, c, *k) from their last element to the first."""
    return w[(slice(None), slice(None), *[slice(None, None, -1)] * (w.ndim - 2))]


class Block(NamedTuple):
    """Output positions: the images, and the rows along the first spatial axis."""

    images: slice
    rows: slice


def cut(out: Sizes, position_bytes: int, block_bytes: int) -> tuple[int, list[slice]]:
    """How many images fit into a block of about `block_bytes`, and the row ranges that fit, with at least one image and row."""
    rows = max(1, block_bytes // max(1, position_bytes * volume(out[1:])))
    if rows >= out[0]:
        return rows // out[0], [slice(0, out[0])]
    step = -(-out[0] // -(-out[0] // rows))  # the fewest blocks, of nearly equal size
    return 1, [slice(i, min(out[0], i + step)) for i in range(0, out[0], step)]


def blocks(
    n: int, out: Sizes, multiplications: int, position_bytes: int, block_bytes: int, *, whole: bool = False
) -> tuple[list[Block], bool]:
    """The output positions of n images in blocks of nearly equal size, and whether all are too little work for two threads.

    `multiplications` are those for one position. `whole`: a block has whole images. No block crosses the middle of the batch;
    very little work is a single block.
    """
    positions = n * volume(out)
    little = positions * multiplications <= ALONE and positions * position_bytes <= block_bytes
    if little and 0 < positions * multiplications <= ALONE // 8:
        return [Block(slice(0, n), slice(0, out[0]))], little
    step, rows = cut(out, position_bytes, block_bytes)
    return [
        Block(images, part) for images in halved(n, step) for part in ([slice(0, out[0])] if whole else rows)
    ], little


def by_block(blocks: Sequence[Block], little: bool, arrange: Callable[[Block], list[Call]], *before: Call) -> Work:
    """Work with one part for each block."""
    return Work(blocks, arrange, before, images=[block.images for block in blocks], little=little)


def summed(
    blocks: Sequence[Block], little: bool, shape: Sizes, dtype: np.dtype[Any], term: Callable[[Block, np.ndarray], list[Call]],
    w: np.ndarray, placed: Callable[[np.ndarray], np.ndarray],
) -> Work:  # fmt: skip
    """Work that fills w with the sum of the terms of all blocks. `term(block, out)` gives the calls that write one to `out`;
    ``placed(sum)`` is a view like w. Each lane, a range of consecutive blocks, is summed by one thread.
    """
    lanes = in_lanes(blocks)
    totals = buffer((max(1, len(lanes)), *shape), dtype)

    def arrange(lane: int) -> list[Call]:
        calls: list[Call] = []
        for block in lanes[lane]:
            if block is lanes[lane][0]:
                calls += term(block, totals[lane])
            else:
                out = scratch("term", shape, dtype)
                calls += [*term(block, out), partial(np.add, totals[lane], out, totals[lane])]
        return calls

    last: list[Call] = [] if lanes else [partial(totals.fill, 0)]
    last += [partial(np.add, totals[0], total, totals[0]) for total in totals[1:]]
    last.append(partial(np.copyto, w, placed(totals[0])))
    images = [slice(lane[0].images.start, lane[-1].images.stop) for lane in lanes]
    return Work(range(len(lanes)), arrange, (), last, images, little)


def rows_of(x: np.ndarray, block: Block, g: Geometry) -> tuple[np.ndarray, Pairs]:
    """The rows of x (N, c, *sizes) under the windows of a block, and the padding still needed around them."""
    height, before = x.shape[2], g.padding[0][0]
    start = block.rows.start * g.stride[0] - before
    stop = (block.rows.stop - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1 - before
    first, last = min(max(start, 0), height), max(min(stop, height), 0)
    last = max(first, last)
    above = min(max(-start, 0), stop - start)
    return x[block.images, :, first:last], ((above, stop - start - above - (last - first)), *g.padding[1:])


def is_last(a: np.ndarray) -> bool:
    """Whether a (N, C, *sizes) is channels-last in memory."""
    others = [step for step, n in zip(a.strides[2:], a.shape[2:], strict=True) if n > 1]
    return a.shape[1] == 1 or a.strides[1] <= min(others, default=a.strides[1])


def channels_last(x: np.ndarray, name: str, padding: Pairs = ()) -> np.ndarray:
    """x (n, c, *sizes) as (n, *padded, c) with contiguous channels: a view, or a copy in scratch of the given name."""
    last = last_view(x)
    if not any(map(any, padding)) and last.strides[-1] == x.itemsize:
        return last
    sizes = [m + sum(pair) for m, pair in zip(x.shape[2:], padding or ((0, 0),) * (x.ndim - 2), strict=True)]
    padded = scratch(name, (len(x), *sizes, x.shape[1]), x.dtype)
    if any(map(any, padding)):
        padded.fill(0)
    copy_channels_last(padded[(*interior(x.shape[2:], padding), slice(None))] if padding else padded, x)
    return padded


def copying(to: np.ndarray, source: np.ndarray) -> Call:
    """The call np.copyto(to, source), for equal shapes. For short runs NumPy's overhead exceeds the copy, so a run that is
    contiguous in both arrays is copied as one item."""
    size, run = to.itemsize, to.shape[-1] * to.itemsize
    if to.dtype is source.dtype and to.strides[-1] == source.strides[-1] == size and size < run <= LONGEST_RUN:
        item = np.dtype((np.void, run))
        to, source = to.view(item)[..., 0], source.view(item)[..., 0]
    return partial(np.copyto, to, source)


def copy_channels_last(to: np.ndarray, x: np.ndarray) -> None:
    """Copy x (n, c, *sizes) to (n, *sizes, c).

    Channels that are a large power of two apart map to the same cache sets, which makes reading across channels ten times
    slower; such images are first copied to rows of an odd pitch.
    """
    if x.strides[1] % 512 == 0 and x.strides[1] > x.itemsize:
        apart = _apart(x.shape, x.dtype)
        np.copyto(apart, x)
        x = apart
    np.copyto(to, last_view(x))


def copy_channels_first(to: np.ndarray, last: np.ndarray) -> None:
    """Copy (n, *sizes, c) to an array (n, c, *sizes), in tiles that stay in the L1 cache, whose lines have several channels."""
    target, rows = last_view(to), last.shape[1]
    if to.strides[1] > to.itemsize:
        rows = max(1, TILE // max(1, volume(last.shape[2:])))
    for i in range(0, last.shape[1], rows or 1):
        np.copyto(target[:, i : i + rows], last[:, i : i + rows])


def _apart(shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """Scratch (n, c, *sizes) with a gap of one cache line after each channel."""
    size, gap = volume(shape[2:]), 64 // dtype.itemsize
    return scratch("apart", (*shape[:2], size + gap), dtype)[..., :size].reshape(shape)
