"""Boxes and masks drawn on images (C, H, W), uint8 or floating point from 0 to 1. The image is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, number, whole
from .grid import array_of, pillow

__all__ = ["draw_bounding_boxes", "draw_segmentation_masks"]

Array: TypeAlias = NDArray[Any]
Color: TypeAlias = str | tuple[int, int, int]

NAMES = {
    "black": "000000", "white": "ffffff", "red": "ff0000", "lime": "00ff00", "blue": "0000ff", "yellow": "ffff00",
    "cyan": "00ffff", "magenta": "ff00ff", "green": "008000", "gray": "808080", "grey": "808080", "orange": "ffa500",
    "purple": "800080", "navy": "000080", "teal": "008080", "maroon": "800000", "olive": "808000", "silver": "c0c0c0",
    "pink": "ffc0cb", "brown": "a52a2a", "gold": "ffd700",
}  # fmt: skip
"""Colours by name, those of CSS."""


def _rgb(name: str, color: Any) -> tuple[int, int, int]:
    if isinstance(color, str):
        text = NAMES.get(color.lower(), color.removeprefix("#"))
        text = "".join(c * 2 for c in text) if len(text) == 3 else text
        try:
            if len(text) == 6:
                red, green, blue = bytes.fromhex(text)
                return red, green, blue
        except ValueError:
            pass
    elif len(color) == 3 and all(0 <= v <= 255 for v in color):
        return int(color[0]), int(color[1]), int(color[2])
    raise ValueError(
        f"{name}: {color!r} is no colour; give '#ff8000', three numbers from 0 to 255, or one of {', '.join(NAMES)}"
    )


def _colors(name: str, colors: Any, count: int) -> list[tuple[int, int, int]]:
    """One colour for each of `count` things."""
    if colors is None:
        return [tuple((i * p) % 255 for p in (2**25 - 1, 2**15 - 1, 2**21 - 1)) for i in range(count)]  # type: ignore[misc]
    if not isinstance(colors, list):
        return [_rgb(name, colors)] * count
    if len(colors) < count:
        raise ValueError(f"{name}: `colors` has {len(colors)} colours for {count}; give one for each, or one for all")
    return [_rgb(name, color) for color in colors[:count]]


def _image(name: str, image: Any, channels: tuple[int, ...]) -> Array:
    x = array_of(image)
    if x.ndim != 3 or x.shape[0] not in channels:
        wanted = " or ".join(map(str, channels))
        raise ValueError(f"{name}: `image` has shape {x.shape}; it must be one image ({wanted}, H, W)")
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise TypeError(f"{name}: `image` is {x.dtype}; it must be uint8, or floating point from 0 to 1")
    return x


def draw_bounding_boxes(
    image: Any, boxes: Any, labels: Sequence[str | None] | None = None,
    colors: Color | list[Color] | None = None, fill: bool = False, width: int = 1,
) -> Array:  # fmt: skip
    """The image (3, H, W) with boxes on it.

    Args:
        image: (1 or 3, H, W).
        boxes: (N, 4), two corners.
        labels: a text for each box; it needs Pillow, for its letters.
        colors: one for all boxes, or a list: names, "#ff8000", or three numbers from 0 to 255.
        fill: whether boxes are filled with their colour, thinly.
        width: of their lines, in pixels.

    Raises:
        ValueError: for other shapes or colours, or a box whose first corner is not the upper left one.
        ModuleNotFoundError: for labels without Pillow.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> drawn = tg.vision.utils.draw_bounding_boxes(np.zeros((3, 4, 5), np.uint8), [[1, 0, 3, 2]], colors="red")
    >>> drawn[0].tolist()
    [[0, 255, 255, 255, 0], [0, 255, 0, 255, 0], [0, 255, 255, 255, 0], [0, 0, 0, 0, 0]]
    """
    name = "draw_bounding_boxes"
    given = _image(name, image, (1, 3))
    checked(name, {"width": whole(1)}, locals())
    corners = array_of(boxes)
    if not corners.size:
        corners = np.zeros((0, 4))
    if corners.ndim != 2 or corners.shape[1] != 4 or not np.isfinite(corners).all():
        raise ValueError(f"{name}: `boxes` has shape {corners.shape}; it must be (N, 4) finite numbers")
    if (corners[:, :2] > corners[:, 2:]).any():
        raise ValueError(f"{name}: `boxes` has x1 > x2 or y1 > y2; they must be two corners: see box_convert")
    if labels is not None and len(labels) != len(corners):
        raise ValueError(f"{name}: there are {len(labels)} labels for {len(corners)} boxes; give one for each")
    colors = _colors(name, colors, len(corners))  # type: ignore[assignment]
    x = given.repeat(3, axis=0) if given.shape[0] == 1 else given.copy()
    whole_range = 255 if x.dtype == np.uint8 else 1
    for n, (x1, y1, x2, y2) in enumerate(corners.astype(np.int64).tolist()):
        color = np.array(colors[n])[:, None, None] / (255 / whole_range)  # type: ignore[index]
        inside = _window(x, x1, x2, y1, y2)
        if fill:
            inside[...] = inside * (155 / 255) + color * (100 / 255)
        for step in range(min(width, (min(x2 - x1, y2 - y1) + 2) // 2)):
            a, b, c, d = x1 + step, y1 + step, x2 - step, y2 - step
            for rows, columns in (((b, b), (a, c)), ((d, d), (a, c)), ((b, d), (a, a)), ((b, d), (c, c))):
                _window(x, columns[0], columns[1], rows[0], rows[1])[...] = color
    if labels is not None:
        x = _labelled(x, corners, labels, colors, width)
    return x


def _window(x: Array, left: int, right: int, top: int, bottom: int) -> Array:
    """The pixels from (top, left) to (bottom, right), both included, as far as the image goes."""
    return x[:, max(top, 0) : max(bottom + 1, 0), max(left, 0) : max(right + 1, 0)]


def _labelled(x: Array, corners: Array, labels: Sequence[str | None], colors: Any, width: int) -> Array:
    library = pillow("draw_bounding_boxes", "a label")
    pixels = x if x.dtype == np.uint8 else (x * 255.999).clip(0, 255).astype(np.uint8)
    picture = library.Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    draw, font = library.ImageDraw.Draw(picture), library.ImageFont.load_default()
    for (x1, y1, *_), label, color in zip(corners.astype(np.int64).tolist(), labels, colors, strict=True):
        if label is not None:
            draw.text((x1 + width + 1, y1 + width + 1), label, fill=color, font=font)
    written: Array = np.asarray(picture).transpose(2, 0, 1)
    return np.where(written != pixels, written / 255, x).astype(x.dtype) if x.dtype != np.uint8 else written.copy()


def draw_segmentation_masks(
    image: Any, masks: Any, alpha: float = 0.8, colors: Color | list[Color] | None = None
) -> Array:  # fmt: skip
    """The image (3, H, W) with masks on it; black where two of them overlap.

    Args:
        image: (3, H, W).
        masks: Booleans (N, H, W) or (H, W).
        alpha: how much the masks cover, from 0 to 1.
        colors: one for all masks, or a list: as for :func:`draw_bounding_boxes`.

    Raises:
        ValueError: for other shapes or colours.
        TypeError: for masks that are not Booleans.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> mask = np.eye(2, dtype=bool)
    >>> tg.vision.utils.draw_segmentation_masks(np.zeros((3, 2, 2), np.uint8), mask, alpha=0.5, colors="red")[0].tolist()
    [[127, 0], [0, 127]]
    """
    name = "draw_segmentation_masks"
    x, marked = _image(name, image, (3,)), array_of(masks)
    checked(name, {"alpha": number("a number from 0 to 1", lambda v: 0 <= v <= 1)}, locals())
    if marked.dtype != bool:
        raise TypeError(f"{name}: `masks` is {marked.dtype}; it must be Booleans, such as labels == 3")
    marked = marked[None] if marked.ndim == 2 else marked
    if marked.ndim != 3 or marked.shape[1:] != x.shape[1:]:
        raise ValueError(f"{name}: `masks` has shape {marked.shape} and the image {x.shape}; they must have one size")
    covered = x.copy()
    for mask, color in zip(marked, _colors(name, colors, len(marked)), strict=True):
        covered[:, mask] = (np.array(color) / (1 if x.dtype == np.uint8 else 255))[:, None].astype(x.dtype)
    covered[:, marked.sum(axis=0) > 1] = 0
    work = np.float32 if x.dtype == np.uint8 else x.dtype
    mixed: Array = x.astype(work) * np.asarray(1 - alpha, work) + covered.astype(work) * np.asarray(alpha, work)
    return mixed.astype(x.dtype)
