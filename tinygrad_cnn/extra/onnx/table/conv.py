"""Convolution, transposed convolution, and windows as columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import conv as c
from ....ops import elementwise as e
from ....ops import shape as s
from ....ops.windows import output_sizes
from .base import Structural, Weight, bounded, integers, reads, refuse, writes

Ints = Sequence[int] | None


def window(
    inputs: Sequence[int], kernel: Sequence[int], strides: Ints, dilations: Ints, pads: Ints, auto_pad: str
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Strides, pairs of padding and dilations from ONNX's attributes."""
    n = len(kernel)
    steps, spread = tuple(strides or (1,) * n), tuple(dilations or (1,) * n)
    for name, given, least in (("strides", steps, 1), ("dilations", spread, 1), ("kernel_shape", kernel, 1)):
        refuse(
            len(given) != n or min(given, default=1) < least,
            f"`{name}` is {list(given)}; it must be {n} numbers from 1 up",
        )
    refuse(len(inputs) != n, f"the input has {len(inputs)} spatial axes, the window {n}")
    if auto_pad in ("NOTSET", ""):
        given = tuple(pads or (0,) * 2 * n)
        refuse(len(given) != 2 * n, f"`pads` is {list(given)}; it must be {2 * n} numbers")
        return steps, tuple(zip(given[:n], given[n:], strict=True)), spread
    if auto_pad == "VALID":
        return steps, ((0, 0),) * n, spread
    refuse(auto_pad not in ("SAME_UPPER", "SAME_LOWER"), f"`auto_pad` is {auto_pad!r}, which is none of ONNX's")
    pairs = []
    for size, k, step, d in zip(inputs, kernel, steps, spread, strict=True):
        total = max((-(-size // step) - 1) * step + d * (k - 1) + 1 - size, 0)
        small, large = total // 2, total - total // 2
        pairs.append((small, large) if auto_pad == "SAME_UPPER" else (large, small))
    return steps, tuple(pairs), spread


@reads("Conv")
def _conv(
    x: Array, w: Weight, b: Weight = None, *, auto_pad: str = "NOTSET", dilations: Ints = None, group: int = 1,
    kernel_shape: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Array:  # fmt: skip
    shape, ws = np.shape(x), np.shape(w)
    _check_filters(ws, kernel_shape)
    refuse(len(shape) < 3, f"the input has shape {shape}; it must be (N, C, ...)")
    steps, pairs, spread = window(shape[2:], ws[2:], strides, dilations, pads, auto_pad)
    refuse(
        group < 1 or shape[1] != ws[1] * group or ws[0] % group,
        f"an input {shape} and filters {ws} do not fit `group` {group}",
    )
    _check_room(shape[2:], ws[2:], pairs, spread)
    if any(p < 0 for pair in pairs for p in pair):
        x, pairs = _cropped(x, pairs)
    return c.convolve(x, w, b, stride=steps, padding=pairs, dilation=spread, groups=group)


def _check_filters(shape: tuple[int, ...], kernel_shape: Ints) -> None:
    refuse(len(shape) < 3, f"the filters have shape {shape}; they must have 3 axes at least")
    refuse(
        kernel_shape is not None and tuple(kernel_shape) != shape[2:],
        f"`kernel_shape` is {kernel_shape}, but the filters are {shape}",
    )


def _check_room(inputs: Sequence[int], kernel: Sequence[int], pairs: Any, spread: Sequence[int]) -> None:
    for n, k, pair, d in zip(inputs, kernel, pairs, spread, strict=True):
        short = n + sum(pair) < d * (k - 1) + 1
        refuse(short, f"a window {tuple(kernel)} is larger than the input {tuple(inputs)} padded {pairs}")
    bounded([n + max(sum(pair), 0) for n, pair in zip(inputs, pairs, strict=True)], "padding")


def _cropped(x: Any, pairs: Any) -> tuple[Any, Any]:
    """x without the elements that negative padding removes, and the remaining padding."""
    index = (slice(None), slice(None), *(slice(max(-a, 0), min(b, 0) or None) for a, b in pairs))
    return x[index], tuple((max(a, 0), max(b, 0)) for a, b in pairs)


def _kernel(shape: Sequence[int]) -> list[int]:
    return list(shape[2:])


@writes(c.convolve)
def _write_conv(
    w: Any, x: Any, weight: Any, b: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: Any, out: Any
) -> Any:
    x, weight = w.same(out.dtype, x, weight)
    return w.node(
        "Conv", x, weight, *([] if b is None else [w.as_dtype(b, out.dtype)]), kernel_shape=_kernel(weight.shape),
        strides=list(stride), pads=[p for p, _ in padding] + [p for _, p in padding], dilations=list(dilation), group=groups,
    )  # fmt: skip


@reads("ConvTranspose")
def _conv_transpose(
    x: Array, w: Weight, b: Weight = None, *, auto_pad: str = "NOTSET", dilations: Ints = None, group: int = 1,
    kernel_shape: Ints = None, output_padding: Ints = None, output_shape: Ints = None, pads: Ints = None, strides: Ints = None,
) -> Array:  # fmt: skip
    shape, ws = np.shape(x), np.shape(w)
    _check_filters(ws, kernel_shape)
    n = len(ws) - 2
    refuse(
        group < 1 or len(shape) != len(ws) or shape[1] != ws[0] or ws[0] % group,
        f"an input {shape} and filters {ws} do not fit `group` {group}",
    )
    steps, pairs, spread = window(shape[2:], ws[2:], strides, dilations, pads, "NOTSET")
    extra = tuple(output_padding or (0,) * n)
    painted = [(m - 1) * k + d * (f - 1) + 1 for m, k, d, f in zip(shape[2:], steps, spread, ws[2:], strict=True)]
    wanted = [int(i) for i in output_shape[-n:]] if output_shape else None
    if wanted is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [m * k for m, k in zip(shape[2:], steps, strict=True)]
    if wanted is not None:
        pairs = ()
        for whole, more, size in zip(painted, extra, wanted, strict=True):
            total = whole + more - size
            refuse(
                total < 0 and not output_shape, f"`auto_pad` is {auto_pad!r}, but the window is shorter than its stride"
            )
            half = max(total, 0) // 2  # of a negative total: zeros are added at the end
            pairs += ((half, total - half),) if auto_pad == "SAME_UPPER" or total < 0 else ((total - half, half),)
    # `output_padding` reduces the cut at the end; what remains of it is zeros beyond all filters.
    cuts = tuple((before, after - more) for (before, after), more in zip(pairs, extra, strict=True))
    cut = tuple((max(before, 0), max(after, 0)) for before, after in cuts)
    inner = tuple(whole - sum(pair) for whole, pair in zip(painted, cut, strict=True))
    bounded(
        [shape[0], ws[1] * group, *(m + max(-a, 0) + max(-z, 0) for m, (a, z) in zip(inner, cuts, strict=True))],
        "ConvTranspose",
    )
    y = c.convolve_dx(
        x, w, shape=(shape[0], ws[1] * group, *inner), stride=steps, padding=cut, dilation=spread, groups=group
    )
    missing = tuple((max(-before, 0), max(-after, 0)) for before, after in cuts)
    if any(map(sum, missing)):
        y = s.pad_constant(y, pad_width=((0, 0), (0, 0), *missing))
    return y if b is None else e.add(y, s.reshape(b, shape=(-1, *(1,) * n)))


@writes(c.convolve_dx, varies=True)
def _write_transposed(
    w: Any, u: Any, weight: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any, out: Any
) -> Any:
    u, weight = w.same(out.dtype, u, weight)
    found = []
    for before, after in zip(u.shapes, out.shapes, strict=True):
        form = zip(before[2:], stride, dilation, weight.shape[2:], strict=True)
        painted = [(n - 1) * k + d * (f - 1) + 1 for n, k, d, f in form]
        found.append([n + sum(p) - whole for n, p, whole in zip(after[2:], padding, painted, strict=True)])
    extra = found[0]
    w.refuse_size(any(other != extra for other in found), "has padding that changes with the size of a dynamic axis")
    more: dict[str, Any] = {"output_padding": extra} if any(extra) else {}
    return w.node(
        "ConvTranspose", u, weight, kernel_shape=_kernel(weight.shape), strides=list(stride), dilations=list(dilation),
        pads=[p for p, _ in padding] + [p for _, p in padding], group=groups, **more,
    )  # fmt: skip


# Columns: a convolution with filters that each take one element of the window


def _takers(channels: int, kernel: Sequence[int], dtype: Any) -> np.ndarray:
    count = math.prod(kernel)
    one = np.eye(count, dtype=dtype).reshape(count, 1, *kernel)
    return np.concatenate([one] * channels)


@writes(c.columns)
def _columns(w: Any, x: Any, *, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any) -> Any:
    filters = w.constant(_takers(x.shape[1], kernel, out.dtype))
    y = w.node(
        "Conv", x, filters, kernel_shape=list(kernel), strides=list(stride), dilations=list(dilation), group=x.shape[1],
        pads=[p for p, _ in padding] + [p for _, p in padding],
    )  # fmt: skip
    return w.reshape(y, out)


@writes(c.add_columns, varies=True)
def _add_columns(w: Any, u: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, out: Any) -> Any:
    n, channels = len(out.shape) - 2, out.shape[1]
    kernel, grid = u.shape[2 : 2 + n], u.shape[2 + n :]
    w.refuse_size(any(u.is_dynamic(i) for i in range(1, len(u.shape))), "folds columns of a dynamic size")
    rows = w.node("Reshape", u, w.ints([-1, channels * math.prod(kernel), *grid]))
    painted = [(g - 1) * k + d * (f - 1) + 1 for g, k, d, f in zip(grid, stride, dilation, kernel, strict=True)]
    extra = [m + sum(p) - whole for m, p, whole in zip(out.shape[2:], padding, painted, strict=True)]
    y = w.node(
        "ConvTranspose", rows, w.constant(_takers(channels, kernel, out.dtype)), kernel_shape=list(kernel), group=channels,
        strides=list(stride), dilations=list(dilation),
        pads=[p for p, _ in padding] + [max(p - more, 0) for (_, p), more in zip(padding, extra, strict=True)],
    )  # fmt: skip
    beyond = [max(more - p, 0) for (_, p), more in zip(padding, extra, strict=True)]
    if any(beyond):
        y = w.node("Pad", y, w.ints([0] * (2 + n) + [0, 0, *beyond]))
    return y


@reads("Col2Im")
def _col2im(
    input: Array, image_shape: Structural, block_shape: Structural, *, dilations: Ints = None, pads: Ints = None,
    strides: Ints = None,
) -> Array:  # fmt: skip
    whole, kernel = integers(image_shape), integers(block_shape)
    steps, pairs, spread = window(whole, kernel, strides, dilations, pads, "NOTSET")
    n, rows, _ = np.shape(input)
    channels = rows // math.prod(kernel)
    bounded([n, channels, *whole], "Col2Im")
    grid = output_sizes(whole, kernel, steps, pairs, spread)
    u = s.reshape(input, shape=(n, channels, *kernel, *grid))
    return c.add_columns(u, shape=(n, channels, *whole), stride=steps, padding=pairs, dilation=spread)
