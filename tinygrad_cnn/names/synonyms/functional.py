"""Functions of ``torch.nn.functional``, in PyTorch's meaning throughout."""

from __future__ import annotations

from operator import index
from typing import Any

from .common import public, renamed, tg


def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """`tg.mse(input, target, reduction=reduction)`"""
    if weight is None:
        return tg().mse(input, target, reduction=reduction)
    squares = tg().mse(input, target, reduction="none")
    if reduction == "none":
        return squares * weight
    total = (squares * weight).sum()
    return total if reduction == "sum" else total / tg().broadcast_to(weight, squares.shape).sum()


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """`tg.pad(x, pad_width, mode)`, where `pad` has the widths before and after the last axis first, then the one before it"""
    try:
        widths = [index(n) for n in pad]
    except TypeError:
        raise TypeError(
            f"pad: `pad` is {pad!r:.60}; it must be a sequence of whole numbers, as (left, right)"
        ) from None
    axes, shape = len(widths) // 2, input.shape
    if len(widths) % 2 or axes > len(shape):
        raise ValueError(f"pad: `pad` has {len(widths)} numbers; it must have two for each of up to {len(shape)} axes")
    if mode != "constant":
        if mode not in ("reflect", "replicate", "circular"):
            raise ValueError(
                f"pad: `mode` is {mode!r:.60}; it must be 'constant', 'reflect', 'replicate' or 'circular'"
            )
        if value is not None and value != 0:
            raise ValueError(f"pad: `value` is {value}; it is for mode 'constant': leave it out for {mode!r}")
    pairs = [(0, 0)] * (len(shape) - axes) + [(widths[2 * i], widths[2 * i + 1]) for i in reversed(range(axes))]
    more = {"constant_values": 0.0 if value is None else value} if mode == "constant" else {}
    return tg().pad(input, pairs, mode, **more)


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """`tg.interpolate(x, size, scale_factor, mode)`"""
    more = {} if align_corners is None else {"align_corners": align_corners}
    return tg().interpolate(input, size=size, scale_factor=scale_factor, mode=mode, **more)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`tg.interpolate(x, size, scale_factor, mode='nearest')`"""
    return upsample(input, size, scale_factor)


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`tg.interpolate(x, size, scale_factor, mode='bilinear', align_corners=True)`"""
    return upsample(input, size, scale_factor, "bilinear", True)


TABLE: dict[str, Any] = public(globals(), __name__)
for _name in ("sigmoid", "tanh"):
    TABLE |= renamed(_name, [_name])
