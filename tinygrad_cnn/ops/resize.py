"""Changing the spatial size: interpolation, axis by axis, and pixel shuffle, which moves channels into space and back.

In docstrings, g is the incoming gradient and x' the gradient with respect to x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.graph import Array, op
from .geometry import SizeLike, shape_of, sizes
from .real import constant
from .shape import reshape, transpose

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["interpolate", "pixel_shuffle", "pixel_unshuffle"]

RANKS = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
"""The number of spatial axes that a mode is for."""
UNALIGNED = ("nearest", "nearest-exact", "area")
"""The modes that do not take `align_corners`."""


Taps = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Targets, sources and weights: each target, a position in the result, is a sum of weighted sources, positions in x."""


@op(linear=["x"])
def resample(x: Array, *, axis: int, size: int, taps: Taps) -> Array:
    """y_t = sum over taps (t, s, w) of w x_s along `axis`.   x' = the same op on g, with t and s exchanged."""
    targets, sources, weights = (part[np.argsort(taps[0], kind="stable")] for part in taps)
    for label, found, n in (("targets", targets, size), ("sources", sources, x.shape[axis])):
        if found.size and not 0 <= found.min() <= found.max() < n:
            raise IndexError(f"`taps` must have {label} in range({n})")
    dtype = np.result_type(x, np.float32 if x.dtype.kind == "f" else weights)
    weights = weights.astype(dtype)
    y = np.zeros_like(x, dtype, shape=(*x.shape[:axis], size, *x.shape[axis + 1 :]))
    lead, trail = (slice(None),) * axis, (1,) * (x.ndim - axis - 1)
    turn = np.arange(targets.size) - np.searchsorted(targets, targets)  # how many earlier taps have this target
    for i in range(turn.max(initial=-1) + 1):
        now = turn == i
        y[(*lead, targets[now])] += x[(*lead, sources[now])] * weights[now].reshape(-1, *trail)
    return y.astype(x.dtype, copy=False) if x.dtype.kind == "f" else y


resample.vjp(x=lambda g, in_shape, axis, taps: resample(
    g, axis=axis, size=in_shape[axis], taps=(taps[1], taps[0], taps[2])))  # fmt: skip


