"""Transforms of images of uint8, compiled: the same bits as the definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....vision.transforms import forms, functional, geometry, warp
from . import colors, filters, memory, resizing, warps

FORMS: dict[Callable[..., Any], Callable[..., Any]] = {
    warp.resized: resizing.resized,
    warp.warp: warps.warp,
    functional.blurred: filters.blurred,
    functional.gray_sums: colors.gray_sums,
    functional.grayed: colors.grayed,
    functional.histograms: colors.histograms,
    functional.normalized: memory.normalized,
    functional.saturated: colors.saturated,
    functional.scaled: memory.scaled,
    functional.sharpened: filters.sharpened,
    functional.translated: colors.translated,
    functional.turned: colors.turned,
    geometry.mirrored: memory.mirrored,
    geometry.window: memory.window,
}
"""The compiled form of each function of images."""


def attach(on: bool) -> None:
    """Attach the compiled forms, or take them away."""
    for function, form in FORMS.items():
        forms.attach(function, form if on else None)
