"""Several images as one, and images as files."""

from __future__ import annotations

import io
import os
import struct
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, whole
from ...tensor import Tensor

__all__ = ["make_grid", "save_image"]

Array: TypeAlias = NDArray[Any]


def array_of(value: Any) -> Array:
    """The values of a Tensor, an array, or a list of them."""
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, list | tuple):
        return np.stack([array_of(each) for each in value]) if value else np.zeros((0, 3, 0, 0))
    return np.asarray(value)


def make_grid(
    tensor: Any, nrow: int = 8, padding: int = 2, normalize: bool = False,
    value_range: tuple[float, float] | None = None, scale_each: bool = False, pad_value: float = 0.0,
) -> Array:  # fmt: skip
    """Images in rows, as one image (3, H, W) in their dtype.

    Args:
        tensor: (N, C, H, W), (C, H, W), (H, W), or a list of images of one size; one channel becomes three equal ones.
        nrow: the images in a row.
        padding: the pixels between images, and around them.
        normalize: whether values are moved to the range from 0 to 1; the images must be floating point.
        value_range: the values that become 0 and 1; by default the smallest and the largest.
        scale_each: whether these are looked for in each image, not in all.
        pad_value: the value of pixels between images.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.vision.utils.make_grid(np.zeros((6, 1, 8, 8), np.uint8), nrow=3).shape
    (3, 22, 32)
    """
    checked("make_grid", {"nrow": whole(1), "padding": whole(0)}, locals())
    x: Any = array_of(tensor)
    if x.ndim not in (2, 3, 4):
        raise ValueError(f"make_grid: `tensor` has shape {x.shape}; it must be (N, C, H, W), (C, H, W) or (H, W)")
    x = x[None] if x.ndim == 2 else x
    x = x[None] if x.ndim == 3 else x
    x = x.repeat(3, axis=1) if x.shape[1] == 1 else x
    if normalize:
        if x.dtype.kind != "f":
            raise TypeError(f"make_grid: the images are {x.dtype}; with normalize=True they must be floating point")
        if value_range is not None and not (len(value_range) == 2 and value_range[0] < value_range[1]):
            raise ValueError(
                f"make_grid: `value_range` is {value_range!r}; it must be two numbers, the smaller one first"
            )
        axes = (1, 2, 3) if scale_each else None
        low, high = (
            (x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True)) if value_range is None else value_range
        )
        x = (x.clip(low, high) - low) / np.maximum(np.subtract(high, low), 1e-5).astype(x.dtype)
    count, channels, height, width = x.shape
    if count == 1:
        alone: Array = x[0].copy()
        return alone
    across = min(nrow, count)
    down = -(-count // max(across, 1))
    height, width = height + padding, width + padding
    grid = np.full((channels, down * height + padding, across * width + padding), pad_value, x.dtype)
    for n, image in enumerate(x):
        top, left = n // across * height + padding, n % across * width + padding
        grid[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return grid


def save_image(tensor: Any, fp: str | os.PathLike[str] | BinaryIO, format: str | None = None, **kwargs: Any) -> None:
    """Write an image, or a grid of several, to a file.

    Args:
        tensor: as for :func:`make_grid`, floating point from 0 to 1, or uint8.
        fp: the path, or a file that is open for writing. PNG needs nothing; other formats need Pillow.
        format: the format, which by default is that of the name's end; PNG for an open file.
        kwargs: more arguments of :func:`make_grid`.

    Raises:
        ModuleNotFoundError: for another format than PNG without Pillow.
        TypeError: if the images are neither floating point nor uint8.

    >>> import io, numpy as np, tinygrad_cnn as tg
    >>> file = io.BytesIO()
    >>> tg.vision.utils.save_image(np.zeros((4, 3, 8, 8)), file, nrow=2)
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    grid = make_grid(tensor, **kwargs)
    if grid.dtype != np.uint8:
        if grid.dtype.kind != "f":
            raise TypeError(
                f"save_image: the images are {grid.dtype}; they must be floating point from 0 to 1, or uint8"
            )
        grid = (np.nan_to_num(grid) * 255 + 0.5).clip(0, 255).astype(np.uint8)
    if grid.shape[0] not in (1, 3, 4):
        raise ValueError(f"save_image: the images have {grid.shape[0]} channels; they must have 1, 3 or 4")
    path = Path(fp) if isinstance(fp, str | os.PathLike) else None
    kind = (format or (path.suffix[1:] if path else "png")).lower()
    if kind == "png":
        content = png(np.ascontiguousarray(grid.transpose(1, 2, 0)))
    else:
        content = _by_pillow(grid, kind)
    if path is None:
        fp.write(content)  # type: ignore[union-attr]
    else:
        path.write_bytes(content)


def png(pixels: Array) -> bytes:
    """A PNG file of colours (H, W, 3), with opacity (H, W, 4), or of grey (H, W, 1), in uint8."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter, 0 for none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def pillow(name: str, wanted: str) -> Any:
    """The package Pillow; ModuleNotFoundError with the remedy."""
    try:
        import_module("PIL.Image")
        import_module("PIL.ImageFont")
        import_module("PIL.ImageDraw")
        return import_module("PIL")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{name}: {wanted} needs Pillow; pip install 'tinygrad_cnn[images]'", name="PIL"
        ) from error


def _by_pillow(grid: Array, kind: str) -> bytes:
    image = pillow("save_image", f"the format {kind!r}").Image.fromarray(grid.transpose(1, 2, 0).squeeze())
    file = io.BytesIO()
    image.save(file, format={"jpg": "jpeg", "tif": "tiff"}.get(kind, kind))
    return file.getvalue()
