"""Convolution by 3 x 3 filters with fewer multiplications, and its adjoints: Winograd's F(2 x 2) and F(4 x 4).

Blocks of tiles are transformed, multiplied by BLAS and transformed back (see winograd_tiles.py); a block stays in the cache. A
sum over many channels is cut into terms of at most DEEP, which the transform back adds up: float32's error then hardly grows
with the channels. Products are cut so that OpenBLAS multiplies matrices where they are. Nothing is kept between calls: filters
are transformed in each.

An output depends on all pixels of its tile, so an infinity or a NaN would reach outputs whose windows do not hold it, and large
numbers may overflow. Where a block's result is not finite, the convolution of NumPy and BLAS computes it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...kernels.blocking import ALONE, Block, Geometry, copy_channels_last, rows_of
from ...kernels.conv import convolution, nonfinite
from ...kernels.parallel.task import Call, Work, halved
from ...kernels.parallel.workspace import KEPT_BYTES, buffer, scratch
from ...ops.windows import Sizes, last_view
from . import winograd_tiles as tiles
from .images import like
from .vectors import LANES

largest = 4
"""The most outputs of a tile along an axis: 4, 2, or 0 for no tiles. ``use_numba`` sets it."""

DEEP = 64
"""The most channels in a sum that is not cut, and the most columns of a product, if the channels have such divisors."""

BLOCK_BYTES, FEWEST, MOST = 3 << 19, 32, 96
"""The size of a block's transforms, if it then has FEWEST tiles; and the most tiles in a block, over which the adjoint in w
adds products."""

SUM_BYTES = 1 << 22
"""The size of a block for the adjoint in w, where each block adds a term to a sum; and the size of all sums, at least two."""

EXTRA, EXTRA_DW = {2: 30, 4: 28}, {2: 30, 4: 64}
"""How many tiles take as long as the transform of the filters, which is a part of every call."""

GAIN = 0.85
"""The time of a multiplication in other kernels, over that of one here with its share of the transforms."""

FLOAT32 = np.dtype(np.float32)

ONES: dict[str, Any] = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}

LINE = 64 * LANES
"""Numbers of scratch for a transform along a second axis."""

Array = np.ndarray


class Grid(NamedTuple):
    """Tiles of images, with m x m outputs each; the first begins `top` and `left` before the image."""

    m: int
    rows: int
    columns: int
    top: int
    left: int

    @property
    def points(self) -> int:
        """The products for a tile and a pair of channels."""
        return (self.m + 2) ** 2


def prepare(
    out: Array | None, x: Any, w: Any, b: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Work | None:
    """A task for ``convolve``; None for other windows and dtypes, and where another kernel is faster."""
    if not _fits(w.shape, stride, dilation, groups) or not _floats(x, w) or not (b is None or _floats(b)):
        return None
    m = _size(len(x), [n + sum(pair) - 2 for n, pair in zip(x.shape[2:], padding, strict=True)], w.shape, EXTRA)
    return _convolve(m, x, w, b, out, padding, flipped=False) if m else None


def prepare_dx(
    out: Array | None, u: Any, w: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Work | None:
    """A task for ``convolve_dx``: a convolution of u by flipped filters."""
    if not _fits(w.shape, stride, dilation, groups) or not _floats(u, w) or max(map(max, padding)) > 2:
        return None
    m = _size(len(u), shape[2:], w.shape, EXTRA)
    around = tuple((2 - before, 2 - after) for before, after in padding)
    return _convolve(m, u, w, None, out, around, flipped=True) if m else None


def prepare_dw(
    out: Array | None, x: Any, u: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Work | None:
    """A task for ``convolve_dw``."""
    if not _fits(shape, stride, dilation, groups) or not _floats(x, u):
        return None
    m = _size(len(u), u.shape[2:], shape, EXTRA_DW)
    if not m:
        return None
    w = np.empty(shape, FLOAT32) if out is None else out
    found = w if w.flags.c_contiguous else buffer(w.shape, FLOAT32)
    grid, (o, c) = _grid(m, u.shape[2:], padding), shape[:2]
    deep, wide = _part(o), _part(c)
    lanes = _lanes(_blocks(grid, len(x), grid.points * (o + c), SUM_BYTES), grid.points * o * c)
    sizes, between = (o // deep, c // wide, deep, wide), _step(o * c)
    steps = between, deep * c, deep * wide, wide, 1
    memory = buffer((len(lanes) * grid.points * between,), FLOAT32)
    totals = _view(memory, (grid.points * between, *steps), (len(lanes), grid.points, *sizes))
    correlate, finish = (tiles.pulled_4, tiles.correlations_4) if m == 4 else (tiles.pulled_2, tiles.correlations_2)

    def arrange(lane: int) -> list[Call]:
        calls: list[Call] = []
        line = scratch("winograd line", (LINE,), FLOAT32)
        for block in lanes[lane]:
            count = _count(grid, block)
            pixels, step = _points("winograd pixels", grid, count * c)
            pulled, apart = _points("winograd products", grid, count * o)
            source, copies = _images("winograd pulled images", u, block)
            calls += _transformed(grid, x, block, pixels, step)
            rows = block.rows.stop - block.rows.start
            calls += [*copies, partial(correlate, source, pulled, line, apart, rows, grid.columns, block.rows.start)]
            left = _view(pulled, (apart, deep, 0, 1, o), (grid.points, o // deep, c // wide, deep, count))
            right = _view(pixels, (step, 0, wide, c, 1), (grid.points, o // deep, c // wide, count, wide))
            if block is lanes[lane][0]:
                calls.append(partial(np.matmul, left, right, totals[lane]))
            else:
                term = _view(_points("winograd term", grid, o * c)[0], steps, (grid.points, *sizes))
                calls += [partial(np.matmul, left, right, term), partial(np.add, totals[lane], term, totals[lane])]
        return calls

    def end() -> None:
        if finish(memory, found, np.empty(LINE, np.float32), between, (len(lanes), *sizes)) != 0:
            np.copyto(found, convolution.convolve_dw(None, x, u, shape=shape, padding=padding, **ONES)())
        if found is not w:
            np.copyto(w, found)

    return Work(
        range(len(lanes)), arrange, (), [end], None, _is_little(u, o * c), w
    )  # no images: `end` may read x and u


def _convolve(m: int, x: Array, w: Array, b: Array | None, out: Array | None, padding: Any, *, flipped: bool) -> Work:
    """The convolution of x with padding by filters w (O, C, 3, 3), or by those to C channels, in flipped order."""
    sizes = tuple(n + sum(pair) - 2 for n, pair in zip(x.shape[2:], padding, strict=True))
    into, of = w.shape[:2] if not flipped else w.shape[1::-1]
    y = like("last", (len(x), into, *sizes), FLOAT32) if out is None else out
    grid, deep, wide = _grid(m, sizes, padding), _part(of), _part(into)
    terms, pieces = of // deep, into // wide
    apart = _step(of * into)
    memory = buffer((grid.points * apart,), FLOAT32)
    filters = _view(memory, (apart, deep * into, deep * wide, wide, 1), (grid.points, terms, pieces, deep, wide))
    shift = np.zeros(into, np.float32) if b is None else b
    down, across = (9 * into, 9) if flipped else (9, 9 * of)
    fill = tiles.filters_4 if m == 4 else tiles.filters_2
    finish = tiles.outputs_4 if m == 4 else tiles.outputs_2

    def begin() -> None:
        fill(
            np.ascontiguousarray(w), memory, np.empty(LINE, np.float32), apart, filters.shape[1:], down, across, flipped
        )

    def arrange(block: Block) -> list[Call]:
        count, first = _count(grid, block), block.rows.start
        pixels, step = _points("winograd pixels", grid, count * of)
        products, between = _points("winograd products", grid, count * terms * into)
        left = _view(pixels, (step, deep, 0, of, 1), (grid.points, terms, pieces, count, deep))
        right = _view(products, (between, count * into, wide, into, 1), (grid.points, terms, pieces, count, wide))
        line = scratch("winograd line", (LINE,), FLOAT32)
        part = last_view(y[block.images])
        target = part if part.flags.c_contiguous else scratch("winograd images", part.shape, FLOAT32)
        rows = slice(m * first, min(m * block.rows.stop, sizes[0]))

        def end() -> None:
            shape = block.rows.stop - first, grid.columns, first, rows.stop
            if finish(products, target, np.ascontiguousarray(shift), line, between, terms, *shape) != 0:
                around = Geometry((3, 3), sizes, (1, 1), padding, (1, 1))
                seen, pads = rows_of(x, Block(block.images, rows), around)
                by = w[:, :, ::-1, ::-1].swapaxes(0, 1) if flipped else w
                np.copyto(target[:, rows], last_view(convolution.convolve(None, seen, by, b, padding=pads, **ONES)()))
                if flipped:
                    pads = tuple((2 - before, 2 - after) for before, after in padding)
                    g = around._replace(out=x.shape[2:], padding=pads)
                    given = g, x[block.images], w, np.moveaxis(target, -1, 1), rows
                    nonfinite.mend_images(target[0, rows.start, 0], *given)
            if target is not part:
                np.copyto(part[:, rows], target[:, rows])

        return [*_transformed(grid, x, block, pixels, step), partial(np.matmul, left, filters, right), end]

    parts = _blocks(grid, len(x), grid.points * (of + terms * into), BLOCK_BYTES)
    return Work(parts, arrange, [begin], images=[block.images for block in parts], little=_is_little(y, of), out=y)


# Shapes


def _size(n: int, sizes: Sequence[int], w: Sizes, extra: dict[int, int]) -> int:
    """The outputs of a tile, 4 or 2, for n images with outputs of these sizes; 0 where another kernel is faster."""
    if w[0] % LANES or w[1] % LANES or min(n, *sizes, *w[:2]) < 1:
        return 0
    costs: dict[int, float] = {0: GAIN * 9 * n * sizes[0] * sizes[1]}
    for m in (2, 4)[: largest // 2]:
        costs[m] = (m + 2) * (m + 2) * (n * -(-sizes[0] // m) * -(-sizes[1] // m) + extra[m])
    return min(costs, key=costs.__getitem__)


def _fits(w: Sizes, stride: Any, dilation: Any, groups: int) -> bool:
    return groups == 1 and w[2:] == (3, 3) and tuple(stride) == tuple(dilation) == (1, 1)


def _floats(*arrays: Any) -> bool:
    return all(a.__class__ is np.ndarray and a.dtype == FLOAT32 for a in arrays)


def _is_little(y: Array, channels: int) -> bool:
    """Whether the work is not worth a second thread."""
    return y.size * channels <= ALONE


def _part(channels: int) -> int:
    """The largest divisor up to DEEP that is a multiple of LANES; all channels, if it is far smaller."""
    best = max(d for d in range(LANES, min(DEEP, channels) + 1, LANES) if channels % d == 0)
    return best if 2 * best >= DEEP else channels


def _grid(m: int, sizes: Any, padding: Any) -> Grid:
    rows, columns = (-(-n // m) for n in sizes)
    return Grid(m, rows, columns, padding[0][0], padding[1][0])


def _blocks(grid: Grid, n: int, numbers: int, size: int) -> list[Block]:
    """Blocks of whole images, or of rows of tiles of one image, of so many bytes, with so many `numbers` for each tile."""
    most = min(MOST, max(FEWEST, size // (4 * numbers)), max(1, KEPT_BYTES // (4 * numbers)))
    images = most // (grid.rows * grid.columns)
    if images:
        return [Block(part, slice(0, grid.rows)) for part in halved(n, images)]
    rows = max(1, most // grid.columns)
    step = -(-grid.rows // -(-grid.rows // rows))  # the fewest blocks, of nearly equal size
    starts = range(0, grid.rows, step)
    return [Block(slice(i, i + 1), slice(row, min(grid.rows, row + step))) for i in range(n) for row in starts]


def _lanes(blocks: list[Block], numbers: int) -> list[list[Block]]:
    """The blocks of each lane of a sum of so many `numbers`: a lane is a range of blocks, which one thread adds up."""
    lanes = max(2, min(LANES, SUM_BYTES // (4 * numbers)))
    length = max(1, -(-len(blocks) // lanes))
    return [blocks[i : i + length] for i in range(0, len(blocks), length)]


def _count(grid: Grid, block: Block) -> int:
    """The tiles of a block."""
    images, rows = block
    count: int = (images.stop - images.start) * (rows.stop - rows.start) * grid.columns
    return count


# Memory


def _points(name: str, grid: Grid, size: int) -> tuple[Array, int]:
    """Scratch for `size` numbers at each point, and the distance between points."""
    step = _step(size)
    return scratch(name, (grid.points * step,), FLOAT32), step


def _step(size: int) -> int:
    """The distance between points with `size` numbers: an odd number of cache lines, since the caches have few places for
    numbers that are a power of two apart."""
    return size + (LANES if size // LANES % 2 == 0 else 0)


def _view(a: Array, steps: Sequence[int], shape: Sequence[int]) -> Array:
    """A view of flat memory with these distances between numbers."""
    return as_strided(a, shape, [step * a.itemsize for step in steps])


def _images(name: str, x: Array, block: Block) -> tuple[Array, list[Call]]:
    """The images of a block (n, H, W, C) in C order, and the calls that copy them there, if they are in another."""
    part = x[block.images]
    if (last := last_view(part)).flags.c_contiguous:
        return last, []
    copied = scratch(name, last.shape, FLOAT32)
    return copied, [partial(copy_channels_last, copied, part)]


def _transformed(grid: Grid, x: Array, block: Block, pixels: Array, step: int) -> list[Call]:
    """The calls that write B^T d B for the tiles of a block."""
    source, copies = _images("winograd source", x, block)
    transform: Callable[..., None] = tiles.pixels_4 if grid.m == 4 else tiles.pixels_2
    line = scratch("winograd lines", ((grid.m + 2) * (grid.m * grid.columns + 2) * LANES,), FLOAT32)
    rows = block.rows.stop - block.rows.start
    where = step, rows, grid.columns, grid.top, grid.left, block.rows.start
    return [*copies, partial(transform, source, pixels, line, *where)]