def interpolate(
    x: Array,
    size: SizeLike | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resize the spatial axes of x (N, C, *sizes), to `size` or by `scale_factor`, with PyTorch's conventions.

    Along each axis, with n elements resized to m, and r = n / m, or 1 / scale_factor if that is given:

    - "nearest": y_i = x_floor(i r); "nearest-exact": y_i = x_floor((i + 1/2) r), which has no shift.
    - "linear", "bilinear", "trilinear" (1, 2, 3 spatial axes): y_i = (1 - t) x_j + t x_(j+1), where the position j + t is
      max((i + 1/2) r - 1/2, 0), or with `align_corners` i (n - 1) / (m - 1), so that the ends keep their positions. An axis
      whose size stays the same is not changed.
    - "bicubic" (2 spatial axes): y_i = the cubic convolution of x_(j-1) to x_(j+2), with a = -3/4, where the position j + t is
      (i + 1/2) r - 1/2, or as above with `align_corners`. Beyond the ends, x is repeated.
    - "area": y_i = the mean of the elements from floor(i n / m) to ceil((i + 1) n / m), as :func:`adaptive_avg_pool2d`.

    x' = g with the transposed weights.

    Args:
        x: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the spatial sizes of the result, an int or one per axis.
        scale_factor: the ratio of sizes, rounded down, a number or one per axis. Give either this or `size`.
        mode: one of the above.
        align_corners: only with the linear modes and "bicubic"; False by default.

    Raises:
        ValueError: for a wrong rank, both or neither of `size` and `scale_factor`, a result without elements, an unknown
            mode, one for another rank, or `align_corners` with a mode that does not use it.
        TypeError: for a size that is not an integer or a factor that is not a number.

    >>> import tinygrad_cnn as tg
    >>> tg.interpolate(tg.Tensor([[[0, 4]]]), size=4, mode="linear").tolist()
    [[[0.0, 1.0, 3.0, 4.0]]]
    """
    shape = shape_of("interpolate", "x", x)
    ndim = len(shape) - 2
    if ndim not in (1, 2, 3):
        raise ValueError(f"interpolate: `x` has shape {shape}; it must be (N, C, L), (N, C, H, W) or (N, C, D, H, W)")
    if mode not in (*UNALIGNED, *RANKS):
        known = ", ".join(map(repr, (*UNALIGNED, *RANKS)))
        raise ValueError(f"interpolate: `mode` is {mode!r}; it must be one of {known}")
    if RANKS.get(mode, ndim) != ndim:
        fitting = next(name for name, n in RANKS.items() if n == ndim)
        raise ValueError(f"interpolate: `mode` is {mode!r} but `x` has {ndim} spatial axes; use {fitting!r}")
    if mode in UNALIGNED and align_corners is not None:
        raise ValueError(
            f"interpolate: `align_corners` is {align_corners} but `mode` is {mode!r}, which does not use it"
        )
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"interpolate: `size` is {size!r} and `scale_factor` is {scale_factor!r}; give exactly one of them"
        )
    if min(shape[1:]) < 1:
        raise ValueError(f"interpolate: `x` has shape {shape}; every size but the batch must be at least 1")
    if size is not None:
        out = sizes("interpolate", "size", size, ndim, least=1)
        ratios = [n / m for n, m in zip(shape[2:], out, strict=True)]
    else:
        factors = _factors(scale_factor, ndim)
        out = tuple(math.floor(n * f) for n, f in zip(shape[2:], factors, strict=True))
        if min(out) < 1:
            raise ValueError(f"interpolate: `scale_factor` {scale_factor!r} leaves {out} of {shape[2:]}; raise it")
        ratios = [1 / f for f in factors]
    for axis, (n, m, r) in enumerate(zip(shape[2:], out, ratios, strict=True)):
        x = resample(x, axis=2 + axis, size=m, taps=taps_of(mode, n, m, r, bool(align_corners)))
    return x  # type: ignore[no-any-return]


def _factors(value: float | Sequence[float] | None, ndim: int) -> list[float]:
    constant("interpolate", "scale_factor", value)
    try:
        factors = np.broadcast_to(np.asarray(value, np.float64), ndim).tolist()
    except (TypeError, ValueError):
        message = f"interpolate: `scale_factor` is {value!r}; it must be a number or {ndim}, one per spatial axis"
        raise (ValueError if np.ndim(value) else TypeError)(message) from None  # type: ignore[arg-type]
    if not all(0 < f < math.inf for f in factors):
        raise ValueError(f"interpolate: `scale_factor` is {value!r}; it must be positive and finite")
    return factors  # type: ignore[no-any-return]


def taps_of(mode: str, n: int, m: int, r: float, align_corners: bool = False) -> Taps:
    """What m elements take of n in a mode of :func:`interpolate`, where a step is r long."""
    i = np.arange(m)
    if mode == "area":
        return means(n, m)
    if mode.startswith("nearest"):
        # In floating point i (n / m) may fall just below a whole number where i n / m is exact.
        half = int(mode == "nearest-exact")
        places = (2 * i + half) * n // (2 * m) if r == n / m else np.floor((i + half / 2) * r).astype(np.int64)
        return i, np.minimum(places, n - 1), np.ones(m, bool)
    if m == n and mode != "bicubic":  # as in PyTorch, for any scale factor
        places = i.astype(np.float64)
    else:
        places = i * (n - 1) / max(m - 1, 1) if align_corners else (i + 0.5) * r - 0.5
    if mode == "bicubic":
        j = np.floor(places).astype(np.int64)
        parts = [(j + k - 1, weight) for k, weight in enumerate(cubic_weights(places - j))]
    else:
        places = np.clip(places, 0, n - 1)
        j = np.floor(places).astype(np.int64)
        parts = [(j, 1 - (places - j)), (j + 1, places - j)]
    used = [weight != 0 for _, weight in parts]  # an element with weight 0 may be infinite
    targets, sources, weights = (
        np.concatenate([values[chosen] for values, chosen in zip(lists, used, strict=True)])
        for lists in ([i] * len(parts), *zip(*parts, strict=True))
    )
    return targets, np.clip(sources, 0, n - 1), weights


def means(n: int, m: int) -> Taps:
    """The means of m regions of n elements, from floor(i n / m) to ceil((i + 1) n / m)."""
    starts, stops = regions(n, m)
    counts = stops - starts
    sources = np.concatenate([np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)])
    return np.repeat(np.arange(m), counts), sources, np.repeat(1 / counts, counts)


def regions(n: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """The starts and stops of `out` regions of n elements, from floor(i n / out) to ceil((i + 1) n / out); they may overlap."""
    i = np.arange(out)
    return i * n // out, -(-(i + 1) * n // out)


def cubic_weights(t: Array) -> list[Array]:
    """Keys's weights with a = -3/4 of x_(j-1), x_j, x_(j+1) and x_(j+2) at the position j + t, for t from 0 to 1.

    Keys, "Cubic convolution interpolation for digital image processing", 1981.
    """
    s = 1 - t  # in factors, since the powers of Keys's polynomials cancel
    return [-0.75 * t * s * s, s * (1 + t - 1.25 * t * t), t * (1 + s - 1.25 * s * s), -0.75 * s * t * t]


def pixel_shuffle(x: Array, upscale_factor: int) -> Tensor:
    """Channels moved into space: y[..., c, i r + k, j r + l] = x[..., c r^2 + k r + l, i, j], with r = `upscale_factor`.

    (..., C r^2, H, W) becomes (..., C, H r, W r).   x' = pixel_unshuffle of g.
    Reference: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
    neural network", arXiv:1609.05158.

    Raises:
        ValueError: for fewer than three axes, a factor below 1, or channels that r^2 does not divide.
        TypeError: for a factor that is not an integer.

    >>> import tinygrad_cnn as tg
    >>> tg.pixel_shuffle(tg.arange(4).reshape(4, 1, 1), 2).tolist()
    [[[0, 1], [2, 3]]]
    """
    lead, (c, h, w), r = _pixels("pixel_shuffle", x, "upscale_factor", upscale_factor)
    if c % (r * r):
        raise ValueError(
            f"pixel_shuffle: `x` has {c} channels, which `upscale_factor` {r} squared must divide; check `upscale_factor`"
        )
    y = reshape(x, shape=(*lead, c // (r * r), r, r, h, w))
    return reshape(_exchange(y, (0, 3, 1, 4, 2)), shape=(*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(x: Array, downscale_factor: int) -> Tensor:
    """Space moved into channels, the inverse of :func:`pixel_shuffle`: (..., C, H r, W r) becomes (..., C r^2, H, W).

    x' = pixel_shuffle of g.

    Raises:
        ValueError: for fewer than three axes, a factor below 1, or a height or width that r does not divide.
        TypeError: for a factor that is not an integer.
    """
    lead, (c, h, w), r = _pixels("pixel_unshuffle", x, "downscale_factor", downscale_factor)
    if h % r or w % r:
        raise ValueError(
            f"pixel_unshuffle: `downscale_factor` is {r}, which must divide both {h} and {w}, the last sizes of `x`"
        )
    y = reshape(x, shape=(*lead, c, h // r, r, w // r, r))
    return reshape(_exchange(y, (0, 2, 4, 1, 3)), shape=(*lead, c * r * r, h // r, w // r))


def _pixels(name: str, x: Array, label: str, factor: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    shape = shape_of(name, "x", x)
    if len(shape) < 3:
        raise ValueError(f"{name}: `x` has shape {shape}; it must be (..., C, H, W), of 3 axes or more: reshape it")
    return shape[:-3], shape[-3:], sizes(name, label, factor, 1, least=1)[0]


def _exchange(a: Array, order: tuple[int, ...]) -> Array:
    """a with its last axes reordered."""
    lead = a.ndim - len(order)
    return transpose(a, axes=(*range(lead), *(lead + i for i in order)))
